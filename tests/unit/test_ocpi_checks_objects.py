"""What a peer gets wrong in an object is found, in both versions; a right one, and one with unknown fields, is left alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_objects import check_object, tables
from bench.wire.ocpi.transport import VERSIONS

FIXTURES = Path(__file__).parents[2] / "fixtures/ocpi"
PROFILES = {
    "set_charging_profile": lambda raw: checks.check_charging_profile(raw["charging_profile"]),
    "active_charging_profile": checks.check_active_profile,
    "charging_profile_response": checks.check_profile_response,
    "active_charging_profile_result": checks.check_result,
    "charging_profile_result": checks.check_result,
    "clear_profile_result": checks.check_result,
}


def _fixture(version: str, name: str) -> Any:
    return json.loads((FIXTURES / version / f"{name}.json").read_text())


def _changed(raw: Any, path: str, value: Any) -> Any:
    """Return a copy with one value changed; None takes the field away."""
    raw = copy.deepcopy(raw)
    *way, last = path.split(".")
    inner = raw
    for step in way:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return raw


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "2.3.0").glob("*.json")))
def test_a_right_object_is_left_alone(version: str, name: str) -> None:
    """types, class: every object of both versions, with nearly all of its fields."""
    raw = _fixture(version, name)
    if name in PROFILES:
        assert PROFILES[name](raw) == []
    elif name == "session_patch":
        assert check_object("session", raw, version, patch=True) == []
    else:
        assert check_object(name, raw, version) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(tables("2.3.0")))
def test_unknown_fields_are_no_finding(version: str, name: str) -> None:
    """Transport, 2.3.0: payloads are not rejected for fields that the text does not know; at every level."""

    def extended(value: Any) -> Any:
        if isinstance(value, list):
            return [extended(one) for one in value]
        return {**{key: extended(one) for key, one in value.items()}, "flux": {"x": 1}} if isinstance(value, dict) else value

    assert check_object(name, extended(_fixture(version, name)), version) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(tables("2.3.0")))
def test_each_required_field_is_missed(version: str, name: str) -> None:
    """types, class: cardinality 1 or +: its absence is one finding that names it."""
    raw = _fixture(version, name)
    for field, cardinality, _ in tables(version)[name]:
        if cardinality in "1+":
            found = check_object(name, _changed(raw, field, None), version)
            assert (f"{name}_field", f"{field} is missing") in [(one.code, one.text) for one in found]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "path", "value", "code"),
    [
        ("location", "evses.0.connectors.0.max_voltage", "230", "location_value"),
        ("location", "evses.0.status", "BUSY", "location_value"),
        ("location", "coordinates.latitude", "52.3", "location_value"),
        ("location", "evses.0.connectors", [], "location_field"),
        ("location", "evses", {}, "location_value"),
        ("location", "last_updated", "2026-02-03T07:30:00+00:00", "location_value"),
        ("location", "publish_allowed_to", [{"uid": "X", "type": "RFID"}], "location_publish"),
        ("evse", "uid", "x" * 37, "evse_value"),
        ("connector", "max_amperage", 31.5, "connector_value"),
        ("session", "kwh", -1, "session_value"),
        ("session", "kwh", 1.23456, "session_value"),
        ("session", "status", "RESERVED", "session_value"),
        ("session", "status", "COMPLETED", "session_end"),
        ("session", "cdr_token.contract_id", None, "session_field"),
        ("session", "evse_uid", "Straße", "session_value"),
        ("session", "charging_periods.0.dimensions", [], "session_field"),
        ("cdr", "charging_periods.0.dimensions.1.type", "POWER", "cdr_value"),
        ("cdr", "total_energy", 9.0, "cdr_energy"),
        ("cdr", "end_date_time", "2026-02-03T05:00:00Z", "cdr_times"),
        ("cdr", "credit", True, "cdr_credit"),
        ("cdr", "cdr_location.address", "a" * 46, "cdr_value"),
        ("cdr", "id", "c" * 37, "cdr_id"),
        ("tariff", "elements.0.restrictions.start_time", "24:10", "tariff_value"),
        ("tariff", "elements.0.restrictions.end_time", "24:00", "tariff_value"),
        ("tariff", "elements.0.price_components.0.step_size", 1.5, "tariff_value"),
        ("tariff", "min_price", 0.5, "tariff_value"),
        ("token", "whitelist", "SOMETIMES", "token_value"),
        ("token", "issuer", "two\nlines", "token_value"),
        ("authorization", "allowed", "YES", "authorization_value"),
        ("client_info", "status", "GONE", "client_info_value"),
        ("command_response", "result", "FAILED", "command_response_value"),
        ("command_response", "timeout", -1, "command_response_value"),
        ("command_result", "result", "UNKNOWN_SESSION", "command_result_value"),
        ("start_session", "evse_uid", None, "start_session_field"),
        ("start_session", "response_url", "msp.example/77", "start_session_value"),
        ("reserve_now", "expiry_date", "tomorrow", "reserve_now_value"),
        ("unlock_connector", "connector_id", 1, "unlock_connector_value"),
        ("preferences", "profile_type", "SLOW", "preferences_value"),
        ("credentials", "token", "with blank", "credentials_value"),
        ("credentials", "token", "x" * 65, "credentials_value"),
        ("credentials", "roles", [], "credentials_field"),
        ("credentials", "roles.0.role", "WIZARD", "credentials_value"),
        ("credentials", "roles.0.business_details.name", None, "credentials_field"),
        ("credentials", "roles.1.party_id", "TOOLONG", "credentials_value"),
    ],
)
def test_one_mistake_is_one_finding(version: str, name: str, path: str, value: Any, code: str) -> None:
    """types, class: the finding's code tells object and kind of mistake."""
    assert [one.code for one in check_object(name, _changed(_fixture(version, name), path, value), version)] == [code]


@pytest.mark.parametrize(
    ("name", "path", "value", "old", "new"),
    [
        ("token", "type", "EMAID", ["token_value"], []),
        ("evse", "capabilities", ["LEVITATING"], ["evse_value"], []),
        ("connector", "standard", "MCS", ["connector_value"], []),
        ("cdr", "total_cost", {"before_taxes": 2.75}, ["cdr_field"], []),
        ("cdr", "total_cost", {"excl_vat": 2.75}, [], ["cdr_field"]),
        ("tariff", "max_price", {"excl_vat": 60}, [], ["tariff_field"]),
        ("location", "help_phone", 7, [], ["location_value"]),
        ("location", "facilities", ["SAUNA"], ["location_value"], []),
        ("location", "parking_type", "ON_ROOF", ["location_value"], []),
        ("location", "images.0.category", "DRAWING", ["location_value"], []),
        ("cdr", "cdr_location.connector_standard", "MCS", ["cdr_value"], []),
        ("credentials", "roles.0.role", "HUB", [], ["credentials_value"]),
        ("credentials", "hub_party_id", "HUB", [], ["credentials_value"]),
        ("client_info", "role", "HUB", [], ["client_info_value"]),
        ("location", "parking_places", [{"id": "P"}], [], ["location_field"] * 3),
    ],
)
def test_what_the_versions_hold_apart(name: str, path: str, value: Any, old: list[str], new: list[str]) -> None:
    """types, OpenEnum: 2.3.0 opens enums, has another Price and new fields; in 2.2.1 those fields are merely unknown."""
    for version, codes in (("2.2.1", old), ("2.3.0", new)):
        raw = _fixture(version, name)
        assert [one.code for one in check_object(name, _changed(raw, path, value), version)] == codes


def test_a_credit_cdr_takes_back_what_another_billed() -> None:
    """mod_cdrs, Credit CDRs: it names the other, has a longer id, and its total_cost is negative."""
    for version, name in (("2.2.1", "excl_vat"), ("2.3.0", "before_taxes")):
        raw = {**_fixture(version, "cdr"), "id": "C" * 39, "credit": True, "credit_reference_id": "CDR-1"}
        assert [one.code for one in check_object("cdr", raw, version)] == ["cdr_credit"]
        assert check_object("cdr", raw | {"total_cost": {name: -2.75}}, version) == []


@pytest.mark.parametrize(
    ("token", "right"),
    [
        ({"uid": "X", "type": "RFID"}, True), ({"visual_number": "1", "issuer": "Blue Card"}, True), ({"group_id": "G"}, True),
        ({"uid": "X"}, False), ({"visual_number": "1", "group_id": "G"}, False), ({"type": "RFID"}, False),
    ],
)  # fmt: skip
def test_a_location_is_shown_to_tokens_that_can_be_told(token: dict[str, str], right: bool) -> None:
    """mod_locations, PublishTokenType: uid with type, visual_number with issuer, or group_id."""
    raw = {**_fixture("2.3.0", "location"), "publish": False, "publish_allowed_to": [token]}
    assert [one.code for one in check_object("location", raw, "2.3.0")] == ([] if right else ["location_publish"])


def test_a_role_of_a_party_is_there_once() -> None:
    """credentials, Credentials object: role, country and party together, whatever their case."""
    raw = _fixture("2.3.0", "credentials")
    raw["roles"].append({**raw["roles"][0], "party_id": "msp"})
    assert [one.code for one in check_object("credentials", raw, "2.3.0")] == ["credentials_roles"]


def test_a_wrong_credentials_token_is_not_repeated() -> None:
    """credentials, Credentials object: a finding may be read by anybody."""
    (found,) = check_object("credentials", _fixture("2.3.0", "credentials") | {"token": "secret word"}, "2.3.0")
    assert "secret" not in found.text


def test_owner_and_id_of_the_url_are_those_of_the_object() -> None:
    """Transport, Client Owned Object Push; identifiers compare without regard to case."""
    tariff = _fixture("2.2.1", "tariff")
    assert check_object("tariff", tariff, "2.2.1", url_ids=("nl", "ben", "tf-day")) == []
    assert [one.code for one in check_object("tariff", tariff, "2.2.1", url_ids=("NL", "BEN", "TF-2"))] == ["tariff_url"]
    assert [one.code for one in check_object("tariff", tariff, "2.2.1", url_ids=("DE", "BEN", "TF-DAY"))] == ["tariff_url"]


def test_a_patch_carries_last_updated() -> None:
    """mod_sessions, PATCH: it alone is required there."""
    found = check_object("session", {"kwh": 1}, "2.2.1", patch=True)
    assert [(one.code, one.text) for one in found] == [("session_field", "last_updated is missing")]


@pytest.mark.parametrize("raw", [None, [], "text", 1, {}, {"evses": [1], "cdr_token": [], "charging_periods": [None], "id": {}}])
@pytest.mark.parametrize("name", sorted(tables("2.3.0")))
def test_no_check_fails_on_anything(name: str, raw: Any) -> None:
    """Whatever JSON comes: findings, and never an exception."""
    assert check_object(name, raw, "2.3.0", url_ids=("NL", "BEN", "X"))
