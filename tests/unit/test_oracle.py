"""Golden cases of the oracle, worked by hand, each with the clause that decides it (OCPP 2.0.1 Part 2)."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.oracle import Supply, Transaction, expected_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile, ProfileError
from bench.domain.timeline import Window

T0 = 1_767_225_600.0  # 2026-01-01T00:00:00Z
SUPPLY = Supply(230.0, 3)
TX = Transaction("tx-1", T0)


def stamp(offset: float) -> str:
    """Return T0 + offset as the wire has it; offsets stay within a month."""
    from bench.domain.quantities import moment

    return moment(T0 + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def profile(identity: int, periods: list[tuple[int, float]], **changes: Any) -> InstalledProfile:
    """Return an installed profile: a TxProfile from T0 in A on EVSE 1, unless changed."""
    unit, start, duration = changes.pop("unit", "A"), changes.pop("start", 0), changes.pop("duration", None)
    phases, evse_id = changes.pop("phases", None), changes.pop("evse_id", 1)
    schedule: dict[str, Any] = {
        "id": identity,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit} | ({"numberPhases": phases} if phases else {}) for at, limit in periods
        ],
    }
    if start is not None:
        schedule["startSchedule"] = stamp(start)
    if duration is not None:
        schedule["duration"] = duration
    raw = {
        "id": identity,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
        **changes,
    }
    return InstalledProfile(evse_id, ChargingProfile.from_ocpp(raw))


def limits(
    installed: list[InstalledProfile], length: float = 100, *, start: float = 0, transaction: Transaction | None = TX
) -> list[tuple[float, float | None]]:
    """Return (offset, limit in the leading profile's unit) of the expected limit on EVSE 1."""
    window = Window(T0 + start, T0 + start + length)
    line = expected_limit(installed, 1, window, transaction, SUPPLY)
    return [(one.start - T0, one.value.limit if one.value else None) for one in line.segments()]


DEFAULT = {"chargingProfilePurpose": "TxDefaultProfile"}
STATION_MAX = {"chargingProfilePurpose": "ChargingStationMaxProfile", "evse_id": 0}


def test_higher_stack_level_leads_and_its_end_falls_through() -> None:
    """K 3.5: at each instant the highest stackLevel that has a period there leads."""
    low = profile(1, [(0, 10)])
    high = profile(2, [(0, 16)], stackLevel=3, start=20, duration=30)
    assert limits([low, high]) == [(0, 10), (20, 16), (50, 10)]


def test_tx_profile_overrules_default_even_when_higher() -> None:
    """K02.FR.04 and 3.5: a TxProfile overrules TxDefaultProfile; stack levels are not compared across purposes."""
    assert limits([profile(1, [(0, 8)], stackLevel=9, **DEFAULT), profile(2, [(0, 20)])]) == [(0, 20)]


def test_default_fills_a_gap_of_the_tx_profile() -> None:
    """3.5: outside the TxProfile's schedule the TxDefaultProfile holds."""
    assert limits([profile(1, [(0, 8)], **DEFAULT), profile(2, [(0, 20)], start=10, duration=5)]) == [(0, 8), (10, 20), (15, 8)]


def test_station_maximum_caps_whatever_leads() -> None:
    """3.5: across purposes the lowest limit holds."""
    assert limits([profile(1, [(0, 10), (50, 32)]), profile(2, [(0, 16)], **STATION_MAX)]) == [(0, 10), (50, 16)]


def test_valid_from_is_inclusive_and_valid_to_exclusive() -> None:
    """ChargingProfileType: valid from validFrom on, up to but not at validTo."""
    one = profile(1, [(0, 10)], validFrom=stamp(10), validTo=stamp(20))
    assert limits([one], 30) == [(0, None), (10, 10), (20, None)]


def test_late_valid_from_skips_early_periods() -> None:
    """Offsets count from startSchedule, not from validFrom."""
    assert limits([profile(1, [(0, 10), (15, 6)], validFrom=stamp(20))], 40) == [(0, None), (20, 6)]


def test_without_a_transaction_no_tx_profile_holds() -> None:
    """TxProfile and TxDefaultProfile rule transactions only."""
    assert limits([profile(1, [(0, 10)]), profile(2, [(0, 8)], **DEFAULT)], transaction=None) == [(0, None)]


def test_a_tx_profile_of_another_transaction_is_not_counted() -> None:
    """K01.FR.03: a TxProfile belongs to the transaction that it names."""
    assert limits([profile(1, [(0, 10)], transactionId="other")]) == [(0, None)]


def test_zero_is_a_limit_and_not_a_gap() -> None:
    """A limit of 0 forbids charging."""
    assert limits([profile(1, [(0, 0)], stackLevel=1), profile(2, [(0, 16)])]) == [(0, 0)]


def test_relative_counts_from_the_start_of_the_transaction() -> None:
    """ChargingProfileKind Relative: second 0 is the start of charging."""
    one = profile(1, [(0, 16), (30, 6)], start=None, chargingProfileKind="Relative")
    assert limits([one], 60, transaction=Transaction("tx-1", T0 - 10)) == [(0, 16), (20, 6)]


def test_daily_recurrence_repeats_and_is_cut_by_the_next() -> None:
    """Recurring Daily: every 86,400 s from startSchedule on."""
    one = profile(1, [(0, 16), (3600, 6)], chargingProfileKind="Recurring", recurrencyKind="Daily", duration=90_000)
    assert limits([one], 7200, start=5 * 86_400 - 600) == [
        (5 * 86_400 - 600, 6),
        (5 * 86_400, 16),
        (5 * 86_400 + 3600, 6),
    ]


def test_recurrence_does_not_begin_before_its_start() -> None:
    """K01.FR.30: not before startSchedule."""
    one = profile(1, [(0, 16)], start=50, chargingProfileKind="Recurring", recurrencyKind="Daily", duration=10)
    assert limits([one]) == [(0, None), (50, 16), (60, None)]


def test_a_w_limit_is_converted_with_its_own_phases() -> None:
    """K01.FR.50: 11,040 W on three phases is 16 A, below a one-phase limit of 32 A; the lowest number of phases counts."""
    three = profile(1, [(0, 11_040)], unit="W", **STATION_MAX)
    one = profile(2, [(0, 32)], phases=1)
    line = expected_limit([three, one], 1, Window(T0, T0 + 1), TX, SUPPLY)
    value = line.values[0]
    assert value is not None
    assert (value.limit_a, value.number_phases, value.watts(SUPPLY)) == (16.0, 1, 3680.0)


def test_profiles_of_another_evse_do_not_count() -> None:
    """A profile rules the EVSE it is on, or all of them from EVSE 0."""
    assert limits([profile(1, [(0, 10)], evse_id=2), profile(2, [(0, 12)], evse_id=0, **DEFAULT)]) == [(0, 12)]


def test_equal_neighbours_are_one_period() -> None:
    """A change that changes nothing is no breakpoint."""
    assert limits([profile(1, [(0, 10), (20, 10), (40, 6)])]) == [(0, 10), (40, 6)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chargingSchedule": []}, "charging profile 7"),
        ({"chargingProfilePurpose": "Wish"}, "'Wish' is not a valid Purpose"),
        ({"validFrom": "yesterday"}, "yesterday"),
    ],
)
def test_an_unreadable_profile_is_named(change: dict[str, Any], reason: str) -> None:
    """A profile that the oracle cannot read is an error that names its id and why."""
    with pytest.raises(ProfileError, match=r"charging profile 7") as caught:
        profile(7, [(0, 1)], **change)
    assert reason in str(caught.value)
