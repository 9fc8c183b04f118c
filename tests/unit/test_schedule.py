"""What a mock peer sends for a session: flat, by prices, by solar surplus, from a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.peers.plan import brought_to, plan_solar
from bench.peers.schedule import Need, schedule
from bench.settings.base import load
from bench.settings.surplus import SurplusCurve
from bench.wire.ocpi.checks import check_charging_profile

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOON = datetime(2026, 6, 1, 12, 20, 5, tzinfo=UTC)


def _limit_at(profile: dict[str, Any], at: datetime) -> float:
    since = (at - datetime.fromisoformat(profile["start_date_time"])).total_seconds()
    limits = [one["limit"] for one in profile["charging_profile_period"] if one["start_period"] <= since]
    return float(limits[-1])


@pytest.mark.parametrize(("text", "limit", "unit"), [("flat:11000W", 11000.0, "W"), ("flat:15.99A", 15.9, "A")])
def test_a_flat_schedule_is_one_limit(text: str, limit: float, unit: str) -> None:
    """Rounded down to one decimal, without an end."""
    profile = schedule(text, Need())(NOON)
    assert profile["charging_rate_unit"] == unit
    assert profile["charging_profile_period"] == [{"start_period": 0, "limit": limit}]
    assert check_charging_profile(profile) == []


def test_the_roof_of_the_fixture() -> None:
    """Less than the car's least is 0; after the curve's end too."""
    profile = schedule(f"solar:{FIXTURES}/surplus/roof-20kw.toml", Need())(NOON)
    assert check_charging_profile(profile) == []
    assert [_limit_at(profile, NOON + timedelta(hours=hour)) for hour in range(6)] == [8200.0, 0.0, 11200.0, 9050.0, 6100.0, 0.0]


@given(
    st.lists(st.floats(-5000, 20_000), min_size=1, max_size=20),
    st.integers(-7200, 30_000),
    st.sampled_from([0.0, 1380.0, 4140.0]),
)
def test_a_solar_limit_never_passes_the_surplus(surplus: list[float], offset_s: int, least_w: float) -> None:
    """At each second looked at, and 0 where no surplus is known."""
    curve_start = datetime(2026, 6, 1, 8, tzinfo=UTC)
    start = curve_start + timedelta(seconds=offset_s)
    if offset_s >= len(surplus) * 900:
        with pytest.raises(UsageError, match="is over before"):
            plan_solar(surplus, curve_start, start=start)
        return
    profile = plan_solar(surplus, curve_start, start=start, least_w=least_w)
    assert check_charging_profile(profile) == []
    assert all(one["limit"] != other["limit"] for one, other in pairwise(profile["charging_profile_period"]))
    for second in range(0, 40_000, 450):
        at = start + timedelta(seconds=second)
        index = (at - curve_start) // timedelta(seconds=900)
        known = max(0.0, surplus[index]) if 0 <= index < len(surplus) else 0.0
        limit = _limit_at(profile, at)
        assert limit <= known
        assert limit == 0 or limit >= least_w - 0.1
        assert known - limit < 0.11 or known < least_w


def test_a_curve_of_another_day_is_taken_for_today() -> None:
    """Moved by whole days, so that the hours stay what they are."""
    start = datetime(2023, 7, 1, 22, tzinfo=UTC)
    assert brought_to(start, 86_400, NOON) == datetime(2026, 5, 31, 22, tzinfo=UTC)
    assert brought_to(start, 86_400, start + timedelta(hours=5)) == start


def test_prices_of_another_day_serve() -> None:
    """A plan by prices begins in the running hour and has the cheapest ones."""
    profile = schedule(f"price:{FIXTURES}/prices/nl-2023-07-02.toml", Need(22_000, 8))(NOON)
    assert check_charging_profile(profile) == []
    assert profile["start_date_time"] == "2026-06-01T12:00:00Z"
    assert _limit_at(profile, NOON + timedelta(hours=1)) == 11_000.0


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    """And checked when it is read."""
    profile = json.loads((FIXTURES / "ocpi/2.2.1/set_charging_profile.json").read_text())["charging_profile"]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    assert schedule(f"file:{path}", Need())(NOON) == profile
    path.write_text(json.dumps(profile | {"charging_rate_unit": "kW"}))
    with pytest.raises(UsageError, match="neither A nor W"):
        schedule(f"file:{path}", Need())


@pytest.mark.parametrize("text", ["flat:11kW", "flat:", "moon:full", "file:/nowhere.json", "solar:/nowhere.toml", "file:"])
def test_a_wrong_schedule_is_bad_usage(text: str) -> None:
    """Told at the start, not with the first session."""
    with pytest.raises(UsageError):
        schedule(text, Need())


def test_the_fixture_has_whole_hours() -> None:
    """The curve is what the settings say."""
    curve = load(SurplusCurve, FIXTURES / "surplus/roof-20kw.toml")
    assert (curve.interval_s, len(curve.surplus_w), curve.least_w) == (3600, 16, 4140)
