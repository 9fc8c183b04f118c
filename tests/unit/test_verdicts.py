"""Verdict words, their order, exit codes and decision rules."""

from __future__ import annotations

import pytest

from bench.domain.decision import DecisionRule, decide
from bench.domain.quantities import clock_text, offered_current_a
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import RunState, Verdict, exit_code, worst


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE], Verdict.FAIL),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE),
        ([Verdict.PASS, Verdict.NOT_APPLICABLE], Verdict.PASS),
        ([Verdict.CONDITIONAL_FAIL, Verdict.CONDITIONAL_PASS], Verdict.CONDITIONAL_FAIL),
        ([Verdict.NOT_APPLICABLE], Verdict.INCONCLUSIVE),
        ([], Verdict.INCONCLUSIVE),
    ],
)
def test_the_worst_check_rules(words: list[Verdict], expected: Verdict) -> None:
    """What was not judged is INCONCLUSIVE; NOT_APPLICABLE never worsens."""
    assert worst(words) is expected


@pytest.mark.parametrize(
    ("state", "verdict", "strict", "code"),
    [
        (RunState.COMPLETED, Verdict.PASS, False, 0),
        (RunState.COMPLETED, Verdict.CONDITIONAL_PASS, False, 0),
        (RunState.COMPLETED, Verdict.CONDITIONAL_PASS, True, 1),
        (RunState.COMPLETED, Verdict.FAIL, False, 1),
        (RunState.COMPLETED, Verdict.CONDITIONAL_FAIL, False, 1),
        (RunState.COMPLETED, Verdict.INCONCLUSIVE, False, 3),
        (RunState.COMPLETED, Verdict.NOT_APPLICABLE, False, 3),
        (RunState.ERROR, Verdict.PASS, False, 4),
        (RunState.ABORTED, Verdict.FAIL, False, 5),
    ],
)
def test_exit_codes_follow_state_then_verdict(state: RunState, verdict: Verdict, strict: bool, code: int) -> None:
    """The run's state comes first, then the worst check."""
    assert exit_code(state, verdict, strict=strict) == code


@pytest.mark.parametrize(
    ("reading", "rule", "verdict"),
    [
        (16.0, DecisionRule.SIMPLE, Verdict.PASS),
        (16.1, DecisionRule.SIMPLE, Verdict.FAIL),
        (15.5, DecisionRule.GUARDED, Verdict.PASS),
        (15.8, DecisionRule.GUARDED, Verdict.FAIL),
        (15.5, DecisionRule.FOUR_WAY, Verdict.PASS),
        (15.8, DecisionRule.FOUR_WAY, Verdict.CONDITIONAL_PASS),
        (16.2, DecisionRule.FOUR_WAY, Verdict.CONDITIONAL_FAIL),
        (16.4, DecisionRule.FOUR_WAY, Verdict.FAIL),
    ],
)
def test_decision_rules_at_a_limit_of_16_a(reading: float, rule: DecisionRule, verdict: Verdict) -> None:
    """ILAC-G8:09/2019 4.2 with U = 0.37 A, a class B meter at 16 A."""
    assert decide(reading, 16.0, 0.37, rule) is verdict


def test_expanded_uncertainty_of_a_reading() -> None:
    """2 % of 16 A spread evenly and steps of 0.01 A give U = 2 sqrt((0.32/sqrt 3)^2 + (0.01/(2 sqrt 3))^2) = 0.3695 A."""
    assert Accuracy(2.0, 0.01).expanded(16.0) == pytest.approx(0.36955, abs=1e-5)


@pytest.mark.parametrize(
    ("duty", "amperes"), [(None, 0), (5, 0), (7.9, 0), (9, 6), (10, 6), (26.6667, 16), (85, 51), (90, 65), (96.5, 80), (98, 0)]
)
def test_duty_cycle_offers_a_current(duty: float | None, amperes: float) -> None:
    """IEC 61851-1 table A.7."""
    assert offered_current_a(duty) == pytest.approx(amperes, abs=1e-3)


@pytest.mark.parametrize(
    ("at", "text"), [(1688335214.96, "22:00:15Z"), (1688335215.25, "22:00:15.2Z"), (1688335215.0, "22:00:15Z")]
)
def test_moments_are_told_in_utc(at: float, text: str) -> None:
    """A moment for people has whole seconds, or tenths where there are any."""
    assert clock_text(at) == f"2023-07-02 {text}"
