"""What `bench meter` does: lists the maps, finds meters on a line, opens one of a rig, and reads it fast."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.adapters.clock import LoopClock, wall_now
from bench.domain.meter import MeterReading
from bench.domain.meter_quality import MeterQuality, Reading, meter_quality
from bench.errors import RigError, SettingsError, UsageError
from bench.ports import Clock, Meter
from bench.rig.files import config_folders, find_rig
from bench.rig.lease import leased
from bench.settings.base import load
from bench.settings.instruments import ModbusTcpMeter, P1Meter, SmlMeter
from bench.settings.lines import SerialLine, TcpLine
from bench.settings.meter import MeterMap
from bench.wire.registers import Function

if TYPE_CHECKING:
    from bench.adapters.modbus_line import ModbusLine

NOBODY: Final = 9
"""A port at which no CSMS is: the stations of an emulated rig find none while only its meters are looked at."""
PLAUSIBLE: Final[dict[str, tuple[float, float]]] = {
    "voltage": (80, 300), "current": (-2000, 2000), "power": (-1e6, 1e6), "energy": (0, 1e12), "frequency": (45, 65),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A meter that answered plausibly, and by which map."""

    name: str
    """Of the map without `.toml`; p1 or sml."""
    model: str
    unit_id: int | None
    reading: MeterReading
    measures: int
    """How many quantities the map has."""
    snippet: str
    """For the rig file."""


def maps(only: str = "") -> list[tuple[Path, MeterMap]]:
    """Return the sound register maps under config/meters by file name. Raises UsageError where `only` names none of them."""
    found: dict[str, tuple[Path, MeterMap]] = {}
    for folder in config_folders():
        for path in sorted((folder / "meters").glob("*.toml")):
            try:
                found.setdefault(path.stem, (path, load(MeterMap, path)))
            except SettingsError:
                if only == path.stem:
                    raise
    if only and only not in found:
        raise UsageError(f"--map {only}: no such map; there: {', '.join(sorted(found)) or 'none'}")
    return [one for name, one in sorted(found.items()) if only in ("", name)]


def describe_map(path: Path, one: MeterMap) -> dict[str, Any]:
    """Return what `bench meter list` tells of a map; `accuracy` in words, empty where no data sheet is known."""
    sheet, words = one.accuracy, list[str]()
    if sheet is not None:
        words += [sheet.energy_class] if sheet.energy_class else []
        for what, percent, share, reach, unit in (
            ("I", sheet.current_percent, sheet.current_range_percent, sheet.current_range_a, "A"),
            ("P", sheet.power_percent, sheet.power_range_percent, sheet.power_range_w, "W"),
        ):
            parts = [f"{percent:g} % of reading"] if percent else []
            parts += [f"{share:g} % of {reach:g} {unit}"] if share else []
            words += [f"{what} {' + '.join(parts)}"] if parts else []
    interface = f"Modbus, {one.baud} baud" if one.baud else "Modbus"
    return {
        "name": path.stem, "maker": one.maker or one.model.split()[0], "model": one.model,
        "interface": interface, "measures": sorted(one.quantities), "accuracy": ", ".join(words), "file": str(path),
    }  # fmt: skip


def implausible(reading: MeterReading, low: float = 80, high: float = 300) -> str:
    """Return why a reading cannot be what its map says, empty where it can. A voltage must lie between low and high."""
    values = [("voltage", one) for one in reading.voltage_v] + [("current", one) for one in reading.current_a]
    values += [("power", one) for one in (reading.power_w, *reading.phase_power_w)]
    values += [("energy", reading.energy_import_wh), ("frequency", reading.frequency_hz)]
    limits = {**PLAUSIBLE, "voltage": (low, high)}
    seen = 0
    for what, value in values:
        if value is None:
            continue
        least, most = limits[what]
        if not least <= value <= most and not (what == "voltage" and value == 0 and reading.voltage_v[0]):
            return f"{what} {value:g} is not between {least:g} and {most:g}"
        if 0 < abs(value) < 1e-6 and what != "energy":
            return f"{what} {value:g} is no measurement"
        seen += value != 0
    return "" if seen >= 2 else "too little to tell: all is zero or absent"


async def probe_line(
    settings: TcpLine | SerialLine, units: Sequence[int], candidates: Sequence[tuple[Path, MeterMap]]
) -> tuple[list[Found], list[str]]:
    """Ask each unit by each map. Returns what was plausible, and in words what answered otherwise. Raises RigError."""
    from bench.adapters.modbus_line import open_modbus_line

    clock, found, notes = LoopClock(wall_now()), list[Found](), list[str]()
    async with open_modbus_line("", settings, clock) as line:
        for unit in units:
            heard, silent = False, set[str]()
            for path, one in candidates:
                function = one.blocks[0].function
                if not heard and silent >= {"input", "holding"}:
                    break  # nobody there
                try:
                    reading = await _read(line, unit, one)
                except RigError as error:
                    if "no valid reply" in str(error):
                        silent.add(function)
                    else:
                        heard = True
                    continue
                heard = True
                why = implausible(reading)
                if why:
                    notes.append(f"unit {unit} answers at the registers of {path.stem}, but {why}")
                else:
                    found.append(Found(path.stem, one.model, unit, reading, len(one.quantities), _snippet(settings, unit, path)))
            if heard and not any(one.unit_id == unit for one in found):
                notes.append(f"unit {unit} answers, but no map fits")
    return found, notes


async def _read(line: ModbusLine, unit: int, register_map: MeterMap) -> MeterReading:
    """Read a unit once by a map, whose place in the chain is looked up first for SunSpec. Raises RigError."""
    from bench.adapters.identity import locate

    async def read(function: Function, address: int, count: int) -> Sequence[int]:
        return (await line.read(unit, function, address, count, gap_s=register_map.minimum_gap_s)).registers

    plan = (await locate(register_map, read)).register_map.plan()
    gap_s = register_map.minimum_gap_s
    replies = [await line.read(unit, one.function, one.address, one.count, gap_s=gap_s) for one in plan.blocks]
    return plan.decode([reply.registers for reply in replies], replies[0].requested, replies[-1].received)


async def listen(port: str, baud: int | None, within_s: float = 12.0) -> Found | None:
    """Listen whether a P1 or SML meter speaks by itself at a port; None where none does. Raises RigError for the port."""
    from bench.adapters.push_meter import open_p1_meter, open_sml_meter

    clock = LoopClock(wall_now())
    settings = P1Meter(kind="p1", port=port, timeout_s=within_s)
    german = SmlMeter(kind="sml", port=port, baud=baud or 9600, timeout_s=min(within_s, 5))
    for name, model, opened in (
        ("p1", "DSMR P1", open_p1_meter("", settings, clock)),
        ("sml", "SML", open_sml_meter("", german, clock)),
    ):
        async with opened as meter:
            try:
                reading = await meter.read()
            except RigError:
                continue
        lines = [f"[meters.{name}]", f'kind = "{name}"', f'port = "{port}"']
        return Found(name, model, None, reading, 0, "\n".join(lines))
    return None


def _snippet(settings: TcpLine | SerialLine, unit: int, path: Path) -> str:
    head = f"[meters.{path.stem.replace('_', '-')}-{unit}]"
    if isinstance(settings, TcpLine) and settings.kind == "modbus-tcp":
        place = f'kind = "modbus-tcp"\nhost = "{settings.host}"\nport = {settings.port}'
    else:
        place = 'kind = "modbus"\nline = "bus"'
    return f'{head}\n{place}\nunit_id = {unit}\nregister_map = "../meters/{path.name}"'


def line_snippet(settings: TcpLine | SerialLine) -> str:
    """Return the line for the rig file; empty for Modbus TCP, where each meter has an address of its own."""
    if not isinstance(settings, SerialLine):
        return ""
    return f'[lines.bus]\nkind = "serial"\nport = "{settings.port}"\nbaud = {settings.baud}\nparity = "{settings.parity}"'


@asynccontextmanager
async def open_rig_meter(rig_name: str, name: str) -> AsyncIterator[tuple[Meter, Clock]]:
    """Open one meter of a rig, in real time; an emulated rig is started for it. Raises UsageError, RigError."""
    from bench.adapters.modbus import ModbusMeter
    from bench.rig.meters import open_meters

    path, rig = find_rig(rig_name)
    if name not in rig.meters:
        raise UsageError(f"{path}: has no meter {name!r}; meters there: {', '.join(sorted(rig.meters)) or 'none'}")
    clock = LoopClock(wall_now())
    async with AsyncExitStack() as stack:
        stack.enter_context(leased(rig, f"bench meter {name}"))
        ports, lines = dict[str, int | str](), dict[str, int | str]()
        if rig.emulator is not None:
            from bench.rig.emulated import open_emulated_rig

            emulated = await stack.enter_async_context(open_emulated_rig(rig, path, clock, NOBODY, 1, virtual=True))
            ports, lines = dict(emulated.meter_ports), dict(emulated.line_ports)
        alone = rig.model_copy(update={"meters": {name: rig.meters[name]}})
        instruments = await stack.enter_async_context(open_meters(alone, path, clock, ports, lines))
        meter = instruments.meters[name]
        if isinstance(meter, ModbusMeter):
            await meter.identify()
        yield meter, clock


@asynccontextmanager
async def open_tcp_meter(host: str, port: int, unit_id: int, map_name: str) -> AsyncIterator[tuple[Meter, Clock]]:
    """Open a meter on Modbus TCP that no rig file has. Raises UsageError, RigError."""
    from bench.adapters.modbus import ModbusMeter
    from bench.adapters.modbus_line import open_modbus_line

    path, register_map = maps(map_name)[0]
    clock = LoopClock(wall_now())
    settings = ModbusTcpMeter(kind="modbus-tcp", host=host, port=port, unit_id=unit_id, register_map=path)
    async with open_modbus_line("", TcpLine(kind="modbus-tcp", host=host, port=port), clock) as line:
        meter = ModbusMeter(path.stem, settings, register_map, line)
        await meter.identify()
        yield meter, clock


async def qualify(meter: Meter, clock: Clock, seconds: float) -> tuple[MeterQuality, int]:
    """Read as fast as the meter allows for so long; return what was found and how many readings failed.

    Raises: RigError where it could not be read twice.
    """
    readings: list[Reading] = []
    failed, begin, last = 0, clock.monotonic(), ""
    while clock.monotonic() - begin < seconds:
        try:
            one = await meter.read()
        except RigError as error:
            failed, last = failed + 1, str(error)
            await clock.sleep(0.1)
            continue
        raw = "".join(one.registers.values())
        readings.append(Reading(one.requested.timestamp(), one.received.timestamp(), one.power_w, raw))
        await clock.sleep(0.005)
    if len(readings) < 2:
        raise RigError(f"{len(readings)} readings in {seconds:g} s{last and f': {last}'}")
    return meter_quality(readings), failed
