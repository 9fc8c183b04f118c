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

from bench.cli import main
from bench.errors import UsageError
from bench.peers.plan import brought_to, plan_solar
from bench.peers.schedule import Need, schedule
from bench.settings.base import load
from bench.settings.scenario import PriceCurve
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


def test_prices_of_quarter_hours_serve() -> None:
    """15-minute prices, as the day-ahead market has them: 5 kWh at 10 kW are the two cheapest quarters, wherever they lie."""
    curve = load(PriceCurve, FIXTURES / "prices/quarter-hours.toml")
    profile = schedule(f"price:{FIXTURES}/prices/quarter-hours.toml", Need(5_000, 2, (10_000,)))(NOON)
    assert (curve.interval_s, len(curve.prices)) == (900, 96)
    assert check_charging_profile(profile) == []
    assert profile["start_date_time"] == "2026-06-01T12:15:00Z"
    assert profile["charging_profile_period"] == [
        {"start_period": 0, "limit": 0.0}, {"start_period": 900, "limit": 10_000.0}, {"start_period": 1800, "limit": 0.0},
        {"start_period": 2700, "limit": 10_000.0}, {"start_period": 3600, "limit": 0.0},
    ]  # fmt: skip


def test_a_day_of_another_date_goes_on_with_itself() -> None:
    """Late in the evening a sample's own night follows: the plan reaches beyond its midnight, which real prices would not."""
    late = datetime(2026, 6, 1, 22, 50, tzinfo=UTC)
    built = schedule(f"price:{FIXTURES}/prices/quarter-hours.toml", Need(11_000, 8))
    assert [_limit_at(built(late), late + timedelta(hours=hour)) for hour in (0, 1, 2, 3, 4, 5)] == [0, 0, 0, 0, 11_000, 0]
    with pytest.raises(UsageError, match="only 0 Wh are possible in the 0 whole price intervals"):
        built(datetime(2026, 1, 15, 22, 50, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("interval_s = 900", "interval_s = 1800"), "interval_s = 1800: must be 900 or 3600"),
        (("23:00:00Z", "23:00:00"), "start = 2026-01-14T23:00:00: must have a time zone, such as Z"),
        (("2026-01-14T23:00:00Z", "2026-01-14"), "start = 2026-01-14: must have a time zone, such as Z"),
        (("93.62,", "nan,"), r"prices\[0\] = nan: must be a finite number"),
        (("93.62,", "'93,62',"), r"prices\[0\] = '93,62': must be a number"),
        (("interval_s = 900", ""), "interval_s: is required"),
        (("EUR/MWh", "EUR/kWh"), "unit = 'EUR/kWh': must be 'EUR/MWh'"),
    ],
)
def test_a_wrong_price_file_names_the_place(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    """File, key, value and reason, told at the start."""
    path = tmp_path / "prices.toml"
    path.write_text((FIXTURES / "prices/quarter-hours.toml").read_text().replace(*change, 1))
    with pytest.raises(UsageError, match=f"prices.toml: {told}"):
        schedule(f"price:{path}", Need())


@pytest.mark.parametrize(("file", "kind"), [("prices/quarter-hours.toml", "price"), ("surplus/roof-20kw.toml", "surplus")])
def test_a_curve_can_be_checked_beforehand(file: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`bench check` knows both kinds."""
    assert main(["check", str(FIXTURES / file)]) == 0
    assert f"{file}: a sound {kind} file" in capsys.readouterr().out


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    """And checked when it is read."""
    profile = json.loads((FIXTURES / "ocpi/2.2.1/set_charging_profile.json").read_text())["charging_profile"]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    assert schedule(f"file:{path}", Need())(NOON) == profile
    path.write_text(json.dumps(profile | {"charging_rate_unit": "kW"}))
    with pytest.raises(UsageError, match="neither A nor W"):
        schedule(f"file:{path}", Need())


@pytest.mark.parametrize(
    "text", ["flat:11kW", "flat:", "moon:full", "file:/nowhere.json", "solar:/nowhere.toml", "file:", "price:", "solar:"]
)
def test_a_wrong_schedule_is_bad_usage(text: str) -> None:
    """Told at the start, not with the first session."""
    with pytest.raises(UsageError, match=r"--schedule|nowhere"):
        schedule(text, Need())


def test_the_fixture_has_whole_hours() -> None:
    """The curve is what the settings say."""
    curve = load(SurplusCurve, FIXTURES / "surplus/roof-20kw.toml")
    assert (curve.interval_s, len(curve.surplus_w), curve.least_w) == (3600, 16, 4140)
