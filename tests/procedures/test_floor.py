"""Rigs without a contactor: the floor is armed and shown, nothing takes it away, and TxProfiles above it end with the bench."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Document
from bench.domain.exchange import paired_calls
from bench.domain.verdicts import RunState, Verdict
from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.procedure import Procedure
from bench.runs.snapshot import FLOOR_PROFILE_ID
from bench.settings.base import check
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault
from tests.support import DEEP

Body = Callable[[Procedure], Awaitable[None]]


def order(out: Path, *, contactor: bool = False, scenario: str = "procedure", features: Any = None, **safety: Any) -> Order:
    """Return an order on the emulated rig."""
    scenario_path, settings = find_scenario(scenario)
    rig_path, rig = find_rig("emulated")
    values = rig.model_dump(by_alias=True) | {"safety": safety}
    values["emulator"]["contactor"] = contactor
    for station in values["station"]:
        station.pop("target")
        station["features"] |= features or {}
    return Order(settings, scenario_path, check(RigSettings, values, rig_path), rig_path, out, pages=DEEP)


def drive(one: Order, body: Body) -> Outcome:
    """Run a procedure in virtual time."""

    async def run() -> Outcome | None:
        async with open_run(one) as opened:
            await body(opened.procedure)
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run())
    assert outcome is not None
    return outcome


def safe(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what the journal says of the safe state."""
    return [one.data for one in documents(outcome) if one.kind == "safe_state"]


def documents(outcome: Outcome) -> list[Document]:
    """Return the journal."""
    return read_journal(outcome.folder / "journal.jsonl").documents


async def charge(procedure: Procedure) -> None:
    """Charge with 12 A for a while, then with 8 A."""
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()
    await procedure.set_profile([(0, 12)])
    await procedure.wait(110)
    await procedure.set_profile([(0, 8)])
    await procedure.composite(60)
    await procedure.wait(110)


def test_the_floor_is_shown_before_anything_is_energised(tmp_path: Path) -> None:
    """0 A on each EVSE by the composite schedule; charging is judged as ever, and at the end the floor is gone."""
    outcome = drive(order(tmp_path / "run"), charge)
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline
    floor = safe(outcome)[0]
    assert (floor["action"], floor["ok"], floor["read_back"]["shown"]) == ("floor", True, {"1": 0.0, "2": 0.0})
    restored = next(one.data for one in documents(outcome) if one.kind == "restored")
    assert restored["clean"]


def test_a_floor_that_is_not_shown_energises_nothing(tmp_path: Path) -> None:
    """A station whose composite schedule cannot be had needs a contactor: ERROR, and no EV was plugged in."""

    async def never(_: Procedure) -> None:
        raise AssertionError("energised")

    one = order(tmp_path / "run", features={"smart_charging": False})
    with pytest.raises(Exception, match="needs a contactor"):
        drive(one, never)


@pytest.mark.parametrize("action", ["set", "clear", "call"])
def test_no_step_takes_the_floor_away(tmp_path: Path, action: str) -> None:
    """Whatever tests defaults is refused before it is sent: the run ends in ERROR, at rest."""

    async def body(procedure: Procedure) -> None:
        if action == "set":
            await procedure.set_profile([(0, 10)], purpose="TxDefaultProfile")
        elif action == "clear":
            await procedure.clear()
        else:
            await procedure.call("ClearChargingProfile", {"chargingProfileId": FLOOR_PROFILE_ID})

    outcome = drive(order(tmp_path / "run"), body)
    assert outcome.judgement.verdict.state is RunState.ERROR
    assert "takes the floor away" in outcome.judgement.verdict.headline
    assert [one["ok"] for one in safe(outcome) if one["action"] == "0 A profile"] == [True]


def test_a_scenario_that_tests_defaults_is_refused_before_it_begins(tmp_path: Path) -> None:
    """It says what the rig needs; with a contactor it runs."""
    one = order(tmp_path / "run")
    told = one.scenario.model_copy(update={"tests_defaults": True})
    with pytest.raises(UsageError, match="needs a contactor"):
        drive(Order(told, one.scenario_path, one.rig, one.rig_path, one.out), charge)


def test_the_dead_man_renews_the_same_profile_with_a_later_end(tmp_path: Path) -> None:
    """Never longer than `dead_man_s` ahead, renewed at half of it, one id, read back; the verdict is the same as without."""
    outcome = drive(order(tmp_path / "run", dead_man_s=40), charge)
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline
    sent = [one.request["chargingProfile"] for one in paired_calls(documents(outcome)) if one.action == "SetChargingProfile"]
    profiles = [one for one in sent if one["chargingProfilePurpose"] == "TxProfile"]
    durations = [one["chargingSchedule"][0]["duration"] for one in profiles]
    assert durations == [40, 60, 80, 100, 120, 140, 40, 60, 80, 100, 120, 140]
    assert len({one["id"] for one in profiles}) == 1


def test_without_renewal_power_falls_to_the_floor(tmp_path: Path) -> None:
    """What the dead-man is for: a bench that falls silent leaves 0 A behind, not the station's own limit."""
    seen: list[float | None] = []

    async def body(procedure: Procedure) -> None:
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        await procedure.set_profile([(0, 12)])
        await procedure.wait(25)
        assert procedure.sampler is not None
        seen.append(procedure.sampler.power_w)
        assert procedure.course.dead_man is not None
        await procedure.course.dead_man.sending.acquire()
        await procedure.wait(60)
        seen.append(procedure.sampler.power_w)
        procedure.course.dead_man.sending.release()

    drive(order(tmp_path / "run", dead_man_s=20), body)
    assert seen[0] is not None
    assert seen[0] > 7000
    assert seen[1] == pytest.approx(0, abs=50)


def test_a_floor_that_a_boot_took_away_is_installed_again(tmp_path: Path) -> None:
    """The station forgets its profiles at a reset: the floor is put back, and written down, before the run goes on."""

    async def body(procedure: Procedure) -> None:
        await procedure.reset()
        await procedure.wait(10)
        held = await procedure.bench.csms.installed_profiles("CS-EMU-1")
        assert [one["profile"]["id"] for one in held] == [FLOOR_PROFILE_ID]

    fault = Fault(id="station.forgets-on-reboot", params={})
    outcome = drive(replace(order(tmp_path / "run"), faults=(fault,)), body)
    told = [one["read_back"] for one in safe(outcome) if one["action"] == "floor"]
    assert (len(told), told[-1]["why"], told[-1]["limit"]) == (2, "gone after a boot", 0.0)


@pytest.mark.parametrize("shown", [{"status": "Rejected"}, None])
def test_a_floor_that_comes_back_has_to_be_shown_again(tmp_path: Path, shown: dict[str, Any] | None) -> None:
    """Accepted after a boot, and then not in the composite schedule, or in one of another limit: the run ends there, in ERROR."""

    async def body(procedure: Procedure) -> None:
        csms: Any = procedure.bench.csms
        call = csms.call

        async def hiding(station: str, action: str, payload: Any, **more: Any) -> dict[str, Any]:
            answer: dict[str, Any] = await call(station, action, payload, **more)
            if action != "GetCompositeSchedule":
                return answer
            if shown is None:
                answer["schedule"]["chargingSchedulePeriod"].append({"startPeriod": 60, "limit": 16.0})
            return shown or answer

        csms.call = hiding
        await procedure.reset()
        await procedure.wait(60)

    fault = Fault(id="station.forgets-on-reboot", params={})
    outcome = drive(replace(order(tmp_path / "run"), faults=(fault,)), body)
    assert outcome.judgement.verdict.state is RunState.ERROR
    assert "is gone after a boot" in outcome.judgement.verdict.headline
    told = [one for one in safe(outcome) if one["action"] == "floor"][-1]
    assert (told["ok"], set(told["read_back"]["shown"])) == (False, {"1", "2"})


def test_the_load_is_off_before_the_contactor_opens(tmp_path: Path) -> None:
    """A soft stop: load off and read back, then the contactor."""
    told: list[float] = []

    class Load:
        async def draw(self, amperes: float) -> None:
            told.append(amperes)

        async def drawn(self) -> float | None:
            return told[-1]

    async def body(procedure: Procedure) -> None:
        loads: Any = procedure.bench.guard.loads
        loads["CS-EMU-1"] = Load()
        await procedure.bench.guard.loads["CS-EMU-1"].draw(10)

    stop = [(one["action"], one["ok"]) for one in safe(drive(order(tmp_path / "run", contactor=True), body)) if one["stop"]]
    assert told == [10, 0]
    assert stop.index(("load off", True)) < stop.index(("open contactor", True))


@pytest.mark.parametrize(
    ("safety", "reading"),
    [({"max_current_a": 14.0}, "A current in L1"), ({"max_power_w": 9000.0}, "W"), ({"max_voltage_v": 200.0}, "V voltage in L1")],
)
def test_a_hard_cap_is_a_hard_stop(tmp_path: Path, safety: dict[str, Any], reading: str) -> None:
    """The contactor opens at once and the run ends early; what was measured is still judged, and is no PASS."""

    async def body(procedure: Procedure) -> None:
        await procedure.demand(13)
        await procedure.plug()
        await procedure.authorise()
        await procedure.set_profile([(0, 16)])
        await procedure.bench.controls[procedure.station.id].demand(procedure.evse.id, 16)
        await procedure.wait(60)

    outcome = drive(order(tmp_path / "run", contactor=True, **safety), body)
    verdict = outcome.judgement.verdict
    assert (verdict.state, verdict.verdict) == (RunState.COMPLETED, Verdict.INCONCLUSIVE)
    assert reading in verdict.headline
    actions = [one["action"] for one in safe(outcome) if one["stop"]]
    assert actions[:2] == ["hard stop", "begin"]
    assert "open contactor" in actions


def test_no_scenario_asks_for_more_than_the_cap(tmp_path: Path) -> None:
    """A demand above it is refused before anything is opened."""
    with pytest.raises(UsageError, match="rig emulated allows 10 A"):
        drive(order(tmp_path / "run", scenario="lowered-limit", max_current_a=10), charge)


def test_another_evse_counts_too(tmp_path: Path) -> None:
    """A cap is the rig's: the meter of an EVSE that is not under test is watched as well."""

    async def body(procedure: Procedure) -> None:
        other = procedure.at(2)
        await other.demand(13)
        await other.plug()
        await other.authorise()
        await procedure.wait(60)

    outcome = drive(order(tmp_path / "run", contactor=True, max_power_w=3000), body)
    assert "meter evse2 reads" in outcome.judgement.verdict.headline
