"""The station's connection to the CSMS: connects, boots, says what there is to say, and comes back for ever.

Source: OCPP-J 2.0.1 Part 4 (subprotocol, basic authentication, back-off); Part 2, B01 to B04 (boot, offline), G02 (heartbeat).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from ocpp.exceptions import OCPPError
from ocpp.v201 import call
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from firmware_sim.clock import Clock
from firmware_sim.device_model import StationVariables
from firmware_sim.endpoint import Endpoint
from firmware_sim.outbox import Message, Outbox
from firmware_sim.seam import Seam

LOGGER: Final = logging.getLogger("firmware_sim.link")
SUBPROTOCOL: Final = "ocpp2.0.1"
PATIENCE_S: Final = 10.0
"""For the opening handshake."""
ATTEMPTS: Final = 3
"""OCPPCommCtrlr.MessageAttempts for a transaction message that the CSMS refuses or leaves unanswered."""
ATTEMPT_INTERVAL_S: Final = 60.0
BOOT_RETRY_S: Final = 60
REAL_PING_S: Final = 20.0
REMEMBERED: Final = 200
"""TransactionEvents that could be delivered again."""
BROKEN_S: Final = 1.0
"""How long a half-open connection is away once it breaks."""


@dataclass(frozen=True, slots=True)
class CsmsAddress:
    """Where the CSMS is and how the station gets in."""

    url: str
    """ws:// or wss://, to which the station's id is appended."""
    station_id: str
    password: str | None = None
    """For HTTP basic authentication (security profiles 1 and 2)."""
    ca_file: str | None = None
    """PEM file with the authority of the CSMS's certificate; the system's authorities where absent."""
    ping_interval_s: float | None = REAL_PING_S
    """None in virtual time, where pings would only cost."""

    def open(self) -> connect:
        """Return the connection to be awaited. Raises OSError when the CA file cannot be read."""
        url = f"{self.url.rstrip('/')}/{quote(self.station_id, safe='')}"
        headers = {}
        if self.password is not None:
            secret = base64.b64encode(f"{self.station_id}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        context = ssl.create_default_context(cafile=self.ca_file) if url.startswith("wss:") else None
        return connect(
            url, subprotocols=[SUBPROTOCOL], additional_headers=headers, ssl=context, compression=None, proxy=None,  # type: ignore[list-item]
            open_timeout=PATIENCE_S, close_timeout=PATIENCE_S, ping_interval=self.ping_interval_s,
        )  # fmt: skip


class CsmsLink:
    """Keeps one station connected. `run` ends only by being cancelled."""

    def __init__(
        self,
        address: CsmsAddress,
        clock: Clock,
        outbox: Outbox,
        variables: StationVariables,
        *,
        faults: Seam,
        endpoint: Callable[[ClientConnection], Endpoint],
        boot: Callable[[str], Any],
        accepted: Callable[[], None],
        told_time: Callable[[str], None],
        up: Callable[[bool], None],
    ) -> None:
        """`boot(reason)` makes the BootNotification; `accepted()` is called when the station may speak.

        `told_time(text)` is called with each currentTime of the CSMS, `up(online)` when the station goes on- or offline.
        """
        self._address, self._clock, self._outbox, self._variables = address, clock, outbox, variables
        self._make_endpoint, self._boot, self._accepted = endpoint, boot, accepted
        self._told_time, self._up = told_time, up
        self._connection: ClientConnection | None = None
        self._faults, self._origin = faults, clock.monotonic()
        self._history: deque[Any] = deque(maxlen=REMEMBERED)
        self._timer: asyncio.TimerHandle | None = None
        self._been_here = False
        self._powered, self._was_accepted = True, False
        self._network_back_at = 0.0
        self._boot_reason: str | None = "PowerUp"
        self._awake = asyncio.Event()

    def cut(self, seconds: float) -> None:
        """Take the network away for that long."""
        self._network_back_at = max(self._network_back_at, self._clock.monotonic() + seconds)
        self._abort()

    def carries(self) -> bool:
        """Note that a message is on its way; say whether it arrives."""
        now = self._clock.monotonic() - self._origin
        for begin, end in self._faults.apply("dead_spans", value=[]):
            if begin <= now < end:
                self._later(end - now, lambda: self.cut(BROKEN_S))
                return False
        limits = self._faults.apply("idle", value=None)
        if limits is not None:
            self._later(limits[0], lambda: self.cut(limits[1]))
        return True

    def delays(self, action: str) -> list[float]:
        """Return after how many seconds the answer to a CALL is sent; more than one: again."""
        delays: list[float] = self._faults.apply("answers_after", action, value=[0.0])
        return delays

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def power(self, on: bool) -> None:
        """Switch the station's electronics."""
        self._powered = on
        if on:
            self._boot_reason = "PowerUp"
            self._awake.set()
        else:
            self._abort()

    async def reboot(self, reason: str) -> None:
        """Close the connection properly, and boot on the next one."""
        self._boot_reason = reason
        if self._connection:
            await self._connection.close()

    async def run(self) -> None:
        """Connect, speak, and connect again for ever."""
        failures = 0
        while True:
            if not self._powered:
                await self._pause(None)
            if (wait := self._network_back_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
                continue
            try:
                connection = await self._address.open()
            except (OSError, TimeoutError, WebSocketException) as error:
                LOGGER.warning("%s: no connection to %s: %s", self._address.station_id, self._address.url, error)
                failures += 1
            else:
                if await self._session(connection):
                    failures = 0
                else:
                    failures += 1
            await self._pause(self._back_off_s(failures))

    def _back_off_s(self, failures: int) -> float:
        """Return how long to wait before the next attempt: doubled so many times as RetryBackOffRepeatTimes says."""
        doublings = min(max(failures - 1, 0), self._variables.back_off_repeats)
        return float(self._variables.back_off_wait_s * 2**doublings)

    async def _session(self, connection: ClientConnection) -> bool:
        """Speak on an open connection until it is over; return whether the CSMS had accepted the station."""
        if connection.subprotocol != SUBPROTOCOL:
            LOGGER.warning("%s: the CSMS does not speak %s", self._address.station_id, SUBPROTOCOL)
            await connection.close(1002)
            return False
        LOGGER.info("%s: connected to %s", self._address.station_id, self._address.url)
        self._connection, self._was_accepted = connection, False
        self._outbox.linked = True
        if not self._powered or self._network_back_at > self._clock.monotonic():
            self._abort()
        endpoint = self._make_endpoint(connection)
        listener = asyncio.create_task(endpoint.start())
        speaker = asyncio.create_task(self._speak(endpoint))
        try:
            await asyncio.wait((listener, speaker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lost()
            endpoint.close()
            if self._timer is not None:
                self._timer.cancel()
            ends = await _ended(listener, speaker)
            self._connection = None
            await connection.close()
        for end in ends:
            if isinstance(end, TimeoutError):
                LOGGER.warning("%s: the CSMS does not answer", self._address.station_id)
            elif isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
                LOGGER.error("%s: the connection is given up", self._address.station_id, exc_info=end)
        LOGGER.info("%s: connection over: %s %s", self._address.station_id, connection.close_code, connection.close_reason)
        return self._was_accepted

    async def _speak(self, endpoint: Endpoint) -> None:
        """Boot if that is due, then send what the outbox holds, and a heartbeat when nothing was said for the interval."""
        while self._boot_reason is not None:
            answer = await self._ask(endpoint, self._boot(self._boot_reason))
            if answer is not None:
                self._told_time(answer.current_time)
            if answer is not None and answer.status == "Accepted":
                self._boot_reason = None
                self._variables.heartbeat_interval_s = answer.interval or self._variables.heartbeat_interval_s
            else:
                await self._clock.sleep(answer.interval if answer and answer.interval else BOOT_RETRY_S)
        self._outbox.open = self._was_accepted = True
        self._accepted()
        self._up(True)
        for payload in self._faults.apply("replayed", list(self._history), value=[]) if self._been_here else ():
            self._outbox.put(payload, keep=True)
        self._been_here = True
        while True:
            try:
                async with asyncio.timeout(self._variables.heartbeat_interval_s):
                    message = await self._outbox.first()
            except TimeoutError:
                if (answer := await self._ask(endpoint, call.Heartbeat())) is not None:
                    self._told_time(answer.current_time)
            else:
                await self._deliver(endpoint, message)

    async def _ask(self, endpoint: Endpoint, payload: Any) -> Any:
        """Return the answer; None when the CSMS refused with a CALLERROR."""
        try:
            return await endpoint.ask(payload)
        except OCPPError as error:
            LOGGER.warning("%s: %s: %r", self._address.station_id, type(payload).__name__, error)
            return None

    async def _deliver(self, endpoint: Endpoint, message: Message) -> None:
        message.attempts += 1
        try:
            answer = await endpoint.ask(message.payload)
        except (OCPPError, TimeoutError) as error:
            action = type(message.payload).__name__
            LOGGER.warning("%s: %s: %r", self._address.station_id, action, error)
            if message.keep and message.attempts < ATTEMPTS:
                await self._clock.sleep(ATTEMPT_INTERVAL_S * message.attempts)
            else:
                self._outbox.done(message, None)
        else:
            if message.keep:
                self._history.append(message.payload)
            self._outbox.done(message, answer)

    def _abort(self) -> None:
        if self._connection:
            self._connection.transport.abort()
            self._lost()

    def _lost(self) -> None:
        was_open = self._outbox.open
        self._outbox.link_lost()
        if was_open:
            self._up(False)

    async def _pause(self, seconds: float | None) -> None:
        """Wait that long (None: for ever), or until power comes back."""
        self._awake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return


async def _ended(*tasks: asyncio.Task[None]) -> list[BaseException | None]:
    """Cancel the tasks until they are over, and return what each raised.

    Once is not enough before Python 3.12: `asyncio.wait_for`, on which the `ocpp` package waits, loses a cancellation that
    comes together with the answer.
    """
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0)
    return [None if task.cancelled() else task.exception() for task in tasks]
