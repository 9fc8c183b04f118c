"""Findings on the EV from hand-made readings, one a second; `state`, `offer` and `draw` are functions of the second."""

from __future__ import annotations

from collections.abc import Callable

from bench.domain.evidence import EvseFacts, PilotSample, Sample, TransactionSpan
from bench.domain.oracle import Supply, Transaction
from bench.domain.uncertainty import Accuracy
from bench.runs.checks.ev_habits import ev_habits

Course = Callable[[int], float]


def codes(offer: Course, draw: Course, *, end: int = 400, wants: float | None = 16, blind: bool = False) -> list[str]:
    """Return the codes of what is found; the EV is in C while it draws."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    for second in range(end):
        current = draw(second)
        evse.samples.append(Sample(second, second + 0.01, (current,) * 3, current * 690, 0.0, second))
        if not blind:
            state = "C" if current > 0 else "B"
            evse.pilot.append(PilotSample(second + 0.02, state, offer(second), wants, 1000 + second))
    evse.transactions.append(TransactionSpan(Transaction("tx", 0, 0), 0))
    return [one.code for one in ev_habits(evse)]


def steps(second: int) -> float:
    """Offer 10, 7, 6, 8 and 10 A for 80 s each."""
    return (10.0, 7.0, 6.0, 8.0, 10.0)[second // 80]


def test_an_ev_that_follows_has_no_habit() -> None:
    """It stays half an ampere below each offer."""
    assert codes(steps, lambda second: steps(second) - 0.5) == []


def test_one_threshold_that_fits_all_is_a_minimum() -> None:
    """Nothing at 7 and 6 A, all at 8 and 10 A."""
    assert codes(steps, lambda second: steps(second) - 0.5 if steps(second) >= 8 else 0.0) == ["ev-minimum"]


def test_an_ev_that_never_comes_back_has_shown_no_threshold() -> None:
    """Nothing from 7 A on, at 10 A neither: full, asleep or broken."""
    assert "ev-minimum" not in codes(steps, lambda second: 9.5 if second < 80 else 0.0)


def test_an_ev_that_wants_nothing_has_no_minimum() -> None:
    """It asks for 0 A."""
    assert codes(steps, lambda second: steps(second) - 0.5 if steps(second) >= 8 else 0.0, wants=0) == []


def test_stops_under_an_offer_that_stays_are_cycling() -> None:
    """6 s of charging and 30 s of none, over and over."""
    assert codes(lambda second: 16.0, lambda second: 15.5 if second % 36 < 6 else 0.0) == ["ev-cycling"]


def test_stops_at_each_change_of_the_offer_are_not() -> None:
    """The station pauses every other 36 s."""
    offer = lambda second: 16.0 if second // 36 % 2 else 0.0  # noqa: E731
    assert codes(offer, lambda second: 15.5 if second // 36 % 2 else 0.0) == []


def test_an_ev_that_sleeps_after_a_pause_is_told_of() -> None:
    """PWM is back for six minutes, and it stays in B."""
    offer = lambda second: 0.0 if 100 <= second < 140 else 16.0  # noqa: E731
    assert codes(offer, lambda second: 15.5 if second < 100 else 0.0, end=540) == ["ev-slow-resume"]


def test_nobody_at_the_pilot_finds_nothing() -> None:
    """Whether the station or the EV stopped is not seen."""
    assert codes(lambda second: 16.0, lambda second: 15.5 if second % 36 < 6 else 0.0, blind=True) == []
