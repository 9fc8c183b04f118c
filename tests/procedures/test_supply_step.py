"""A supply voltage out of its range: nobody is judged by what happened then."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import CheckResult, Layer, RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.scenario import ScenarioSettings

pytestmark = pytest.mark.virtual


def judged(folder: Path, *volts: tuple[float, float], **changed: object) -> tuple[RunVerdict, CheckResult]:
    """Run `lowered-limit` with the AC source at so many volts from so many seconds on; give verdict and check `supply`."""
    (path, found), (rig_path, rig) = find_scenario("lowered-limit"), find_rig("emulated")
    data = found.as_document() | {"checks": ["power", "meter", "supply"]} | changed
    data["step"] = sorted(
        [*data["step"], *({"do": "supply", "at_s": at, "volts": one} for at, one in volts)], key=lambda step: step["at_s"]
    )
    scenario = ScenarioSettings.model_validate(data, strict=False)
    verdict = run_scenario(Order(scenario, path, rig, rig_path, folder / "run", pages=False)).judgement.verdict
    return verdict, next(one for one in verdict.checks if one.check == "supply")


def test_the_edge_of_the_range_is_sound(tmp_path: Path) -> None:
    """253 V from the beginning, 207 V later on."""
    verdict, supply = judged(tmp_path, (0, 253), (30, 207))
    assert (verdict.verdict, supply.verdict) == (Verdict.PASS, Verdict.PASS)
    assert [one.value for one in supply.measurements] == [207, 253]


@pytest.mark.parametrize("volts", [195.0, 254.5])
def test_a_dip_leaves_the_run_inconclusive(tmp_path: Path, volts: float) -> None:
    """Ten seconds out of the range; the meter is not blamed, and neither is the station."""
    verdict, supply = judged(tmp_path, (30, volts), (40, 230))
    assert (verdict.verdict, supply.blamed) == (Verdict.INCONCLUSIVE, (Layer.BENCH,))
    assert supply.reasons[0].startswith(f"supply: {volts:.1f} V")
    assert next(one for one in verdict.checks if one.check == "meter").verdict is Verdict.PASS


def test_a_dip_before_anything_limits_is_only_told(tmp_path: Path) -> None:
    """The voltage was back before the first limit."""
    _, supply = judged(tmp_path, (1, 195), (5, 230))
    assert supply.verdict is Verdict.PASS
    assert supply.reasons[0].endswith("while nothing limited")


def test_a_scenario_that_does_not_ask_for_it_hears_of_it(tmp_path: Path) -> None:
    """Power alone is checked, and the dip comes first."""
    verdict, _ = judged(tmp_path, (30, 195), (40, 230), checks=["power"])
    assert [one.check for one in verdict.checks] == ["proof", "supply", "power"]
