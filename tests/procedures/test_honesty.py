"""What was not shown does not pass, what is sound is not convicted, and the safe state comes whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.verdicts import FaultClass, Layer, RunState, Verdict
from bench.errors import EvidenceError, RigError, StationError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs import procedure as procedures
from bench.runs.procedure import Procedure
from bench.runs.safe_state import SafeState
from bench.settings.scenario import Fault
from firmware_sim.faults import FAULTS
from tests.support import DEEP

Body = Callable[[Procedure], Awaitable[None]]


def drive(out: Path, body: Body, fault: Fault | None = None) -> Outcome:
    """Run a procedure on the emulated rig, judged as `lowered-limit` is."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")

    async def run() -> Outcome | None:
        faults = () if fault is None else (fault,)
        async with open_run(Order(scenario, scenario_path, rig, rig_path, out, faults=faults, pages=DEEP)) as opened:
            await body(opened.procedure)
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run())
    assert outcome is not None
    return outcome


async def charge(procedure: Procedure, amperes: float = 16) -> None:
    """Let the car charge for ten seconds."""
    await procedure.demand(amperes)
    await procedure.plug()
    await procedure.authorise()
    await procedure.wait(10)


async def lower(procedure: Procedure, *limits: float) -> None:
    """Set limits for 20 s each, ask for the composite schedule, and wait for their end."""
    await procedure.set_profile([(20 * number, limit) for number, limit in enumerate(limits)])
    await procedure.composite(20 * len(limits), "A")
    await procedure.wait(20 * len(limits))


def safe_actions(outcome: Outcome) -> dict[str, bool]:
    """Return the actions of the safe state and whether each went well."""
    documents = read_journal(outcome.folder / "journal.jsonl").documents
    return {one.data["action"]: one.data["ok"] for one in documents if one.kind == "safe_state" and one.data["stop"]}


def test_a_run_that_ends_early_does_not_pass(tmp_path: Path) -> None:
    """All was well until the station could not be reached: INCONCLUSIVE, and the reason comes first."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await lower(procedure, 12, 8)
        await procedure.cut_network(300)
        await procedure.wait(5)
        await procedure.set_profile([(0, 6)])

    outcome = drive(tmp_path / "run", body)
    assert (outcome.judgement.verdict.verdict, outcome.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert outcome.judgement.verdict.headline.startswith("ended early: CS-EMU-1 is not connected")


class ObeysWhileWatched:
    """A station that is sound until its meter has been proven."""

    ID, LAYER, TEXT = "station.obeys-while-watched", "station", "limits count only for the first minute of the run"
    PARAMS: Final[dict[str, str]] = {}

    def __init__(self) -> None:
        self._since: float | None = None

    def limit_a(self, _evse_id: int, t: float, _ruling: Any, max_a: float, amps: float) -> float:
        """Offer all there is once a minute has passed since it was asked first."""
        self._since = t if self._since is None else self._since
        return amps if t < self._since + 60 else max_a


def test_a_station_that_obeys_only_at_first_is_convicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter was proven, the first limit held, the report is right: 16 A under a later limit is the station's all the same."""
    monkeypatch.setitem(FAULTS, ObeysWhileWatched.ID, ObeysWhileWatched)

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await lower(procedure, 12, 8)
        await lower(procedure, 10, 7)

    verdict = drive(tmp_path / "run", body, Fault(id=ObeysWhileWatched.ID)).judgement.verdict
    found = {one.check: one for one in verdict.checks}
    assert (found["proof"].verdict, found["composite"].verdict) == (Verdict.PASS, Verdict.PASS)
    held = [one.verdict is Verdict.PASS for one in found["power"].periods]
    assert (held[0], held[-1]) == (True, False)
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.OVER_LIMIT, (Layer.STATION,))


@pytest.mark.parametrize("limit", [6, 12])
def test_a_5_a_car_on_a_station_that_ignores_the_limit_proves_nothing(tmp_path: Path, limit: float) -> None:
    """The car obeys by being small, whatever the station offers."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure, 5)
        await lower(procedure, 14, limit)

    outcome = drive(tmp_path / "run", body, Fault(id="station.ignores-limit", params={"limit": limit, "unit": "A"}))
    assert outcome.judgement.verdict.verdict is not Verdict.PASS


def test_a_meter_that_sees_nothing_proves_nothing(tmp_path: Path) -> None:
    """The wrong cable: the meter of the other EVSE reads 0 A while the station ignores its limit."""

    async def body(procedure: Procedure) -> None:
        assert procedure.sampler is not None
        procedure.sampler.meter = procedure.bench.meters["evse2"]
        procedure.sampler.meter.name = "evse1"
        await charge(procedure)
        await lower(procedure, 12, 8)

    outcome = drive(tmp_path / "run", body, Fault(id="station.ignores-limit", params={"limit": 8, "unit": "A"}))
    assert outcome.judgement.verdict.verdict is Verdict.INCONCLUSIVE


def test_a_sound_station_with_replaced_profiles_passes(tmp_path: Path) -> None:
    """A second profile at the same level replaces the first (K01.FR.05); several messages share one instant."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await procedure.set_profile([(0, 12)])
        await procedure.composite(60, "A")
        await procedure.set_profile([(0, 10)])
        await procedure.wait(25)
        await lower(procedure, 8, 0)
        await procedure.set_profile([(0, 6)])

    outcome = drive(tmp_path / "run", body)
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline


def test_what_the_station_held_before_counts(tmp_path: Path) -> None:
    """A ChargingStationMaxProfile from before the run caps the composite; nobody is blamed for it."""
    profile = {
        "id": 77,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargingStationMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [
            {
                "id": 77,
                "startSchedule": "2026-01-01T00:00:00Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
            }
        ],
    }

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await lower(procedure, 12, 8)

    arm = SafeState.arm

    async def armed(self: Any, **more: Any) -> None:
        await self._bench.csms.call("CS-EMU-1", "SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        await arm(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SafeState, "arm", armed)
        outcome = drive(tmp_path / "run", body)
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline


def test_a_full_disk_does_not_keep_the_contactor_closed(tmp_path: Path) -> None:
    """No document can be written any more: each action of the safe state is tried all the same."""
    opened = []

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        control, journal = procedure.bench.controls["CS-EMU-1"], procedure.bench.journal
        contactor = control.contactor

        async def watched(closed: bool) -> None:
            opened.append(not closed)
            await contactor(closed)

        def full(kind: str, data: Mapping[str, Any]) -> int:
            raise EvidenceError("no space left on device")

        control.contactor = watched  # type: ignore[method-assign]
        journal.write = full  # type: ignore[method-assign]
        await procedure.wait(5)

    with pytest.raises(EvidenceError, match="no space left"):
        drive(tmp_path / "run", body)
    assert opened == [True]


def test_a_cancellation_while_the_sampler_ends_still_reaches_the_safe_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the shortest of moments."""

    async def cancelled(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        raise asyncio.CancelledError

    monkeypatch.setattr(procedures, "_end", cancelled)
    outcome = drive(tmp_path / "run", charge)
    assert outcome.judgement.verdict.state is RunState.ABORTED
    assert safe_actions(outcome)["open contactor"]


def test_a_safe_state_that_was_not_reached_is_an_error(tmp_path: Path) -> None:
    """The contactor does not open and the station does not stop: ERROR and exit code 4, whatever was measured."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await lower(procedure, 12, 8)

        async def stuck(closed: bool) -> None:
            raise RigError("the contactor does not answer")

        async def deaf(*_: object, **__: object) -> dict[str, Any]:
            raise StationError("the station does not answer")

        procedure.bench.controls["CS-EMU-1"].contactor = stuck  # type: ignore[method-assign]
        procedure.bench.csms.call = deaf  # type: ignore[method-assign]

    outcome = drive(tmp_path / "run", body)
    assert (outcome.judgement.verdict.state, outcome.exit_code) == (RunState.ERROR, 4)
    assert "the safe state was not reached" in outcome.judgement.verdict.headline


def test_a_hard_stop_while_the_run_ends_is_no_pass(tmp_path: Path) -> None:
    """All steps are done and the safe state has begun when the guard fires: it ends in ERROR."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await lower(procedure, 12, 8)
        stop_transactions = procedure.bench.csms.call

        async def fired(*arguments: Any, **more: Any) -> dict[str, Any]:
            await procedure.bench.guard.hard_stop("operator", "in the last moment")
            return await stop_transactions(*arguments, **more)

        procedure.bench.csms.call = fired  # type: ignore[method-assign]

    outcome = drive(tmp_path / "run", body)
    assert (outcome.judgement.verdict.state, outcome.exit_code) == (RunState.ERROR, 4)
    assert "hard stop: in the last moment" in outcome.judgement.verdict.headline
