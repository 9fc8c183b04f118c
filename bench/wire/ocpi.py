"""OCPI 2.2.1 on the wire: lenient models, the response envelope, tokens and headers. Sans I/O.

Parsing accepts what can be understood; what a peer got wrong is said by `bench.wire.ocpi_checks`, from the raw JSON.
Source: OCPI 2.2.1 (release-2.2.1-bugfixes): transport_and_format, types, credentials, version information, sessions,
charging profiles. The modules used here are the same in 2.3.0.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

VERSION: Final = "2.2.1"
SUCCESS, CLIENT_ERROR, INVALID, SERVER_ERROR, UNUSABLE_API, UNSUPPORTED_VERSION, NO_MATCHING_ENDPOINT = (
    1000, 2000, 2001, 3000, 3001, 3002, 3003,
)  # fmt: skip
MOST_PERIODS: Final = 1024
"""OCPP 2.0.1 carries no more in one schedule."""

REQUEST_ID, CORRELATION_ID = "x-request-id", "x-correlation-id"
TO_COUNTRY, TO_PARTY, FROM_COUNTRY, FROM_PARTY = (
    "ocpi-to-country-code", "ocpi-to-party-id", "ocpi-from-country-code", "ocpi-from-party-id",
)  # fmt: skip


def utc_text(moment: datetime) -> str:
    """Return a moment as OCPI writes it: UTC, `Z`, milliseconds where there are any (string(25) has room for no more)."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond // 1000:03d}Z" if moment.microsecond else "Z")


def _date_time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("must be an RFC 3339 date-time")
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an RFC 3339 date-time") from None


def _number(value: object) -> object:
    """Refuse what JSON does not call a number; pydantic would turn "10" and true into one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004  (pydantic takes ValueError alone for a finding)
    return value


def _ascending(periods: list[ChargingProfilePeriod]) -> list[ChargingProfilePeriod]:
    if periods[0].start_period != 0:
        raise ValueError("the first start_period must be 0")
    for earlier, later in pairwise(periods):
        if later.start_period <= earlier.start_period:
            raise ValueError(f"start_period must ascend: {later.start_period} follows {earlier.start_period}")
    return periods


OcpiDateTime = Annotated[
    datetime, BeforeValidator(_date_time), PlainSerializer(utc_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]  # fmt: skip
Seconds = Annotated[int, BeforeValidator(_number), Field(ge=0, le=2**31 - 1)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Url = Annotated[str, Field(min_length=1, max_length=255)]


class OcpiModel(BaseModel):
    """Unknown fields are kept: a peer may extend any object."""

    model_config = ConfigDict(extra="allow")

    def plain(self) -> dict[str, Any]:
        """Return the object as JSON, without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


class Endpoint(OcpiModel):
    """Where one module of one role is served."""

    identifier: str
    role: Literal["SENDER", "RECEIVER"]
    url: Url


class VersionRow(OcpiModel):
    """One supported version."""

    version: str
    url: Url


class VersionDetails(OcpiModel):
    """The endpoints of one version."""

    version: str
    endpoints: list[Endpoint]


class BusinessDetails(OcpiModel):
    """Who someone is, for people."""

    name: str = Field(max_length=100)


class CredentialsRole(OcpiModel):
    """One party that a platform acts for."""

    role: str
    business_details: BusinessDetails
    party_id: str = Field(min_length=3, max_length=3)
    country_code: str = Field(min_length=2, max_length=2)


class Credentials(OcpiModel):
    """How to reach a platform, and the token that it will accept."""

    token: str = Field(pattern=r"^[!-~]{1,64}$")
    url: Url
    roles: list[CredentialsRole] = Field(min_length=1)


class ChargingProfilePeriod(OcpiModel):
    """A limit from so many seconds after the start: W in total, or A per phase; a maximum, never a target."""

    start_period: Seconds
    limit: Annotated[Number, Field(ge=0)]


class ChargingProfile(OcpiModel):
    """Limits over time. Without `start_date_time` it is relative to the start of charging."""

    start_date_time: OcpiDateTime | None = None
    duration: Annotated[Seconds, Field(ge=1)] | None = None
    charging_rate_unit: Literal["W", "A"]
    min_charging_rate: Annotated[Number, Field(ge=0)] | None = None
    charging_profile_period: Annotated[
        list[ChargingProfilePeriod], Field(min_length=1, max_length=MOST_PERIODS), AfterValidator(_ascending)
    ]
    """Never empty here, though its cardinality is `*`: without a period there is nothing to set."""


class SetChargingProfile(OcpiModel):
    """The body of a PUT that sets a profile."""

    charging_profile: ChargingProfile
    response_url: Url


class ActiveChargingProfile(OcpiModel):
    """What limits the EVSE; all times are relative to `start_date_time`."""

    start_date_time: OcpiDateTime
    charging_profile: ChargingProfile


class Envelope(OcpiModel):
    """The body of each response."""

    data: Any = None
    status_code: int
    status_message: str | None = None
    timestamp: OcpiDateTime


@dataclass(frozen=True, slots=True)
class PartyId:
    """A party, as in the routing headers; upper case, for identifiers compare without regard to case."""

    country_code: str
    party_id: str

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"

    @classmethod
    def of(cls, country_code: str, party_id: str) -> PartyId:
        """Return a party whatever the case of its codes."""
        return cls(country_code.upper(), party_id.upper())


def sender_of(headers: Mapping[str, str]) -> PartyId | None:
    """Return the party that the `OCPI-from-…` headers name, or None; header names in lower case."""
    country, party = headers.get(FROM_COUNTRY), headers.get(FROM_PARTY)
    return PartyId.of(country, party) if country and party else None


def receiver_of(headers: Mapping[str, str]) -> PartyId | None:
    """Return the party that the `OCPI-to-…` headers name, or None (open routing)."""
    country, party = headers.get(TO_COUNTRY), headers.get(TO_PARTY)
    return PartyId.of(country, party) if country and party else None


def routing(sender: PartyId | None, receiver: PartyId | None) -> dict[str, str]:
    """Return the routing headers; of functional modules only, never of versions and credentials."""
    headers: dict[str, str] = {}
    if receiver:
        headers |= {TO_COUNTRY: receiver.country_code, TO_PARTY: receiver.party_id}
    if sender:
        headers |= {FROM_COUNTRY: sender.country_code, FROM_PARTY: sender.party_id}
    return headers


def echo(headers: Mapping[str, str], own: PartyId, *, functional: bool) -> dict[str, str]:
    """Return the headers that a response owes to its request: both ids, and on functional modules the parties swapped."""
    owed = {name: headers[name] for name in (REQUEST_ID, CORRELATION_ID) if name in headers}
    if functional:
        owed |= routing(own, None)
        for ours, theirs in ((TO_COUNTRY, FROM_COUNTRY), (TO_PARTY, FROM_PARTY)):
            if theirs in headers:
                owed[ours] = headers[theirs]
    return owed


def encode_token(token: str) -> str:
    """Return the value of the Authorization header: Base64 of the token alone, with no newline."""
    return f"Token {base64.b64encode(token.encode()).decode()}"


def decode_token(header: str | None) -> str | None:
    """Return the token of an Authorization header, or None where it holds none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "token":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode() or None
    except (binascii.Error, ValueError):
        return None


def dump(value: object) -> bytes:
    """Return plain data as JSON."""
    return orjson.dumps(value)


def envelope(now: datetime, data: Any = None, code: int = SUCCESS, message: str = "") -> dict[str, Any]:
    """Return the body of a response; `data` stays out where there is none."""
    body: dict[str, Any] = {} if data is None else {"data": data}
    body["status_code"] = code
    if message:
        body["status_message"] = message
    return body | {"timestamp": utc_text(now)}


def join(endpoint: str, *parts: str) -> str:
    """Return the URL of an object below an endpoint, with exactly one slash between any two parts."""
    return "/".join([endpoint.rstrip("/"), *parts])
