"""A meter at the output of a DC station: limits in A are judged there, those in W by the efficiency of the converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.scenario import Fault

pytestmark = pytest.mark.virtual


def power(folder: Path, name: str, fault: str = "", params: dict[str, Any] | None = None, **station: Any) -> CheckResult:
    """Run a scenario there and return the check `power`."""
    (path, scenario), (rig_path, rig) = find_scenario(name), find_rig("emulated-dc-output")
    rig = rig.model_copy(update={"station": (rig.station[0].model_copy(update=station),)})
    faults = (Fault(id=fault, params=params or {}),) if fault else ()
    verdict = run_scenario(Order(scenario, path, rig, rig_path, folder / "run", faults=faults, pages=False)).judgement.verdict
    return next(one for one in verdict.checks if one.check == "power")


def test_a_limit_in_amperes_is_judged_at_the_output(tmp_path: Path) -> None:
    """16, 10 and 6 A of DC are kept."""
    result = power(tmp_path, "single-profile")
    assert result.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS)
    assert [one.highest is not None and one.highest <= one.limit for one in result.periods] == [True] * 4


def test_more_than_the_limit_convicts(tmp_path: Path) -> None:
    """6 A are ignored, 10 A go on."""
    result = power(tmp_path, "single-profile", "station.ignores-limit", {"limit": 6, "unit": "A"})
    assert (result.verdict, result.fault_class) == (Verdict.FAIL, FaultClass.OVER_LIMIT)
    assert Layer.STATION in result.blamed


def test_a_limit_in_watts_counts_at_the_supply(tmp_path: Path) -> None:
    """The 16 A that the EV takes are 6400 W at the output, and 6737 W in the supply."""
    result = power(tmp_path, "field-unit")
    assert result.periods[0].unit == "W"
    assert result.periods[0].highest == pytest.approx(16 * 400 / 0.95, rel=0.002)


def test_without_the_efficiency_watts_are_undecided(tmp_path: Path) -> None:
    """The meter sees what the EV gets, and nobody knows what the supply gives for it."""
    result = power(tmp_path, "field-unit", efficiency=())
    assert result.periods[0].verdict is Verdict.INCONCLUSIVE
    assert "efficiency" in result.periods[0].reason
