"""How long a current takes to follow a step, worked out by hand."""

from __future__ import annotations

import pytest

from bench.domain.settling import CurrentSample, plateau, settling_interval


def samples(*currents: float, every_s: float = 1.0, reading_s: float = 0.1) -> list[CurrentSample]:
    """Return readings from second 0 on."""
    return [CurrentSample(at * every_s, at * every_s + reading_s, current) for at, current in enumerate(currents)]


def test_the_interval_lies_between_the_last_reading_outside_and_the_first_inside() -> None:
    """Outside until the reading of 3.0 s, inside from that of 4.0 to 4.1 s; step at 0.5 s; latency 0.2 to 0.7 s.

    Shortest: 3.0 - 0.7 - 0.5 = 1.8 s. Longest: 4.1 - 0.2 - 0.5 = 3.4 s.
    """
    got = settling_interval(samples(16, 16, 16, 12, 8.2, 8.1, 8.0), 8.0, 0.5, (0.2, 0.7), 0.5)
    assert got == pytest.approx((1.8, 3.4))


def test_a_swing_back_out_counts_as_not_settled() -> None:
    """Within at 2 s, outside again at 3 s: the last time decides."""
    got = settling_interval(samples(16, 12, 8.2, 7.0, 8.0, 8.0), 8.0, 0.5, (0.0, 0.0), 0.0)
    assert got == pytest.approx((3.0, 4.1))


def test_a_current_that_was_there_at_once_took_no_time() -> None:
    """No reading outside: at least nothing, at most the first reading."""
    assert settling_interval(samples(8.0, 8.0), 8.0, 0.5, (0.0, 0.0), 0.0) == pytest.approx((0.0, 0.1))


def test_what_ends_outside_has_not_settled() -> None:
    """None, not a guess."""
    assert settling_interval(samples(8.0, 16.0), 8.0, 0.5, (0.0, 0.0), 0.0) is None
    assert settling_interval([], 8.0, 0.5, (0.0, 0.0), 0.0) is None


def test_a_plateau_is_flat_and_long_enough() -> None:
    """The mean of the last 3 s: 10.0, 10.2, 10.1 and what came just 3 s before."""
    assert plateau(samples(4, 10.1, 10.0, 10.2, 10.1), 3.0, 0.3) == pytest.approx(10.1)
    assert plateau(samples(4, 8, 10.0, 10.2, 10.1), 3.0, 0.3) is None
    assert plateau(samples(10.0, 10.0), 3.0, 0.3) is None
