"""Looks a rig over without energising or changing anything: what is wrong, and how to mend it."""

from __future__ import annotations

import asyncio
import grp
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from bench.adapters import host
from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SystemIds
from bench.adapters.interfaces import is_loopback
from bench.adapters.lease import LeaseHeldError, all_held
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.domain.meter import bare_number
from bench.errors import BenchError, RigError
from bench.rig.files import find_rig, listing
from bench.rig.lease import holder_of, leased, serial_ports
from bench.rig.meters import open_meters
from bench.rig.restore import unfinished_runs
from bench.settings.actuators import ModbusRelay, PilotLog, ShellHook
from bench.settings.instruments import BusMeter, ModbusTcpMeter
from bench.settings.lines import TcpLine
from bench.settings.rig import RigSettings

State = Literal["ok", "warn", "fail"]
LIMIT_S: Final = 10.0
"""What one check may take."""
REACH_S: Final = 3.0
LEAST_DISK_BYTES: Final = 1_000_000_000
TRUSTED_S: Final = 0.5
"""A clock that may be further off is warned of."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: State
    subject: str
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return asdict(self)


def examine(rig: RigSettings, rig_path: Path, *, runs: Path = Path("runs"), wait_s: float = 0) -> list[Finding]:
    """Look a rig over, all at the same time; what takes longer than LIMIT_S is a finding of its own.

    Args: runs: where runs are written. wait_s: how long the station may take to connect; 0 does not wait for it.
    """
    try:
        with leased(rig, "bench doctor", expected_s=LIMIT_S + wait_s):
            return asyncio.run(_examine(rig, rig_path, runs, wait_s, free=True))
    except LeaseHeldError as error:
        busy = Finding("warn", "lease", str(error), "look again afterwards: instruments in use were not looked at")
        return [busy, *asyncio.run(_examine(rig, rig_path, runs, wait_s, free=False))]


async def _examine(rig: RigSettings, rig_path: Path, runs: Path, wait_s: float, *, free: bool) -> list[Finding]:
    checks: list[tuple[str, Awaitable[Sequence[Finding]], float]] = [
        (name, asyncio.to_thread(check), LIMIT_S)
        for name, check in (
            ("clock", _clock), ("disk", lambda: _disk(runs)), ("packages", _packages), ("browser", _browser),
            ("target", lambda: _targets(rig)),
        )
    ]  # fmt: skip
    if free:
        checks.insert(0, ("lease", _now(Finding("ok", "lease", "free" if rig.emulator is None else "an emulated rig needs none")),
                          LIMIT_S))  # fmt: skip
        checks.append(("csms", _csms(rig, rig_path, wait_s), LIMIT_S + wait_s))
    if rig.emulator is None and free:
        checks += [(key, asyncio.to_thread(_serial, key, port), LIMIT_S) for key, port in serial_ports(rig).items()]
        checks += [("meters", _in_turn(rig, rig_path, *names), LIMIT_S * sum(map(len, names))) for names in _buses(rig)]
    if rig.emulator is None:
        checks.append(("actuators", asyncio.to_thread(_programs, rig), LIMIT_S))
        checks.append(("actuators", asyncio.to_thread(_logs, rig, rig_path), LIMIT_S))
        checks += [(what, _reach(what, place, port, key), LIMIT_S) for what, place, port, key in _places(rig)]
    elif rig.mqtt is not None:
        checks.append(("mqtt", _reach("mqtt", rig.mqtt.host, rig.mqtt.port, "mqtt.host"), LIMIT_S))
    found = await asyncio.gather(*(_limited(*one) for one in checks))
    return [one for some in found for one in some]


async def _limited(name: str, check: Awaitable[Sequence[Finding]], limit_s: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(limit_s):
            return await check
    except TimeoutError:
        return [Finding("fail", name, f"no result within {limit_s:g} s", "see whether what it looks at hangs")]
    except (BenchError, OSError, ValueError) as error:  # such as a host name that cannot be one
        return [Finding("fail", name, str(error), "see what it names")]


async def _now(finding: Finding) -> Sequence[Finding]:
    return [finding]


# this computer --------------------------------------------------------------------------------------------------


def _clock() -> Sequence[Finding]:
    remedy = "run chrony or systemd-timesyncd on this computer, and let the station follow the bench's Heartbeat"
    sync = host.clock_sync()
    if sync is None:
        return [Finding("warn", "clock", "the kernel does not tell whether it is synchronised", remedy)]
    by = f"by {sync.service}" if sync.service else "by a service that cannot be seen from here"
    if not sync.synchronised:
        return [Finding("warn", "clock", "not synchronised; how far it is off is unknown", remedy)]
    state: State = "ok" if sync.most_s <= TRUSTED_S else "warn"
    return [Finding(state, "clock", f"synchronised {by}, at most {sync.most_s:.3f} s off", "" if state == "ok" else remedy)]


def _disk(runs: Path) -> Sequence[Finding]:
    folder = runs.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        remedy = "give this user write permission, or write elsewhere by --out"
        return [Finding("fail", "disk", f"{folder}: runs cannot be written there", remedy)]
    left = shutil.disk_usage(folder).free
    if left < LEAST_DISK_BYTES:
        return [Finding("fail", "disk", f"{left / 1e6:.0f} MB left at {folder}", "a day's run takes up to 1 GB: make room")]
    return [Finding("ok", "disk", f"{left / 1e9:.1f} GB left at {folder}")]


def _packages() -> Sequence[Finding]:
    try:
        wanted = [one.partition(";")[0].strip() for one in requires("charge-point-bench") or () if "extra ==" not in one]
    except PackageNotFoundError:
        return [Finding("warn", "packages", "the bench is not installed, so its packages were not checked", "pip install -e .")]
    wrong = [text for one in wanted if (text := _wrong_version(one))]
    if wrong:
        return [Finding("fail", "packages", "; ".join(wrong), "pip install -e . in the bench's environment")]
    return [Finding("ok", "packages", f"{len(wanted)} as asked for")]


def _wrong_version(requirement: str) -> str:
    """Return what is wrong with an installed package, given `name>=1.2,<2`."""
    name = requirement
    for mark in "<>=!~ [":
        name = name.partition(mark)[0]
    try:
        there = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed, asked for {requirement}"
    for bound in requirement[len(name) :].split(","):
        bound = bound.strip()
        if (bound.startswith(">=") and _number(there) < _number(bound[2:])) or (
            bound.startswith("<") and _number(there) >= _number(bound[1:])
        ):
            return f"{name} is {there}, asked for {requirement}"
    return ""


def _number(text: str) -> tuple[int, ...]:
    parts = [int("".join(digit for digit in one if digit.isdigit()) or "0") for one in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _browser() -> Sequence[Finding]:
    found = host.browser()
    if found is None:
        return [Finding("warn", "browser", "none found: no PDF of a report", f"install one of {', '.join(host.BROWSERS)}")]
    return [Finding("ok", "browser", found)]


def _targets(rig: RigSettings) -> Sequence[Finding]:
    found = [Finding("ok", f"target of {one.id}", str(one.target)) for one in rig.station if one.target is not None]
    if rig.emulator is None:
        text = "no target file: the bench goes by the features in the rig file"
        found += [
            Finding("warn", f"target of {one.id}", text, f"bench commission {one.id}, then name the file as station.target")
            for one in rig.station
            if one.target is None
        ]
    return found


# ports and instruments ------------------------------------------------------------------------------------------


def _serial(key: str, port: str) -> Sequence[Finding]:
    path = Path(port)
    if not path.exists():
        there = ", ".join(str(one) for one in sorted(Path("/dev/serial/by-id").glob("*"))) or "none"
        return [Finding("fail", key, f"{port}: no such device", f"plug the adapter in, or correct the name; there: {there}")]
    if not path.is_char_device():
        return [Finding("fail", key, f"{port}: is no serial port", "name a device such as /dev/serial/by-id/…")]
    if not os.access(path, os.R_OK | os.W_OK):
        group = str(path.stat().st_gid)
        with suppress(KeyError):
            group = grp.getgrgid(path.stat().st_gid).gr_name
        return [Finding("fail", key, f"{port}: no permission", f"sudo usermod -aG {group} $USER, then log in again")]
    if users := host.users_of(path):
        return [Finding("fail", key, f"{port}: is open in {', '.join(users)}", "end that program, such as ModemManager")]
    if "/by-id/" not in port and path.resolve().name.startswith("tty"):
        stable = [str(one) for one in Path("/dev/serial/by-id").glob("*") if one.resolve() == path.resolve()]
        remedy = f"name it {stable[0]}" if stable else "name it by /dev/serial/by-id/…, which survives a replug"
        return [Finding("warn", key, f"{port}: a name that can change", remedy)]
    return [Finding("ok", key, port)]


def _places(rig: RigSettings) -> list[tuple[str, str, int, str]]:
    """Return what has to be reachable by TCP: what it is, host, port, and the key in the rig file."""
    found = [(f"line {name}", one.host, one.port, f"lines.{name}.host") for name, one in rig.lines.items()
             if isinstance(one, TcpLine)]  # fmt: skip
    found += [(f"actuator {name}", one.host, one.port, f"actuators.{name}.host") for name, one in rig.actuators.items()
              if one.kind == "scpi" and one.host]  # fmt: skip
    if rig.control is not None:
        url = urlsplit(rig.control.url)
        found.append(("control", url.hostname or "", url.port or (443 if url.scheme == "https" else 80), "control.url"))
    if rig.mqtt is not None:
        found.append(("mqtt", rig.mqtt.host, rig.mqtt.port, "mqtt.host"))
    return found


async def _reach(what: str, place: str, port: int, key: str) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(place, port)
    except TimeoutError:
        return [Finding("fail", what, f"{place}:{port}: no answer within {REACH_S:g} s",
                        f"check cable, power, network and firewall; and {key} in the rig file")]  # fmt: skip
    except OSError as error:
        reason = "nothing listens there" if isinstance(error, ConnectionRefusedError) else error.strerror or str(error)
        return [Finding("fail", what, f"{place}:{port}: {reason}", f"switch it on, or correct {key} in the rig file")]
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return [Finding("ok", what, f"{place}:{port} is reachable")]


def _buses(rig: RigSettings) -> list[tuple[list[str], list[str]]]:
    """Return the names of the meters, and of the relays, that can only be read one after the other: a line is opened once."""
    found: dict[object, tuple[list[str], list[str]]] = {}
    for name, one in rig.meters.items():
        match one:
            case BusMeter():
                place: object = one.line
            case ModbusTcpMeter():
                place = (one.host, one.port)
            case _:
                place = ("alone", name)
        found.setdefault(place, ([], []))[0].append(name)
    for name, actuator in rig.actuators.items():
        if isinstance(actuator, ModbusRelay):
            found.setdefault(actuator.line, ([], []))[1].append(name)
    return list(found.values())


async def _in_turn(rig: RigSettings, rig_path: Path, meters: Sequence[str], relays: Sequence[str]) -> Sequence[Finding]:
    found = [await _meter(rig.model_copy(update={"meters": {name: rig.meters[name]}}), rig_path, name) for name in meters]
    return found + [await _relay(rig, rig_path, name) for name in relays]


async def _meter(rig: RigSettings, rig_path: Path, name: str) -> Finding:
    try:
        async with open_meters(rig, rig_path, LoopClock(wall_now())) as instruments:
            meter = instruments.meters[name]
            identity = await meter.identify()
            reading = await meter.read()
    except (BenchError, OSError) as error:
        remedy = "check its cable and power, address, unit id and baud rate, and its register map"
        return Finding("fail", f"meter {name}", str(error), remedy)
    volts = getattr(reading, "voltage_v", None)
    shown = f", {'/'.join(f'{one:.0f}' for one in volts if one is not None)} V" if volts else ""
    number, doubt, wanted = identity["serial_number"], identity["doubt"], rig.meters[name].serial_number
    if number and wanted and bare_number(number) != bare_number(wanted):
        remedy = f"correct meters.{name}.serial_number and its certificate, or the wiring"
        text = f"tells serial number {number}, the rig file {wanted}: its certificate is void"
        return Finding("fail", f"meter {name}", text, remedy)
    made = " ".join(part for part in (identity["model"], number and f"serial number {number}") if part)
    answer = f"answers{shown}{made and f'; {made}'}"
    if doubt:
        return Finding("warn", f"meter {name}", f"{answer}; {doubt}", f"complete meters.{name}.serial_number and accuracy")
    return Finding("ok", f"meter {name}", answer)


async def _relay(rig: RigSettings, rig_path: Path, name: str) -> Finding:
    """Read how a relay stands, which moves nothing."""
    relay = rig.actuators[name]
    assert isinstance(relay, ModbusRelay)
    try:
        async with open_meters(rig.model_copy(update={"meters": {}}), rig_path, LoopClock(wall_now())) as instruments:
            line = await instruments.line(relay.line)
            closed = await line.read_coil(relay.unit_id, relay.coil) != relay.inverted
    except (BenchError, OSError) as error:
        remedy = f"check its cable and power, and actuators.{name}.unit_id and coil"
        return Finding("fail", f"actuator {name}", str(error), remedy)
    return Finding("ok", f"actuator {name}", f"answers; it is {'closed' if closed else 'open'}")


def _programs(rig: RigSettings) -> Sequence[Finding]:
    """Look whether the programs of shell hooks are there, without starting one."""
    return [
        Finding("ok", f"actuator {name}", found) if (found := shutil.which(one.command[0]))
        else Finding("fail", f"actuator {name}", f"{one.command[0]}: no such program, or not executable",
                     f"install it, make it executable, or correct actuators.{name}.command")
        for name, one in rig.actuators.items() if isinstance(one, ShellHook)
    ]  # fmt: skip


def _logs(rig: RigSettings, rig_path: Path) -> Sequence[Finding]:
    """Look whether the logs of the pilot are there; what is sound is not told."""
    return [
        Finding("fail", f"actuator {name}", f"{one.path}: no such file", f"start the logger, or correct actuators.{name}.path")
        for name, one in rig.actuators.items() if isinstance(one, PilotLog) and not (rig_path.parent / one.path).is_file()
    ]  # fmt: skip


# the station ----------------------------------------------------------------------------------------------------


class _Silent:
    """A journal that keeps nothing: a look is no run."""

    def write(self, kind: str, data: Any) -> int:
        return 0

    def secret(self, value: str) -> None:
        return

    def subscribe(self, listener: Callable[..., None]) -> None:
        return


async def _csms(rig: RigSettings, rig_path: Path, wait_s: float) -> Sequence[Finding]:
    """Open the CSMS port, say which URL leads there, and wait for the station if asked to."""
    csms = Csms(LoopClock(wall_now()), _Silent(), SystemIds(), rig)
    try:
        async with open_ocpp_server(rig, csms.attach, csms.knock, virtual=False, folder=rig_path.parent) as server:
            urls = ", ".join(f"{one}/{rig.station[0].id}" for one in server.urls())
            text = f"the port is free; URL for the station: {urls}"
            if rig.emulator is None and rig.csms.port == 0:
                found = [Finding("fail", "csms", "csms.port is 0: another port each time", "set csms.port in the rig file")]
            elif rig.emulator is None and rig.control is None and is_loopback(rig.csms.host):
                remedy = 'set csms.host = "0.0.0.0", or the address of the network that the station is on'
                found = [Finding("warn", "csms", f"{text}; only this computer reaches it", remedy)]
            else:
                found = [Finding("ok", "csms", text)]
            if wait_s and rig.emulator is None:
                found += [await _station(csms, one.id, wait_s) for one in rig.station[:1]]
            await csms.close()
    except RigError as error:
        users = "another bench, or `ss -ltnp` tells which program"
        return [Finding("fail", "csms", str(error), f"end what listens there: {users}; or set csms.host and csms.port")]
    return found


async def _station(csms: Csms, station: str, wait_s: float) -> Finding:
    state = csms.stations[station]
    if await csms.wait_until(lambda: state.online, wait_s):
        return Finding("ok", f"station {station}", "connected")
    refused = [one for one in csms.knocks if not one.accepted]
    if refused:
        return Finding("fail", f"station {station}", f"{refused[-1].peer} was refused: {refused[-1].reason}", refused[-1].remedy)
    remedy = "check its network, the URL typed into it, and the firewall of this computer"
    return Finding("fail", f"station {station}", f"did not connect within {wait_s:g} s", remedy)


# all rigs -------------------------------------------------------------------------------------------------------


def list_rigs() -> list[dict[str, Any]]:
    """Return each rig file of config/rigs with its kind, stations, meters, who holds it (None: nobody), and what was cut off."""
    among = all_held()
    return [_described(entry, among) for entry in listing() if entry["kind"] == "rig"]


def _described(entry: dict[str, str], among: Any) -> dict[str, Any]:
    if entry["error"]:
        return {"name": entry["name"], "error": entry["error"]}
    rig = find_rig(entry["path"])[1]
    kind = f"emulated, {rig.emulator.time}" if rig.emulator else "two processes" if rig.control else "hardware"
    holder = holder_of(rig, among)
    return {
        "name": rig.name, "path": entry["path"], "error": "", "kind": kind, "stations": [one.id for one in rig.station],
        "meters": sorted(rig.meters), "holder": holder.as_json() if holder else None, "host": socket.gethostname(),
        "unfinished": [str(one) for one in unfinished_runs(rig)] if holder is None or holder.stale else [],
    }  # fmt: skip
