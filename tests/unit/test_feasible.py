"""A plan whose rig cannot show what it must find is refused, with the cure."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.runs.feasible import refuse_infeasible
from bench.settings.instruments import MeterAccuracy, MeterCertificate
from bench.settings.rig import RigSettings
from bench.settings.scenario import Polling, ScenarioSettings


def rig(**meter: Any) -> RigSettings:
    """Return the emulated rig with another meter before EVSE 1."""
    _, found = find_rig("emulated")
    changed = found.meters["evse1"].model_copy(update=meter)
    return found.model_copy(update={"meters": {**found.meters, "evse1": changed}})


def scenario(**changes: Any) -> ScenarioSettings:
    """Return the shortest scenario with other keys."""
    return find_scenario("lowered-limit")[1].model_copy(update=changes)


CLASS_B = MeterAccuracy(current_percent=2, power_percent=2, current_resolution_a=0.01)
POINTS = MeterCertificate.model_validate(
    {"number": "K-1", "date": "2026-01-01", "current": [[0, 0, 0.02], [32, 0, 0.02]], "power": [[0, 0, 5], [22000, 0, 5]]}
)


def test_a_scenario_that_asks_for_nothing_runs_everywhere() -> None:
    """Nothing is refused by default, whatever the meter."""
    refuse_infeasible(rig(accuracy=CLASS_B), scenario())


def test_an_excess_that_the_meter_cannot_find() -> None:
    """Class B at 16 A finds about 0.7 A: 0.5 A are refused, and 0.8 A are not."""
    with pytest.raises(UsageError, match=r"must_find_a = 0.5: at a limit of .* finds an excess of 0.* use a better meter"):
        refuse_infeasible(rig(accuracy=CLASS_B), scenario(must_find_a=0.5))
    refuse_infeasible(rig(accuracy=CLASS_B), scenario(must_find_a=0.8))


def test_a_certificate_is_a_cure() -> None:
    """The same meter with U = 0.02 A at each point finds 0.1 A."""
    refuse_infeasible(rig(accuracy=CLASS_B, certificate=POINTS), scenario(must_find_a=0.1))


def test_an_excess_in_watts() -> None:
    """W limits are judged by currents times nominal voltage, or by the meter's own W."""
    with pytest.raises(UsageError, match="must_find_w = 100"):
        refuse_infeasible(rig(accuracy=CLASS_B), scenario(must_find_w=100))
    refuse_infeasible(rig(accuracy=CLASS_B, certificate=POINTS), scenario(must_find_w=100, w_limits="measured"))


def test_what_is_not_known_is_not_refused() -> None:
    """A data sheet in the register map is known only once the meter is open."""
    refuse_infeasible(rig(accuracy=None), scenario(must_find_a=0.01))


def test_a_time_limit_that_the_readings_cannot_tell() -> None:
    """T = 5 s needs an interval of 1.25 s: readings each 0.5 s with a latency of 0.2 to 1.2 s are 1.5 s wide."""
    with pytest.raises(UsageError, match=r"known to 1.5 s .* 1.25 s, is needed: read it each 0.25 s \(polling.fast_s\)"):
        refuse_infeasible(rig(latency_s=(0.2, 1.2)), scenario(apply_within_s=5))
    refuse_infeasible(rig(latency_s=(0.2, 1.2)), scenario(apply_within_s=5, polling=Polling(fast_s=0.25)))


def test_a_meter_that_is_too_slow_for_any_polling() -> None:
    """The spread of its latency alone is wider than a quarter of the time limit."""
    with pytest.raises(UsageError, match="its latency alone is 4 s wide: use a faster meter"):
        refuse_infeasible(rig(latency_s=(0, 4)), scenario(apply_within_s=10))
