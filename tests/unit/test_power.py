"""The power check on small hand-made runs: a limit of 16 A, then 8 A at second 100, then 0 A at second 200."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, Layer, RunState, Verdict
from bench.runs.checks.power import PowerRule, judge_power

RULE = PowerRule(DecisionRule.SIMPLE, 15, "nominal", 1.5, 30, 1, 1)


def line(*steps: tuple[float, float | None]) -> Timeline[ExpectedLimit | None]:
    """Return limits in A on three phases up to second 300."""
    return Timeline([(at, None if a is None else ExpectedLimit(a, "A", a, 3, 1)) for at, a in steps], 300)


LIMITS = line((0, 16), (100, 8), (200, 0))


def verdict_on(
    draw: Any, *, limits: Timeline[ExpectedLimit | None] = LIMITS, pilot: Any = None, wants: float | None = 16, **changes: Any
) -> CheckResult:
    """Judge a run in which `draw(second)` is the current per phase and `pilot(second)` the offer of the duty cycle."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    for second in range(300):
        current = draw(second)
        if current is not None:
            evse.samples.append(Sample(second, second + 0.01, (current,) * 3, current * 690, 0.0, second))
        if pilot is not None:
            evse.pilot.append(PilotSample(second, "C", pilot(second), wants, 1000 + second))
    facts = RunFacts({}, {}, 1, 0, 300, RunState.COMPLETED, "", [], [], [evse])
    from dataclasses import replace

    return judge_power(facts, evse, limits, replace(RULE, **changes))


def obedient(second: int) -> float:
    """Draw half an ampere below the limit, 5 s late."""
    return 15.5 if second < 105 else 7.5 if second < 205 else 0.0


def offer(second: int) -> float:
    """Offer what the limit says, 3 s late."""
    return 16.0 if second < 103 else 8.0 if second < 203 else 0.0


def test_an_obedient_station_passes() -> None:
    """Under the limit once settled, with demand shown before each step."""
    result = verdict_on(obedient, pilot=offer)
    assert result.verdict is Verdict.PASS
    assert [period.exercised for period in result.periods] == [True, True, True]


def test_a_station_that_offers_too_much_is_blamed() -> None:
    """The duty cycle lies above the limit: the station is to blame, not the EV."""
    result = verdict_on(lambda second: 15.5 if second < 205 else 0.0, pilot=lambda second: 16.0 if second < 203 else 0.0)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))
    assert "exceeded its limit of 8.0 A by 7.5 A (measured 15.5 A)" in result.headline
    assert "the station is to blame" in result.headline


def test_an_ev_that_draws_above_the_duty_is_blamed() -> None:
    """The duty cycle obeys, the current does not."""
    result = verdict_on(lambda second: 15.5 if second < 205 else 0.0, pilot=offer)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.EV,))


def test_a_reading_as_old_as_its_meter_blames_no_ev() -> None:
    """The highest reading comes in the second in which the offer ends, and shows the current of just before."""
    pilot = lambda second: 16.0 if second < 150 else 0.0  # noqa: E731
    result = verdict_on(lambda second: 15.5 if second < 150 else 15.6 if second == 150 else 0.0, pilot=pilot)
    assert result.blamed == (Layer.STATION,)


def test_without_a_probe_the_blame_is_not_separated() -> None:
    """No witness at the control pilot leaves both."""
    result = verdict_on(lambda second: 15.5)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION, Layer.EV))


def test_settling_is_not_a_breach_but_longer_is() -> None:
    """14 s late is within the 15 s that the scenario grants; 20 s late is not."""
    assert verdict_on(lambda second: 15.5 if second < 114 else 7.5 if second < 214 else 0.0).verdict is Verdict.PASS
    assert verdict_on(lambda second: 15.5 if second < 120 else 7.5 if second < 214 else 0.0).verdict is Verdict.FAIL


def test_while_settling_the_old_limit_still_holds() -> None:
    """A surge above both limits right after the step is a breach, also inside the settling time."""
    result = verdict_on(lambda second: 20.0 if second == 105 else obedient(second))
    assert result.verdict is Verdict.FAIL
    assert result.breaches[0].limit == 16.0


def test_a_car_that_wants_little_proves_nothing() -> None:
    """5 A all the time obeys by accident: held, not exercised, so INCONCLUSIVE and never PASS."""
    result = verdict_on(lambda second: 5.0 if second < 200 else 0.0, limits=line((0, 16), (100, 8)), pilot=offer, wants=5)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "0 of 1 non-zero limits exercised" in result.reasons[0]


def test_raising_alone_is_not_enough() -> None:
    """PASS needs a lowering step: 8 A and then 16 A, both drawn, show none."""
    rising = verdict_on(lambda second: 7.5 if second < 100 else 15.5, limits=line((0, 8), (100, 16)), pilot=offer)
    assert rising.verdict is Verdict.INCONCLUSIVE
    assert rising.reasons[0] == "0 of 1 lowering steps exercised"


def test_a_first_limit_lowers_only_what_was_demanded() -> None:
    """From no limit to 8 A is a lowering step where the EV had drawn more, and none where it had not."""
    first = line((0, None), (100, 8))
    assert verdict_on(lambda second: 15.5 if second < 105 else 7.5, limits=first, wants=None).verdict is Verdict.PASS
    assert verdict_on(lambda second: 0.0 if second < 105 else 7.5, limits=first, wants=None).verdict is Verdict.INCONCLUSIVE


def test_a_gap_leaves_its_period_undecided() -> None:
    """A meter that says nothing for longer than the scenario allows cannot show obedience."""
    result = verdict_on(lambda second: None if 130 < second < 180 else obedient(second), pilot=offer)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "no reading from" in " ".join(result.reasons)


def test_a_breach_outweighs_a_gap() -> None:
    """What was seen is seen, whatever else was missed."""
    result = verdict_on(lambda second: None if 130 < second < 180 else 15.5, pilot=offer)
    assert result.verdict is Verdict.FAIL


def test_no_reading_at_all_is_inconclusive() -> None:
    """A silent meter convicts nobody."""
    result = verdict_on(lambda second: None)
    assert (result.verdict, result.blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,))


def test_must_exercise_all_names_what_is_missing() -> None:
    """With `all`, each limit has to be exercised; the reasons name the periods that were not."""
    result = verdict_on(lambda second: 7.5 if second < 205 else 0.0, must_limits=None, wants=8.5, pilot=offer)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "1 of 2 non-zero limits exercised" in result.reasons[0]
    assert "limit 16.0 A" in result.reasons[1]


@pytest.mark.parametrize(
    ("rule", "verdict"), [(DecisionRule.SIMPLE, Verdict.PASS), (DecisionRule.FOUR_WAY, Verdict.CONDITIONAL_PASS)]
)
def test_the_decision_rule_counts(rule: DecisionRule, verdict: Verdict) -> None:
    """Right at the limit simple acceptance passes; with a guard band it is conditional."""
    result = verdict_on(lambda second: 16.0 if second < 105 else 7.999 if second < 205 else 0.0, pilot=offer, rule=rule)
    assert result.verdict is verdict


def test_a_wish_alone_exercises_no_limit() -> None:
    """The EV asks for 16 A and draws nothing from second 90 on: nobody saw whether 8 A would have held it."""
    result = verdict_on(lambda second: 15.5 if second < 90 else 0.0, pilot=offer)
    assert [period.exercised for period in result.periods] == [True, False, True]
    assert not result.periods[1].lowered


def test_a_wish_held_by_the_offer_exercises_the_limit() -> None:
    """A shared limit: 8 A are allowed, 6 are offered and taken, 16 are wanted."""
    result = verdict_on(lambda second: 15.5 if second < 90 else 5.5, pilot=lambda second: 16.0 if second < 88 else 6.0)
    assert result.periods[1].exercised
