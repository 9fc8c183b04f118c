"""Runs the scenarios of a suite one after the other, without anybody there: one gets stuck, the others go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal import write_result
from bench.adapters.journal_reader import read_journal
from bench.domain.verdicts import RunState, Verdict, exit_code
from bench.errors import BenchError, EvidenceError, UsageError
from bench.rig.files import find_scenario
from bench.rig.restore import Debt
from bench.rig.session import NotBegunError, Order, Outcome, Watch, open_run, run_scenario, stop_signals, unwatched
from bench.runs.recovery import Rung, recover
from bench.runs.snapshot import Snapshot
from bench.settings.scenario import ScenarioSettings
from bench.settings.suite import SuiteSettings

SUMMARY: Final = "summary.json"
RECOVERY: Final = ScenarioSettings.model_validate(
    {"schema": 1, "name": "recovery", "title": "The station is brought back to where a scenario can begin", "duration_s": 600,
     "checks": ["installed"], "proof": "none"}
)  # fmt: skip
"""What a climb of the recovery ladder is written down as."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a scenario of the suite."""

    folder: str
    """Relative to the suite's folder."""
    state: RunState
    verdict: Verdict
    headline: str

    @property
    def valid(self) -> bool:
        """Say whether it has a verdict that counts: the run came to its end and was judged."""
        return self.state is RunState.COMPLETED and self.verdict not in (Verdict.ERROR, Verdict.ABORTED)


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one scenario."""

    scenario: str
    title: str
    attempts: tuple[Attempt, ...]
    recovery: tuple[Rung, ...] = ()

    @property
    def counted(self) -> Attempt | None:
        """Return the first attempt with a valid verdict, else the last one; never the best."""
        return next((one for one in self.attempts if one.valid), self.attempts[-1] if self.attempts else None)

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that counts; INCONCLUSIVE for one that was not run."""
        return Verdict.INCONCLUSIVE if self.counted is None else self.counted.verdict


@dataclass(frozen=True, slots=True)
class SuiteOutcome:
    """What became of a suite."""

    suite: SuiteSettings
    folder: Path
    entries: tuple[Entry, ...]
    aborted: bool = False

    def exit_code(self, *, strict: bool = False) -> int:
        """Return the exit code: 5 where it was stopped, else the gravest of its scenarios: 4, 1, 3, 0."""
        if self.aborted:
            return 5
        codes = {_code(one, strict=strict) for one in self.entries}
        return next((code for code in (5, 4, 1, 3) if code in codes), 0)


def _code(entry: Entry, *, strict: bool) -> int:
    counted = entry.counted
    if counted is None:
        return 3
    if counted.valid and counted.verdict is Verdict.NOT_APPLICABLE:
        return 0  # a scenario that has no meaning for this target takes nothing away from the others
    return exit_code(counted.state, counted.verdict, strict=strict)


def run_suite(
    suite: SuiteSettings, base: Order, *, resume: bool = False, told: Callable[[Entry], None] = lambda _: None,
    watch: Watch = unwatched, stopped: Callable[[], bool] = lambda: False,
) -> SuiteOutcome:  # fmt: skip
    """Run what has no valid verdict yet, and sum up.

    A scenario without a verdict is tried again after the station was recovered; what fails twice is ERROR, and the suite goes
    on. Ctrl-C ends the suite after the safe state of the run that goes on.

    Args:
        base: rig, seed, job and key of every run; `out` is the suite's folder, which has to be new unless it is resumed.
        told: called with each entry as it is done.
        watch: gives what follows the journals of a scenario that is about to be run.
        stopped: says whether somebody has asked for the end, also between two runs.
    Raises: UsageError before anything is run.
    """
    scenarios = [find_scenario(name) for name in suite.scenarios]
    before = _resumed(suite, base) if resume else {}
    if not resume and base.out.exists() and any(base.out.iterdir()):
        raise UsageError(f"{base.out}: is not empty; --resume goes on with a suite, another --out begins one")
    base.out.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    aborted = False
    for path, scenario in scenarios:
        done = before.get(scenario.name, Entry(scenario.name, scenario.title, ()))
        aborted = aborted or stopped()
        if not aborted and not any(one.valid for one in done.attempts):
            with watch(scenario) as listener:
                order = replace(base, scenario=scenario, scenario_path=path, listeners=(*base.listeners, listener))
                done = _attempts(suite, order, done, stopped)
            aborted = bool(done.attempts) and done.attempts[-1].state is RunState.ABORTED
        entries.append(done)
        told(done)
        _write(base.out, suite, base, entries)
    outcome = SuiteOutcome(suite, base.out, tuple(entries), aborted or stopped())
    if base.pages:
        from bench.report.suite import write_suite_pages

        write_suite_pages(outcome.folder, suite, base.rig.name, entries)
    return outcome


def _attempts(suite: SuiteSettings, order: Order, done: Entry, stopped: Callable[[], bool]) -> Entry:
    attempts, recovery = list(done.attempts), list(done.recovery)
    for number in range(suite.attempts):
        folder = _free(order.out, order.scenario.name)
        attempt = _attempt(replace(order, out=folder))
        attempts.append(attempt)
        if attempt.valid or attempt.state is RunState.ABORTED or stopped():
            break
        if number + 1 < suite.attempts and not order.virtual:
            recovery += _recover(replace(order, out=_free(order.out, f"{order.scenario.name}-recovery")), folder)
            if stopped():
                break
    return Entry(done.scenario, done.title, tuple(attempts), tuple(recovery))


def _attempt(order: Order) -> Attempt:
    try:
        outcome: Outcome = run_scenario(order)
    except UsageError:
        raise
    except BenchError as error:
        return Attempt(order.out.name, RunState.ERROR, Verdict.ERROR, str(error))
    verdict = outcome.judgement.verdict
    return Attempt(order.out.name, verdict.state, verdict.verdict, verdict.headline)


def _recover(order: Order, before: Path) -> list[Rung]:
    """Climb the ladder in a run of its own; what hinders even that is told as a rung.

    Args: before: folder of the run that got stuck.
    """

    left = _left_behind(order, before)

    async def climb() -> list[Rung]:
        with stop_signals() as abort:
            async with open_run(replace(order, scenario=RECOVERY, faults=(), pages=False), abort) as run:
                return await recover(run.procedure, left)
        return [Rung("recovery", "stopped by the operator", "not looked at")]

    try:
        with asyncio.Runner(loop_factory=VirtualLoop if order.virtual else None) as runner:
            return runner.run(climb())
    except NotBegunError as error:
        return [Rung("connect", str(error), str(error))]
    except BenchError as error:
        return [Rung("recovery", str(error), str(error))]


def _left_behind(order: Order, before: Path) -> set[int]:
    """Return the ids of the profiles that a run has set."""
    debt = Debt(Snapshot(order.scenario.station or order.rig.station[0].id))
    with suppress(EvidenceError):
        debt.take(before, read_journal(before / "journal.jsonl").documents)
    return debt.own_ids


def _free(out: Path, name: str) -> Path:
    number = 1
    while (path := out / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _write(folder: Path, suite: SuiteSettings, base: Order, entries: Sequence[Entry]) -> None:
    """Write down how far the suite is: after each scenario, so that one that dies can be resumed."""
    content = {"schema": 1, "suite": suite.name, **_common(base), "entries": entries,
               "verdicts": {one.scenario: one.verdict for one in entries}}  # fmt: skip
    write_result(folder / SUMMARY, content)


def _common(base: Order) -> dict[str, Any]:
    """Return what the runs of a suite have in common, as it is written down."""
    faults = [{"id": one.id, "params": one.params} for one in base.faults]
    return {"rig": base.rig.name, "seed": base.seed, "job": base.job and base.job.number, "faults": faults}


def _resumed(suite: SuiteSettings, base: Order) -> dict[str, Entry]:
    """Return the entries of an earlier beginning. Raises UsageError where there is none, or one under other circumstances."""
    folder = base.out
    try:
        content: dict[str, Any] = json.loads((folder / SUMMARY).read_bytes())
        if content["suite"] != suite.name:
            raise UsageError(f"{folder}: is of suite {content['suite']}, not of {suite.name}")
        for name, value in _common(base).items():
            if content.get(name) != value:
                text = f"{folder}: was begun with {name} = {content.get(name)}, not {value}: what is resumed goes on as it began"
                raise UsageError(text)
        return {one["scenario"]: _entry(one) for one in content["entries"]}
    except OSError as error:
        raise UsageError(f"{folder / SUMMARY}: {error.strerror}: there is nothing to resume") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / SUMMARY}: cannot be read: {error}") from None


def _entry(content: dict[str, Any]) -> Entry:
    attempts = tuple(
        Attempt(one["folder"], RunState(one["state"]), Verdict(one["verdict"]), one["headline"]) for one in content["attempts"]
    )
    recovery = tuple(Rung(one["name"], one["outcome"], one["ready"]) for one in content["recovery"])
    return Entry(content["scenario"], content["title"], attempts, recovery)
