"""The packs of published rules: each passes on a sound station, fails on one that breaks it, and does not apply elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.domain.verdicts import FaultClass, Layer, RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.scenario import Fault

pytestmark = pytest.mark.virtual


def verdict_on(folder: Path, name: str, rig_name: str = "emulated", fault: str = "", **params: Any) -> RunVerdict:
    """Run a pack on an emulated rig, with a fault or none."""
    (scenario_path, scenario), (rig_path, rig) = find_scenario(name), find_rig(rig_name)
    faults = (Fault(id=fault, params=params),) if fault else ()
    order = Order(scenario, scenario_path, rig, rig_path, folder / "run", faults=faults, pages=False)
    return run_scenario(order).judgement.verdict


def test_a_silent_box_leaves_the_failsafe_limit(tmp_path: Path) -> None:
    """120 s after its last word 4.2 kW hold, and its own limit once it is back."""
    verdict = verdict_on(tmp_path, "lpc-failsafe", "emulated-grid")
    assert (verdict.verdict, verdict.warnings) == (Verdict.PASS, ())
    power = next(one for one in verdict.checks if one.check == "power")
    assert [one.limit for one in power.periods] == [7000, 4200, 7000]


def test_no_failsafe_is_over_the_limit(tmp_path: Path) -> None:
    """The box is gone and its limit goes on."""
    verdict = verdict_on(tmp_path, "lpc-failsafe", "emulated-grid", "station.no-failsafe")
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.OVER_LIMIT, (Layer.STATION,))


def test_the_failsafe_limit_holds_for_two_hours(tmp_path: Path) -> None:
    """The box stays silent, and 4.2 kW hold to the end."""
    verdict = verdict_on(tmp_path, "lpc-failsafe-minimum", "emulated-grid")
    assert verdict.verdict is Verdict.PASS
    power = next(one for one in verdict.checks if one.check == "power")
    assert [(one.limit, round(one.end - one.start)) for one in power.periods] == [(7000, 180), (4200, 7200)]


@pytest.mark.parametrize("after_s", [60, 7100])
def test_a_failsafe_limit_that_ends_too_early_is_over_the_limit(tmp_path: Path, after_s: float) -> None:
    """The box is still silent, and the station goes back to what the EV wants: after a minute, or shortly before two hours."""
    verdict = verdict_on(tmp_path, "lpc-failsafe-minimum", "emulated-grid", "station.leaves-failsafe", after_s=after_s)
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.OVER_LIMIT, (Layer.STATION,))


def test_no_box_no_failsafe(tmp_path: Path) -> None:
    """A station that nothing can limit from outside."""
    assert verdict_on(tmp_path, "lpc-failsafe").verdict is Verdict.NOT_APPLICABLE


def test_a_random_delay_is_spread(tmp_path: Path) -> None:
    """Twenty starts, ten changes and three long waits; none where it is switched off, overridden, or asked for by a demand."""
    verdict = verdict_on(tmp_path, "random-delay")
    assert (verdict.verdict, verdict.warnings) == (Verdict.PASS, ())
    delays = [one.value for one in verdict.checks[0].measurements if one.name == "random_delay"]
    assert len(delays) == 33
    assert all(one is not None and one == round(one) for one in delays)


def test_a_delay_that_is_not_random(tmp_path: Path) -> None:
    """A street of such stations would switch at once."""
    verdict = verdict_on(tmp_path, "random-delay", "emulated", "station.no-delay")
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.TIMING, (Layer.STATION,))


def test_a_delay_above_the_longest(tmp_path: Path) -> None:
    """700 s where 600 s are the most."""
    verdict = verdict_on(tmp_path, "random-delay", "emulated", "station.constant-delay", seconds=700)
    assert "with one of at most 600 s" in verdict.headline


def test_a_station_that_declares_no_delay(tmp_path: Path) -> None:
    """Nothing is asked of it."""
    assert verdict_on(tmp_path, "random-delay", "emulated-grid").verdict is Verdict.NOT_APPLICABLE
