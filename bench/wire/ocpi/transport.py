"""OCPI's envelope, status codes, tokens and headers. Sans I/O.

Source: OCPI 2.2.1 and 2.3.0, chapter Transport and format; the same in both.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from bench.wire.ocpi.types import OcpiDateTime, OcpiModel, utc_text

VERSIONS: Final = ("2.3.0", "2.2.1")
"""The newest first: of those that both sides speak it is the one to use."""
SUCCESS, CLIENT_ERROR, INVALID, SERVER_ERROR, UNUSABLE_API, UNSUPPORTED_VERSION, NO_MATCHING_ENDPOINT = (
    1000, 2000, 2001, 3000, 3001, 3002, 3003,
)  # fmt: skip
UNKNOWN_LOCATION: Final = 2003
UNKNOWN_TOKEN: Final = 2004
REQUEST_ID, CORRELATION_ID = "x-request-id", "x-correlation-id"
DEEPEST: Final = 64
"""So many arrays and objects may stand in one another: OCPI needs ten, and not every writer of JSON takes hundreds."""
TO_COUNTRY, TO_PARTY, FROM_COUNTRY, FROM_PARTY = (
    "ocpi-to-country-code", "ocpi-to-party-id", "ocpi-from-country-code", "ocpi-from-party-id",
)  # fmt: skip


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


@lru_cache(64)  # strangers may send headers of 64 kB
def decode_token(header: str | None) -> str | None:
    """Return the token of an Authorization header, or None where it holds none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "token":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode() or None
    except (binascii.Error, ValueError):
        return None


def load(text: bytes) -> Any:
    """Return JSON as plain data that `dump` can write again. Raises json.JSONDecodeError, also where it nests too deeply."""
    value = orjson.loads(text)
    if text.count(b"[") + text.count(b"{") <= DEEPEST:  # most often, and much quicker than to look
        return value
    layer, depth = [value], 0
    while layer := [one for outer in layer for one in _inner(outer)]:
        depth += 1
        if depth > DEEPEST:
            raise orjson.JSONDecodeError("nests too deeply", "", 0)
    return value


def _inner(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


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
    """Return the URL of an object below an endpoint, with exactly one slash between any two parts; an endpoint alone as it is."""
    return "/".join([endpoint.rstrip("/"), *parts]) if parts else endpoint
