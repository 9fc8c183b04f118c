"""The planner: the cheapest hours get the highest levels, and never more hours than the need asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.peers.plan import plan_day_ahead
from bench.settings.base import load
from bench.settings.scenario import PriceCurve
from bench.wire.ocpi.checks import check_charging_profile

PRICES = Path(__file__).parents[2] / "fixtures/prices/nl-2023-07-02.toml"
START, DEPARTURE = datetime(2023, 7, 1, 22, 10, tzinfo=UTC), datetime(2023, 7, 2, 21, 50, tzinfo=UTC)
LEVELS = (0, 4200, 6900, 10_000)


def _plan(**changes: Any) -> dict[str, Any]:
    curve = load(PriceCurve, PRICES)
    wanted: dict[str, Any] = {"start": START, "departure": DEPARTURE, "levels_w": LEVELS, "energy_wh": 45_000} | changes
    return plan_day_ahead(wanted.pop("prices", curve.prices), curve.start, interval_s=curve.interval_s, **wanted)


def _by_hour(profile: dict[str, Any]) -> list[float]:
    """Return the limit of each hour of the profile."""
    periods = profile["charging_profile_period"]
    return [
        next(one["limit"] for one in reversed(periods) if one["start_period"] <= hour * 3600)
        for hour in range(profile["duration"] // 3600)
    ]


def test_the_day_of_the_main_job() -> None:
    """45 kWh: local hours 13, 14, 15 at 10 kW, 11 and 12 at 6.9 kW, 10 and 16 at 4.2 kW."""
    profile = _plan()
    expected = {10: 4200, 11: 6900, 12: 6900, 13: 10_000, 14: 10_000, 15: 10_000, 16: 4200}
    assert _by_hour(profile) == [expected.get(hour, 0) for hour in range(24)]
    assert sum(_by_hour(profile)) == 52_200
    assert (profile["start_date_time"], profile["duration"]) == ("2023-07-01T22:00:00Z", 86_400)
    assert check_charging_profile(profile) == []


def test_equal_neighbours_are_one_period() -> None:
    """Seven periods tell the day; the first starts at 0."""
    starts = [one["start_period"] // 3600 for one in _plan()["charging_profile_period"]]
    assert starts == [0, 10, 11, 13, 16, 17]


def test_ties_go_to_the_earlier_hour() -> None:
    """At one price for all, the first whole hours after the session's start are taken."""
    hours = _by_hour(_plan(prices=(5.0,) * 24, energy_wh=10_000))
    assert hours == [0, 10_000, *[0] * 22]


def test_hours_left_over_go_to_the_higher_levels() -> None:
    """Four hours at three levels: two of them at the highest."""
    hours = _by_hour(_plan(prices=tuple(float(one) for one in range(24)), energy_wh=31_100))
    assert hours[1:5] == [10_000, 10_000, 6900, 4200]


def test_an_hour_cut_by_departure_counts_for_nothing() -> None:
    """Leaving at 02:59 local leaves one whole hour, 01 to 02, however cheap the next is."""
    hours = _by_hour(_plan(departure=datetime(2023, 7, 2, 0, 59, tzinfo=UTC), energy_wh=10_000))
    assert [hour for hour, limit in enumerate(hours) if limit] == [1]


def test_a_later_session_gets_the_rest_of_the_curve() -> None:
    """The schedule starts with the hour that contains the session's start and ends with the curve."""
    profile = _plan(start=datetime(2023, 7, 2, 10, 30, tzinfo=UTC))
    assert (profile["start_date_time"], profile["duration"]) == ("2023-07-02T10:00:00Z", 12 * 3600)


def test_no_need_is_no_charging() -> None:
    """0 Wh: one period of 0 W."""
    assert _plan(energy_wh=0)["charging_profile_period"] == [{"start_period": 0, "limit": 0.0}]


def test_quarters_of_an_hour_count_a_quarter_of_the_energy() -> None:
    """With 15-minute prices 10 kW for one interval are 2.5 kWh."""
    profile = plan_day_ahead(
        (3.0, 1.0, 2.0, 4.0), START.replace(minute=0), start=START.replace(minute=0), departure=DEPARTURE,
        levels_w=(0, 10_000), energy_wh=5_000, interval_s=900,
    )  # fmt: skip
    assert profile["charging_profile_period"] == [
        {"start_period": 0, "limit": 0.0}, {"start_period": 900, "limit": 10_000.0}, {"start_period": 2700, "limit": 0.0},
    ]  # fmt: skip


def test_an_impossible_need_is_named_with_what_is_possible() -> None:
    """Nothing is cut short in silence."""
    with pytest.raises(UsageError, match=r"needs 500000 Wh, but only 1\d\d\d\d\d Wh are possible in the 22 whole"):
        _plan(energy_wh=500_000)


def test_a_session_outside_of_the_prices_is_refused() -> None:
    """Yesterday's prices plan nothing."""
    with pytest.raises(UsageError, match="do not cover the session's start 2023-07-03"):
        _plan(start=datetime(2023, 7, 3, tzinfo=UTC))
