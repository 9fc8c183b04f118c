"""One run on a station: its steps, and how it begins and ends; each step is written down as it begins and ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.link import DEFAULT_BACK_OFF
from bench.domain.meter import MeterReading
from bench.domain.oracle import Supply
from bench.errors import (
    BenchError,
    CallRejectedError,
    EvidenceError,
    HardStopError,
    MeterLostError,
    NotApplicableError,
    PromptTimeoutError,
    RigError,
)
from bench.runs.baseline import cite, proof_wanted, prove
from bench.runs.bench import Bench
from bench.runs.dead_man import DeadMan
from bench.runs.floor import tests_defaults
from bench.runs.hard_caps import blind_caps, passed_cap
from bench.runs.live import LiveLimits
from bench.runs.restore import Restorer
from bench.runs.safe_state import SafeState
from bench.runs.sampler import Sampler
from bench.runs.steps import Course
from bench.runs.steps_iso15118 import NegotiationSteps
from bench.runs.steps_network import CONNECT_S, NetworkSteps
from bench.runs.steps_profiles import ProfileSteps
from bench.runs.steps_station import StationSteps
from bench.settings.scenario import ScenarioSettings, under_test

ABORT_PATIENCE_S: Final = 10.0
"""How long an aborted run, at rest already, waits for a station that is just away, to give it back what it held."""
BOOT_PATIENCE_S: Final = 5.0
"""How long a connected station may take to boot before it counts as one that has booted long ago."""
CONNECT_PATIENCE_S: Final = DEFAULT_BACK_OFF.longest_s + CONNECT_S
"""How long a station may take to connect that has not been asked yet how it backs off."""


class Procedure(ProfileSteps, NegotiationSteps, StationSteps, NetworkSteps):
    """One EVSE under test. Every method is one step, in the field's own terms."""

    def at(self, evse_id: int) -> Procedure:
        """Return a view of the same run that acts on another EVSE of the station, whose meter is read from now on.

        Raises: UsageError where there is none.
        """
        view = Procedure(self.course, evse_id)
        self.course.look_at(evse_id)
        return view


@asynccontextmanager
async def open_procedure(
    bench: Bench, scenario: ScenarioSettings, *, begins: float = 0.0, records: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncIterator[Procedure]:
    """Wait for the station, take a snapshot, arm the safe state, start sampling; at the end enter the safe state and restore.

    Args:
        begins: when the steps begin at the earliest, on the clock's monotonic seconds.
        records: earlier proofs by meter, for a scenario that rests on one.
    Raises: RigError when the station does not come, MeterLostError when the meter was silent for too long.
    """
    _, evse = under_test(bench.settings, scenario)
    procedure = Procedure(Course.of(bench, scenario), evse.id)
    async with procedure.step("connect"):
        await _connected(procedure)
    async with procedure.step("snapshot"):
        await procedure.course.snapshot.take(bench.csms, bench.journal)
    safe = SafeState(bench, procedure.station.id)
    tasks: list[asyncio.Task[None]] = []
    ending = _Ending(bench)
    completed = False
    try:
        await safe.arm(tests_defaults=tests_defaults(scenario))
        await _prove(procedure, begins, records or {})
        _keep_low(procedure, safe, tasks, ending)
        tasks.append(asyncio.create_task(ending.at_a_hard_stop(), name="guard watch"))
        _sample(procedure, tasks, ending)
        yield procedure
        completed = True
    except (NotApplicableError, PromptTimeoutError):
        completed = True  # nothing went wrong with the station: the run ends in an orderly way
        raise
    except asyncio.CancelledError:
        if ending.why is None:
            raise
        _uncancel()
        raise ending.why from None
    finally:
        try:
            await _renewed(procedure, orderly=completed)
        finally:
            try:
                await _end(tasks)
            finally:
                await _to_safety(procedure, safe, ending, aborted=not completed)
        if completed and ending.why is not None:  # a hard stop while the run was being ended
            raise ending.why


async def _prove(procedure: Procedure, begins: float, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Prove the meters before anything is judged by them; the run's own seconds count from then on."""
    bench, course = procedure.bench, procedure.course
    wanted = proof_wanted(bench.settings, course.scenario)
    if wanted == "run":
        async with procedure.step("baseline"):
            await prove(bench, course.scenario)
    elif wanted == "file":
        await cite(bench, course.scenario, records)
    await bench.clock.sleep(max(0.0, begins - bench.clock.monotonic()))
    course.began = bench.clock.monotonic()


class _Ending:
    """Ends the run from beside it, for a reason that counts in place of the cancellation."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._run = bench, asyncio.current_task()
        self.why: BaseException | None = None
        self.stopping = False
        """The run is being ended already: there is nothing to cancel."""
        self._noted = False

    def for_(self, why: BaseException) -> None:
        """End the run; the first reason counts."""
        if self.why is None and self._run is not None:
            self.why = why
            if not self.stopping:
                self._run.cancel()

    async def when_lost(self, sampling: asyncio.Task[None], sampler: Sampler) -> None:
        """Wait until the meter is lost."""
        await sampler.lost.wait()
        failed = sampling.exception() if sampling.done() and not sampling.cancelled() else None
        meter, loss_s = sampler.meter.name, self._bench.settings.meter_loss_s
        self.for_(failed or MeterLostError(f"meter {meter} was silent for {loss_s:g} s"))

    async def at_a_hard_stop(self) -> None:
        """Wait for a hard stop, write down what was done, and end the run where it still goes on."""
        stop = await self._bench.guard.stopped()
        if self._noted:
            return
        self._noted = True
        read_back = {"cause": stop.cause, "reason": stop.reason, "actions": [dict(one) for one in stop.actions]}
        data = {"station": "", "action": "hard stop", "ok": stop.ok, "read_back": read_back, "stop": True}
        self.for_(HardStopError(f"hard stop: {stop.reason}") if stop.cause == "cap" else RigError(f"hard stop: {stop.reason}"))
        self._bench.journal.write(Kind.SAFE_STATE, data)

    def watch_caps(self, sampler: Sampler) -> None:
        """Let a reading above a hard cap of the rig be a hard stop."""
        guard, safety = self._bench.guard, self._bench.settings.safety
        stopping: list[asyncio.Task[None]] = []
        blind: list[str] = []

        def check(reading: MeterReading) -> None:
            if not blind and (unseen := blind_caps(safety, reading)):
                blind.extend(unseen)
                text = f"meter {sampler.meter.name} tells nothing of safety's {', '.join(unseen)}: not watched there"
                self._bench.journal.write(Kind.FINDING, {"source": "bench", "code": "blind_cap", "text": text, "refs": []})
            reason = passed_cap(safety, sampler.meter.name, reading)
            if reason is not None and not stopping:
                stopping.append(asyncio.create_task(guard.hard_stop("cap", reason), name="hard stop"))

        if safety.capped:
            sampler.on_reading = check


async def _watch_floor(bench: Bench, station: str, safe: SafeState, ending: _Ending) -> None:
    """After each boot of the station see that it still holds the floor; the run ends where it does not."""
    booted = asyncio.Event()

    def listen(event: Mapping[str, Any]) -> None:
        if event["event"] == "boot" and event["station"] == station:
            booted.set()

    unsubscribe = bench.csms.subscribe(listen)
    try:
        while True:
            await booted.wait()
            booted.clear()
            await bench.clock.sleep(0)  # the answer to the boot goes out first
            try:
                await safe.floor_after_boot()
            except BenchError as error:
                ending.for_(error)
                return
    finally:
        unsubscribe()


def _keep_low(procedure: Procedure, safe: SafeState, tasks: list[asyncio.Task[None]], ending: _Ending) -> None:
    """Keep the floor where nothing else is, and let TxProfiles above it end with the bench, where the rig file says so."""
    bench, course, station = procedure.bench, procedure.course, procedure.station.id
    if bench.settings.needs_the_floor(station):
        course.floor_level = safe.floor_level
        tasks.append(asyncio.create_task(_watch_floor(bench, station, safe, ending), name="floor watch"))
    lasts_s = bench.settings.safety.dead_man_s
    if lasts_s is None or safe.floor_level is None:
        return
    course.dead_man = DeadMan(bench.csms, bench.clock, bench.journal, station, lasts_s)
    tasks.append(asyncio.create_task(course.dead_man.run(), name="dead-man"))
    if bench.scsp is not None:
        text = "profiles of the SCSP are relayed as they are: there is no dead-man, and they hold on when the bench is gone"
        bench.csms.finding(station, "no_dead_man", text, source="bench")


async def _renewed(procedure: Procedure, *, orderly: bool) -> None:
    """Let a renewal that is under way come to its end, so that what it changed has been read back."""
    if orderly and procedure.course.dead_man is not None:
        await procedure.course.dead_man.sending.acquire()  # no other one begins


async def _connected(procedure: Procedure) -> None:
    """Wait for the station. One that merely reconnects does not boot (B04), so it is asked to tell what it is (F06)."""
    csms, station = procedure.bench.csms, procedure.station.id
    state = csms.stations[station]
    if not await csms.wait_until(lambda: state.online, CONNECT_PATIENCE_S):
        refused = [one.reason for one in csms.knocks if not one.accepted and one.station_id in ("", station)]
        why = f"; somebody was refused: {refused[-1]}" if refused else "; is it switched on, and does its URL lead here?"
        raise RigError(f"{station} did not connect within {CONNECT_PATIENCE_S:g} s{why}")
    if await csms.wait_until(lambda: state.booted is not None, BOOT_PATIENCE_S):
        return
    with suppress(CallRejectedError):
        await csms.call(station, "TriggerMessage", {"requestedMessage": "BootNotification"})
        await csms.wait_until(lambda: state.booted is not None, BOOT_PATIENCE_S)


def _sample(procedure: Procedure, tasks: list[asyncio.Task[None]], ending: _Ending) -> None:
    """Read the EVSE under test, and the others too where the sum of them is judged, a step looks at them, or caps are watched.

    Only the EVSE under test loses the run when its meter is lost.
    """
    course, bench = procedure.course, procedure.bench
    for limits in course.limits.values():
        bench.journal.subscribe(limits)
    main = _sampler(procedure, bench.settings.meter_loss_s)

    def begin(sampler: Sampler, name: str) -> asyncio.Task[None]:
        ending.watch_caps(sampler)
        tasks.append(asyncio.create_task(sampler.run(), name=name))
        return tasks[-1]

    if main is not None:
        tasks.append(asyncio.create_task(ending.when_lost(begin(main, "sampler"), main), name="meter watch"))

    def beside(evse_id: int) -> None:
        if evse_id not in course.samplers and (sampler := _sampler(Procedure(course, evse_id), math.inf)) is not None:
            begin(sampler, f"sampler of EVSE {evse_id}")

    course.look_at = beside
    for unassigned in _unassigned(procedure):
        begin(unassigned, f"sampler of meter {unassigned.meter.name}")
    summed = course.station.id in bench.settings.supply_meters() or "station_power" in course.scenario.checks
    if summed or bench.settings.safety.capped:
        for evse in course.station.evse:
            beside(evse.id)
    others = [one for one in bench.settings.station if one.id != course.station.id] if bench.settings.safety.capped else []
    for meter in [evse.meter for station in others for evse in station.evse if evse.meter]:
        sampler = Sampler(
            bench.clock, bench.journal, bench.meters[meter], procedure.limits, course.scenario.polling, loss_s=math.inf
        )  # fmt: skip
        begin(sampler, f"sampler of meter {meter}")


def _sampler(procedure: Procedure, loss_s: float) -> Sampler | None:
    bench, evse, station = procedure.bench, procedure.evse, procedure.station.id
    if not evse.meter:
        return None
    sampler = procedure.course.samplers[evse.id] = Sampler(
        bench.clock, bench.journal, bench.meters[evse.meter], procedure.limits, procedure.scenario.polling, loss_s=loss_s
    )
    if station in bench.witnesses:
        sampler.watch(bench.witnesses[station], station, evse.id)
    return sampler


def _unassigned(procedure: Procedure) -> list[Sampler]:
    """Return a slow sampler of each meter that no EVSE names, such as the building's: evidence that loses no run."""
    bench = procedure.bench
    named = {evse.meter for station in bench.settings.station for evse in station.evse}
    nothing = procedure.scenario.polling.model_copy(update={"fast_s": procedure.scenario.polling.slow_s})
    features = procedure.course.station.features
    supply = Supply(features.nominal_voltage_v, features.supply_phases)
    return [
        Sampler(bench.clock, bench.journal, meter, LiveLimits(bench.clock, "", 0, supply), nothing, loss_s=math.inf)
        for name, meter in bench.meters.items()
        if name not in named
    ]


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are over; before Python 3.12 `asyncio.wait_for` can lose a cancellation."""
    while any(not task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0)


async def _to_safety(procedure: Procedure, safe: SafeState, ending: _Ending, *, aborted: bool) -> None:
    """Enter the safe state and restore, both to their end, also when the run is being cancelled or a hard stop is made."""
    ending.stopping = True
    watching = asyncio.create_task(ending.at_a_hard_stop(), name="guard watch")
    try:
        await _safe(procedure, safe, aborted=aborted)
    finally:
        await _end([watching])


async def _safe(procedure: Procedure, safe: SafeState, *, aborted: bool) -> None:
    entering = asyncio.create_task(_leave(procedure, safe, aborted=aborted), name="safe state")
    cancelled = False
    while not entering.done():
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            if entering.cancelled():
                raise
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    if not entering.result():
        raise RigError(f"the safe state was not reached at {safe.station}: see what the last actions read back, and look there")


async def _leave(procedure: Procedure, safe: SafeState, *, aborted: bool) -> bool:
    """Bring the station to rest, and only then give it back what it held; say whether it is at rest."""
    if not safe.armed:
        return True
    bench, course = procedure.bench, procedure.course
    if bench.link is not None:
        with suppress(EvidenceError, OSError):  # its end may not be written down; the safe state comes first
            bench.link.restore()  # the station is to be reached; from now on it backs off and comes
        course.network_back_at = min(course.network_back_at, bench.clock.monotonic())
    if not await safe.enter(aborted=aborted):
        return False  # what is not at rest is not given its old limits back: `bench restore` does so later
    for source in sorted(course.external_sources):
        try:
            await procedure.act("external_limit", limit=None, source=source)
        except BenchError as error:
            data = {"source": "bench", "station": safe.station, "code": "external_limit_stays", "text": str(error), "refs": []}
            bench.journal.write(Kind.FINDING, data)
    if course.supply_changed:
        try:
            await procedure.act("supply", volts=procedure.station.features.nominal_voltage_v)
        except BenchError as error:
            data = {"source": "bench", "station": safe.station, "code": "supply_stays", "text": str(error), "refs": []}
            bench.journal.write(Kind.FINDING, data)
    restorer = Restorer(
        bench.csms, bench.clock, bench.journal, course.snapshot,
        keep_floor=aborted, own_ids=sorted(course.own_ids), availability=sorted(course.availability),
    )  # fmt: skip
    await restorer.restore(ABORT_PATIENCE_S if aborted else procedure.reconnect_patience_s())
    return True


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
