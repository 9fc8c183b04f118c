"""`bench plan`, and `bench run --suite`: several scenarios, what they will take, and what became of them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.adapters.stops import Stops
    from bench.cli.progress import Progress
    from bench.rig.suite import Entry
    from bench.runs.plan import Plan
    from bench.settings.rig import RigSettings
    from bench.settings.scenario import ScenarioSettings


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("plan", help="tell what a scenario or suite will take on a rig, and whether it may run there")
    command.add_argument("scenario", nargs="*", help="names of scenarios, or files")
    command.add_argument("--suite", metavar="SUITE", help="in place of scenarios: name of a suite, or a file")
    command.add_argument("--rig", default="emulated", help="name of a rig in config/rigs, or a file (default: emulated)")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Print a plan; 2 where the rig does not allow it."""
    from bench.rig.files import find_rig, find_suite
    from bench.runs.plan import refuse_beyond_budget

    if bool(arguments.scenario) is (arguments.suite is not None):
        raise UsageError("name either scenarios or --suite")
    rig_path, rig = find_rig(arguments.rig)
    names = find_suite(arguments.suite).scenarios if arguments.suite else arguments.scenario
    plans = _plans(rig_path, rig, names)
    if arguments.json:
        from bench.adapters.journal import encode

        refuse_beyond_budget(rig, plans)
        print(json.dumps(json.loads(encode(plans)), indent=2))
    else:
        _print_plans(rig, plans)
        refuse_beyond_budget(rig, plans)
    return 0


def _plans(rig_path: Path, rig: RigSettings, names: tuple[str, ...] | list[str]) -> list[Plan]:
    """Return what the scenarios will take. Raises UsageError where the rig cannot show what one of them must find."""
    from bench.rig.files import find_scenario
    from bench.runs.feasible import refuse_infeasible
    from bench.runs.plan import plan_of
    from bench.settings.meter import energy_steps

    scenarios = [find_scenario(name)[1] for name in names]
    for one in scenarios:
        refuse_infeasible(rig, one)
    steps = energy_steps(rig_path, rig.meters)
    return [plan_of(rig, one, steps) for one in scenarios]


def _print_plans(rig: RigSettings, plans: list[Plan]) -> None:
    for one in plans:
        if one.by_hand:
            print(f"by hand, in {one.scenario}:")
            for step in one.by_hand:
                print(f"  {step}")
    virtual = rig.emulator is not None and rig.emulator.time == "virtual"
    print(f"{'scenario':<28} {'time':>9} {'energy':>10} {'contactor':>10} {'profiles':>9}")
    for one in plans:
        print(_row(one.scenario, one.duration_s, one.energy_wh, one.contactor_cycles, one.profile_writes))
    if len(plans) > 1:
        cycles, writes = sum(one.contactor_cycles for one in plans), sum(one.profile_writes for one in plans)
        seconds, energy_wh = sum(one.duration_s for one in plans), sum(one.energy_wh for one in plans)
        print(_row("together", seconds, energy_wh, cycles, writes))
    print("at most; limits are left aside" + ("; in virtual time a fraction of it" if virtual else ""))


def _row(name: str, seconds: float, energy_wh: float, cycles: int, writes: int) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{name:<28} {hours:>5} h {minutes:02} {energy_wh / 1000:>6.1f} kWh {cycles:>10} {writes:>9}"


def run(arguments: argparse.Namespace, stops: Stops) -> int:
    """Run a suite and print one line per scenario, then the sum."""
    from contextlib import nullcontext

    from bench.cli.run import parse_fault
    from bench.rig.files import find_job, find_rig, find_scenario, find_suite, run_folder
    from bench.rig.lease import leased
    from bench.rig.session import Order, unwatched
    from bench.rig.suite import run_suite
    from bench.runs.plan import refuse_beyond_budget

    suite = find_suite(arguments.suite)
    rig_path, rig = find_rig(arguments.rig)
    if arguments.resume and arguments.out is None:
        raise UsageError("--resume needs --out: the folder of the suite that is to go on")
    plans = _plans(rig_path, rig, suite.scenarios)
    quiet = arguments.quiet or arguments.json
    if not quiet:
        _print_plans(rig, plans)
    refuse_beyond_budget(rig, plans)
    folder = arguments.out or run_folder(suite.name)
    path, scenario = find_scenario(suite.scenarios[0])
    base = Order(
        scenario, path, rig, rig_path, folder, seed=arguments.seed, faults=tuple(map(parse_fault, arguments.fault)),
        job=None if arguments.job is None else find_job(arguments.job), key=arguments.key, strict=arguments.strict,
    )  # fmt: skip
    lease = leased(rig, f"bench run --suite {suite.name}", expected_s=sum(one.duration_s for one in plans))
    with lease if rig.emulator is None else nullcontext():
        outcome = run_suite(
            suite, base, resume=arguments.resume, stopped=lambda: stops.asked, told=(lambda _: None) if arguments.json else _tell,
            watch=unwatched if quiet else lambda one: _watched(one, asking=rig.operator is not None),
        )  # fmt: skip
    code = outcome.exit_code(strict=arguments.strict)
    if arguments.json:
        print((folder / "summary.json").read_text())
    else:
        passed = sum(one.verdict in ("PASS", "CONDITIONAL_PASS") for one in outcome.entries)
        print(f"{passed} of {len(outcome.entries)} scenarios passed")
        print(f"summary: {folder / 'summary.html'}")
    return code


def _watched(scenario: ScenarioSettings, *, asking: bool) -> Progress:
    """Show how a scenario goes on, where the console does not belong to questions."""
    from bench.cli.progress import Progress

    print(f"{scenario.name} …", file=sys.stderr, flush=True)
    return Progress(scenario, quiet=asking)


def _tell(entry: Entry) -> None:
    counted = entry.counted
    print(f"  {entry.verdict:<16} {entry.scenario:<28} {'not run' if counted is None else counted.headline}", flush=True)
    for rung in entry.recovery:
        print(f"      recovery: {rung.name}: {rung.outcome}" + (f"; {rung.ready}" if rung.ready else ""))
