"""The guard as the bench sees it: a process of its own in real time, its stand-in where all of the rig lives in the bench."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from bench.errors import RigError
from bench.ports import HardStop, Load, PowerSwitch

START_S: Final = 20.0
"""How long the process may take to hold the devices."""
ANSWER_S: Final = 15.0
"""How long one command may take."""
BEATS: Final = 8
"""Heartbeats in the longest silence."""
UNHEARD: Final = 12
"""So many heartbeats that the process does not answer show that it hangs."""
END_S: Final = 10.0


class LocalGuard:
    """Fits Guard inside the bench: for rigs that are emulated there, and for those without contactor and load."""

    def __init__(self, switches: Mapping[str, PowerSwitch], loads: Mapping[str, Load]) -> None:
        self.switches: Mapping[str, PowerSwitch] = {name: _Held(self, one) for name, one in switches.items()}
        self.loads: Mapping[str, Load] = {name: _HeldLoad(self, one) for name, one in loads.items()}
        self._stop: asyncio.Future[HardStop] = asyncio.get_running_loop().create_future()
        self.reason = ""

    async def hard_stop(self, cause: Literal["cap", "operator"], reason: str) -> None:
        """Switch the loads off and open the contactors; after that none closes."""
        if self.reason:
            return
        self.reason = reason
        actions = []
        for station, load in self.loads.items():
            actions.append(await _tried(station, "load off", load.draw(0.0)))
        for station, switch in self.switches.items():
            actions.append(await _tried(station, "open contactor", switch.switch(False)))
        self._stop.set_result(HardStop(cause, reason, tuple(actions)))

    async def stopped(self) -> HardStop:
        """Wait for a hard stop."""
        return await asyncio.shield(self._stop)


class _Held:
    """A contactor that does not close after a hard stop."""

    def __init__(self, guard: LocalGuard, switch: PowerSwitch) -> None:
        self._guard, self._switch = guard, switch

    async def switch(self, closed: bool) -> None:
        """Close or open it. Raises RigError."""
        if closed and self._guard.reason:
            raise RigError(f"nothing is switched on after a hard stop ({self._guard.reason})")
        await self._switch.switch(closed)

    async def is_closed(self) -> bool | None:
        """Read back how it stands."""
        return await self._switch.is_closed()


class _HeldLoad:
    """A load that draws nothing after a hard stop."""

    def __init__(self, guard: LocalGuard, load: Load) -> None:
        self._guard, self._load = guard, load

    async def draw(self, amperes: float) -> None:
        """Draw so much per phase, in A. Raises RigError."""
        if amperes > 0 and self._guard.reason:
            raise RigError(f"nothing is switched on after a hard stop ({self._guard.reason})")
        await self._load.draw(amperes)

    async def drawn(self) -> float | None:
        """Read back what it is set to."""
        return await self._load.drawn()


async def _tried(station: str, action: str, act: Any) -> dict[str, Any]:
    try:
        await act
    except Exception as error:  # whatever one device meets, the others have to be tried
        return {"station": station, "action": action, "ok": False, "read_back": f"{type(error).__name__}: {error}"}
    return {"station": station, "action": action, "ok": True, "read_back": None}


class ProcessGuard:
    """Fits Guard: everything goes through the guard's process, which opens the contactors when the bench falls silent."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beat_s: float, successor: Callable[[], Awaitable[bool]]
    ) -> None:
        self.switches: Mapping[str, PowerSwitch] = {}
        self.loads: Mapping[str, Load] = {}
        self._reader, self._writer, self._beat_s = reader, writer, beat_s
        loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[HardStop] = loop.create_future()
        self._ready: asyncio.Future[Mapping[str, list[str]]] = loop.create_future()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._gone = ""
        self._unheard = 0
        self._successor, self._succeeded = successor, False

    async def ready(self) -> None:
        """Wait until the process holds its devices. Raises RigError."""
        held = await self._ready
        self.switches = {name: _RemoteSwitch(self, name) for name in held["switches"]}
        self.loads = {name: _RemoteLoad(self, name) for name in held["loads"]}

    async def listen(self) -> None:
        """Take what the process says, until it ends."""
        with suppress(OSError):
            while line := await self._reader.readline():
                self._unheard = 0
                self._take(json.loads(line))
        self._gone = "the guard process is gone; only a relay's own watchdog switches off now"
        for waiting in (self._ready, *self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(RigError(self._gone))
        self._ready.exception()  # whether or not somebody waits for it
        if not self._stop.done():
            self._stop.set_result(HardStop("guard", self._gone))

    async def beat(self, kill: Callable[[], None]) -> None:
        """Tell the process again and again that this event loop turns; one that does not answer is killed, and another opens.

        Only heartbeats that were sent are counted: a bench that stood still itself does not take its guard for hung.
        """
        while True:
            self._say({"do": "beat"})
            await asyncio.sleep(self._beat_s)
            self._unheard += self._ready.done()  # one that still starts has START_S
            if self._unheard == UNHEARD:
                kill()

    async def hard_stop(self, cause: Literal["cap", "operator"], reason: str) -> None:
        """Let the process switch everything off; `stopped` tells when that was done."""
        self._say({"do": "hard_stop", "cause": cause, "reason": reason})

    async def stopped(self) -> HardStop:
        """Wait for a hard stop, or for the end of the process."""
        return await asyncio.shield(self._stop)

    async def command(self, do: str, station: str, value: Any = None) -> Any:
        """Let the process carry out a command, and return what it read. Raises RigError."""
        if self._gone:
            raise RigError(self._gone)
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._say({"id": number, "do": do, "station": station, "value": value})
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise RigError(f"{station}: the guard did not {do} within {ANSWER_S:g} s") from None
        finally:
            del self._waiting[number]

    async def open(self, station: str) -> None:
        """Open a contactor; where the process is gone, by another one. Raises RigError."""
        if not self._gone:
            await self.command("switch", station, False)
        elif not self._succeeded:
            self._succeeded = await self._successor()
            if not self._succeeded:
                raise RigError(f"{station}: {self._gone}; another one could not open the contactor either")

    async def is_closed(self, station: str) -> bool | None:
        """Read a contactor back. Raises RigError."""
        if self._succeeded:
            return False
        closed: bool | None = await self.command("is_closed", station)
        return closed

    def release(self) -> None:
        """Let the process open everything and end."""
        self._say({"do": "release"})

    def _say(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _take(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(message["ready"])
        elif "failed" in message:
            self._ready.set_exception(RigError(f"the guard cannot hold the rig's contactor: {message['failed']}"))
        elif "stopped" in message:
            stop = message["stopped"]
            if not self._stop.done() and stop["cause"] != "release":
                self._stop.set_result(HardStop(stop["cause"], stop["reason"], tuple(stop["actions"])))
        elif (answer := self._waiting.get(message.get("id", 0))) is not None and not answer.done():
            if message["ok"]:
                answer.set_result(message["value"])
            else:
                answer.set_exception(RigError(message["error"]))


class _RemoteSwitch:
    def __init__(self, guard: ProcessGuard, station: str) -> None:
        self._guard, self._station = guard, station

    async def switch(self, closed: bool) -> None:
        if closed:
            await self._guard.command("switch", self._station, True)
        else:
            await self._guard.open(self._station)

    async def is_closed(self) -> bool | None:
        return await self._guard.is_closed(self._station)


class _RemoteLoad:
    def __init__(self, guard: ProcessGuard, station: str) -> None:
        self._guard, self._station = guard, station

    async def draw(self, amperes: float) -> None:
        await self._guard.command("draw", self._station, amperes)

    async def drawn(self) -> float | None:
        drawn: float | None = await self._guard.command("drawn", self._station)
        return drawn


@asynccontextmanager
async def open_guard(rig_path: Path, evidence: Path, heartbeat_s: float) -> AsyncIterator[ProcessGuard]:
    """Start the guard's process, which holds the rig's contactors and loads; at the end they are open, and it ends.

    Args: evidence: the file that it appends its actions to. Raises: RigError where it cannot hold them.
    """
    ours, theirs = socket.socketpair()
    command = _command(rig_path, evidence, "--fd", str(theirs.fileno()), "--heartbeat", str(heartbeat_s))
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=(theirs.fileno(),), start_new_session=True, stdin=null, stdout=null, stderr=null
        )
    finally:
        theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    guard = ProcessGuard(reader, writer, heartbeat_s / BEATS, lambda: open_contactors(rig_path, evidence))

    def kill() -> None:
        with suppress(ProcessLookupError):
            process.kill()

    tasks = [asyncio.create_task(guard.listen(), name="guard"), asyncio.create_task(guard.beat(kill), name="heartbeat")]
    try:
        try:
            async with asyncio.timeout(START_S):
                await guard.ready()
        except TimeoutError:
            kill()
            raise RigError(f"the guard did not hold the rig's contactor within {START_S:g} s: see {evidence}") from None
        yield guard
    finally:
        guard.release()
        with suppress(TimeoutError):  # a contactor that does not open is told again, also when we are gone
            async with asyncio.timeout(END_S):
                await process.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def open_contactors(rig_path: Path, evidence: Path) -> bool:
    """Let a guard of its own open all contactors of a rig; say whether they read back open."""
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *_command(rig_path, evidence), start_new_session=True, stdin=null, stdout=null, stderr=null
    )
    try:
        async with asyncio.timeout(END_S):
            return await process.wait() == 0
    except TimeoutError:
        return False


def _command(rig_path: Path, evidence: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "bench.guard", "--rig", str(rig_path), "--evidence", str(evidence), *more]
