"""`bench rigs` and `bench doctor`: which rigs there are, who has them, and what is wrong with one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.cli.run import DEFAULT_RIG
from bench.errors import UsageError


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    command = commands.add_parser("rigs", help="list the rigs that are there, and who uses each")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=rigs)
    command = commands.add_parser("doctor", help="look a rig over: what is wrong, and how to mend it; it changes nothing")
    command.add_argument("--rig", default=DEFAULT_RIG, help="name of a rig in config/rigs, or a file (default: emulated)")
    command.add_argument("--wait", type=float, default=0, metavar="S", help="wait so long for the station to connect")
    command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are written (default: runs)")
    command.add_argument("--json", action="store_true", help="print the findings as JSON, and nothing else")
    command.set_defaults(func=doctor)


def rigs(arguments: argparse.Namespace) -> int:
    """List rigs; 1 where a file is broken."""
    from bench.rig.doctor import list_rigs

    entries = list_rigs()
    print(json.dumps(entries, indent=2) if arguments.json else "\n".join(_line(one) for one in entries))
    return 1 if any(one["error"] for one in entries) else 0


def _line(one: dict[str, Any]) -> str:
    if one["error"]:
        return f"{one['name']:<20} {one['error']}"
    holder = one["holder"]
    free = "free" if holder is None else "STALE: " if holder["stale"] else "in use: "
    told = "" if holder is None else f"{holder['owner']} (process {holder['pid']}), {holder['reason']}, since {holder['since']}"
    until = f", until {holder['until']}" if holder is not None and holder["until"] else ""
    counts = f"{len(one['stations'])} station(s), {len(one['meters'])} meter(s)"
    owed = f"; {one['unfinished'][-1]} was cut off: `bench restore {one['name']}`" if one["unfinished"] else ""
    return f"{one['name']:<20} {one['kind']:<17} {counts:<26} {free}{told}{until}{owed}"


def doctor(arguments: argparse.Namespace) -> int:
    """Look a rig over; 0 where nothing fails, which leaves warnings, else 1."""
    from bench.rig.doctor import examine
    from bench.rig.files import find_rig

    if arguments.wait < 0:
        raise UsageError(f"--wait {arguments.wait:g}: must be at least 0")
    rig_path, rig = find_rig(arguments.rig)
    findings = examine(rig, rig_path, runs=arguments.runs, wait_s=arguments.wait)
    if arguments.json:
        print(json.dumps([one.as_json() for one in findings], indent=2))
    else:
        for one in findings:
            print(f"{one.state:<4}  {one.subject:<28} {one.text}")
            if one.remedy:
                print(f"      {'':<28} mend it: {one.remedy}")
    return 1 if any(one.state == "fail" for one in findings) else 0
