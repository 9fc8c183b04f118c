"""`bench meter`: which meters the bench knows, which one hangs there, what it shows, and how good it is."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.domain.meter import MeterReading
    from bench.domain.meter_quality import MeterQuality
    from bench.ports import Clock, Meter

NOTHING_FOUND = 3


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own commands."""
    meter = commands.add_parser("meter", help="list the meters that are known, find one, watch it, and see how good it is")
    actions = meter.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = actions.add_parser("list", help="list the register maps: maker, model, what they measure, accuracy, file")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=list_meters)
    command = actions.add_parser("probe", help="find and identify meters on a line, and print their lines for the rig file")
    command.add_argument("--port", help="serial device, such as /dev/serial/by-id/…, or with --host the TCP port (default: 502)")
    command.add_argument("--host", help="address of a Modbus TCP meter or gateway")
    command.add_argument("--baud", type=int, help="of a serial port (default: 9600)")
    command.add_argument("--parity", choices=("N", "E", "O"), default="N")
    command.add_argument("--unit", default="1", metavar="A-B", help="one unit, or a range such as 1-10 (default: 1)")
    command.add_argument("--map", default="", metavar="NAME", help="try this map only")
    command.add_argument("--timeout", type=float, default=0.5, metavar="S", help="how long a reply may take (default: 0.5)")
    command.set_defaults(func=probe)
    for name, words in (("watch", "show what a meter reads, until Ctrl-C"), ("qualify", "measure refresh, latency and noise")):
        command = actions.add_parser(name, help=words)
        command.add_argument("meter", nargs="?", default="", help="name of the meter in the rig file")
        command.add_argument("--rig", default="", help="name of a rig in config/rigs, or a file")
        command.add_argument("--host", help="address of a Modbus TCP meter that is in no rig file")
        command.add_argument("--port", type=int, default=502)
        command.add_argument("--unit", type=int, default=1)
        command.add_argument("--map", default="", metavar="NAME")
        if name == "watch":
            command.add_argument("--count", type=int, default=0, help="end after so many readings (default: never)")
            command.set_defaults(func=watch)
        else:
            command.add_argument("--seconds", type=float, default=60, help="how long (default: 60); switch a load meanwhile")
            command.add_argument("--json", action="store_true")
            command.set_defaults(func=qualify)


def list_meters(arguments: argparse.Namespace) -> int:
    """List the maps; broken ones are for `bench list`."""
    from bench.rig.meter_tools import describe_map, maps

    entries = [describe_map(path, one) for path, one in maps()]
    if arguments.json:
        print(json.dumps(entries, indent=2))
        return 0
    for entry in entries:
        print(f"{entry['name']:<20} {entry['maker']}: {entry['model']} ({entry['interface']})")
        print(f"{'':<20} {_short(entry['measures'])}")
        print(f"{'':<20} accuracy: {entry['accuracy'] or 'no data sheet in the map'}; {entry['file']}")
    print("p1, sml              meters that speak by themselves on a serial port need no map: kind = \"p1\" or \"sml\"")
    return 0


def _short(quantities: list[str]) -> str:
    """Return what a map measures, such as `V, A per phase; W in total`."""
    each = ", ".join(unit for name, unit in (("voltage", "V"), ("current", "A"), ("power", "W")) if f"{name}_l1" in quantities)
    phases = "per phase" if {"power_l2", "current_l2"} & set(quantities) else "of one phase"
    energy = " and ".join(one for one in ("import", "export") if f"energy_{one}" in quantities)
    parts = [each and f"{each} {phases}", "W in total" if "power_total" in quantities else "", energy and f"Wh {energy}"]
    return "; ".join([*filter(None, parts), *(["Hz"] if "frequency" in quantities else [])])


def probe(arguments: argparse.Namespace) -> int:
    """Find meters; 0 found, 2 bad usage, 3 nothing found, 4 the port or the address cannot be used."""
    import asyncio

    from bench.errors import UsageError
    from bench.rig.meter_tools import line_snippet, listen, maps, probe_line
    from bench.settings.lines import SerialLine, TcpLine

    if not arguments.host and not arguments.port:
        raise UsageError("say where to look: --port DEVICE, or --host ADDRESS with --port NUMBER")
    settings: TcpLine | SerialLine
    if arguments.host:
        number = arguments.port or "502"
        if not number.isdigit() or not 1 <= int(number) <= 65535:
            raise UsageError(f"--port {number}: with --host it is a TCP port from 1 to 65535")
        settings = TcpLine(kind="modbus-tcp", host=arguments.host, port=int(number), timeout_s=arguments.timeout)
    else:
        settings = SerialLine(
            kind="serial", port=arguments.port, baud=arguments.baud or 9600, parity=arguments.parity,
            timeout_s=arguments.timeout, drain_s=0.2,
        )  # fmt: skip
    units, candidates = _units(arguments.unit), maps(arguments.map)
    found, notes = asyncio.run(probe_line(settings, units, candidates))
    if not found and not arguments.host and not arguments.map:
        heard = asyncio.run(listen(arguments.port, arguments.baud))
        found = [heard] if heard else []
    for one in found:
        place = f"unit {one.unit_id}: " if one.unit_id is not None else ""
        print(f"{place}{one.model} ({one.name}): {_words(one.reading)}")
    best = []
    for unit in dict.fromkeys(one.unit_id for one in found):
        same = sorted((one for one in found if one.unit_id == unit), key=lambda one: -one.measures)
        best.append(same[0])
        if len(same) > 1:
            names = ", ".join(one.name for one in same)
            print(f"unit {unit}: {len(same)} maps are plausible ({names}): compare with the plate of the meter")
    if not found:
        print("\n".join(notes))
    on_a_line = any(one.unit_id is not None for one in best)
    for snippet in filter(None, [line_snippet(settings) if on_a_line else "", *(one.snippet for one in best)]):
        print(f"\n{snippet}")
    if not found:
        print("nothing found: look at unit, baud and parity in the meter's menu, A and B of the bus, and its supply")
    return 0 if found else NOTHING_FOUND


def _units(text: str) -> range:
    from bench.errors import UsageError

    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit() or not 1 <= int(first) <= int(last or first) <= 247:
        raise UsageError(f"--unit {text}: must be a unit or a range from 1 to 247, such as 3 or 1-10")
    return range(int(first), int(last or first) + 1)


def _opened(arguments: argparse.Namespace) -> AbstractAsyncContextManager[tuple[Meter, Clock]]:
    from bench.errors import UsageError
    from bench.rig.meter_tools import open_rig_meter, open_tcp_meter

    if arguments.host and arguments.map:
        return open_tcp_meter(arguments.host, arguments.port, arguments.unit, arguments.map)
    if arguments.rig and arguments.meter:
        return open_rig_meter(arguments.rig, arguments.meter)
    raise UsageError("say which meter: METER --rig RIG, or --host ADDRESS --map NAME")


def watch(arguments: argparse.Namespace) -> int:
    """Show readings until Ctrl-C, which is no error."""
    import asyncio

    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(arguments))
    return 0


async def _watch(arguments: argparse.Namespace) -> None:
    from rich.live import Live

    from bench.errors import RigError

    async with _opened(arguments) as (meter, clock):
        with Live(auto_refresh=False) as live:
            turn, last = 0, None
            while not arguments.count or turn < arguments.count:
                turn, error = turn + 1, ""
                try:
                    last = await meter.read()
                except RigError as failure:
                    error = str(failure)
                age_s = (clock.now() - last.received).total_seconds() if last else None
                live.update(_table(meter.name, last, age_s, error), refresh=True)
                await clock.sleep(0.5)


def _table(name: str, reading: MeterReading | None, age_s: float | None, error: str) -> Any:
    from rich.table import Table

    table = Table("", "L1", "L2", "L3", "total", title=f"meter {name}")
    if reading is not None:
        table.add_row("U (V)", *map(_cell, reading.voltage_v), "")
        table.add_row("I (A)", *map(_cell, reading.current_a), "")
        table.add_row("P (W)", *map(_cell, reading.phase_power_w), _cell(reading.power_w))
        table.add_row("E (Wh)", "", "", "", _cell(reading.energy_import_wh))
        table.add_row("f (Hz)", "", "", "", _cell(reading.frequency_hz))
        table.caption = f"age {age_s:.2f} s"
    if error:
        table.caption = f"{table.caption or 'no reading yet'}; {error}"
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _words(reading: MeterReading) -> str:
    return f"U {'/'.join(map(_cell, reading.voltage_v))} V, P {_cell(reading.power_w)} W"


def qualify(arguments: argparse.Namespace) -> int:
    """Measure a meter; 0, or 4 where it cannot be read."""
    import asyncio

    return asyncio.run(_qualify(arguments))


async def _qualify(arguments: argparse.Namespace) -> int:
    from bench.rig.meter_tools import qualify as measure

    async with _opened(arguments) as (meter, clock):
        quality, failed = await measure(meter, clock, arguments.seconds)
    if arguments.json:
        print(json.dumps({"meter": meter.name, "failed": failed, **quality.as_json()}, indent=2))
    else:
        print("\n".join(_lines(quality, failed)))
    return 0


def _lines(quality: MeterQuality, failed: int) -> list[str]:
    lines = [f"readings:  {quality.readings} in {quality.seconds:.1f} s, {failed} failed"]
    lines.append("reply:     " + ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in quality.reply_s.items()))
    if quality.refresh_s is not None:
        lines.append("refresh:   " + ", ".join(f"{name} {value:.2f} s" for name, value in quality.refresh_s.items()))
        counts = sorted((float(key), count) for key, count in quality.refresh_histogram.items())
        lines += [f"           {interval_s:g} s: {count} times" for interval_s, count in counts]
    if quality.noise_w is not None:
        lines.append(f"noise:     {quality.noise_w:.2f} W (standard deviation)")
    lines += [f"step:      {one.from_w:.0f} W to {one.to_w:.0f} W within {one.ramp_s:.2f} s" for one in quality.steps]
    low, high = quality.latency_s
    lines.append(f"rig file:  latency_s = [{low:g}, {high:g}]")
    return lines + [f"not shown: {one}" for one in quality.not_shown]
