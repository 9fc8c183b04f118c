"""Rules on where a charging profile goes: each one broken, and kept as narrowly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support_lint import broken, default, schedule, sent, started, station_max, tx

SOUND = ["Accepted"]


def test_tx_profile_names_its_transaction() -> None:
    """K01.FR.03: not in a remote start, where there is none yet."""
    assert broken(sent(tx(transactionId=None))) == ["K01.FR.03 CSMS", "either"]
    assert broken(started(tx(transactionId=None))) == SOUND


def test_known_transaction_of_another_evse() -> None:
    """K01.FR.04, not K01.FR.33: the transaction is known, and the text does not say that the station rejects."""
    result = sent(tx(transactionId="tx-2"), 1, transactions={1: "tx-1", 2: "tx-2"})
    assert broken(result) == ["K01.FR.04 CS", "either"]


def test_external_profile_cannot_be_replaced() -> None:
    """K01.FR.05 with the erratum: not by the CSMS; any other one can."""
    external = default(chargingProfilePurpose="ChargingStationExternalConstraints")
    assert broken(sent(tx(), installed=((0, external),))) == ["K01.FR.05 CS", "Rejected"]
    assert broken(sent(tx(), installed=((0, station_max()),))) == SOUND


def test_no_overlap_at_one_stack_level() -> None:
    """K01.FR.06: the same id replaces, another EVSE, purpose or level is free."""
    there = ((0, station_max(id=11)),)
    assert broken(sent(station_max(), 0, installed=there)) == ["K01.FR.06 CSMS", "either"]
    assert broken(sent(station_max(id=11), 0, installed=there)) == SOUND
    assert broken(sent(station_max(stackLevel=1), 0, installed=there)) == SOUND
    assert broken(sent(default(), 0, installed=there)) == SOUND


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ({"validFrom": "2026-02-01T00:00:00Z"}, SOUND),
        ({"validFrom": "2026-01-31T23:59:59Z"}, ["K01.FR.06 CSMS", "either"]),
        ({"validFrom": "2026-02-01T00:59:59+01:00"}, ["K01.FR.06 CSMS", "either"]),
        ({"validTo": "2026-01-01T00:00:00Z"}, SOUND),
    ],
)
def test_windows_that_touch_do_not_overlap(window: dict[str, str], found: list[str]) -> None:
    """K01.FR.36 and 37: validFrom is inclusive, validTo exclusive; January is taken."""
    january = default(id=11, validFrom="2026-01-01T00:00:00Z", validTo="2026-02-01T00:00:00Z")
    assert broken(sent(default(**window), installed=((1, january),))) == found


def test_tx_profile_meets_a_transaction() -> None:
    """K01.FR.09: the transaction on EVSE 1 is none on EVSE 2; a remote start begins one."""
    assert broken(sent(tx(), 2)) == ["K01.FR.09 CS", "Rejected"]
    assert broken(sent(default(), 2)) == SOUND


def test_tx_profile_is_for_one_evse() -> None:
    """K01.FR.16: EVSE 0 stands for all, so K01.FR.09 joins in only where no transaction runs at all."""
    assert broken(sent(tx(), 0)) == ["K01.FR.16 CS+CSMS", "Rejected"]
    idle = ["K01.FR.09 CS", "K01.FR.16 CS+CSMS", "K01.FR.33 CS", "Rejected"]
    assert broken(sent(tx(), 0, transactions={})) == idle
    assert broken(started(tx(transactionId=None), 0)) == ["K01.FR.16 CS+CSMS", "K05.FR.05 CS", "Rejected"]


@pytest.mark.parametrize("evse_id", [3, -1])
def test_evse_exists(evse_id: int) -> None:
    """K01.FR.28: a station of two has 0, 1 and 2."""
    assert broken(sent(default(), evse_id)) == ["K01.FR.28 CS", "Rejected"]
    assert broken(sent(tx(), evse_id)) == ["K01.FR.09 CS", "K01.FR.28 CS", "Rejected"]


def test_smart_charging_is_there() -> None:
    """K01.FR.29: CALLERROR goes first, whatever else is wrong."""
    assert broken(sent(tx(), smart_charging_available=False)) == ["K01.FR.29 CS", "CALLERROR"]
    result = sent(default(), 3, smart_charging_available=False)
    assert broken(result) == ["K01.FR.28 CS", "K01.FR.29 CS", "CALLERROR"]


def test_transaction_is_known() -> None:
    """K01.FR.33."""
    assert broken(sent(tx(transactionId="tx-9"))) == ["K01.FR.33 CS", "Rejected"]


def test_one_tx_profile_at_a_stack_level() -> None:
    """K01.FR.39: validity does not matter, the transaction does."""
    there = ((1, tx(id=11, validTo="2026-01-01T00:00:00Z")),)
    assert broken(sent(tx(), installed=there)) == ["K01.FR.39 CSMS", "either"]
    assert broken(sent(tx(id=11), installed=there)) == SOUND
    assert broken(sent(tx(), installed=((1, tx(id=11, transactionId="tx-0")),))) == SOUND
    assert broken(sent(tx(stackLevel=1), installed=there)) == SOUND


@pytest.mark.parametrize(("there", "here", "found"), [(1, 0, "K01.FR.52 CS"), (0, 1, "K01.FR.53 CS")])
def test_station_and_evse_defaults_exclude_one_another(there: int, here: int, found: str) -> None:
    """K01.FR.52, 53: whatever their validity; the same id replaces."""
    old = default(id=11, validTo="2026-01-01T00:00:00Z")
    new = default(validFrom="2027-01-01T00:00:00Z")
    assert broken(sent(new, here, installed=((there, old),))) == [found, "Rejected"]
    assert broken(sent({**new, "id": 11}, here, installed=((there, old),))) == SOUND
    assert broken(sent({**new, "stackLevel": 1}, here, installed=((there, old),))) == SOUND


def test_defaults_of_two_evses_stand_side_by_side() -> None:
    """K01.FR.15: each for its own."""
    assert broken(sent(default(), 2, installed=((1, default(id=11)),))) == SOUND


def test_station_max_is_for_the_station() -> None:
    """K04.FR.03: it can only be set on EVSE 0."""
    assert broken(sent(station_max(), 1)) == ["K04.FR.03 CS+CSMS", "Rejected"]


def test_remote_start_has_a_tx_profile() -> None:
    """K05.FR.02 by the sender; K05.FR.05 makes the station reject."""
    assert broken(started(default())) == ["K05.FR.02 CSMS", "K05.FR.05 CS", "Rejected"]


def test_remote_start_has_no_transaction_id() -> None:
    """F01.FR.11."""
    assert broken(started(tx())) == ["F01.FR.11 CSMS", "K05.FR.05 CS", "Rejected"]


def test_remote_start_with_an_invalid_schedule_is_rejected() -> None:
    """K05.FR.05: a break of the sender alone would leave the station free in a SetChargingProfile."""
    late = tx(schedule({"startPeriod": 5, "limit": 16}), transactionId=None)
    assert broken(started(late)) == ["K01.FR.31 CSMS", "K05.FR.05 CS", "Rejected"]


def test_unknown_evse_does_not_make_a_profile_invalid() -> None:
    """K01.FR.28 obliges by itself; nothing is wrong with the profile."""
    assert broken(started(tx(transactionId=None), 3)) == ["K01.FR.28 CS", "Rejected"]


def test_what_the_text_tolerates_does_not_make_a_profile_invalid() -> None:
    """K01.FR.44 leaves a choice in a remote start too."""
    phases = tx(schedule({"startPeriod": 0, "limit": 16, "numberPhases": 3}), transactionId=None)
    assert broken(started(phases, evse_type="DC")) == ["K01.FR.44 CS", "either"]


def test_station_without_smart_charging_ignores_the_profile_of_a_remote_start() -> None:
    """K05.FR.04: no CALLERROR, and no rejection because of the profile."""
    assert broken(started(tx(transactionId=None), smart_charging_available=False)) == SOUND
    assert broken(started(default(), smart_charging_available=False)) == ["K05.FR.02 CSMS", "either"]


@pytest.mark.parametrize(
    ("station", "variable"),
    [
        ({"profile_stack_level": 1}, "ProfileStackLevel"),
        ({"periods_per_schedule": 1}, "PeriodsPerSchedule"),
        ({"entries": 1, "installed": ((0, station_max(id=11)),)}, "Entries"),
    ],
)
def test_capacity_limits_are_told(station: dict[str, Any], variable: str) -> None:
    """No requirement says what a station does with more; at the limit all is well."""
    two = tx(schedule({"startPeriod": 0, "limit": 16}, {"startPeriod": 60, "limit": 8}), stackLevel=2)
    assert broken(sent(two, **station)) == [f"SmartChargingCtrlr.{variable} CSMS", "either"]
    roomy = {**station, **{key: value + 1 for key, value in station.items() if isinstance(value, int)}}
    assert broken(sent(two, **roomy)) == SOUND


def test_replacing_needs_no_room() -> None:
    """K01.FR.05: an id in use takes no further entry."""
    assert broken(sent(tx(), entries=1, installed=((1, tx()),))) == SOUND
