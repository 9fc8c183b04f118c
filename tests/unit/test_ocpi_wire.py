"""OCPI objects, tokens and headers, as they come in and as they go out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from bench.cso.ocpi.calls import Answer
from bench.wire.ocpi.credentials import Credentials
from bench.wire.ocpi.profiles import ChargingProfile, SetChargingProfile
from bench.wire.ocpi.transport import (
    FROM_COUNTRY,
    FROM_PARTY,
    REQUEST_ID,
    TO_COUNTRY,
    TO_PARTY,
    PartyId,
    decode_token,
    echo,
    encode_token,
    envelope,
    join,
    sender_of,
)
from bench.wire.ocpi.types import utc_text

PERIODS = [{"start_period": 0, "limit": 16.0}]


def _profile(**changes: Any) -> dict[str, Any]:
    return {"charging_rate_unit": "A", "charging_profile_period": PERIODS} | changes


def test_a_token_is_sent_in_base64_without_a_newline() -> None:
    """transport, Authorization header: the specification's own examples hold a newline; ours do not."""
    assert encode_token("example-token") == "Token ZXhhbXBsZS10b2tlbg=="
    assert decode_token("Token ZXhhbXBsZS10b2tlbg==") == "example-token"
    assert decode_token("token ZXhhbXBsZS10b2tlbgo=") == "example-token\n"


@pytest.mark.parametrize("header", [None, "", "Token", "Bearer ZXhhbXBsZS10b2tlbg==", "Token example-token", "Token /w=="])
def test_what_is_no_token_is_none(header: str | None) -> None:
    """transport, Authorization header: raw tokens, other schemes and what is not UTF-8."""
    assert decode_token(header) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 500_999, tzinfo=UTC), "2026-01-02T03:04:05.500Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05Z"),
    ],
)
def test_times_are_utc_and_fit_into_25_characters(moment: datetime, text: str) -> None:
    """types, DateTime: Z, and milliseconds where there are any."""
    assert utc_text(moment) == text
    assert len(text) <= 25


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00"])
def test_a_time_without_an_offset_is_utc(text: str) -> None:
    """types, DateTime: lenient in: whatever can be understood."""
    profile = ChargingProfile.model_validate(_profile(start_date_time=text))
    assert profile.start_date_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", ".2", ".123"])
@pytest.mark.parametrize("zone", ["Z", ""])
def test_each_form_of_a_time_is_read(text: str, zone: str) -> None:
    """types, DateTime: with and without a fraction, with Z and without."""
    profile = ChargingProfile.model_validate(_profile(start_date_time=f"2018-01-01T01:08:01{text}{zone}"))
    assert profile.start_date_time == datetime(2018, 1, 1, 1, 8, 1, int(float(f"0{text}" if text else "0") * 1e6), tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "code", "ok"),
    [(200, 1000, True), (201, 1000, True), (200, 1900, True), (200, 2000, False), (200, 2999, False), (200, 3001, False),
     (200, 4003, False), (404, 1000, False), (500, 3000, False)],
)  # fmt: skip
def test_a_range_of_codes_says_whether_it_worked(status: int, code: int, ok: bool) -> None:
    """status codes: 1xxx is success, 19xx too; 2xxx, 3xxx and a hub's 4xxx are not, and neither is an HTTP error."""
    assert Answer(status, code, None).ok is ok


@pytest.mark.parametrize(
    "wrong",
    [
        {"charging_profile_period": []},
        {"charging_profile_period": None},
        {"charging_profile_period": PERIODS[0]},
        {"charging_profile_period": [{"start_period": 60, "limit": 16.0}]},
        {"charging_profile_period": [*PERIODS, *PERIODS]},
        {"charging_profile_period": [*PERIODS, {"start_period": 60, "limit": 1}, {"start_period": 30, "limit": 1}]},
        {"charging_profile_period": [{"start_period": one, "limit": 1} for one in range(1025)]},
        {"charging_profile_period": [{"start_period": 0, "limit": -1}]},
        {"charging_profile_period": [{"start_period": 0, "limit": "16"}]},
        {"charging_profile_period": [{"start_period": 0, "limit": True}]},
        {"charging_profile_period": [{"start_period": 0, "limit": float("nan")}]},
        {"charging_profile_period": [{"start_period": 0.5, "limit": 1}]},
        {"charging_profile_period": [{"start_period": 10**30, "limit": 1}]},
        {"charging_rate_unit": "kW"},
        {"duration": 0},
        {"start_date_time": 1_700_000_000},
        {"start_date_time": "2026-01-02"},
        {"start_date_time": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_a_broken_profile_is_refused(wrong: dict[str, Any]) -> None:
    """Empty, unsorted, not from 0, too long, wrong types, wrong times."""
    with pytest.raises(ValidationError):
        ChargingProfile.model_validate(_profile(**wrong))


def test_unknown_fields_are_kept() -> None:
    """A peer may extend any object."""
    given = {"charging_profile": _profile(x=1), "response_url": "http://peer/1", "more": True}
    assert SetChargingProfile.model_validate(given).plain() == given


@pytest.mark.parametrize("token", ["", "with blank", "new\nline", "é", "x" * 65])
def test_a_token_has_64_printable_characters_at_most(token: str) -> None:
    """credentials, Credentials object: U+0021 to U+007E."""
    role = {"role": "SCSP", "business_details": {"name": "n"}, "party_id": "SCP", "country_code": "NL"}
    with pytest.raises(ValidationError):
        Credentials.model_validate({"token": token, "url": "http://peer/versions", "roles": [role]})


def test_an_envelope_without_data_has_no_data() -> None:
    """transport, Response format: absent, not null."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert envelope(now) == {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"}
    assert envelope(now, [], 2001, "no") == {
        "data": [], "status_code": 2001, "status_message": "no", "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("endpoint", ["http://cpo/ep", "http://cpo/ep/"])
def test_an_url_is_joined_with_one_slash(endpoint: str) -> None:
    """The specification writes both forms."""
    assert join(endpoint, "S-1") == "http://cpo/ep/S-1"


@pytest.mark.parametrize("endpoint", ["http://cpo/cdrs", "http://cpo/cdrs/"])
def test_an_endpoint_alone_is_called_as_it_was_told(endpoint: str) -> None:
    """Version information, Endpoint: POST of a CDR; a peer that tells a slash at the end need not serve the other form."""
    assert join(endpoint) == endpoint


def test_a_response_echoes_ids_and_turns_the_parties_round() -> None:
    """What came from them goes to them; on configuration modules no routing header."""
    asked = {REQUEST_ID: "r-1", FROM_COUNTRY: "nl", FROM_PARTY: "SCP", TO_COUNTRY: "NL", TO_PARTY: "BEN"}
    own = PartyId("NL", "BEN")
    assert echo(asked, own, functional=False) == {REQUEST_ID: "r-1"}
    assert echo(asked, own, functional=True) == {
        REQUEST_ID: "r-1", TO_COUNTRY: "nl", TO_PARTY: "SCP", FROM_COUNTRY: "NL", FROM_PARTY: "BEN",
    }  # fmt: skip


def test_parties_compare_without_regard_to_case() -> None:
    """CiString."""
    assert sender_of({FROM_COUNTRY: "nl", FROM_PARTY: "scp"}) == PartyId("NL", "SCP")
    assert sender_of({FROM_COUNTRY: "nl"}) is None
