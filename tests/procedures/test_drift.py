"""A meter that drifts after its proof convicts nobody: through a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import FaultClass, Layer, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.scenario import Fault


@pytest.mark.parametrize(("factor", "of", "over_s"), [(1.05, "power", 0), (1.05, "power", 120), (0.95, "energy", 0)])
def test_the_meter_is_to_blame_for_its_drift(tmp_path: Path, factor: float, of: str, over_s: float) -> None:
    """Proven, then 5 % off at once or by and by: a car at its 6 A would be shown above them. INCONCLUSIVE, by the meter."""
    scenario_path, scenario = find_scenario("field-step")
    rig_path, rig = find_rig("emulated")
    drift = Fault(id="meter.drift", params={"meter": "evse1", "from_s": 100, "over_s": over_s, "factor": factor, "of": of})
    order = Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", faults=(drift,), pages=False)
    verdict = run_scenario(order).judgement.verdict
    found = {one.check: one for one in verdict.checks}
    assert verdict.verdict is Verdict.INCONCLUSIVE, verdict.headline
    assert (found["proof"].verdict, found["power"].verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert (found["meter"].blamed, found["meter"].fault_class) == ((Layer.METER,), FaultClass.METERING)
    assert "meter evse1 drifted" in verdict.headline


def test_a_station_that_counts_right_is_not_held_against_what_a_drift_left(tmp_path: Path) -> None:
    """From second 60 on it drifts by 3 %, and the readings from then on are taken out; the station's register goes on."""
    scenario_path, scenario = find_scenario("field-step")
    rig_path, rig = find_rig("emulated")
    drift = Fault(id="meter.drift", params={"meter": "evse1", "from_s": 60, "over_s": 200, "factor": 1.03, "of": "power"})
    records = scenario.model_copy(update={"checks": ("power", "energy", "meter_values")})
    order = Order(records, scenario_path, rig, rig_path, tmp_path / "run", faults=(drift,), pages=False)
    verdict = run_scenario(order).judgement.verdict
    assert (verdict.verdict, verdict.blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,)), verdict.headline
