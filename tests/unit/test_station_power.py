"""A limit of the whole station against the sum of its EVSEs' meters, on hand-made runs of two EVSEs and 16 A in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.power import PowerRule
from bench.runs.checks.station_power import judge_station_power, summed

RULE = PowerRule(DecisionRule.SIMPLE, 15, "nominal", 1.5, 30, 1, 1)
END = 200
Draw = Callable[[int], float]


def evse(number: int, draw: Draw, *, phases: tuple[int, ...] = (1, 2, 3), late_s: float = 0.0) -> EvseFacts:
    """Return an EVSE whose meter is read each second, `late_s` after the second, and whose offer is what is drawn."""
    seen = EvseFacts("CS", number, f"m{number}", phases, Supply(), 0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    for second in range(END):
        amps, at = draw(second), second + late_s
        seen.samples.append(Sample(at, at + 0.01, (amps,) * len(phases), None, 0.0, second))
        seen.pilot.append(PilotSample(at, "C", amps, 16.0, 1000 + second))
    return seen


def verdict_on(first: EvseFacts, second: EvseFacts) -> CheckResult:
    """Judge the two under 16 A in all, from second 0 on."""
    limits: Timeline[ExpectedLimit | None] = Timeline([(0.0, ExpectedLimit(16, "A", 16, 3, 1))], END)
    facts = RunFacts({}, {}, 1, 0, END, RunState.COMPLETED, "", [], [], [first, second])
    return judge_station_power(facts, [first, second], limits, RULE)


@pytest.mark.parametrize(("each", "verdict"), [(7.9, Verdict.PASS), (16.0, Verdict.FAIL)])
def test_two_cars_share_one_limit(each: float, verdict: Verdict) -> None:
    """8 A each are within 16 A, 16 A each are not: the station's fault."""
    result = verdict_on(evse(1, lambda _: each), evse(2, lambda _: each, late_s=0.4))
    assert (result.verdict, result.blamed) == (verdict, (Layer.STATION,) if verdict is Verdict.FAIL else ())


def test_a_limit_of_the_station_that_is_kept_too_late_fails() -> None:
    """32 A fall to 16 A at second 50; the sum follows at second 60, within the settling time, and 5 s were allowed."""
    first, second = (evse(number, lambda at: 15.0 if at < 60 else 7.9) for number in (1, 2))
    high, low = ExpectedLimit(32, "A", 32, 3, 1), ExpectedLimit(16, "A", 16, 3, 2)
    limits: Timeline[ExpectedLimit | None] = Timeline([(0.0, high), (50.0, low)], END)
    facts = RunFacts({}, {}, 1, 0, END, RunState.COMPLETED, "", [], [], [first, second])
    result = judge_station_power(facts, [first, second], limits, replace(RULE, apply_within_s=5))
    assert (result.verdict, result.fault_class) == (Verdict.FAIL, FaultClass.TIMING)
    assert judge_station_power(facts, [first, second], limits, RULE).verdict is Verdict.PASS


def test_one_car_shows_nothing_of_a_shared_limit() -> None:
    """The other EVSE is empty, so what one took was not shared."""
    assert verdict_on(evse(1, lambda _: 16.0), evse(2, lambda _: 0.0)).verdict is Verdict.INCONCLUSIVE


def test_two_cars_on_two_phases_do_not_add_up() -> None:
    """L1 and L2 have 16 A each."""
    result = verdict_on(evse(1, lambda _: 15.9, phases=(1,)), evse(2, lambda _: 15.9, phases=(2,)))
    assert result.verdict is Verdict.PASS


def test_readings_of_one_moment_count_as_they_are() -> None:
    """The car that leaves at second 100 was there at 99, in the readings of both meters: the sum falls once, not to and fro."""
    whole = summed([evse(1, lambda second: 12.0 if second < 100 else 0.0), evse(2, lambda _: 12.0)], 30)
    assert [sample.current_a[0] for sample in whole.samples if 98.5 < sample.received < 100.5] == [24, 24, 12, 12]
