"""Profiles made of charging needs, and the EV's schedule against them; numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.charging_needs import ChargingNeeds, NeedsError, Offer, tx_profile
from bench.domain.ev_schedule import ev_schedule_breaks
from bench.domain.quantities import parse_time

NOW = parse_time("2026-01-15T00:00:00Z")
OFFER = Offer(("A", "W"), 230, 3, 32, 24)
AC = {"energyAmount": 13_800, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}


def request(**changes: Any) -> dict[str, Any]:
    """Return a NotifyEVChargingNeedsRequest: 13.8 kWh in two hours on three phases."""
    needs = {"requestedEnergyTransfer": "AC_three_phase", "departureTime": "2026-01-15T02:00:00Z", "acChargingParameters": AC}
    needs |= {key: value for key, value in changes.items() if key != "maxScheduleTuples"}
    tuples = {"maxScheduleTuples": changes["maxScheduleTuples"]} if "maxScheduleTuples" in changes else {}
    return {"evseId": 1, "chargingNeeds": {key: value for key, value in needs.items() if value is not None}, **tuples}


def profile(offer: Offer = OFFER, schedules: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the TxProfile for such needs."""
    needs = ChargingNeeds.from_ocpp(request(**changes), NOW)
    return tx_profile(needs, offer, NOW, profile_id=7, stack_level=2, transaction_id="T", schedules=schedules)


def limits(made: dict[str, Any]) -> list[list[tuple[int, float]]]:
    """Return start and limit of each period of each schedule."""
    return [[(one["startPeriod"], one["limit"]) for one in each["chargingSchedulePeriod"]] for each in made["chargingSchedule"]]


def test_energy_until_departure_is_a_level_limit() -> None:
    """13.8 kWh in 2 h are 6900 W; on 3 x 230 V that is 10 A per phase."""
    made = profile()
    assert limits(made) == [[(0, 10.0)]]
    assert (made["transactionId"], made["chargingProfilePurpose"]) == ("T", "TxProfile")
    assert made["chargingSchedule"][0]["duration"] == 7200


def test_what_cannot_be_had_in_time_gets_the_maximum() -> None:
    """100 kWh in 2 h would be 72 A; the EV takes 16 A, and a limit above that means nothing."""
    assert limits(profile(acChargingParameters={**AC, "energyAmount": 100_000})) == [[(0, 16.0)]]


def test_three_schedules_early_and_late() -> None:
    """6 A for 2 h give 8280 Wh of 13 800; the other 5520 Wh need 6900 W more (16 A for 6 A) for 2880 s."""
    assert limits(profile(schedules=9)) == [[(0, 10.0)], [(0, 16.0), (2880, 6.0)], [(0, 6.0), (4320, 16.0)]]


@pytest.mark.parametrize(("tuples", "periods"), [(1, 24), (24, 1)])
def test_periods_that_do_not_fit_are_not_sent(tuples: int, periods: int) -> None:
    """K15.FR.07: the lower of maxScheduleTuples and PeriodsPerSchedule holds for each schedule."""
    made = profile(Offer(("A",), 230, 3, 32, periods), schedules=3, maxScheduleTuples=tuples)
    assert limits(made) == [[(0, 10.0)]]


def test_dc_is_limited_in_watts_by_the_ev() -> None:
    """No departure: the EV's 50 kW hold, below its 200 A x 400 V and the EVSE's 160 A x 230 V x 3 = 110 kW."""
    dc = {"evMaxCurrent": 200, "evMaxVoltage": 400, "evMaxPower": 50_000}
    made = profile(Offer(("A", "W"), 230, 3, 160, 24), requestedEnergyTransfer="DC", acChargingParameters=None,
                   departureTime=None, dcChargingParameters=dc)  # fmt: skip
    assert limits(made) == [[(0, 50_000.0)]]
    assert made["chargingSchedule"][0]["chargingRateUnit"] == "W"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"acChargingParameters": None}, "neither"),
        ({"dcChargingParameters": {"evMaxCurrent": 1, "evMaxVoltage": 1}}, "both"),
        ({"requestedEnergyTransfer": "DC"}, "does not fit"),
        ({"acChargingParameters": {**AC, "energyAmount": -1}}, "energyAmount is -1"),
        ({"acChargingParameters": {**AC, "evMaxCurrent": 5}}, "below evMinCurrent"),
        ({"departureTime": "2026-01-14T23:59:59Z"}, "has passed"),
        ({"departureTime": "soon"}, "no date-time"),
        ({"maxScheduleTuples": 0}, "maxScheduleTuples is 0"),
    ],
)
def test_needs_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    """With the field and the reason."""
    with pytest.raises(NeedsError, match=said):
        ChargingNeeds.from_ocpp(request(**changes), NOW)


def breaks(limit: float, unit: str = "A", *, base: str = "2026-01-15T00:00:05Z", **more: Any) -> list[str]:
    """Judge an EV's schedule of one period against early: 16 A until 00:48:00, then 6 A."""
    schedule = {"id": more.pop("id", 2), "chargingRateUnit": unit, "chargingSchedulePeriod": [
        {"startPeriod": 0, "limit": limit, **more.pop("period", {})}], **more}  # fmt: skip
    asked = {"timeBase": base, "evseId": 1, "chargingSchedule": schedule}
    return ev_schedule_breaks(asked, profile(schedules=3), OFFER, dc=False, ev_phases=3)


def test_an_ev_below_the_limit_at_every_instant_is_inside() -> None:
    """6 A, and 4140 W on three phases, which are 6 A."""
    assert breaks(6) == []
    assert breaks(4140, "W") == []


@pytest.mark.parametrize(("limit", "unit"), [(6.5, "A"), (4200, "W")])
def test_an_ev_above_the_limit_later_is_outside(limit: float, unit: str) -> None:
    """16 A suffice for both, the 6 A from 00:48:00 on do not."""
    found = breaks(limit, unit)
    assert len(found) == 1
    assert "00:48:00" in found[0]


def test_the_ev_may_end_before_the_limit_drops() -> None:
    """2875 s after 00:00:05 is 00:48:00; ten seconds more are too many."""
    assert breaks(16, duration=2875) == []
    assert len(breaks(16, duration=2885)) == 1


def test_a_schedule_that_names_none_has_to_fit_into_one() -> None:
    """10 A fit the level schedule; 11 A fit none over the whole time."""
    assert breaks(10, id=9) == []
    assert breaks(11, id=9) != []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit": float("nan")}, "has to be a number"), ({"limit": -1}, "has to be a number"),
        ({"limit": 6, "duration": 3_155_760_000}, "3155760000 s long"), ({"limit": 6, "base": "noon"}, "no date-time"),
        ({"limit": 6, "base": "9999-12-31T23:59:59Z"}, "timeBase lies"),
        ({"limit": 6, "period": {"startPeriod": 5}}, "starts at 5"),
    ],
)  # fmt: skip
def test_schedules_that_make_no_sense_are_outside(changes: dict[str, Any], said: str) -> None:
    """NaN, negative, a hundred years, no time: each with its reason."""
    assert said in breaks(**changes)[0]
