"""Which profiles the emulated station refuses (OCPP 2.0.1 Part 2, K01, K04, K05)."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.profiles import EXTERNAL, STATION_MAX, TX, Profile, ProfileStore, profile_from
from firmware_sim.validation import SmartChargingRules

RULES = SmartChargingRules(("A",), profile_stack_level=3, periods_per_schedule=4, entries=2, evse_phases={1: 3, 2: 1})
START = "2026-01-15T00:00:00Z"


def content(*periods: dict[str, Any], schedule: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a sound TxDefaultProfile, with fields of profile and schedule changed; None takes one away."""
    steps = list(periods) or [{"start_period": 0, "limit": 10}]
    plan = {"id": 1, "start_schedule": START, "charging_rate_unit": "A", "charging_schedule_period": steps, **(schedule or {})}
    whole = {
        "id": 1, "stack_level": 0, "charging_profile_purpose": "TxDefaultProfile", "charging_profile_kind": "Absolute",
        "charging_schedule": [{key: value for key, value in plan.items() if value is not None}], **fields,
    }  # fmt: skip
    return {key: value for key, value in whole.items() if value is not None}


def rule_broken(rules: SmartChargingRules, sent: dict[str, Any], *installed: Profile, evse_id: int = 1) -> str:
    """Return the requirement by which SetChargingProfile is refused, or nothing when it is accepted."""
    store = ProfileStore()
    for one in installed:
        store.install(one)
    refusal = rules.refusal(profile_from(evse_id, sent), store, {1: "tx-1"})
    return refusal.rule if refusal else ""


def refused(evse_id: int, sent: dict[str, Any], *installed: Profile, transactions: dict[int, str] | None = None) -> str:
    """Return the reason code, or nothing when the profile is accepted."""
    store = ProfileStore()
    for one in installed:
        store.install(one)
    refusal = RULES.refusal(profile_from(evse_id, sent), store, transactions or {})
    return refusal.reason_code if refusal else ""


TX_FIELDS: dict[str, Any] = {"charging_profile_purpose": TX, "transaction_id": "tx-1"}
MAX_FIELDS: dict[str, Any] = {"charging_profile_purpose": STATION_MAX}
RELATIVE: dict[str, Any] = {"charging_profile_kind": "Relative"}
STEP: dict[str, Any] = {"start_period": 0, "limit": 10}


@pytest.mark.parametrize(
    ("evse_id", "sent", "code"),
    [
        (1, content(), ""),
        (0, content(), ""),
        (3, content(), "InvalidValue"),
        (0, content(**MAX_FIELDS), ""),
        (1, content(**MAX_FIELDS), "InvalidValue"),
        (0, content(**MAX_FIELDS, **RELATIVE, schedule={"start_schedule": None}), "InvalidValue"),
        (1, content(charging_profile_purpose="ChargingStationExternalConstraints"), "InvalidValue"),
        (1, content(stack_level=3), ""),
        (1, content(stack_level=4), "InvalidStackLevel"),
        (1, content(stack_level=-1), "InvalidStackLevel"),
        (1, content(schedule={"charging_rate_unit": "W"}), "UnsupportedRateUnit"),
        (1, content({"start_period": 5, "limit": 10}), "InvalidSchedule"),
        (1, content(STEP, {"start_period": 60, "limit": 9}, {"start_period": 60, "limit": 8}), "InvalidSchedule"),
        (1, content(STEP, *({"start_period": 60 * n, "limit": 9} for n in range(1, 5))), "InvalidSchedule"),
        (1, content({"start_period": 0, "limit": -1}), "InvalidSchedule"),
        (1, content({**STEP, "number_phases": 3}), ""),
        (1, content({**STEP, "number_phases": 1}), "InvalidSchedule"),
        (2, content({**STEP, "number_phases": 1}), ""),
        (2, content({**STEP, "number_phases": 3}), ""),
        (2, content({**STEP, "number_phases": 4}), "InvalidSchedule"),
        (2, content({**STEP, "number_phases": 1, "phase_to_use": 2}), "InvalidSchedule"),
        (1, content(schedule={"start_schedule": None}), "InvalidSchedule"),
        (1, content(**RELATIVE), "InvalidSchedule"),
        (1, content(**RELATIVE, schedule={"start_schedule": None}), ""),
        (1, content(charging_profile_kind="Recurring"), "InvalidProfile"),
        (1, content(charging_profile_kind="Recurring", recurrency_kind="Daily"), ""),
        (1, content(valid_from=START, valid_to=START), "InvalidProfile"),
        (1, content(charging_schedule=content()["charging_schedule"] * 2), "InvalidSchedule"),
    ],
)  # fmt: skip
def test_a_profile_is_judged_by_itself(evse_id: int, sent: dict[str, Any], code: str) -> None:
    """Place, unit, timing, periods and phases."""
    assert refused(evse_id, sent) == code


@pytest.mark.parametrize(
    ("evse_id", "sent", "code"),
    [
        (1, content(**TX_FIELDS), ""),
        (0, content(**TX_FIELDS), "InvalidValue"),
        (2, content(**TX_FIELDS), "TxNotFound"),
        (1, content(**{**TX_FIELDS, "transaction_id": "tx-2"}), "TxNotFound"),
        (1, content(charging_profile_purpose=TX), "MissingParam"),
    ],
)
def test_a_tx_profile_needs_its_running_transaction(evse_id: int, sent: dict[str, Any], code: str) -> None:
    """K01.FR.03, FR.09, FR.16, FR.33: tx-1 runs on EVSE 1."""
    assert refused(evse_id, sent, transactions={1: "tx-1"}) == code


def test_the_same_id_replaces_and_is_no_duplicate() -> None:
    """K01.FR.05, whatever the stack level."""
    assert refused(1, content(), profile_from(1, content())) == ""


def test_two_defaults_of_one_level_must_not_be_valid_together() -> None:
    """K01.FR.06; windows that only touch share no moment, as validTo is exclusive."""
    noon = "2026-01-15T12:00:00Z"
    morning = profile_from(1, content(id=2, valid_to=noon))
    assert refused(1, content(valid_from="2026-01-15T11:59:59Z"), morning) == "DuplicateProfile"
    assert refused(1, content(valid_from=noon), morning) == ""
    assert refused(1, content(stack_level=1), morning) == ""
    assert refused(2, content(), morning) == ""


def test_a_default_of_the_station_and_of_an_evse_exclude_one_another() -> None:
    """K01.FR.52, FR.53: same level, other id, whatever their validity."""
    assert refused(0, content(), profile_from(1, content(id=2))) == "DuplicateProfile"
    assert refused(1, content(), profile_from(0, content(id=2))) == "DuplicateProfile"


def test_two_tx_profiles_of_one_transaction_need_different_levels() -> None:
    """K01.FR.39."""
    other = profile_from(1, content(**TX_FIELDS, id=2))
    assert refused(1, content(**TX_FIELDS), other, transactions={1: "tx-1"}) == "InvalidStackLevel"


def test_the_store_is_not_endless() -> None:
    """With two entries a third profile is refused, a replacement is not."""
    full = [profile_from(1, content(id=number, stack_level=number)) for number in (1, 2)]
    assert refused(1, content(id=3, stack_level=3), *full) == "TooManyElements"
    assert refused(1, content(id=2, stack_level=3), *full) == ""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (content(charging_profile_purpose=TX), ""),
        (content(), "InvalidProfile"),
        (content(**TX_FIELDS), "InvalidProfile"),
        (content({"start_period": 1, "limit": 6}, charging_profile_purpose=TX), "InvalidSchedule"),
    ],
)
def test_a_profile_with_a_remote_start_is_a_tx_profile_without_transaction(sent: dict[str, Any], code: str) -> None:
    """K05.FR.02, FR.05."""
    refusal = next(RULES.refusals_at_start(profile_from(1, sent), ProfileStore()), None)
    assert (refusal.reason_code if refusal else "") == code


def test_every_refusal_fits_its_field() -> None:
    """A reason code has at most 20 characters, its text at most 512."""
    refusal = RULES.refusal(profile_from(99, content()), ProfileStore(), {})
    assert refusal
    assert len(refusal.reason_code) <= 20
    assert "99" in refusal.text


@pytest.mark.parametrize(
    ("features", "step", "rule"),
    [
        ({}, {"number_phases": 1}, "K01.FR.43"),
        ({}, {"number_phases": 2}, "K01.FR.43"),
        ({"phase_switching": True}, {"number_phases": 1}, ""),
        ({"phase_switching": True}, {"number_phases": 2}, ""),
        ({"phase_switching": True}, {"number_phases": 1, "phase_to_use": 1}, ""),
        ({"phase_switching": True}, {"number_phases": 1, "phase_to_use": 2}, "K01.FR.48"),
        ({"phase_switching": True, "phase_choice": True}, {"number_phases": 1, "phase_to_use": 3}, ""),
        ({"phase_switching": True, "phase_choice": True}, {"number_phases": 2, "phase_to_use": 1}, "K01.FR.19"),
        ({"dc": True}, {"number_phases": 1, "phase_to_use": 3}, ""),
    ],
)
def test_phases_that_cannot_be_kept_to_are_refused(features: dict[str, Any], step: dict[str, Any], rule: str) -> None:
    """K01.FR.43 to FR.48 on an EVSE of three phases."""
    rules = SmartChargingRules(("A",), 3, 4, 2, {1: 3}, **features)
    assert rule_broken(rules, content({**STEP, **step})) == rule


def test_more_phases_than_there_are_is_accepted() -> None:
    """K01.FR.45: applied on fewer."""
    assert rule_broken(RULES, content({**STEP, "number_phases": 3}), evse_id=2) == ""


def test_three_schedules_come_with_iso_15118_only() -> None:
    """K01.FR.34, for a TxProfile and nothing else."""
    rules = SmartChargingRules(("A",), 3, 4, 2, {1: 3}, schedules=3)
    several = content()["charging_schedule"] * 3
    assert rule_broken(rules, content(**TX_FIELDS, charging_schedule=several)) == ""
    assert rule_broken(rules, content(charging_schedule=several)) == "K01.FR.34"
    assert rule_broken(RULES, content(**TX_FIELDS, charging_schedule=several)) == "K01.FR.34"


def test_an_external_constraint_is_never_replaced() -> None:
    """K01.FR.05: neither by SetChargingProfile nor with a remote start; nor does it take a slot of the store."""
    outside = profile_from(0, content(charging_profile_purpose=EXTERNAL), source="EMS")
    assert rule_broken(RULES, content(), outside) == "K01.FR.05"
    store = ProfileStore()
    store.install(outside)
    refusals = RULES.refusals_at_start(profile_from(1, content(charging_profile_purpose=TX)), store)
    assert [one.rule for one in refusals] == ["K01.FR.05"]
    assert rule_broken(RULES, content(id=3), outside, profile_from(2, content(id=2))) == ""
