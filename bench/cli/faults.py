"""`bench faults`: what can go wrong, what can be seeded, and the matrix of what the bench finds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.report.curve import Curve
    from bench.report.detection import Detection
    from bench.rig.matrix import Result
    from bench.settings.field_bug import FieldBug


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("faults", help="list the field bugs and the faults that can be seeded, or run them all")
    command.add_argument("id", nargs="*", help="of field bugs, such as A02; with one, all about it")
    command.add_argument("--matrix", action="store_true", help="run every variant in virtual time and compare with what is due")
    command.add_argument("--seeds", type=_some, metavar="N", help="with --matrix: how many seeds of each variant")
    command.add_argument("--sound", type=_count, metavar="N", help="with --matrix: how many of each sound rig")
    curve = "whole runs with a current of a known size and a meter that errs: N of each point, beside the predicted rates"
    command.add_argument("--curve", type=_some, metavar="N", help=curve)
    command.add_argument("--jobs", type=_some, metavar="N", help="with either: processes side by side (default: one per core)")
    command.add_argument("--write", type=Path, metavar="FILE", help="with --matrix: write the page")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=faults)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return number


def _some(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: nothing would be run; must be at least 1")
    return int(text)


def faults(arguments: argparse.Namespace) -> int:
    """List, show or run; the matrix exits 1 where anything ends otherwise than is due."""
    from bench.rig.matrix import chosen

    bugs = chosen(arguments.id)
    if arguments.write is not None and not arguments.matrix:
        raise UsageError("--write goes with --matrix: it writes the page of what was found")
    if arguments.write is not None and not arguments.write.parent.is_dir():
        raise UsageError(f"--write {arguments.write}: there is no folder {arguments.write.parent}")
    if not arguments.matrix and (arguments.seeds is not None or arguments.sound is not None):
        raise UsageError("--seeds and --sound go with --matrix: nothing is run without it")
    if arguments.curve and arguments.id and not arguments.matrix:
        raise UsageError("--curve runs no field bug: name none, or add --matrix")
    if arguments.matrix or arguments.curve:
        return _matrix(bugs, arguments) if arguments.matrix else _print_curve(_curve(arguments), as_json=arguments.json)
    if arguments.json:
        print(json.dumps([one.model_dump(mode="json", by_alias=True) for one in bugs], indent=2, ensure_ascii=False))
    elif len(arguments.id) == 1:
        _show(bugs[0])
    else:
        _list(bugs, everything=not arguments.id)
    return 0


def _list(bugs: Sequence[FieldBug], *, everything: bool) -> None:
    from bench.rig.seeding import describe_faults

    print("field bugs: `bench faults ID` tells all about one")
    for bug in bugs:
        print(f"  {bug.id:<5} {bug.layer:<8} {bug.name}")
    if everything:
        print("faults: `bench run SCENARIO --fault ID:NAME=VALUE,...` seeds one")
        for one in sorted(describe_faults(), key=lambda fault: str(fault["id"])):
            params = ", ".join(one["params"])
            print(f"  {one['id']}{f'  ({params})' if params else ''}\n      {one['text']}")


def _show(bug: FieldBug) -> None:
    from bench.report.detection import due_text

    print(f"{bug.id}  {bug.name}\n{bug.what}\nlayer: {bug.layer}   source: {', '.join(bug.source)}")
    if bug.cannot_show:
        print(f"the emulated rig cannot show it: {bug.cannot_show}")
    for one in bug.variant:
        seeded = " ".join(f"--fault {fault.id}{_params(fault.params)}" for fault in one.fault)
        rig = "" if one.rig == "emulated" else f" --rig {one.rig}"
        print(f"\n{one.name or bug.family}: due {due_text(one.due)}\n  bench run {one.scenario}{rig} {seeded}")


def _params(params: dict[str, str | float | int | bool]) -> str:
    told = ",".join(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in params.items())
    return f":{told}" if told else ""


def _matrix(bugs: Sequence[FieldBug], arguments: argparse.Namespace) -> int:
    from bench.rig.matrix import detection, run_matrix, trials

    sound = 1 if arguments.sound is None else arguments.sound
    wanted, shown = list(trials(bugs, arguments.seeds or 1, sound)), sys.stderr.isatty() and not arguments.json
    done = 0

    def tell(result: Result) -> None:
        nonlocal done
        done += 1
        if shown:
            print(f"\r{done}/{len(wanted)} {result.trial.bug:<5}", end="", file=sys.stderr, flush=True)

    results = run_matrix(wanted, arguments.jobs, tell)
    if shown:
        print("\r\033[K", end="", file=sys.stderr)
    found = detection(bugs, results)
    curve = _curve(arguments) if arguments.curve else None
    if arguments.write is not None:
        arguments.write.write_text(found.page() + (f"\n{curve.section()}" if curve else ""), encoding="utf-8")
    if arguments.json:
        print(json.dumps([_as_json(one) for one in results], indent=2))
    else:
        _print_matrix(found)
        if curve is not None:
            _print_curve(curve)
    return 0 if found.clean and (curve is None or curve.clean) else 1


def _curve(arguments: argparse.Namespace) -> Curve:
    from bench.rig.curve import places, run_curve

    return run_curve(places(), arguments.curve, arguments.jobs)


def _print_curve(curve: Curve, *, as_json: bool = False) -> int:
    """Print it; return 1 where a sound station is FAIL, or too few are at the detection limit."""
    print(json.dumps([asdict(one) for one in curve.points], indent=2) if as_json else "\n".join(curve.text()))
    return 0 if curve.clean else 1


def _print_matrix(found: Detection) -> None:
    from bench.report.detection import due_text

    for bug in found.bugs:
        for number, variant in enumerate(bug.variant):
            one = found.found[bug.id, number]
            due = f"{due_text(variant.due)}  {variant.name}"
            print(f"{'ok ' if one.all_met else 'NOT'} {bug.id:<5} {one.met}/{one.runs} {one.seconds:4.1f} s  {due}")
            if one.otherwise:
                print(f"      {one.otherwise}")
    for title, those in (("false alarm", found.false_alarms), ("not decided", found.undecided)):
        for text in those:
            print(f"{title}: {text}")
    print("\n".join(found.summary()))


def _as_json(one: Result) -> dict[str, object]:
    return {
        "bug": one.trial.bug, "variant": one.trial.number, "seed": one.trial.seed, "seeded": one.trial.seeded,
        "verdict": one.verdict, "check": one.check, "blamed": one.blamed, "class": one.fault_class,
        "warnings": one.warnings, "headline": one.headline, "seconds": round(one.seconds, 3),
    }  # fmt: skip
