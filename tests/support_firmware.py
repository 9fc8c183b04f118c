"""What the tests of the emulator share: a small CSMS written by hand, and a rig in virtual time that talks to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets import Subprotocol
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.adapters.clock import LoopClock
from bench.wire.schemas import check_payload
from firmware_sim.clock import text_of
from firmware_sim.control import StationControl
from firmware_sim.rig import EmulatedRig, open_rig

EPOCH = datetime(2026, 1, 15, tzinfo=UTC)
STATION = "CS-T"
SDM630 = Path(__file__).parent.parent / "config" / "meters" / "sdm630.toml"
Json = dict[str, Any]


class TinyCsms:
    """Answers one station, keeps what it says, and asks it things; every payload from the station is held to its schema."""

    def __init__(self, clock: LoopClock) -> None:
        self.calls: list[tuple[str, Json]] = []
        """Action and payload of each call of the station, in order."""
        self.frames: list[str] = []
        """What the station sent, as it came."""
        self.answers: dict[str, Callable[[Json], Json | None]] = {
            "BootNotification": lambda _: {"currentTime": self._now(), "interval": 300, "status": "Accepted"},
            "Heartbeat": lambda _: {"currentTime": self._now()},
            "Authorize": lambda _: {"idTokenInfo": {"status": "Accepted"}},
        }
        """Answer by action; an empty payload for the rest, none at all where the answer is None."""
        self.headers: Mapping[str, str] = {}
        self.paths: list[str] = []
        self.subprotocols: list[str | None] = []
        self.connection: ServerConnection | None = None
        self._clock = clock
        self._news = asyncio.Event()
        self._waiting: dict[str, tuple[str, asyncio.Future[Any]]] = {}

    async def serve(self, connection: ServerConnection) -> None:
        """Speak with one station until the connection is over."""
        assert connection.request
        self.connection, self.headers = connection, dict(connection.request.headers.raw_items())
        self.paths.append(connection.request.path)
        self.subprotocols.append(connection.subprotocol)
        try:
            async for raw in connection:
                assert isinstance(raw, str)
                self.frames.append(raw)
                await self._take(connection, json.loads(raw))
        except ConnectionClosed:
            pass  # a cut network is what some tests are about

    async def ask(self, action: str, payload: Json) -> Any:
        """Send a call and return the station's payload, or ["CALLERROR", code, description]."""
        assert self.connection
        unique_id = f"csms-{len(self._waiting)}-{len(self.frames)}"
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[unique_id] = (action, future)
        await self.connection.send(json.dumps([2, unique_id, action, payload]))
        return await asyncio.wait_for(future, 60)

    def expect(self, unique_id: str, future: asyncio.Future[Any]) -> None:
        """Take the station's next CALLRESULT or CALLERROR of this id."""
        self._waiting[unique_id] = ("", future)

    async def until(self, action: str, where: Callable[[Json], bool] = lambda _: True, *, count: int = 1) -> Json:
        """Wait for the station's call number `count` of this action that fits, and return its payload."""
        async with asyncio.timeout(100_000):
            while len(found := [payload for name, payload in self.calls if name == action and where(payload)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    def of(self, action: str) -> list[Json]:
        """Return the payloads of all calls of one action so far."""
        return [payload for name, payload in self.calls if name == action]

    async def _take(self, connection: ServerConnection, message: list[Any]) -> None:
        if message[0] == 2:
            _, unique_id, action, payload = message
            _sound(action, False, payload)
            self.calls.append((action, payload))
            self._news.set()
            answer = self.answers[action](payload) if action in self.answers else {}
            if answer is not None:
                await connection.send(json.dumps([3, unique_id, answer]))
            return
        action, future = self._waiting.pop(message[1])
        if message[0] == 3:
            _sound(action, True, message[2])
            future.set_result(message[2])
        else:
            future.set_result(["CALLERROR", message[2], message[3]])

    def _now(self) -> str:
        return text_of(self._clock.now())


def _sound(action: str, response: bool, payload: Json) -> None:
    """Hold a payload of the station to its schema."""
    violation = check_payload(action, response, payload)
    assert violation is None, f"{action}: {violation}"


class Lab:
    """A rig, its CSMS and its clock."""

    def __init__(self, rig: EmulatedRig, csms: TinyCsms, clock: LoopClock) -> None:
        self.rig, self.csms, self.clock = rig, csms, clock

    @property
    def control(self) -> StationControl:
        """The one station's control."""
        return self.rig.stations[STATION]

    async def charge(self, evse_id: int = 1) -> str:
        """Plug and authorise, wait until the car charges, and return the transaction's id."""
        await self.control.plug(evse_id)
        await self.control.authorise(evse_id, "CARD-1")
        started = await self.csms.until(
            "TransactionEvent", lambda one: one["eventType"] == "Started" and one["evse"]["id"] == evse_id
        )
        await self.clock.sleep(30)
        transaction_id: str = started["transactionInfo"]["transactionId"]
        return transaction_id

    def power_w(self, evse_id: int = 1) -> float:
        """Return the true power."""
        power: float = self.control.state()["evses"][evse_id - 1]["power_w"]
        return power

    async def duty(self, evse_id: int = 1) -> float | None:
        """Return the duty cycle at the pilot."""
        return (await self.control.look(evse_id))["duty_percent"]


def specification(**station: Any) -> Json:
    """Return a rig of one station with two EVSEs of 16 A and a meter behind the first."""
    evses = [{"id": 1, "max_current_a": 16, "meter": "m1"}, {"id": 2, "max_current_a": 16}]
    return {
        "stations": [{"id": STATION, "evses": evses, **station}],
        "meters": {"m1": {"register_map": str(SDM630)}},
        "emulator": {"meter_values_interval_s": 300, "pwm_delay_s": 1.0},
    }


@asynccontextmanager
async def open_csms(clock: LoopClock, port: int = 0) -> AsyncIterator[tuple[TinyCsms, int]]:
    """Serve a TinyCsms and yield it with its port."""
    csms = TinyCsms(clock)
    server: Server
    async with serve(
        csms.serve,
        "127.0.0.1",
        port,
        subprotocols=[Subprotocol("ocpp2.0.1")],
        compression=None,
        ping_interval=None,
    ) as server:
        yield csms, next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def open_lab(spec: Json | None = None, *, seed: int = 1) -> AsyncIterator[Lab]:
    """Start a rig that has booted at its CSMS."""
    clock = LoopClock(EPOCH)
    async with open_csms(clock) as (csms, port):
        url = f"ws://127.0.0.1:{port}/ocpp"
        in_flight = getattr(asyncio.get_running_loop(), "in_flight", None)
        given = spec or specification()
        async with open_rig(given, clock=clock, csms_url=url, seed=seed, virtual=True, in_flight=in_flight) as rig:
            await csms.until("StatusNotification", count=2)
            yield Lab(rig, csms, clock)


def charging_profile(
    *periods: tuple[float, float], unit: str = "A", purpose: str = "TxDefaultProfile", profile_id: int = 1, stack_level: int = 0,
    transaction_id: str | None = None, start: datetime = EPOCH, duration: int | None = None, **more: Any,
) -> Json:  # fmt: skip
    """Return an Absolute ChargingProfileType of (start in s, limit) periods."""
    schedule: Json = {
        "id": profile_id,
        "startSchedule": text_of(start),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": at, "limit": limit} for at, limit in periods],
    }
    if duration is not None:
        schedule["duration"] = duration
    profile: Json = {
        "id": profile_id,
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
        **more,
    }
    if transaction_id is not None:
        profile["transactionId"] = transaction_id
    return profile
