"""Power judged by the highest reading of each span is power judged reading by reading."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.domain import power_columns
from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, RunState
from bench.runs.checks.power import PowerRule, judge_power

RULE = PowerRule(DecisionRule.SIMPLE, 15.0, "nominal", 1.0, 5.0, 1, 0)
LIMITS = st.one_of(st.none(), st.tuples(st.sampled_from((0.0, 6.0, 8.0, 16.0)), st.sampled_from("AAW"), st.sampled_from((1, 3))))


@st.composite
def runs(draw: st.DrawFn) -> tuple[EvseFacts, Timeline[ExpectedLimit | None], PowerRule, list[Call]]:
    """Draw a run of up to 200 s: limits, a station that follows them more or less, and how it is judged."""
    steps, at = [], draw(st.sampled_from((-20.0, 0.0, 10.0)))
    for length in draw(st.lists(st.sampled_from((3.0, 15.2, 17.0, 40.0, 60.0)), min_size=1, max_size=6)):
        one = draw(LIMITS)
        limit = one and ExpectedLimit(one[0] if one[1] == "A" else one[0] * 230 * one[2], one[1], one[0], one[2], 1)
        steps.append((at, limit))
        at += length
    limits = Timeline(steps, at)
    latency = draw(st.sampled_from(((0.0, 0.2), (0.0, 0.0), (0.1, 1.0), (2.0, 3.0))))
    kind = draw(st.sampled_from(("AC", "AC", "DC")))
    meter = Accuracy(1.0, 0.01), Accuracy(0.5, 1.0)
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), draw(st.sampled_from((0.0, 0.3))), *meter, latency, kind)
    late, below = draw(st.integers(0, 12)), draw(st.sampled_from((-3.0, -0.05, 0.0, 0.05, 0.5, 3.0)))
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for second in range(200 if draw(st.booleans()) else 30):
        limit = limits.at(second - late) if limits.start <= second - late < limits.end else None
        amps = max(0.0, (limit.limit_a if limit else 16.0) - below + dice.normal(0, 0.02)) * (dice.random() > 0.02)
        power = None if dice.random() < 0.01 else amps * 690 * (1 if dice.random() > 0.02 else -1)
        if dice.random() > 0.03:
            evse.samples.append(Sample(second, second + dice.choice((0.0, 0.01, 0.3)), (amps,) * 3, power, 0.0, second))
        if dice.random() < 0.1:
            evse.pilot.append(PilotSample(second, "C", (limit.limit_a if limit else 16.0), dice.choice((16.0, 32.0)), second))
    rule = replace(RULE, rule=draw(st.sampled_from(DecisionRule)), w_limits=draw(st.sampled_from(("nominal", "measured"))))
    asked = draw(st.lists(st.floats(0, 150), max_size=2))
    calls = [Call("CS", False, "SetChargingProfile", {}, at, 0, answered=at + 9) for at in asked]
    return evse, limits, rule, calls


def judged(run: Any) -> CheckResult:
    """Judge the power of a run."""
    evse, limits, rule, calls = run
    return judge_power(RunFacts({}, {}, 1, 0, 300, RunState.COMPLETED, "", calls, [], [evse]), evse, limits, rule)


@given(run=runs())
@settings(deadline=None)
def test_spans_judge_as_readings_do(run: Any) -> None:
    """Every period, breach, measurement and word is the same where each reading is compared by itself."""
    by_spans = judged(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(power_columns, "in_order", lambda *_: False)
        assert judged(run) == by_spans


def test_a_breach_of_one_reading_is_found() -> None:
    """One settled reading in a span of ten thousand, and just that one is convicted."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples += [Sample(at, at, (30.0 if at == 7777 else 15.9,) * 3, None, None, at) for at in range(10_000)]
    found = judged((evse, Timeline([(-30.0, ExpectedLimit(16, "A", 16, 3, 1))], 10_000), RULE, []))
    assert [(one.start, one.end, one.highest) for one in found.breaches] == [(7777, 7777, 30)]


@given(
    values=st.lists(st.floats(0, 2e9), min_size=1, max_size=30), less=st.lists(st.sampled_from((0.1, 0.2, 15.0, 3.3)), max_size=2)
)
def test_bounds_are_found_to_the_last_bit(values: list[float], less: list[float]) -> None:
    """Where a difference of times just reaches a bound, rounding decides as it does for one reading."""
    column = np.sort(np.array(values))
    differences = column.copy()
    for one in less:
        differences = differences - one
    bounds = np.concatenate((differences, np.nextafter(differences, np.inf), np.nextafter(differences, -np.inf)))
    assert power_columns.first_at(column, bounds, *less).tolist() == np.searchsorted(differences, bounds).tolist()
