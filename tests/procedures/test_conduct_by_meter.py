"""The requirements of block K are held against the meter no more harshly than the power itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.domain.verdicts import RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.base import check
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault
from tests.support import DEEP


def run_with(gain_percent: float, out: Path, rig_name: str = "emulated", amps: float = 0.5, **scenario: Any) -> RunVerdict:
    """Run field-step with `conduct`, a car of so much more than it usually takes, and meters that are wrong by a gain."""
    scenario_path, settings = find_scenario("field-step")
    settings = settings.model_copy(update={"checks": ("power", "conduct"), **scenario})
    rig_path, rig = find_rig(rig_name)
    values = rig.model_dump(by_alias=True)
    for name in values["meters"]:
        values["emulator"].setdefault("meter_errors", {})[name] = {"gain_percent": gain_percent}
    faults = (Fault(id="EV.overdraw", params={"share": 0, "amps": amps}),)
    order = Order(settings, scenario_path, check(RigSettings, values, rig_path), rig_path, out, faults=faults, pages=DEEP)
    return run_scenario(order).judgement.verdict


def word(verdict: RunVerdict, name: str) -> Verdict:
    """Return the verdict of one check."""
    return next(one.verdict for one in verdict.checks if one.check == name)


def test_an_unproven_meter_decides_no_requirement(tmp_path: Path) -> None:
    """A meter that shows 10 % too much fails its proof; what it shows is no breach of K01.FR.07 either."""
    verdict = run_with(10, tmp_path, amps=0)
    assert word(verdict, "proof") is Verdict.INCONCLUSIVE
    assert word(verdict, "conduct") is not Verdict.FAIL
    assert verdict.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("rig", "gain_percent", "amps"), [("emulated", 0.15, 0), ("emulated-blind", 0, 0.9)])
def test_what_the_power_check_leaves_open_convicts_by_no_requirement(
    rig: str, gain_percent: float, amps: float, tmp_path: Path
) -> None:
    """A reading within the uncertainty, or a car's habit that nobody separates from the station, is no FAIL of conduct."""
    verdict = run_with(gain_percent, tmp_path, rig, amps)
    assert word(verdict, "power") in (Verdict.CONDITIONAL_FAIL, Verdict.INCONCLUSIVE)
    assert word(verdict, "conduct") is not Verdict.FAIL
