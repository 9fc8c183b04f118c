"""The check `dimming` on hand-made readings: 11 kW fall to 4.2 kW."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bench.domain.evidence import Sample
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Verdict
from bench.runs.checks.dimming import judge_dimming

DUE, END = 100.0, 700.0


def judged(watts: Callable[[float], float], **scenario: Any) -> CheckResult:
    """Judge a reading each 2 s of a meter of 1 %."""
    wide, low = (SimpleNamespace(unit="W", limit=one, limit_a=one / 690) for one in (11_000.0, 4200.0))
    samples = [Sample(float(t), float(t), (0.0,), watts(t), None, t) for t in range(0, int(END), 2)]
    evse = SimpleNamespace(name="CS EVSE 1", samples=samples, power=Accuracy(1, 0.1), at_supply=lambda power: power)
    limits = Timeline([(0.0, wide), (DUE, low)], END)
    case: Any = SimpleNamespace(evse=evse, limits=limits, scenario={"regulation_s": 300.0, **scenario})
    return judge_dimming(case)


@pytest.mark.parametrize(
    ("watts", "verdict"),
    [
        (lambda t: 11_000 if t < 110 else 4100, Verdict.PASS),
        (lambda t: 11_000 if t < 390 else 4100, Verdict.PASS),
        (lambda t: 11_000 if t < 410 else 4100, Verdict.FAIL),
        (lambda t: 11_000, Verdict.FAIL),
        (lambda t: 11_000 if t < 110 or 500 < t < 600 else 4100, Verdict.FAIL),
    ],
)
def test_within_the_time_and_to_stay(watts: Callable[[float], float], verdict: Verdict) -> None:
    """Ten seconds, just in time, too late, never, and back above for a while: that is no lasting obedience."""
    assert judged(watts).verdict is verdict


def test_each_whole_minute_is_evidence() -> None:
    """From obedience on: nine minutes, each with its mean, and the time that it took."""
    result = judged(lambda t: 11_000 if t < 110 else 4100)
    means = [one.value for one in result.measurements if one.name == "mean_power"]
    assert means == [4100.0] * 9
    assert next(one.value for one in result.measurements if one.name == "dimming_time") == 10.0


def test_a_breach_has_its_class() -> None:
    """The station is above the limit."""
    assert judged(lambda t: 5000).fault_class is FaultClass.OVER_LIMIT


def test_a_gap_leaves_it_undecided() -> None:
    """Nothing but one reading after the limit was due."""
    result = judged(lambda t: 4100 if t < 102 else None)  # type: ignore[arg-type, return-value]
    assert result.verdict is Verdict.INCONCLUSIVE
