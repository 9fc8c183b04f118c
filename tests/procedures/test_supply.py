"""A supply outside its band leaves a run undecided; a fit one is found fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import Layer, RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.base import check
from bench.settings.rig import RigSettings


def run_at(volts: float, out: Path, *steps: tuple[float, float]) -> RunVerdict:
    """Run the lowered limit on the emulated rig at this voltage, with the check of the supply."""
    scenario_path, scenario = find_scenario("lowered-limit")
    scenario = scenario.model_copy(update={"checks": (*scenario.checks, "supply")})
    rig_path, rig = find_rig("emulated")
    values = rig.model_dump(by_alias=True)
    values["emulator"] |= {"supply_voltage_v": volts, "supply_steps": steps}
    order = Order(scenario, scenario_path, check(RigSettings, values, rig_path), rig_path, out)
    return run_scenario(order).judgement.verdict


@pytest.mark.parametrize("volts", [207, 230, 253])
def test_a_fit_supply_leaves_a_sound_station_its_pass(volts: float, tmp_path: Path) -> None:
    """Up to the bounds of the band nothing is in doubt."""
    assert run_at(volts, tmp_path).verdict is Verdict.PASS


@pytest.mark.parametrize("volts", [206, 254])
def test_an_unfit_supply_decides_nothing(volts: float, tmp_path: Path) -> None:
    """The run is INCONCLUSIVE for the supply alone, which the bench gives."""
    verdict = run_at(volts, tmp_path)
    assert (verdict.verdict, verdict.blamed) == (Verdict.INCONCLUSIVE, (Layer.BENCH,))
    assert [one.check for one in verdict.leading] == ["supply"]


def test_a_dip_decides_nothing(tmp_path: Path) -> None:
    """A supply that falls to 190 V during the run leaves it INCONCLUSIVE."""
    verdict = run_at(230, tmp_path, (50, 190))
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "dipped to 190.0 V" in verdict.headline
