"""Moments as people and messages write them."""

from __future__ import annotations

import pytest

from bench.domain.quantities import clock_text, moment, parse_time


@pytest.mark.parametrize(
    ("text", "shown"),
    [("0001-01-01T00:00:00+14:00", (1, 1, 1)), ("9999-12-31T23:59:59-14:00", (9999, 12, 31))],
)
def test_an_offset_leads_to_no_year_that_there_is_not(text: str, shown: tuple[int, int, int]) -> None:
    """A peer may send these date-times: they lie outside of the years 1 to 9999, and count as the nearest in them."""
    at = parse_time(text)
    assert (moment(at).year, moment(at).month, moment(at).day) == shown
    assert clock_text(at) == "beyond the calendar"
