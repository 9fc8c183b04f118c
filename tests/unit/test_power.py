"""The power check on small hand-made runs: a limit of 16 A, then 8 A at second 100, then 0 A at second 200."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.plateaus import Scale
from bench.runs.checks.power import PowerRule, judge_power
from bench.runs.checks.sureness import sureness

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


def test_what_was_drawn_long_before_a_limit_shows_no_demand() -> None:
    """16 A up to second 30, then no reading until the limit of 8 A has come: 5 A may be all that the car wants by then."""
    result = verdict_on(lambda second: 15.5 if second < 30 else None if second < 101 else 5.0)
    assert [one.exercised for one in result.periods[:2]] == [True, False]


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


def noisy(second: int, mean: float, spread: float = 0.02) -> float:
    """Return a reading that scatters about a mean, the same in each run."""
    return mean + spread * (((second * 7919) % 101) / 50 - 1)


def test_noise_at_the_limit_convicts_nobody() -> None:
    """Half of the readings lie above 8 A + U = 8.018 A, their mean does not: conditional, not FAIL."""
    draw = lambda s: noisy(s, 15.5, 0.08) if s < 105 else noisy(s, 8.0, 0.04) if s < 205 else 0.0  # noqa: E731
    result = verdict_on(draw, pilot=offer, rule=DecisionRule.FOUR_WAY)
    assert result.verdict in (Verdict.CONDITIONAL_PASS, Verdict.CONDITIONAL_FAIL)


def test_a_mean_above_the_limit_and_u_fails() -> None:
    """8.05 A under 8 A: no single reading is outside of the noise, and the plateau is."""
    draw = lambda s: noisy(s, 15.5, 0.04) if s < 105 else noisy(s, 8.05) if s < 205 else 0.0  # noqa: E731
    result = verdict_on(draw, pilot=lambda _: 16, rule=DecisionRule.FOUR_WAY)
    assert result.verdict is Verdict.FAIL


def test_one_excursion_convicts() -> None:
    """A single reading of 8.5 A in a quiet plateau is no noise, and the mean does not hide it."""
    draw = lambda s: 15.5 if s < 105 else 8.5 if s == 150 else noisy(s, 7.5) if s < 205 else 0.0  # noqa: E731
    result = verdict_on(draw, pilot=offer, rule=DecisionRule.FOUR_WAY)
    assert (result.verdict, len(result.breaches)) == (Verdict.FAIL, 1)
    assert result.breaches[0].start == pytest.approx(150.01)


def test_a_part_of_a_period_is_not_hidden_by_the_rest() -> None:
    """8.1 A for 20 s and 6 A for the rest: two plateaus, and the first fails."""
    draw = lambda s: 15.5 if s < 105 else 8.1 if s < 140 else 6.0 if s < 205 else 0.0  # noqa: E731
    assert verdict_on(draw, pilot=lambda s: 16, rule=DecisionRule.FOUR_WAY).verdict is Verdict.FAIL


def test_nothing_at_all_passes_a_pause() -> None:
    """0.000 A under a limit of 0 A is PASS, for nothing flows below zero; 0.2 A is FAIL."""
    calm = verdict_on(obedient, pilot=offer, rule=DecisionRule.FOUR_WAY)
    assert calm.periods[2].verdict is Verdict.PASS
    leaking = verdict_on(lambda s: obedient(s) if s < 205 else 0.2, pilot=offer, rule=DecisionRule.FOUR_WAY)
    assert leaking.verdict is Verdict.FAIL


def test_how_sure_the_verdict_is() -> None:
    """At 16 A and 0.2 %: U = 0.037 A, so what is above 16.068 A is found; without a tolerance there is no ratio."""
    result = verdict_on(obedient, pilot=offer, rule=DecisionRule.FOUR_WAY)
    found = next(one for one in result.measurements if one.name == "detection_limit")
    assert found.unit == "A"
    assert found.value == pytest.approx(16.068, abs=1e-3)
    assert "test_uncertainty_ratio" not in [one.name for one in result.measurements]
    assert not result.warnings


@pytest.mark.parametrize(("tolerance", "ratio", "codes"), [(0.6, 1.6, ["low-tur"]), (1.2, 3.1, [])])
def test_a_poor_ratio_is_warned_of(tolerance: float, ratio: float, codes: list[str]) -> None:
    """Tolerance / U below 3: 0.6 A with a meter of 2 %."""
    measured, warnings = sureness(16, "A", tolerance, Scale(Accuracy(2.0, 0.01)), DecisionRule.FOUR_WAY)
    assert measured[1].value == pytest.approx(ratio, abs=0.1)
    assert [one.code for one in warnings] == codes


@pytest.mark.parametrize(
    ("late_s", "verdict"), [(5, Verdict.PASS), (9, Verdict.PASS), (10, Verdict.INCONCLUSIVE), (12, Verdict.FAIL)]
)
def test_a_time_limit_is_judged_by_an_interval(late_s: int, verdict: Verdict) -> None:
    """10 s are allowed, readings come each second with a latency up to 0.2 s: at 10 s nobody can say."""
    draw = lambda s: 15.5 if s < 100 + late_s else 7.5 if s < 205 else 0.0  # noqa: E731
    result = verdict_on(draw, pilot=offer, apply_within_s=10.0, limits=line((0, 16), (100, 8)))
    assert result.verdict is verdict


@pytest.mark.parametrize(("offered_until", "blamed"), [(103, Layer.EV), (113, Layer.STATION)])
def test_who_was_late(offered_until: int, blamed: Layer) -> None:
    """Within 15 s of settling, and later than 10 s: the station where its offer was late, the EV where it was there in time."""
    pilot = lambda s: 16.0 if s < offered_until else 8.0  # noqa: E731
    draw = lambda s: 15.5 if s < 113 else 7.5  # noqa: E731
    result = verdict_on(draw, pilot=pilot, apply_within_s=10.0, limits=line((0, 16), (100, 8)))
    assert (result.verdict, result.blamed, result.fault_class) == (Verdict.FAIL, (blamed,), FaultClass.TIMING)
    assert "was reached between 11.8 s and 13.0 s later; 10 s are allowed" in result.headline


def test_a_current_that_was_below_already_is_not_timed() -> None:
    """Nothing was commanded: no time can be told."""
    draw = lambda s: 7.5  # noqa: E731
    assert "was reached" not in " ".join(verdict_on(draw, pilot=offer, apply_within_s=10.0).reasons)
