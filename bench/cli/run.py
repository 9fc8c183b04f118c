"""`bench run`: one scenario on one rig, to a verdict."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from bench.adapters.stops import Stops, remember_stops
from bench.cli import suites
from bench.errors import StoppedError, UsageError

if TYPE_CHECKING:
    from bench.rig.session import Outcome
    from bench.settings.scenario import Fault

DEFAULT_RIG = "emulated"
STATION_CLOCK = "let the station's clock show this time at the start, such as 2026-03-29T00:58:00Z, where it follows Heartbeat"


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("run", help="run a scenario on a rig and judge it")
    command.add_argument("scenario", nargs="?", help="name of a scenario in config/scenarios, or a file")
    command.add_argument("--suite", metavar="SUITE", help="in place of a scenario: name of a suite in config/suites, or a file")
    command.add_argument("--resume", action="store_true", help="with --suite and --out: run what has no verdict yet")
    command.add_argument("--rig", default=DEFAULT_RIG, help="name of a rig in config/rigs, or a file (default: emulated)")
    command.add_argument("--seed", type=int, default=1, help="the same seed gives the same journal on an emulated rig")
    command.add_argument("--out", type=Path, help="folder of the run (default: runs/TIME-SCENARIO)")
    seed = "seed a fault into the emulated rig; may come several times"
    command.add_argument("--fault", action="append", default=[], metavar="ID[:NAME=VALUE,...]", help=seed)
    own = "Python file with faults of your own for --fault"
    command.add_argument("--fault-module", action="append", default=[], type=Path, metavar="FILE.py", help=own)
    command.add_argument("--station-clock", metavar="TIME", help=STATION_CLOCK)
    command.add_argument("--job", metavar="JOB", help="name of a job in config/jobs, or a file: who ordered the test of what")
    command.add_argument("--key", type=Path, metavar="FILE", help="private key of the laboratory: sign the run")
    command.add_argument("--strict", action="store_true", help="CONDITIONAL_PASS exits 1")
    command.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    command.add_argument("--quiet", action="store_true", help="no progress")
    command.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run a scenario or a suite and print the verdict; 5 where somebody stopped it, whenever and however often that was."""
    stops = remember_stops()
    from bench.rig.seeding import load_fault_module

    own = [identity for module in arguments.fault_module for identity in load_fault_module(module)]
    if own and not arguments.fault:
        raise UsageError(f"--fault-module seeds nothing by itself: name one with --fault: {', '.join(own)}")
    if (arguments.scenario is None) is (arguments.suite is None):
        raise UsageError("name either a scenario or --suite")
    if arguments.suite is not None:
        return suites.run(arguments, stops)
    if arguments.resume:
        raise UsageError("--resume goes on with a suite: it needs --suite and --out")
    return _run(arguments, stops)


def _run(arguments: argparse.Namespace, stops: Stops) -> int:
    from bench.cli.progress import Progress
    from bench.rig.files import find_job, find_rig, find_scenario, run_folder
    from bench.rig.lease import leased
    from bench.rig.session import Order, run_scenario
    from bench.settings.moments import parse_moment

    scenario_path, scenario = find_scenario(arguments.scenario)
    if not scenario.step:
        raise UsageError(f"scenario {scenario.name}: has no step: it is for procedures in pytest, see hil_tests/")
    rig_path, rig = find_rig(arguments.rig)
    folder = arguments.out or run_folder(scenario.name)
    asking = rig.operator is not None  # the console belongs to the questions then
    quiet = arguments.quiet or arguments.json or asking
    if stops.asked:
        raise StoppedError("stopped before the run began")
    with leased(rig, f"bench run {scenario.name}", expected_s=scenario.duration_s), Progress(scenario, quiet=quiet) as progress:
        order = Order(
            scenario, scenario_path, rig, rig_path, folder,
            seed=arguments.seed, faults=tuple(map(parse_fault, arguments.fault)), strict=arguments.strict, listeners=(progress,),
            job=None if arguments.job is None else find_job(arguments.job), key=arguments.key,
            station_clock=parse_moment(arguments.station_clock, "--station-clock"),
        )  # fmt: skip
        outcome = run_scenario(order)
    with suppress(BrokenPipeError):
        if arguments.json:
            print((outcome.folder / "result.json").read_text())
        else:
            show(outcome)
        sys.stdout.flush()
    return outcome.exit_code


def show(outcome: Outcome) -> None:
    """Print the verdict: the first line says it all."""
    verdict = outcome.judgement.verdict
    print(f"{verdict.verdict}: {verdict.headline}")
    for check in verdict.checks:
        print(f"  {check.verdict:<14} {check.check:<13} {check.headline}")
    for one in verdict.warnings:
        print(f"  finding        {one.code:<13} {one.text}")
    facts = outcome.judgement.facts
    if facts.not_as_found and facts.rig.get("emulator") is None:
        where = "" if outcome.folder.parent == Path("runs") else f" --run {outcome.folder}"
        restore = f"`bench restore {facts.rig['name']}{where}`"
        print(f"not left as found: {facts.not_as_found[0]}; {restore} gives back what the station held")
    print(f"report:  {outcome.folder / 'report.html'}")
    print(f"journal: {outcome.folder / 'journal.jsonl'}  head {outcome.head[:16]}")


def parse_fault(text: str) -> Fault:
    """Read `ID` or `ID:name=value,name=value`. Raises UsageError."""
    from bench.settings.scenario import Fault

    identity, _, rest = text.partition(":")
    params: dict[str, str | float | int | bool] = {}
    for part in rest.split(",") if rest else ():
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise UsageError(f"--fault {text!r}: {part!r} is not NAME=VALUE")
        params[name.strip()] = _plain(value.strip())
    try:
        return Fault(id=identity, params=params)
    except ValueError:
        wrong = [f"{name}={value}" for name, value in params.items() if isinstance(value, float) and not isfinite(value)]
        reason = f"{wrong[0]}: must be a finite number" if wrong else f"{identity!r} is not a fault's id"
        raise UsageError(f"--fault {text!r}: {reason}") from None


def _plain(text: str) -> str | float | int | bool:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
