"""The field's habits of EVs, seeded into the emulated rig, end in the verdict that is due; and no EV convicts a sound station."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import Layer, RunVerdict, Verdict
from bench.rig.files import field_bugs, find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.field_bug import Variant
from bench.settings.scenario import Fault, ScenarioSettings
from firmware_sim.vehicles import VEHICLES
from tests.support import DEEP

MINE = ("A20", "A21", "A22", "A45", "NA1")
VARIANTS = [
    pytest.param(variant, id=f"{bug.id}-{number}")
    for bug in field_bugs()
    if bug.id in MINE
    for number, variant in enumerate(bug.variant)
]


def verdict_of(out: Path, scenario: str, rig: str = "emulated", faults: tuple[Fault, ...] = (), **changes: object) -> RunVerdict:
    """Run a scenario, with some of its keys changed."""
    path, settings = find_scenario(scenario)
    rig_path, rig_settings = find_rig(rig)
    changed = ScenarioSettings.model_validate({**settings.model_dump(mode="json", by_alias=True), **changes})
    outcome = run_scenario(Order(changed, path, rig_settings, rig_path, out, faults=faults, pages=DEEP))
    assert outcome.judgement is not None
    return outcome.judgement.verdict


@pytest.mark.parametrize("variant", VARIANTS if DEEP else VARIANTS[::3])
def test_a_habit_of_an_ev_ends_in_what_is_due(variant: Variant, tmp_path: Path) -> None:
    """Verdict, leading check, blamed layers, class and findings are those of the catalogue."""
    verdict, due = verdict_of(tmp_path / "run", variant.scenario, variant.rig, variant.fault), variant.due
    assert (verdict.verdict, verdict.blamed, verdict.fault_class) == (due.verdict, due.blamed, due.fault_class)
    assert {one.code for one in verdict.warnings} == set(due.warnings)
    assert not due.check or verdict.leading[0].check == due.check


@pytest.mark.parametrize("model", list(VEHICLES) if DEEP else ["sluggish", "one-phase-7kw"])
def test_no_ev_convicts_a_sound_station(model: str, tmp_path: Path) -> None:
    """Slow, modest, on one phase or with more than the EVSE gives: limits pass, and nothing is found."""
    verdict = verdict_of(tmp_path / "run", "field-low-steps", vehicle={"model": model})
    assert (verdict.verdict, verdict.warnings) == (Verdict.PASS, ())


def test_a_car_that_takes_little_does_not_acquit_a_station_that_ignores_limits(tmp_path: Path) -> None:
    """5 A stay below every limit whatever the station does: complied, and nothing of it exercised."""
    deaf = (Fault(id="station.ignores-purpose", params={"purpose": "TxProfile"}),)
    small = [{"at_s": 10, "do": "demand", "amperes": 5}]
    _, settings = find_scenario("field-proportional")
    steps = settings.model_dump(mode="json", by_alias=True)["step"]
    steps = [*steps[:3], *small, *steps[3:]]
    verdict = verdict_of(tmp_path / "run", "field-proportional", faults=deaf, step=steps, checks=["installed", "power"])
    assert verdict.verdict is Verdict.INCONCLUSIVE
    power = next(one for one in verdict.checks if one.check == "power")
    assert [period.exercised for period in power.periods] == [False, False, False]


def test_a_station_that_holds_back_is_convicted_of_under_delivery(tmp_path: Path) -> None:
    """The limit rises from 10 to 16 A, the EV wants more, and the station stays."""
    deaf = (Fault(id="station.ignores-limit", params={"limit": 16, "unit": "A"}),)
    _, settings = find_scenario("field-proportional")
    steps = settings.model_dump(mode="json", by_alias=True)["step"]
    steps[3]["periods"] = [[0, 10], [30, 16]]
    verdict = verdict_of(tmp_path / "run", "field-proportional", faults=deaf, step=steps)
    assert (verdict.verdict, verdict.blamed, verdict.leading[0].check) == (Verdict.FAIL, (Layer.STATION,), "delivery")
