"""The guard: a process of its own that holds contactors and loads, and outlives the bench: `python -m bench.guard`.

The bench starts it with one end of a socket pair. Lines of JSON come in: commands `{"id", "do", …}` and `{"do": "beat"}`; answers
`{"id", "ok", …}` go back. When the other end closes, or is silent for longer than the heartbeat, the loads are switched off and
the contactors opened; after that nothing closes again. `{"do": "release"}` ends it in order, with everything open as well.
Each action is written to `guard.jsonl` beside the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.http_control import open_http_switch
from bench.errors import BenchError, RigError
from bench.ports import Clock, Load, PowerSwitch
from bench.settings.actuators import ModbusRelay
from bench.settings.base import load as load_settings
from bench.settings.rig import RigSettings

LOAD_S: Final = 0.5
"""How long a load may take to be switched off before the contactor opens all the same; it is told again meanwhile."""
TRY_S: Final = 3.0
"""How long one try to switch a device off may take."""
AGAIN_S: Final = 0.2
PERSISTENCE_S: Final = 600.0
"""So long a device that does not read back off is told again."""
REFRESH_S: Final = 1.0
"""How often each contactor is read, at least."""
IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Guard:
    """Holds the devices. Commands are carried out one after another; a hard stop breaks them off."""

    def __init__(
        self, switches: Mapping[str, PowerSwitch], loads: Mapping[str, Load], evidence: Callable[[dict[str, Any]], None]
    ) -> None:
        self.switches, self.loads, self._evidence = switches, loads, evidence
        self.reason = ""
        """Why the hard stop was made; empty before."""
        self.actions: list[dict[str, Any]] = []
        """What the hard stop did, as far as it is over."""
        self._busy = asyncio.Lock()
        self._command: asyncio.Task[Any] | None = None
        self._closed: set[str] = set()
        """Stations whose contactor the bench has closed."""

    async def obey(self, do: str, station: str, value: Any) -> Any:
        """Carry out one command and return what was read. Raises RigError."""
        if do in ("switch", "is_closed") and station not in self.switches:
            raise RigError(f"{station}: the guard holds no contactor there")
        if do in ("draw", "drawn") and station not in self.loads:
            raise RigError(f"{station}: the guard holds no load there")
        async with self._busy:
            if self.reason and ((do == "switch" and value) or (do == "draw" and value > 0)):
                raise RigError(f"{station}: nothing is switched on after a hard stop ({self.reason}); start another run")
            self._command = asyncio.ensure_future(self._act(do, station, value))
            try:
                return await self._command
            except asyncio.CancelledError:
                raise RigError(f"{station}: {do}: broken off by a hard stop ({self.reason})") from None
            finally:
                self._command = None

    async def _act(self, do: str, station: str, value: Any) -> Any:
        match do:
            case "switch":
                self._closed.discard(station)
                await self.switches[station].switch(value)
                self._closed |= {station} if value else set()
                self._evidence({"station": station, "action": "close" if value else "open"})
            case "is_closed":
                return await self.switches[station].is_closed()
            case "draw":
                await self.loads[station].draw(value)
                self._evidence({"station": station, "action": "draw", "amperes": value})
            case "drawn":
                return await self.loads[station].drawn()
            case _:
                raise RigError(f"the guard knows no command {do!r}")
        return None

    async def begin(self) -> None:
        """Open every contactor and read it back: what was left closed is open, and each one is shown to act. Raises RigError."""
        for station, switch in self.switches.items():
            await switch.switch(False)
            closed = await switch.is_closed()
            self._evidence({"station": station, "action": "begin", "closed": closed})
            if closed:
                raise RigError(f"{station}: the contactor was told to open and reads back closed")

    async def refresh(self, every_s: float, opened: Callable[[str], None]) -> None:
        """Read each contactor, again and again: a relay's own watchdog opens it when nobody speaks to it.

        Args: opened: is told the station of a contactor that was closed and reads back open, though nobody asked for it.
        """
        while True:
            await asyncio.sleep(every_s)
            for station in self.switches:
                with contextlib.suppress(BenchError):
                    closed = await self.obey("is_closed", station, None)
                    if closed is False and station in self._closed:
                        opened(station)

    async def fire(self, cause: str, reason: str) -> list[dict[str, Any]]:
        """Switch off at once, and tell each contactor again until it reads back open; return what was done."""
        if self.reason:
            return self.actions
        self.reason = reason
        self._evidence({"action": "hard stop", "cause": cause, "reason": reason})
        if self._command is not None:
            self._command.cancel()
        async with asyncio.TaskGroup() as group:
            loads = [group.create_task(self._load_off(station, one)) for station, one in self.loads.items()]
            if loads:
                await asyncio.wait(loads, timeout=LOAD_S)
            for station, switch in self.switches.items():
                group.create_task(self._open(station, switch))
        return self.actions

    async def _load_off(self, station: str, load: Load) -> None:
        async def off() -> float | None:
            await load.draw(0.0)
            return await load.drawn()

        await self._again(station, "load off", off, lambda drawn: not drawn)

    async def _open(self, station: str, switch: PowerSwitch) -> None:
        async def opened() -> bool | None:
            await switch.switch(False)
            return await switch.is_closed()

        await self._again(station, "open contactor", opened, lambda closed: not closed)

    async def _again(
        self, station: str, action: str, act: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]
    ) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not await self._try(station, action, act, TRY_S, good):
            if loop.time() - begin > PERSISTENCE_S:
                return
            await asyncio.sleep(AGAIN_S)

    async def _try(
        self, station: str, action: str, act: Callable[[], Awaitable[Any]], within_s: float, good: Callable[[Any], bool]
    ) -> bool:
        """Act and read back; write down the first try, and each that came to another end."""
        try:
            async with asyncio.timeout(within_s):
                seen = await act()
            done = {"station": station, "action": action, "ok": good(seen), "read_back": seen}
        except Exception as error:  # whatever one device meets, the others have to be tried, and this one again
            done = {"station": station, "action": action, "ok": False, "read_back": f"{type(error).__name__}: {error}"}
        if done not in self.actions:
            self._evidence(done)
            self.actions = [one for one in self.actions if (one["station"], one["action"]) != (station, action)] + [done]
        return bool(done["ok"])


async def serve(guard: Guard, end: socket.socket, heartbeat_s: float, every_s: float) -> None:
    """Obey the bench until it releases the guard or is gone."""
    reader, writer = await asyncio.open_connection(sock=end)
    heard, released = asyncio.Event(), False
    tasks: set[asyncio.Task[Any]] = set()

    def say(message: dict[str, Any]) -> None:
        if not writer.is_closing():
            writer.write(json.dumps(message).encode() + b"\n")

    async def answer(message: Mapping[str, Any]) -> None:
        try:
            value = await guard.obey(message["do"], message.get("station", ""), message.get("value"))
            say({"id": message["id"], "ok": True, "value": value})
        except Exception as error:  # told to the bench: the guard goes on
            say({"id": message["id"], "ok": False, "error": str(error) or type(error).__name__})

    async def fire(cause: str, reason: str) -> None:
        if not guard.reason:
            firing = asyncio.ensure_future(guard.fire(cause, reason))
            await asyncio.wait([firing], timeout=LOAD_S + 1)  # what has not opened by then is told as such
            say({"stopped": {"cause": cause, "reason": reason, "actions": list(guard.actions) or _failed(guard)}})
            await firing

    async def watch() -> None:
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    await heard.wait()
                heard.clear()
            except TimeoutError:
                await fire("heartbeat", f"the bench was not heard for {heartbeat_s:g} s")

    def begin(doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def opened(station: str) -> None:
        begin(fire("contactor", f"the contactor of {station} opened by itself"))

    background = [asyncio.ensure_future(watch()), asyncio.ensure_future(guard.refresh(every_s, opened))]
    say({"ready": {"switches": sorted(guard.switches), "loads": sorted(guard.loads)}})
    gone = "the bench is gone"
    try:
        while line := await _line(reader):
            heard.set()
            message = json.loads(line)
            if message["do"] == "release":
                released = True
                break
            if message["do"] == "hard_stop":
                begin(fire(message["cause"], message["reason"]))
            elif message["do"] == "beat":
                say({"alive": True})
            else:
                begin(answer(message))
    except Exception as error:  # half a line of a bench that was killed while it wrote, or whatever else: switch off
        gone = f"the bench cannot be understood: {type(error).__name__}"
    background[0].cancel()
    if released:
        await guard.fire("release", "the bench has released the guard")
    else:
        await guard.fire("heartbeat", gone)
    for task in (*background, *tasks):
        task.cancel()
    await asyncio.wait({*background, *tasks})
    writer.close()


def _failed(guard: Guard) -> list[dict[str, Any]]:
    return [{"station": one, "action": "open contactor", "ok": False, "read_back": "no answer yet"} for one in guard.switches]


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except (OSError, ValueError):
        return b""


@asynccontextmanager
async def open_devices(
    rig: RigSettings, rig_path: Path, clock: Clock
) -> AsyncIterator[tuple[dict[str, PowerSwitch], dict[str, Load]]]:
    """Open what the guard holds: contactors and loads by station id. Raises RigError."""
    switches: dict[str, PowerSwitch] = {}
    loads: dict[str, Load] = {}
    async with AsyncExitStack() as stack:
        if rig.control is not None and rig.control.contactor:
            switches[rig.station[0].id] = await stack.enter_async_context(open_http_switch(rig.control.url))
        if rig.actuators:
            from bench.rig.actuators import open_held

            held, loads = await stack.enter_async_context(open_held(rig, rig_path, clock))
            switches |= held
        yield switches, loads


def refresh_s(rig: RigSettings) -> float:
    """Return how often a relay has to hear from the guard: three times in the time of its own watchdog."""
    watchdogs = [one.watchdog_s for one in rig.actuators.values() if isinstance(one, ModbusRelay) and one.watchdog_s]
    return min([REFRESH_S, *(one / 3 for one in watchdogs)])


async def run(options: argparse.Namespace) -> int:
    """Hold the devices until it is over. Returns 0 where all contactors read back open at the end."""
    clock = LoopClock(wall_now())
    end = socket.socket(fileno=options.fd) if options.fd is not None else None

    def evidence(data: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), options.evidence.open("a") as file:
            file.write(json.dumps({"t": clock.now().isoformat(), **data}) + "\n")

    evidence({"action": "begin", "rig": str(options.rig), "heartbeat_s": options.heartbeat})
    try:
        rig = load_settings(RigSettings, options.rig)
        async with open_devices(rig, options.rig, clock) as (switches, loads):
            guard = Guard(switches, loads, evidence)
            if end is None:
                await guard.fire("operator", "the contactors are to be opened")
            else:
                await guard.begin()
                try:
                    await serve(guard, end, options.heartbeat, refresh_s(rig))
                finally:
                    await guard.fire("heartbeat", "the guard itself failed")  # nothing where it has fired already
            opened = [one for one in guard.actions if one["action"] == "open contactor" and one["ok"]]
    except BenchError as error:
        evidence({"action": "failed", "reason": str(error)})
        if end is not None:
            with contextlib.suppress(OSError):
                end.sendall(json.dumps({"failed": str(error)}).encode() + b"\n")
        return 4
    evidence({"action": "end", "open": sorted(one["station"] for one in opened)})
    return 0 if len(opened) == len(switches) else 4


def main(arguments: list[str] | None = None) -> int:
    """Run the guard; it does not listen to the terminal's signals."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description="Holds the contactors and loads of a rig.")
    parser.add_argument("--rig", type=Path, required=True, help="rig file")
    parser.add_argument("--evidence", type=Path, required=True, help="file to append each action to")
    parser.add_argument("--fd", type=int, help="inherited socket to the bench; absent: open the contactors and end")
    parser.add_argument("--heartbeat", type=float, default=2.0, metavar="S", help="longest silence of the bench")
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
