"""One run from its files to its result: the folder, the clock, the bench, the steps, the judge, the report."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench import __version__
from bench.adapters.clock import LoopClock, VirtualLoop, wall_now
from bench.adapters.ids import SeededIds, SystemIds
from bench.adapters.journal import JournalFile, open_journal, write_result
from bench.adapters.journal_reader import read_journal
from bench.adapters.signature import FILE as SIGNATURE
from bench.adapters.signature import Statement, load_private, sign
from bench.adapters.stops import SIGNALS, Stops, give_back, handlers
from bench.cso.faults import check_own_fault, is_own
from bench.domain.documents import Kind
from bench.domain.evidence import Judgement
from bench.domain.verdicts import RunState, RunVerdict, Verdict, exit_code
from bench.errors import (
    BenchError,
    HardStopError,
    MeterLostError,
    NotApplicableError,
    PeerError,
    PromptTimeoutError,
    StationError,
    UsageError,
)
from bench.ports import Guard, IdSource
from bench.rig.compose import open_bench
from bench.rig.feed import open_feed
from bench.rig.files import new_folder
from bench.rig.proof import proof_records
from bench.runs.baseline import lead_s, proof_wanted
from bench.runs.facts import facts_of
from bench.runs.feasible import refuse_infeasible
from bench.runs.floor import tests_defaults
from bench.runs.hard_caps import refuse_above_caps
from bench.runs.judge import JUDGE_VERSION, judge
from bench.runs.plan import plan_of, refuse_beyond_budget
from bench.runs.procedure import Procedure, open_procedure
from bench.runs.scenario import take_steps
from bench.runs.station_clock import open_station_clock
from bench.settings.job import JobSettings
from bench.settings.meter import energy_steps
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault, ScenarioSettings, under_test

RESULT_SCHEMA: Final = 1
VIRTUAL_EPOCH: Final = datetime(2026, 1, 15, tzinfo=UTC)
"""Where virtual time begins when the scenario does not say."""
_VERSIONS: Final = ("ocpp", "websockets", "pymodbus", "fastapi", "httpx", "uvicorn", "pydantic", "jsonschema-rs", "bokeh")

Listener = Callable[[str, Mapping[str, Any]], None]
Watch = Callable[[ScenarioSettings], AbstractContextManager[Listener]]
"""Gives what follows the journal of one of several runs."""


def unwatched(scenario: ScenarioSettings) -> AbstractContextManager[Listener]:
    """Follow nothing."""
    return nullcontext(lambda kind, data: None)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run."""

    scenario: ScenarioSettings
    scenario_path: Path
    rig: RigSettings
    rig_path: Path
    out: Path
    seed: int = 1
    faults: tuple[Fault, ...] = ()
    """Seeded in place of the scenario's own."""
    strict: bool = False
    station_clock: datetime | None = None
    """What the clock of the station under test shows at the start of the run; None for the true time."""
    listeners: tuple[Listener, ...] = ()
    job: JobSettings | None = None
    key: Path | None = None
    """Private key of the laboratory that signs the run."""
    pages: bool = True
    """Write report and JUnit; a matrix of hundreds of runs needs neither."""

    @property
    def seeded(self) -> tuple[Fault, ...]:
        """Return what is seeded into the rig."""
        return self.faults or (() if self.scenario.fault is None else (self.scenario.fault,))

    @property
    def lead(self) -> timedelta:
        """Return how long before its first second a run begins: in virtual time its meters are proven before."""
        if not self.virtual:
            return timedelta(0)
        return timedelta(seconds=lead_s(self.rig, self.scenario, energy_steps(self.rig_path, self.rig.meters)))

    @property
    def virtual(self) -> bool:
        """Say whether the run can be in virtual time: all of the rig is emulated inside the bench."""
        return self.rig.emulator is not None and self.rig.emulator.time == "virtual"


@dataclass(slots=True)
class Outcome:
    """What became of a run."""

    folder: Path
    judgement: Judgement
    exit_code: int
    head: str


@dataclass(slots=True)
class OpenRun:
    """A run in progress."""

    procedure: Procedure
    outcome: Outcome | None = None
    """Present once the run has ended."""


class NotBegunError(BenchError):
    """The bench could not be opened; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.judgement.verdict.headline)


def run_scenario(order: Order) -> Outcome:
    """Run a scenario on a loop of its own. Raises UsageError where the order cannot be carried out; then nothing has begun."""
    with asyncio.Runner(loop_factory=VirtualLoop if order.virtual else None) as runner:
        return runner.run(_run(order))


async def _run(order: Order) -> Outcome:
    run: OpenRun | None = None
    try:
        with stop_signals() as abort:
            async with open_run(order, abort) as run:
                await take_steps(run.procedure, order.scenario)
    except NotBegunError as error:
        return error.outcome
    except BenchError:
        raise
    except Exception:  # a defect of the bench: the run has ended safely and says ERROR; the developer gets the traceback
        if run is None or run.outcome is None:
            raise
        traceback.print_exc()
    assert run is not None
    assert run.outcome is not None
    return run.outcome


@asynccontextmanager
async def open_run(order: Order, abort: Abort | None = None) -> AsyncIterator[OpenRun]:
    """Open folder, journal and bench, yield the run, and end it: safe state, verdict, report, result.

    An abort, a rig that fails or a station that refuses ends up in the run's state. Any other exception is raised again
    after the run has been ended. `outcome` of the yielded run then says what became of it.
    Args: abort: what somebody stops the run with; it gets to know the rig's guard.
    Raises: UsageError before anything was opened; NotBegunError when the bench could not be opened.
    """
    _check(order)
    folder = new_folder(order.out)
    records = proof_records(order.rig, order.rig_path)
    clock = LoopClock((order.scenario.start or VIRTUAL_EPOCH) - order.lead if order.virtual else wall_now())
    begins = clock.monotonic() + order.lead.total_seconds()
    ids: IdSource = SeededIds(order.seed, "bench") if order.virtual else SystemIds()
    key = f"{order.seed}/journal".encode() if order.virtual else os.urandom(32)
    host = host_facts(order)
    stop = abort or Abort()
    run: OpenRun | None = None
    failure: Exception | None = None
    state, reason = RunState.COMPLETED, ""
    with (
        open_journal(folder / "journal.jsonl", clock, key, durable=not order.virtual) as journal,
        open_feed(order.rig, journal, clock, folder.name, lambda _: stop()),
    ):
        for listener in order.listeners:
            journal.subscribe(listener)
        try:
            _write_start(journal, order)
            async with open_bench(order, clock, journal, ids) as bench:
                host |= bench.host
                stop.guard = bench.guard
                station = under_test(order.rig, order.scenario)[0].id
                async with (
                    open_station_clock(bench, station) as station_clock,
                    open_procedure(bench, order.scenario, begins=begins, records=records) as procedure,
                ):
                    if order.station_clock is not None:
                        await station_clock.take_effect()
                    run = OpenRun(procedure)
                    yield run
        except (Exception, asyncio.CancelledError) as error:
            state, reason, failure = ending(error, journal)
        journal.write(Kind.RUN_END, {"state": state, "reason": reason})
        outcome = _conclude(order, folder, journal, host)
    if run is None:
        raise NotBegunError(outcome) from failure
    run.outcome = outcome
    if failure is not None:
        raise failure


def _check(order: Order) -> None:
    """Refuse what cannot be run, before anything is opened or written. Raises UsageError."""
    if order.key is not None:
        load_private(order.key)
    job, rule = order.job, order.scenario.decision_rule
    if job is not None and job.decision_rule not in (None, rule):
        agreed = f"job {job.number}: decision_rule = {job.decision_rule} was agreed with the customer"
        raise UsageError(f"{agreed}, and scenario {order.scenario.name} decides by {rule}")
    station = under_test(order.rig, order.scenario)[0].id
    refuse_above_caps(order.rig, order.scenario)
    refuse_infeasible(order.rig, order.scenario)
    refuse_beyond_budget(order.rig, [plan_of(order.rig, order.scenario, energy_steps(order.rig_path, order.rig.meters))])
    if order.rig.needs_the_floor(station) and tests_defaults(order.scenario):
        raise UsageError(
            f"scenario {order.scenario.name} tests defaults, which takes the floor away that alone keeps the power of {station} "
            f"down: rig {order.rig.name} needs a contactor for it, an actuator with the role power_switch"
        )
    if order.station_clock is not None and order.scenario.scsp is not None:
        raise UsageError(
            f"--station-clock: scenario {order.scenario.name} has an SCSP, whose plan is made for the true time; use a scenario "
            "whose profiles come from the CSMS"
        )
    for fault in order.seeded:
        meter = fault.params.get("meter", "*")
        if meter != "*" and meter not in order.rig.meters:
            there = ", ".join(sorted(order.rig.meters)) or "none"
            raise UsageError(f"{fault.id}: meter = {meter!r}: rig {order.rig.name} has {there}; * is all of them")
        if is_own(fault.id):
            check_own_fault(fault.id, fault.params)
        elif order.rig.emulator is not None:
            from bench.rig.emulated import check_fault

            check_fault(fault.id, fault.params)


def ending(error: BaseException, journal: JournalFile) -> tuple[RunState, str, Exception | None]:
    """Say how an exception ends a run: its state, the reason, and the exception where it is nobody's but a defect's."""
    text = str(error) or type(error).__name__
    if isinstance(error, asyncio.CancelledError):
        return RunState.ABORTED, "stopped by the operator", None
    if isinstance(error, NotApplicableError | PromptTimeoutError):
        return RunState.COMPLETED, text if isinstance(error, NotApplicableError) else f"ended early: {text}", None
    if isinstance(error, AssertionError):  # the procedure's own claim about the station; its author gets it too
        return RunState.COMPLETED, f"ended early: the procedure's assertion failed: {text.splitlines()[0]}", error
    if isinstance(error, StationError | PeerError | MeterLostError | HardStopError):
        source = "station" if isinstance(error, StationError) else "OCPI" if isinstance(error, PeerError) else "meter"
        journal.write(Kind.FINDING, {"source": source, "code": type(error).__name__, "text": text, "refs": []})
        return RunState.COMPLETED, f"ended early: {text}", None
    if isinstance(error, BenchError | OSError):
        return RunState.ERROR, text, None
    assert isinstance(error, Exception)
    return RunState.ERROR, f"{type(error).__name__}: {text}", error


def _conclude(order: Order, folder: Path, journal: JournalFile, host: Mapping[str, Any]) -> Outcome:
    """Judge from the journal, write the verdict into it, then report and JUnit, and the result last."""
    path = folder / "journal.jsonl"
    documents = read_journal(path).documents
    try:
        judgement = judge(documents)
    except Exception as error:  # a defect of the judge must not cost the run its result
        traceback.print_exc()
        reason = f"the judge failed: {type(error).__name__}: {error}"
        verdict = RunVerdict(JUDGE_VERSION, RunState.ERROR, Verdict.ERROR, reason)
        judgement = Judgement(verdict, facts_of([documents[0]]), ())
    verdict = judgement.verdict
    for check in verdict.checks:
        journal.write(Kind.VERDICT, {"judge": verdict.judge, "check": check})
    journal.write(Kind.VERDICT, {"judge": verdict.judge, "run": {"state": verdict.state, "verdict": verdict.verdict,
                                                                 "headline": verdict.headline}})  # fmt: skip
    head = journal.head.decode()
    write_result(folder / "host.json", host)
    if order.pages:
        _write_pages(order, folder, judgement, head, host)
    code = exit_code(verdict.state, verdict.verdict, strict=order.strict)
    result = {
        "schema": RESULT_SCHEMA,
        "bench": __version__,
        **verdict.as_json(),
        "exit_code": code,
        "documents": journal.seq,
        "head": head,
        "host_sha256": hashlib.sha256((folder / "host.json").read_bytes()).hexdigest(),
    }
    write_result(folder / "result.json", result)
    if order.key is not None:
        statement = Statement.of(folder, head, journal.seq)
        write_result(folder / SIGNATURE, sign(load_private(order.key), statement))
    return Outcome(folder, judgement, code, head)


def _write_pages(order: Order, folder: Path, judgement: Judgement, head: str, host: Mapping[str, Any]) -> None:
    from bench.report.html import write_report
    from bench.report.junit import write_junit

    documents = read_journal(folder / "journal.jsonl").documents
    write_report(folder / "report.html", documents, judgement, head_hash=head, host=host, chain_ok=True)
    write_junit(folder / "junit.xml", judgement, order.scenario.name)


def _write_start(journal: JournalFile, order: Order) -> None:
    scenario = order.scenario.as_document()
    scenario["station"] = scenario["station"] or order.rig.station[0].id
    scenario["proof"] = proof_wanted(order.rig, order.scenario)
    start = {
        "scenario": scenario,
        "rig": order.rig.model_dump(mode="json", by_alias=True),
        "seed": order.seed,
        "bench": __version__,
        "mode": "virtual" if order.virtual else "real",
        "judged": True,
        "job": None if order.job is None else order.job.model_dump(mode="json", by_alias=True),
        "versions": {"judge": JUDGE_VERSION, **{name: version(name) for name in _VERSIONS}},
    }
    journal.write(Kind.RUN_START, start)
    for what in ("decision_rule", "settle_s", "w_limits", "proof", "polling", "must_exercise"):
        journal.write(Kind.SETTING, {"what": what, "value": scenario[what], "origin": "scenario"})


def host_facts(order: Order) -> dict[str, Any]:
    return {
        "bench": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "pid": os.getpid(),
        "began": wall_now(),
        "scenario_file": str(order.scenario_path),
        "rig_file": str(order.rig_path),
    }


class Abort:
    """What somebody stops a run with: the first time it ends in the safe state, the second time in a hard stop as well."""

    def __init__(self) -> None:
        self.guard: Guard | None = None
        """Of the rig, once it is open."""
        self._run, self._count = asyncio.current_task(), 0
        self._stopping: asyncio.Task[None] | None = None

    def __call__(self) -> str:
        """Stop; return what is done, in words."""
        self._count += 1
        if self._count == 1:
            if self._run is not None:
                self._run.cancel()
            return "stopping: the station is brought to rest; once more switches everything off at once"
        if self.guard is None or self._stopping is not None:
            return "stopping already: the safe state comes first"
        stop = self.guard.hard_stop("operator", "asked for by the operator")
        self._stopping = asyncio.get_running_loop().create_task(stop, name="hard stop")
        return "hard stop: loads off, contactor open; the rest of the safe state goes on"


@contextmanager
def stop_signals() -> Iterator[Abort]:
    """Let SIGINT, SIGTERM and SIGHUP stop the run: the first softly, the second hard.

    Where they are remembered around the run (`Stops`), one that came before stops it at once, and one that comes is remembered.
    """
    loop, abort, before = asyncio.get_running_loop(), Abort(), handlers()
    around = {one for one in before.values() if isinstance(one, Stops)}

    def stop() -> None:
        for one in around:
            one.asked = True
        text = abort()
        with suppress(OSError):  # nobody reads standard error any more
            print(text, file=sys.stderr)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    if any(one.asked for one in around):
        stop()
    try:
        yield abort
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        give_back(before)
