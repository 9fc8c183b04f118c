"""One run on a station: its steps, and how it begins and ends; each step is written down as it begins and ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.oracle import Supply
from bench.errors import BenchError, CallRejectedError, MeterLostError, NotApplicableError, PromptTimeoutError, RigError
from bench.runs.bench import Bench
from bench.runs.live import LiveLimits
from bench.runs.restore import Restorer
from bench.runs.safe_state import SafeState
from bench.runs.sampler import Sampler
from bench.runs.steps import CONNECT_PATIENCE_S, Course
from bench.runs.steps_iso15118 import NegotiationSteps
from bench.runs.steps_profiles import ProfileSteps
from bench.runs.steps_station import StationSteps
from bench.settings.scenario import ScenarioSettings, under_test

BOOT_PATIENCE_S: Final = 5.0
"""How long a connected station may take to boot before it counts as one that has booted long ago."""
RESTORE_PATIENCE_S: Final = 60.0
"""How long a station that is offline at the end of a run may take to come back before it is left as it is."""


class Procedure(ProfileSteps, NegotiationSteps, StationSteps):
    """One EVSE under test. Every method is one step, in the field's own terms."""

    def at(self, evse_id: int) -> Procedure:
        """Return a view of the same run that acts on another EVSE of the station, whose meter is read from now on.

        Raises: UsageError where there is none.
        """
        view = Procedure(self.course, evse_id)
        self.course.look_at(evse_id)
        return view


@asynccontextmanager
async def open_procedure(bench: Bench, scenario: ScenarioSettings) -> AsyncIterator[Procedure]:
    """Wait for the station, take a snapshot, arm the safe state, start sampling; at the end enter the safe state and restore.

    Raises: RigError when the station does not come, MeterLostError when the meter was silent for too long.
    """
    _, evse = under_test(bench.settings, scenario)
    procedure = Procedure(Course.of(bench, scenario), evse.id)
    async with procedure.step("connect"):
        await _connected(procedure)
    async with procedure.step("snapshot"):
        await procedure.course.snapshot.take(bench.csms, bench.journal)
    safe = SafeState(bench, procedure.station.id)
    sampler: Sampler | None = None
    tasks: list[asyncio.Task[None]] = []
    completed = False
    try:
        await safe.arm()
        _sample(procedure, tasks)
        sampler = procedure.sampler
        yield procedure
        completed = True
    except (NotApplicableError, PromptTimeoutError):
        completed = True  # nothing went wrong with the station: the run ends in an orderly way
        raise
    except asyncio.CancelledError:
        if sampler is None or not sampler.lost.is_set():
            raise
        _uncancel()
        if tasks[0].done() and not tasks[0].cancelled():
            tasks[0].result()
        raise MeterLostError(f"meter {procedure.evse.meter} was silent for {bench.settings.meter_loss_s:g} s") from None
    finally:
        try:
            await _end(tasks)
        finally:
            await _to_safety(procedure, safe, aborted=not completed)


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


def _sample(procedure: Procedure, tasks: list[asyncio.Task[None]]) -> None:
    """Read the EVSE under test, and the others too where the sum of them is judged or a step looks at them.

    Only the EVSE under test loses the run when its meter is lost.
    """
    course = procedure.course
    for limits in course.limits.values():
        procedure.bench.journal.subscribe(limits)
    main = _sampler(procedure, procedure.bench.settings.meter_loss_s)
    if main is not None:
        tasks.append(asyncio.create_task(main.run(), name="sampler"))
        tasks.append(asyncio.create_task(_stop_when_lost(main, asyncio.current_task()), name="meter watch"))

    def beside(evse_id: int) -> None:
        if evse_id not in course.samplers and (sampler := _sampler(Procedure(course, evse_id), math.inf)) is not None:
            tasks.append(asyncio.create_task(sampler.run(), name=f"sampler of EVSE {evse_id}"))

    course.look_at = beside
    tasks += [asyncio.create_task(one.run(), name=f"sampler of {one.meter.name}") for one in _unassigned(procedure)]
    if "station_power" in course.scenario.checks:
        for evse in course.station.evse:
            beside(evse.id)


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


async def _stop_when_lost(sampler: Sampler, run: asyncio.Task[Any] | None) -> None:
    await sampler.lost.wait()
    if run is not None:
        run.cancel()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are over; before Python 3.12 `asyncio.wait_for` can lose a cancellation."""
    while any(not task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0)


async def _to_safety(procedure: Procedure, safe: SafeState, *, aborted: bool) -> None:
    """Enter the safe state and restore, both to their end, also when the run is being cancelled."""
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
    if not await safe.enter(aborted=aborted):
        return False  # what is not at rest is not given its old limits back: `bench restore` does so later
    for source in sorted(course.external_sources):
        try:
            await procedure.act("external_limit", limit=None, source=source)
        except BenchError as error:
            data = {"source": "bench", "station": safe.station, "code": "external_limit_stays", "text": str(error), "refs": []}
            bench.journal.write(Kind.FINDING, data)
    restorer = Restorer(
        bench.csms, bench.clock, bench.journal, course.snapshot,
        keep_floor=aborted, own_ids=sorted(course.own_ids), availability=sorted(course.availability),
    )  # fmt: skip
    await restorer.restore(0 if aborted else RESTORE_PATIENCE_S)
    return True


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
