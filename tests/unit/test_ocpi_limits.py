"""Schedules merged and cut into windows: never more power than was asked for, whatever renewal fails.

The expectations here ask second by second what each raw profile says; they share nothing with the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.ocpi.limits import Span, Window, common_unit, joined, merge, spans_of, window
from bench.wire.ocpi.mapping import EvseSupply, NotConvertibleError
from bench.wire.ocpi.profiles import ChargingProfile

T0: Final = datetime(2026, 1, 15, tzinfo=UTC)
LENGTH: Final = 60
"""Seconds that a property looks at, from T0 on."""
Raw = dict[str, Any]


def _raw(starts: list[int], limits: list[float], unit: str = "A", at: int | None = 0, duration: int | None = None) -> Raw:
    periods = [{"start_period": start, "limit": limit} for start, limit in zip(starts, limits, strict=True)]
    raw: Raw = {"charging_rate_unit": unit, "charging_profile_period": periods}
    if at is not None:
        raw["start_date_time"] = (T0 + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")
    return raw if duration is None else raw | {"duration": duration}


def _profile(*args: Any, **fields: Any) -> ChargingProfile:
    return ChargingProfile.model_validate(_raw(*args, **fields))


@st.composite
def raws(draw: st.DrawFn, units: str = "A") -> Raw:
    """Return an absolute profile of up to eight periods, some with an end."""
    starts = [0, *sorted(draw(st.sets(st.integers(1, 40), max_size=7)))]
    limits = draw(st.lists(st.integers(0, 32), min_size=len(starts), max_size=len(starts)))
    duration = draw(st.none() | st.integers(1, 50))
    return _raw(starts, [float(one) for one in limits], draw(st.sampled_from(units)), draw(st.integers(0, 30)), duration)


def _says(raw: Raw, second: float) -> float | None:
    """Return what one raw profile asks for at a moment, None for nothing."""
    at = second - (datetime.fromisoformat(raw["start_date_time"]) - T0).total_seconds()
    if at < 0 or at >= raw.get("duration", 10**9):
        return None
    return next(float(one["limit"]) for one in reversed(raw["charging_profile_period"]) if one["start_period"] <= at)


def _lowest(profiles: list[Raw], second: float) -> float | None:
    said = [limit for one in profiles if (limit := _says(one, second)) is not None]
    return min(said) if said else None


def _spans(profiles: list[Raw]) -> list[Span]:
    return merge([ChargingProfile.model_validate(one) for one in profiles], "A", EvseSupply(), None)


def _cut(spans: list[Span], second: float, most: int, clock_s: float) -> Window | None:
    return window(spans, T0.timestamp() + second, "A", most, clock_s)


@given(st.lists(raws(), min_size=1, max_size=3), st.integers(1, 5), st.sampled_from([0.0, 5.0, 60.0]), st.lists(st.booleans()))
def test_no_renewal_or_failed_renewal_ever_raises_a_limit(asked: list[Raw], most: int, clock_s: float, works: list[bool]) -> None:
    """At each moment the installed limit is at most the asked one; a renewal that is due may fail any number of times."""
    spans, installed, due = _spans(asked), None, 0.0
    chances = iter(works)
    for second in range(LENGTH):
        if due <= second and (second == 0 or next(chances, True)):
            cut = _cut(spans, second, most, clock_s)
            installed = None if cut is None else cut.profile.plain()
            due = float("inf") if cut is None or cut.renew_at is None else cut.renew_at - T0.timestamp()
            assert installed is None or len(installed["charging_profile_period"]) <= most
        wanted, given_limit = _lowest(asked, second), None if installed is None else _says(installed, second)
        if wanted is not None:
            assert given_limit is not None
            assert given_limit <= wanted


@given(st.lists(raws(), min_size=1, max_size=3), st.integers(2, 5))
def test_by_one_clock_nothing_is_withheld(asked: list[Raw], most: int) -> None:
    """From two periods on, each moment has exactly the limit that was asked for; between two schedules there is none."""
    assert all(limit == _lowest(asked, second) for second, limit in enumerate(_installed(asked, most, 0)))


@given(raws(), st.integers(2, 5), st.integers(1, 8))
def test_no_more_is_withheld_than_clocks_need(asked: Raw, most: int, clock_s: int) -> None:
    """The lowest limit of so many seconds before and after is the least that a moment gets: no pause that is due much later."""
    for second, limit in enumerate(_installed([asked], most, clock_s)):
        near = (_says(asked, at) for at in range(second - clock_s, second + clock_s + 1))
        assert limit is None or limit >= min(one for one in near if one is not None)


@given(st.lists(st.integers(0, 32), min_size=1, max_size=7), st.integers(3, 5), st.integers(1, 5))
def test_long_periods_are_as_asked_from_three_on(limits: list[int], most: int, clock_s: int) -> None:
    """Where a period lasts at least from so long before to so long after, the slots suffice for all that is near."""
    asked = _raw([2 * clock_s * index for index in range(len(limits))], [float(one) for one in limits])
    assert all(limit == _says(asked, second) for second, limit in enumerate(_installed([asked], most, clock_s)))


def _installed(asked: list[Raw], most: int, clock_s: float) -> Iterator[float | None]:
    """Yield what is installed in each second, with each renewal in time."""
    spans, installed, due = _spans(asked), None, 0.0
    for second in range(LENGTH):
        if due <= second:
            cut = _cut(spans, second, most, clock_s)
            installed = installed if cut is None else cut.profile.plain()
            due = float("inf") if cut is None or cut.renew_at is None else cut.renew_at - T0.timestamp()
        yield None if installed is None else _says(installed, second)


@given(raws(), st.integers(0, LENGTH), st.integers(1, 5))
def test_a_renewal_comes_only_when_the_schedule_has_moved_on(asked: Raw, second: int, most: int) -> None:
    """A renewal lies in the future, so that none follows on its own heels."""
    cut = _cut(_spans([asked]), second, most, 60.0)
    assert cut is None or cut.renew_at is None or cut.renew_at > T0.timestamp() + second


@given(st.lists(st.tuples(raws(), st.floats(0, 1)), min_size=1, max_size=3), st.integers(0, LENGTH), st.integers(1, 5))
def test_no_period_without_length_goes_out(asked: list[tuple[Raw, float]], second: int, most: int) -> None:
    """Wherever in a second the profiles begin: each period begins after the one before, and the last one before the end."""
    starts = [(one, datetime.fromisoformat(one["start_date_time"]) + timedelta(seconds=part)) for one, part in asked]
    cut = _cut(_spans([one | {"start_date_time": at.isoformat().replace("+00:00", "Z")} for one, at in starts]), second, most, 5)
    if cut is not None:
        begins = [one.start_period for one in cut.profile.charging_profile_period]
        assert all(one < other for one, other in pairwise([*begins, cut.profile.duration or LENGTH * 10]))


def test_the_last_period_of_a_window_holds_the_lowest_that_is_left() -> None:
    """Three periods of five: two as asked, then the lowest of the other three, to the end of the whole schedule."""
    profile = _profile([0, 900, 1800, 2700, 3600], [16.0, 10.0, 12.0, 8.0, 14.0], duration=4500)
    cut = window(spans_of(profile, None), T0.timestamp(), "A", 3)
    assert cut is not None
    periods = [(one.start_period, one.limit) for one in cut.profile.charging_profile_period]
    assert (periods, cut.profile.duration) == ([(0, 16.0), (900, 10.0), (1800, 8.0)], 4500)
    assert cut.renew_at == T0.timestamp() + 1740


def test_a_window_begins_where_its_first_period_began() -> None:
    """Cut in the middle of a period, its start lies in the past."""
    cut = window(spans_of(_profile([0, 900, 1800], [16.0, 10.0, 12.0]), None), T0.timestamp() + 1000, "A", 2)
    assert cut is not None
    assert cut.profile.start_date_time == T0 + timedelta(seconds=900)
    assert (cut.profile.duration, cut.renew_at) == (None, None)


def test_a_schedule_that_is_over_has_no_window() -> None:
    """Nothing is left to install."""
    assert window(spans_of(_profile([0], [16.0], duration=60), None), T0.timestamp() + 60, "A", 2) is None


def test_a_relative_profile_counts_from_the_begin_of_the_transaction() -> None:
    """With that moment known it can be merged; without, it is refused in words."""
    profile = _profile([0, 10], [16.0, 6.0], at=None)
    assert spans_of(profile, T0)[1].start == T0.timestamp() + 10
    with pytest.raises(NotConvertibleError, match="not known when this transaction began"):
        spans_of(profile, None)


def test_periods_after_the_duration_ask_for_nothing() -> None:
    """A duration shorter than the last start_period cuts it off."""
    assert [one.limit for one in spans_of(_profile([0, 900], [16.0, 6.0], duration=600), None)] == [16.0]


def test_watts_and_amperes_meet_in_amperes_rounded_down() -> None:
    """11 kW on 3 x 230 V is 15.94 A per phase: 15.9 A beats 16 A."""
    watts, amperes, supply = _profile([0], [11_000.0], unit="W"), _profile([0], [16.0]), EvseSupply()
    assert common_unit([watts, amperes], supply) == "A"
    assert common_unit([watts, watts], supply) == "W"
    assert common_unit([watts, amperes], EvseSupply(rate_units=("W",))) == "W"
    assert [one.limit for one in merge([watts, amperes], "A", supply, None)] == [15.9]


def test_on_dc_two_units_do_not_meet() -> None:
    """There is no fixed voltage to convert by."""
    with pytest.raises(NotConvertibleError, match="DC"):
        merge([_profile([0], [11_000.0], unit="W"), _profile([0], [16.0])], "A", EvseSupply(phases=None), None)


def test_the_lower_limit_rules_a_second_that_two_share() -> None:
    """A profile that begins half-way through a second counts from the whole second on: periods begin at whole seconds."""
    late = ChargingProfile.model_validate(_raw([0], [6.0]) | {"start_date_time": "2026-01-15T00:00:10.500Z"})
    merged = merge([_profile([0], [16.0]), late], "A", EvseSupply(), None)
    assert [(one.start - T0.timestamp(), one.limit) for one in merged] == [(0, 16.0), (10, 6.0)]


def test_equal_neighbours_are_one() -> None:
    """They would only take a place among the station's periods."""
    assert joined([Span(0, 1, 6.0), Span(1, 2, 6.0), Span(3, 4, 6.0)]) == [Span(0, 2, 6.0), Span(3, 4, 6.0)]
