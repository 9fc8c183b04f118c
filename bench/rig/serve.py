"""The bench as a server: CSMS, OCPI and journal until someone stops it, without judging."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench import __version__
from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.control_socket import Answerer, open_control_socket
from bench.adapters.ids import SystemIds
from bench.adapters.interfaces import is_loopback
from bench.adapters.journal import open_journal, write_result
from bench.adapters.ocpp_server import open_ocpp_server
from bench.adapters.stops import SIGNALS
from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import BenchError, UsageError
from bench.ports import Clock, IdSource, Journal
from bench.rig.feed import open_feed
from bench.rig.files import new_folder
from bench.rig.narrate import Narrator, beside
from bench.rig.pointer import pointer
from bench.runs.station_clock import open_shifted_clocks
from bench.settings.rig import RigSettings


@dataclass(frozen=True, slots=True)
class ServedOcpi:
    """An open OCPI platform beside the CSMS."""

    lines: tuple[str, ...]
    """To print, such as its URL."""
    commands: Mapping[str, Answerer]
    """What it does for other commands of the same user, by name; each takes the request and gives the answer."""
    session_of: Callable[[str, str], str]
    """Gives the id of the session of a station's transaction; empty where there is none."""


OpenOcpi = Callable[["ServeOrder", Clock, Journal, IdSource, Csms], AbstractAsyncContextManager[ServedOcpi]]


@dataclass(frozen=True, slots=True)
class ServeOrder:
    """What is to be served."""

    rig: RigSettings
    rig_path: Path
    out: Path
    """Folder of the run; must not exist or be empty."""
    open_ocpi: OpenOcpi | None = None
    station_clock: datetime | None = None
    """What the stations' clocks show at the start; None for the true time."""
    quiet: bool = False
    """Tell nothing after the start."""


def serve(order: ServeOrder, announce: Callable[[str], None]) -> None:
    """Serve in real time until SIGINT or SIGTERM.

    Args: announce: called with each line that the operator should read.
    Raises: UsageError, RigError.
    """
    asyncio.run(_serve(order, announce))


async def _serve(order: ServeOrder, announce: Callable[[str], None]) -> None:
    new_folder(order.out)
    clock, ids = LoopClock(wall_now()), SystemIds()
    with (
        open_journal(order.out / "journal.jsonl", clock, os.urandom(32)) as journal,
        _stopped() as stopped,
        open_feed(order.rig, journal, clock, order.out.name, lambda _: stopped.set()) as tell_due,
    ):
        rig = order.rig.model_dump(mode="json", by_alias=True)
        journal.write(
            Kind.RUN_START,
            {"scenario": {}, "rig": rig, "seed": 0, "bench": __version__, "mode": "real", "judged": False},
        )
        state, reason = "error", "the bench could not be opened"
        try:
            async with AsyncExitStack() as stations, AsyncExitStack() as stack:
                csms = Csms(clock, journal, ids, order.rig)
                controls, ocpi = Controls(csms), None
                if order.open_ocpi is not None:  # before the stations: they may go on with what a former life has kept
                    ocpi = await stack.enter_async_context(order.open_ocpi(order, clock, journal, ids, csms))
                    controls = Controls(csms, ocpi.commands)
                shift = order.station_clock - clock.now() if order.station_clock is not None else timedelta(0)
                for station in csms.stations if shift else ():
                    csms.shift_clock(station, shift)
                server = await stations.enter_async_context(
                    open_ocpp_server(order.rig, csms.attach, csms.knock, virtual=False, folder=order.rig_path.parent)
                )
                stations.push_async_callback(csms.close)
                if shift:
                    await stations.enter_async_context(open_shifted_clocks(csms, clock, journal, shift))
                lines = [*(f"OCPP 2.0.1:  {url}/STATION_ID" for url in server.urls()), *(ocpi.lines if ocpi else ())]
                await stack.enter_async_context(open_control_socket(order.out, controls.answer))
                stack.enter_context(pointer(order.out))
                write_result(order.out / "host.json", _host_facts(order, server.port))
                for line in [*lines, *_notes(order)]:
                    announce(line)
                if ocpi is not None and not order.quiet:
                    own, tell = f"{order.rig.ocpi.country_code}-{order.rig.ocpi.party_id}", stack.enter_context(beside(announce))
                    narrator = Narrator(clock, journal, own, ocpi.session_of, tell)
                    journal.subscribe(narrator.on_document)
                    csms.subscribe(narrator.on_event)
                while not stopped.is_set():
                    tell_due()
                    journal.check()  # nobody is served without evidence
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stopped.wait(), 1)
            state, reason = "completed", "stopped by the operator"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            journal.write(Kind.RUN_END, {"state": state, "reason": reason})


def _notes(order: ServeOrder) -> list[str]:
    stations = ", ".join(station.id for station in order.rig.station)
    notes = [f"stations:    {stations}", f"journal:     {order.out / 'journal.jsonl'}"]
    if order.station_clock is not None:
        notes.append(
            f"warning: stations are served the time {order.station_clock.isoformat()} and on; times in profiles that you send, "
            "also by OCPI, have to be in theirs. The true time is served again at the end."
        )
    if order.rig.csms.security_profile == 0 and not is_loopback(order.rig.csms.host):
        notes.append(
            f"warning: {order.rig.csms.host} is reachable from outside and there is no security profile: whoever knows a "
            "station's id can pose as it. Set csms.security_profile in the rig file."
        )
    return [*notes, "Ctrl-C ends it. 'bench stations' shows who knocked, 'bench limits' who limits, 'bench send' sends a call."]


def _host_facts(order: ServeOrder, port: int) -> dict[str, Any]:
    return {
        "bench": __version__, "python": sys.version.split()[0], "platform": platform.platform(), "pid": os.getpid(),
        "began": wall_now(), "rig_file": str(order.rig_path), "csms_port": port,
    }  # fmt: skip


@contextmanager
def _stopped() -> Iterator[asyncio.Event]:
    """Give an event that SIGINT, SIGTERM or SIGHUP sets."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _made(boot: dict[str, Any]) -> dict[str, Any]:
    """Return of a BootNotification what names the station; customData may be of any depth."""
    made = boot["chargingStation"]
    named = ("vendorName", "model", "serialNumber", "firmwareVersion")
    return {"reason": boot["reason"], "chargingStation": {name: made[name] for name in named if name in made}}


class Controls:
    """What a running bench does for `bench stations`, `bench send`, and by its OCPI platform."""

    def __init__(self, csms: Csms, more: Mapping[str, Answerer] | None = None) -> None:
        self._csms, self._more = csms, more or {}

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer `{"command": "stations"}`, `{"command": "send", "station", "action", "payload", "force"}`, or one of `more`."""
        try:
            if request.get("command") == "stations":
                return {"result": self._stations()}
            if request.get("command") == "send":
                return await self._send(request)
            more = self._more.get(str(request.get("command")))
            if more is not None:
                return await more(request)
            raise UsageError(f"unknown command {request.get('command')!r}")
        except BenchError as error:
            kind = "UsageError" if isinstance(error, UsageError) else type(error).__name__
            return {"error": kind, "text": str(error)}

    async def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        station, action, payload = request.get("station"), request.get("action"), request.get("payload")
        if not isinstance(station, str) or not isinstance(action, str) or not isinstance(payload, dict):
            raise UsageError("station and action must be texts, and the payload a JSON object")
        if station not in self._csms.stations:
            raise UsageError(f"no station {station!r}; there: {', '.join(self._csms.stations)}")
        warnings = [text for _, text in self._csms.profile_findings(station, action, payload, "report")]
        answer = await self._csms.call(station, action, payload, check=not request.get("force"), rules="report")
        return {"result": answer, "warnings": warnings}

    def _stations(self) -> list[dict[str, Any]]:
        listed = []
        for knock in self._csms.knocks:
            station = self._csms.stations.get(knock.station_id) if knock.accepted else None
            listed.append({
                "station": knock.station_id, "peer": knock.peer, "accepted": knock.accepted,
                "online": station is not None and station.online, "count": knock.count,
                "first": knock.first.isoformat(), "last": knock.last.isoformat(),
                "reason": knock.reason, "remedy": knock.remedy,
                "boot": _made(station.boot) if station is not None and station.boot is not None else None,
            })  # fmt: skip
        return listed
