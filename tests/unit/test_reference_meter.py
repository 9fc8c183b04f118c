"""What the reference meter shows of the energy between two moments."""

from __future__ import annotations

import pytest

from bench.domain.evidence import Sample
from bench.domain.reference import Reference

READINGS = [Sample(at, at, (16.0,) * 3, 3600.0, 100.0 + at, at) for at in range(10, 51)]
"""1 Wh each second, from second 10 to 50."""


@pytest.mark.parametrize(
    ("start", "end", "low", "high"), [(20, 40, 20, 20), (20, 60, 30, 40), (0, 40, 30, 40), (0, 60, 40, 60)]
)
def test_what_may_have_flowed_where_nobody_read_counts(start: float, end: float, low: float, high: float) -> None:
    """Readings end where later ones are in doubt: a station that counts on is not wrong by what they leave out."""
    found = Reference(READINGS, 30).energy(start, end)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high))
