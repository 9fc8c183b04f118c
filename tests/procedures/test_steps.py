"""The steps of procedures, on the emulated rig: what they send and return, and that the station is left as found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.procedure import Procedure
from tests.support import DEEP

Body = Callable[[Procedure], Awaitable[None]]
TIMEOUT = "TxCtrlr.EVConnectionTimeOut"


def drive(out: Path, body: Body, *, whole: bool = True, **features: Any) -> Outcome:
    """Run a procedure on the emulated rig, whose target declares these features; unless it is `whole` it ends early."""
    scenario_path, scenario = find_scenario("procedure")
    rig_path, rig = find_rig("emulated")
    changed = rig.station[0].features.model_copy(update=features)
    rig = rig.model_copy(update={"station": (rig.station[0].model_copy(update={"features": changed}),)})

    async def run() -> Outcome | None:
        async with open_run(Order(scenario, scenario_path, rig, rig_path, out, pages=DEEP)) as opened:
            await body(opened.procedure)
            assert whole, "the procedure was to end early"
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run())
    assert outcome is not None
    assert not whole or outcome.judgement.facts.end_reason == ""
    return outcome


def documents(outcome: Outcome, kind: Kind) -> list[dict[str, Any]]:
    """Return the data of a run's documents of one kind."""
    return [one.data for one in read_journal(outcome.folder / "journal.jsonl").documents if one.kind == kind]


def restored(outcome: Outcome) -> dict[str, Any]:
    """Return what the run says of its restoration."""
    (one,) = documents(outcome, Kind.RESTORED)
    return one


async def furnish(procedure: Procedure) -> None:
    """Let the station hold a default profile since before the run: installed past the run's own steps."""
    profile = procedure.profile([(0, 14)], purpose="TxDefaultProfile", evse_id=0, profile_id=901)
    request = {"evseId": 0, "chargingProfile": profile}
    assert (await procedure.bench.csms.call(procedure.station.id, "SetChargingProfile", request))["status"] == "Accepted"
    procedure.course.snapshot.profiles = await procedure.bench.csms.installed_profiles(procedure.station.id)


def test_what_was_set_cleared_and_changed_is_given_back(tmp_path: Path) -> None:
    """Profile, variable and availability: each as before, and the restoration says so."""

    async def body(procedure: Procedure) -> None:
        await furnish(procedure)
        assert await procedure.set_variables({TIMEOUT: "77"}) == {TIMEOUT: "Accepted"}
        assert await procedure.clear(901) == "Accepted"
        assert await procedure.set_profile([(0, 8)], purpose="TxDefaultProfile", stack_level=2, evse_id=0) == "Accepted"
        assert await procedure.change_availability(False, evse_id=2) in ("Accepted", "Scheduled")

    outcome = drive(tmp_path / "run", body)
    assert restored(outcome)["clean"] is True
    actions = " / ".join(restored(outcome)["actions"])
    assert "cleared profile 1: Accepted / installed profile 901 on EVSE 0 again: Accepted" in actions
    assert "set txctrlr.evconnectiontimeout back to" in actions
    assert "made EVSE 2 Operative again: Accepted" in actions


def test_the_station_is_at_rest_before_it_is_given_anything_back(tmp_path: Path) -> None:
    """Stop, contactor and power come first; no profile is loosened while power may flow."""

    async def body(procedure: Procedure) -> None:
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        await procedure.set_profile([(0, 8)])

    outcome = drive(tmp_path / "run", body)
    order = [(one.kind, one.data.get("action")) for one in read_journal(outcome.folder / "journal.jsonl").documents]
    assert order.index(("safe_state", "power below 50 W")) < order.index(("restored", None))
    assert restored(outcome)["clean"] is True


def test_a_difference_stands_in_the_headline(tmp_path: Path) -> None:
    """A profile that was there and cannot be installed again is a finding, and the run's headline names it."""

    async def body(procedure: Procedure) -> None:
        lost = procedure.profile([(0, 14)], purpose="TxDefaultProfile", evse_id=0, stack_level=99, profile_id=902)
        procedure.course.snapshot.profiles = [{"evse_id": 0, "source": "CSO", "profile": lost}]

    outcome = drive(tmp_path / "run", body)
    assert "not left as found: profile 902 on EVSE 0 is missing" in outcome.judgement.verdict.headline
    assert "not_as_found" in [one["code"] for one in documents(outcome, Kind.FINDING)]


@pytest.mark.parametrize(("without", "has"), [("W", "has W"), ("smart_charging", "has smart_charging")])
def test_a_procedure_for_stations_that_lack_something_is_not_applicable(tmp_path: Path, without: str, has: str) -> None:
    """It ends in order where the target declares the unit or the feature."""

    async def body(procedure: Procedure) -> None:
        await procedure.needs(without="external_limits")
        await procedure.needs(without=without)

    verdict = drive(tmp_path / "run", body, whole=False).judgement.verdict
    assert (verdict.verdict, verdict.headline) == (Verdict.NOT_APPLICABLE, f"CS-EMU-1 {has}")


def test_a_station_without_smart_charging_can_be_run_on(tmp_path: Path) -> None:
    """It answers every profile message with NotSupported; the run begins and ends all the same, with nothing to restore."""

    async def body(procedure: Procedure) -> None:
        await procedure.wait(5)

    assert restored(drive(tmp_path / "run", body, smart_charging=False))["clean"] is True


def test_what_is_asked_for_right_after_a_boot_is_reported(tmp_path: Path) -> None:
    """The store is read in the same instant in which the reset is over: the report comes, and the profile is in it."""

    async def body(procedure: Procedure) -> None:
        assert await procedure.set_profile([(0, 8)], purpose="TxDefaultProfile", evse_id=0, profile_id=5) == "Accepted"
        await procedure.reset()
        assert [one["profile"]["id"] for one in await procedure.read_back()] == [5]

    drive(tmp_path / "run", body)


def test_an_undeclared_feature_is_not_applicable(tmp_path: Path) -> None:
    """The run ends in order, with the reason in journal and verdict, and leaves no 0 A profile."""

    async def body(procedure: Procedure) -> None:
        await procedure.needs("external_limits", evses=2)

    outcome = drive(tmp_path / "run", body, whole=False, external_limits=False)
    verdict = outcome.judgement.verdict
    assert (verdict.verdict, verdict.headline) == (Verdict.NOT_APPLICABLE, "CS-EMU-1 does not have external_limits")
    assert documents(outcome, Kind.STEP_END)[-1]["outcome"] == "skipped"
    assert restored(outcome)["clean"] is True


@pytest.mark.parametrize(("units", "whole"), [(("A",), True), (("A", "W"), False)])
def test_a_unit_that_has_to_be_missing(tmp_path: Path, units: tuple[str, ...], whole: bool) -> None:
    """`without="W"`: a target of A alone goes on; where W is declared too, the run does not apply."""

    async def body(procedure: Procedure) -> None:
        await procedure.needs(without="W")

    outcome = drive(tmp_path / "run", body, whole=whole, rate_units=units)
    assert (outcome.judgement.verdict.verdict is Verdict.NOT_APPLICABLE) is (not whole)


@pytest.mark.parametrize(("declared", "due"), [(True, Verdict.FAIL), (False, Verdict.NOT_APPLICABLE)])
def test_a_refusal_is_judged_by_what_the_target_declares(tmp_path: Path, declared: bool, due: Verdict) -> None:
    """Declared and refused: FAIL, the station is to blame. Undeclared and refused: NOT_APPLICABLE."""

    async def body(procedure: Procedure) -> None:
        await procedure.refused("ac_phase_switching", "SetChargingProfile: Rejected")

    verdict = drive(tmp_path / "run", body, whole=False, ac_phase_switching=declared).judgement.verdict
    assert verdict.verdict is due
    assert ("station" in next(one for one in verdict.checks if one.check == "features").blamed) is declared


def test_two_evses_of_one_station_charge_and_are_measured(tmp_path: Path) -> None:
    """A view on another EVSE acts there, and its meter is read too."""

    async def body(procedure: Procedure) -> None:
        for one in (procedure, procedure.at(2)):
            await one.demand(10)
            await one.plug()
            await one.authorise()
        assert await procedure.at(2).wait_for_power(above=6000, within=60)
        assert await procedure.wait_for_power(above=6000, within=60)
        with pytest.raises(UsageError, match="there is no EVSE 3"):
            procedure.at(3)

    outcome = drive(tmp_path / "run", body)
    assert {one["meter"] for one in documents(outcome, Kind.METER_SAMPLE)} == {"evse1", "evse2"}


def test_broken_requests_return_what_the_station_says(tmp_path: Path) -> None:
    """A status or a CALLERROR's code comes back; nothing is raised."""

    async def body(procedure: Procedure) -> None:
        assert await procedure.set_profile([(0, 6)], broken=True) == "Rejected"
        raw = procedure.profile([(0, 6)], purpose="TxDefaultProfile")
        del raw["chargingSchedule"]
        assert await procedure.send_profile(1, raw, broken=True) not in ("Accepted", "")
        assert (await procedure.composite(60, evse_id=9))["status"] == "Rejected"

    assert restored(drive(tmp_path / "run", body))["clean"] is True


def test_remote_start_reset_and_reports(tmp_path: Path) -> None:
    """Started with a profile from the CSMS, stopped from there; a report by id; a reset that boots."""

    async def body(procedure: Procedure) -> None:
        await procedure.demand(16)
        await procedure.plug()
        assert (await procedure.request_start(procedure.profile([(0, 8)])))["status"] == "Accepted"
        await procedure.wait_for_transaction()
        assert await procedure.wait_for_power(above=3000, below=6000, within=60)
        assert [one["profile"]["id"] for one in await procedure.report(evse_id=1, purpose="TxProfile")] == [1]
        await procedure.stop()
        assert await procedure.reset() == "Accepted"
        assert await procedure.get_variables(TIMEOUT, "TxCtrlr.Nonsense") == {TIMEOUT: "60", "TxCtrlr.Nonsense": None}

    assert restored(drive(tmp_path / "run", body))["clean"] is True


def test_power_that_does_not_come_is_told(tmp_path: Path) -> None:
    """None after the time given, in the run's time, not a hang."""

    async def body(procedure: Procedure) -> None:
        began = procedure.elapsed_s
        assert await procedure.wait_for_power(above=100, within=12) is None
        assert procedure.elapsed_s - began == pytest.approx(12)

    drive(tmp_path / "run", body)


def test_a_station_without_smart_charging_can_be_run(tmp_path: Path) -> None:
    """It refuses to clear what an abort may have left with NotSupported (K01.FR.29): there is nothing, so it is armed."""

    async def body(procedure: Procedure) -> None:
        assert (await procedure.get_variables(TIMEOUT))[TIMEOUT] is not None

    outcome = drive(tmp_path / "run", body, smart_charging=False)
    assert restored(outcome)["clean"] is True
