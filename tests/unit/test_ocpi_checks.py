"""Each rule that a peer may break is found, and a peer that keeps them all is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_exchange import check_session_change
from bench.wire.ocpi.checks_objects import check_object, tables

ACTIVE: dict[str, Any] = {
    "start_date_time": "2026-01-15T00:00:00Z",
    "charging_profile": {
        "start_date_time": "2026-01-15T00:00:00Z", "duration": 3600, "charging_rate_unit": "A",
        "charging_profile_period": [{"start_period": 0, "limit": 16.0}, {"start_period": 900, "limit": 6}],
    },
}  # fmt: skip
ENVELOPE = {"status_code": 1000, "timestamp": "2026-01-15T00:00:00"}
IDS = {"x-request-id": "r-1", "x-correlation-id": "c-1"}
FROM = {"ocpi-from-country-code": "NL", "ocpi-from-party-id": "SCP"}
TO = {"ocpi-to-country-code": "NL", "ocpi-to-party-id": "BEN"}


def _codes(found: list[checks.Finding]) -> list[str]:
    return [one.code for one in found]


def _profile(**changes: Any) -> dict[str, Any]:
    return {**ACTIVE["charging_profile"], **changes}


def test_a_faultless_peer_is_left_alone() -> None:
    """No finding without a break."""
    assert checks.check_active_profile(ACTIVE) == []
    assert checks.check_envelope(ENVELOPE | {"data": {}}, "object") == []
    assert checks.check_envelope(ENVELOPE, "none") == []
    assert checks.check_profile_response({"result": "ACCEPTED", "timeout": 45}) == []
    assert checks.check_result({"result": "ACCEPTED", "profile": ACTIVE}) == []
    assert checks.check_request_headers(IDS | FROM | TO, functional=True) == []
    assert checks.check_request_headers(IDS, functional=False) == []
    assert checks.check_request_headers(IDS, functional=True, routed=False) == []
    assert checks.check_response_headers(IDS | FROM | TO, IDS, functional=True, routed=False) == []
    assert checks.check_response_headers(IDS | FROM | TO, IDS | {**_turned()}, functional=True) == []


def _turned() -> dict[str, str]:
    return {
        "ocpi-to-country-code": "nl", "ocpi-to-party-id": "SCP", "ocpi-from-country-code": "NL", "ocpi-from-party-id": "BEN",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"charging_rate_unit": "kW"}, "profile_unit"),
        ({"duration": 1.5}, "profile_duration"),
        ({"min_charging_rate": "6"}, "profile_limit"),
        ({"min_charging_rate": 6.05}, "profile_decimals"),
        ({"charging_profile_period": {"start_period": 0, "limit": 1}}, "profile_periods"),
        ({"charging_profile_period": []}, "profile_periods"),
        ({"charging_profile_period": [{"start_period": one, "limit": 1} for one in range(1025)]}, "profile_periods"),
        ({"charging_profile_period": [{"start_period": 60, "limit": 1}]}, "profile_starts"),
        ({"charging_profile_period": [{"start_period": "0", "limit": 1}]}, "profile_starts"),
        ({"charging_profile_period": [{"start_period": 0, "limit": -1}]}, "profile_limit"),
        ({"charging_profile_period": [{"start_period": 0}]}, "profile_limit"),
        ({"charging_profile_period": [{"start_period": 0, "limit": 15.94}]}, "profile_decimals"),
        ({"start_date_time": "2026-01-15T00:00:00+00:00"}, "profile_time"),
        ({"start_date_time": "2026-01-15T00:00:00.500000Z"}, "profile_time"),
        ({"start_date_time": "2026-13-15T00:00:00Z"}, "profile_time"),
    ],
)
def test_a_break_in_a_profile_is_found(changes: dict[str, Any], code: str) -> None:
    """One break, one finding."""
    assert _codes(checks.check_charging_profile(_profile(**changes))) == [code]


@pytest.mark.parametrize(
    ("raw", "data", "code"),
    [
        ([], "any", "envelope"),
        ({"status_code": 1000}, "any", "envelope_time"),
        (ENVELOPE | {"status_code": "1000"}, "any", "envelope"),
        (ENVELOPE | {"data": [{}]}, "object", "envelope_data"),
        (ENVELOPE | {"data": {}}, "none", "envelope_data"),
        (ENVELOPE | {"status_code": 2001, "data": {}}, "any", "envelope_data"),
    ],
)
def test_a_broken_envelope_is_found(raw: Any, data: checks.Data, code: str) -> None:
    """transport, Response format: `data` wrapped in a list, or beside an error, and the like."""
    assert _codes(checks.check_envelope(raw, data)) == [code]


@pytest.mark.parametrize("data", [None, [], {}, "word", 1])
def test_whatever_stands_in_data_is_right_where_the_text_says_nothing(data: object) -> None:
    """transport, Response format: a PUT of a Session, for one, may be answered with any data and without."""
    assert checks.check_envelope(ENVELOPE | {"data": data}) == []


def test_headers_that_are_missing_or_out_of_place_are_found() -> None:
    """Ids everywhere; routing on functional modules and nowhere else; both come back."""
    assert _codes(checks.check_request_headers({}, functional=True)) == ["id_missing", "id_missing", "routing_headers"]
    assert _codes(checks.check_request_headers(IDS | TO, functional=False)) == ["routing_headers"]
    assert _codes(checks.check_request_headers(IDS | TO, functional=True, routed=False)) == ["routing_headers"]
    assert _codes(checks.check_response_headers(IDS, {"x-request-id": "r-2"}, functional=False)) == ["id_not_echoed"] * 2
    assert _codes(checks.check_response_headers(IDS | FROM | TO, IDS | FROM | TO, functional=True)) == ["routing_not_swapped"] * 2


@pytest.mark.parametrize("raw", [None, [], "text", 1, True, {}, {"charging_profile": 1, "result": [], "roles": {}, "id": []}])
def test_no_check_fails_on_anything(raw: Any) -> None:
    """Whatever JSON comes: findings, and never an exception."""
    for check in (
        checks.check_active_profile, checks.check_charging_profile, checks.check_envelope,
        checks.check_profile_response, checks.check_result,
    ):  # fmt: skip
        assert check(raw)


def _deep() -> Any:
    value: Any = []
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize("value", [_deep(), 10**5000, "x" * 100_000], ids=["deep", "digits", "long"])
def test_a_value_beyond_measure_is_found_in_few_words(value: Any) -> None:
    """No check raises, and no finding is as long as what it is about."""
    period = {"start_period": value, "limit": value}
    found = [
        *checks.check_envelope(ENVELOPE | {"status_code": value, "timestamp": value, "data": 1}),
        *checks.check_profile_response({"result": value, "timeout": value}),
        *checks.check_charging_profile(_profile(charging_rate_unit=value, start_date_time=value)),
        *checks.check_charging_profile(_profile(charging_profile_period=[period])),
        *checks.check_charging_profile(_profile(duration=value, charging_profile_period=[period | {"start_period": 0}] * 2)),
    ]
    for name in ("session", "cdr", "location", "tariff", "client_info"):
        fields = {field: value for field, _, _ in tables("2.3.0")[name]}
        rows = {"evses": [{"uid": value}], "charging_periods": [{"dimensions": [{"type": "ENERGY", "volume": value}]}]}
        found += [*check_object(name, fields | rows, "2.3.0", url_ids=("NL", "BEN", "X")), *check_object(name, fields, "2.2.1")]
        found += check_session_change(fields, fields | rows, patch=True)
    assert len(found) >= 7
    assert max(len(one.text) for one in found) < 400
