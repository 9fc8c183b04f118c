"""OCPI to OCPP and back: never more than was asked for, in either direction (mod_charging_profiles; OCPP block K)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.wire.ocpi.mapping import EvseSupply, NotConvertibleError, capacity, convert, round_down, same_ahead, to_ocpi, to_ocpp
from bench.wire.ocpi.profiles import ActiveChargingProfile, ChargingProfile
from bench.wire.schemas import check_payload


def _profile(unit: str = "A", limits: tuple[float, ...] = (16.0,), **more: Any) -> ChargingProfile:
    periods = [{"start_period": index * 900, "limit": limit} for index, limit in enumerate(limits)]
    return ChargingProfile.model_validate({"charging_rate_unit": unit, "charging_profile_period": periods, **more})


def _ocpp(profile: ChargingProfile, supply: EvseSupply = EvseSupply()) -> dict[str, Any]:  # noqa: B008  (frozen)
    return to_ocpp(profile, supply, profile_id=90_017, stack_level=3, transaction_id="tx-22")


def _active(start: str, *limits: tuple[int, float], duration: int = 3600) -> ActiveChargingProfile:
    periods = [{"start_period": at, "limit": limit} for at, limit in limits]
    profile = {"start_date_time": start, "duration": duration, "charging_rate_unit": "A", "charging_profile_period": periods}
    return ActiveChargingProfile.model_validate({"start_date_time": start, "charging_profile": profile})


@pytest.mark.parametrize(
    ("limit", "expected"), [(16.0, 16.0), (15.95, 15.9), (15.99, 15.9), (0.05, 0.0), (6.1, 6.1), (10_000.0, 10_000.0), (0.3, 0.3)]
)
def test_limits_are_rounded_down(limit: float, expected: float) -> None:
    """ChargingSchedulePeriod: one decimal, and never 0.05 A too much; decimal fractions stay what they look like."""
    assert round_down(limit) == expected


def test_watts_on_three_phases_become_amperes_per_phase() -> None:
    """ChargingSchedulePeriod: 11 kW on 3 x 230 V is 15.94 A: 15.9 A."""
    assert convert(11_000, "W", "A", EvseSupply()) == 15.9
    assert convert(16, "A", "W", EvseSupply()) == 11_040.0
    assert convert(16, "A", "W", EvseSupply(phases=1)) == 3680.0


def test_the_unit_is_converted_only_where_the_station_lacks_it() -> None:
    """RateUnit of the station decides (K01.FR.26)."""
    profile = _profile("W", (11_000.0,), min_charging_rate=4200)
    both = _ocpp(profile)["chargingSchedule"][0]
    only_a = _ocpp(profile, EvseSupply(rate_units=("A",)))["chargingSchedule"][0]
    assert (both["chargingRateUnit"], both["chargingSchedulePeriod"][0]["limit"]) == ("W", 11_000.0)
    assert (only_a["chargingRateUnit"], only_a["chargingSchedulePeriod"][0]["limit"]) == ("A", 15.9)
    assert only_a["minChargingRate"] == 6.0


def test_dc_has_no_amperes_for_watts() -> None:
    """K01.FR.26: without a fixed voltage there is nothing to convert by."""
    with pytest.raises(NotConvertibleError, match="DC"):
        _ocpp(_profile("W"), EvseSupply(rate_units=("A",), phases=None))


def test_a_start_makes_it_absolute() -> None:
    """K01.FR.40, FR.41: Absolute has a startSchedule, Relative has none."""
    absolute = _ocpp(_profile(start_date_time="2026-11-23T10:00:00Z", duration=3600))
    relative = _ocpp(_profile())
    assert absolute["chargingProfileKind"] == "Absolute"
    assert absolute["chargingSchedule"][0]["startSchedule"] == "2026-11-23T10:00:00Z"
    assert relative["chargingProfileKind"] == "Relative"
    assert "startSchedule" not in relative["chargingSchedule"][0]


@pytest.mark.parametrize(("phases", "told"), [(3, None), (2, 2), (1, 1), (None, None)])
def test_phases_are_told_where_they_are_not_three(phases: int | None, told: int | None) -> None:
    """Absent means three for AC (K01.FR.49); DC has none."""
    period = _ocpp(_profile(), EvseSupply(phases=phases))["chargingSchedule"][0]["chargingSchedulePeriod"][0]
    assert period.get("numberPhases") == told


def test_the_message_is_valid_ocpp() -> None:
    """Each kind of profile passes the schema of SetChargingProfile."""
    for profile in (_profile("W", (11_000.0, 0.0), min_charging_rate=1400, start_date_time="2026-11-23T10:00:00.5Z"), _profile()):
        payload = {"evseId": 1, "chargingProfile": _ocpp(profile, EvseSupply(rate_units=("A",), phases=1))}
        assert check_payload("SetChargingProfile", False, payload) is None


def test_too_many_periods_for_the_station_are_refused() -> None:
    """SetChargingProfile: before any OCPP."""
    with pytest.raises(NotConvertibleError, match="2 periods: the station holds 1"):
        _ocpp(_profile(limits=(16.0, 6.0)), EvseSupply(periods=1))


def test_a_composite_schedule_starts_in_both_places() -> None:
    """Equal neighbours are merged, and the unit is the one asked for."""
    composite = {
        "evseId": 1, "duration": 3600, "scheduleStart": "2026-11-23T10:05:00Z", "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 10}, {"startPeriod": 60, "limit": 10}, {"startPeriod": 600, "limit": 6.05},
        ],
    }  # fmt: skip
    active = to_ocpi(composite, "A", EvseSupply()).plain()
    assert active["start_date_time"] == active["charging_profile"]["start_date_time"] == "2026-11-23T10:05:00Z"
    assert active["charging_profile"]["charging_profile_period"] == [
        {"start_period": 0, "limit": 10.0}, {"start_period": 600, "limit": 6.0},
    ]  # fmt: skip


def test_time_passing_is_no_change_of_the_schedule() -> None:
    """NotifyChargingLimit: a later look at the same plan tells nothing new; a lower limit does."""
    known = _active("2026-01-01T00:00:00Z", (0, 16.0), (900, 6.0))
    assert same_ahead(known, _active("2026-01-01T00:10:00Z", (0, 16.0), (300, 6.0)))
    assert not same_ahead(known, _active("2026-01-01T00:10:00Z", (0, 16.0), (300, 5.0)))
    assert not same_ahead(known, _active("2026-01-01T00:10:00Z", (0, 16.0), (400, 6.0)))
    assert not same_ahead(known, _active("2026-01-01T02:00:00Z", (0, 6.0)))


def test_a_limit_beyond_all_numbers_is_not_converted() -> None:
    """1e308 A on three phases is more W than a number can be: JSON would carry no limit at all."""
    with pytest.raises(NotConvertibleError, match="no number"):
        _ocpp(_profile(limits=(1e308,)), EvseSupply(rate_units=("W",)))


def test_the_whole_message_is_this() -> None:
    """K01.FR.03, FR.05, FR.09: one TxProfile for one transaction, with one schedule; nothing that OCPI did not say is added (no
    recurrency, no validity, no tariff), and a minimum clips no limit."""
    profile = _profile(limits=(16.0, 5.0), start_date_time="2026-11-23T10:00:00Z", duration=3600, min_charging_rate=6.0)
    periods = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 900, "limit": 5.0}]
    assert _ocpp(profile) == {
        "id": 90_017, "stackLevel": 3, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "tx-22",
        "chargingSchedule": [{
            "id": 90_017, "startSchedule": "2026-11-23T10:00:00Z", "duration": 3600, "chargingRateUnit": "A",
            "minChargingRate": 6.0, "chargingSchedulePeriod": periods,
        }],
    }  # fmt: skip


def test_a_level_above_the_stations_is_its_highest() -> None:
    """SmartChargingCtrlr.ProfileStackLevel: more would be refused."""
    assert _ocpp(_profile(), EvseSupply(stack_levels=2))["stackLevel"] == 2


def test_the_maximum_on_dc_is_that_of_the_nominal_voltage() -> None:
    """What is told where nothing limits is no limit: in W as the Connector says it, in A as it is."""
    now, supply = datetime(2026, 1, 15, tzinfo=UTC), EvseSupply(phases=None, voltage_v=400.0, max_current_a=60.0)
    told = [capacity(now, 600, unit, supply).charging_profile.charging_profile_period[0].limit for unit in ("W", "A")]
    assert told == [24_000.0, 60.0]
