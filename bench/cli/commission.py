"""`bench commission`: what a station reports and does, as a target file."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.run import DEFAULT_RIG, STATION_CLOCK

if TYPE_CHECKING:
    from bench.rig.commission import Commissioned


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("commission", help="read a station's device model, observe it, and write a target file")
    command.add_argument("station", help="id of the station")
    command.add_argument("--rig", default=DEFAULT_RIG, help="name of a rig in config/rigs, or a file (default: emulated)")
    command.add_argument("--out", type=Path, metavar="FILE", help="target file (default: config/targets/VENDOR-MODEL.toml)")
    command.add_argument("--run", type=Path, metavar="DIR", help="folder of the run (default: runs/TIME-commission)")
    command.add_argument("--no-observe", action="store_true", help="read only: no Reset, no EV, no charging")
    command.add_argument("--keep", action="store_true", help="leave measurands and intervals as the bench set them")
    command.add_argument("--seed", type=int, default=1, help="the same seed gives the same journal on an emulated rig")
    command.add_argument("--station-clock", metavar="TIME", help=STATION_CLOCK)
    command.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    command.set_defaults(func=commission)


def commission(arguments: argparse.Namespace) -> int:
    """Commission a station; 0 when all of it was done, 1 when it ended early, 4 where the rig failed, 5 when it was stopped."""
    from bench.rig.commission import CommissionOrder
    from bench.rig.commission import commission as commission_station
    from bench.rig.files import find_rig, run_folder
    from bench.rig.lease import leased
    from bench.settings.moments import parse_moment

    rig_path, rig = find_rig(arguments.rig)
    order = CommissionOrder(
        arguments.station, rig, rig_path, arguments.run or run_folder("commission"), arguments.out,
        observe=not arguments.no_observe, keep=arguments.keep, seed=arguments.seed,
        station_clock=parse_moment(arguments.station_clock, "--station-clock"),
    )  # fmt: skip
    with leased(rig, f"bench commission {arguments.station}"):
        done = commission_station(order)
    with suppress(BrokenPipeError):
        print(json.dumps(done.as_json(), indent=2) if arguments.json else "\n".join(_lines(done)))
        sys.stdout.flush()
    return {"aborted": 5, "error": 4}.get(done.state, 0 if done.whole else 1)


def _lines(done: Commissioned) -> list[str]:
    lines = [f"{done.state}: {done.reason}"] if done.reason else []
    if done.result is not None:
        lines.append(f"read:    {len(done.result.model.variables)} variables")
        lines += [f"differs: {one}" for one in done.result.differences]
        lines += [f"note:    {one}" for one in done.result.notes]
    if done.target_path is not None:
        lines.append(f"target:  {done.target_path}")
    return [*lines, f"journal: {done.folder / 'journal.jsonl'}"]
