"""Versions and credentials: who speaks which version, and where. Source: OCPI 2.2.1 and 2.3.0, versions and credentials."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field

from bench.wire.ocpi.types import OcpiModel, Url

_SHORTEST: Final = 16
_LEAST_CHANGES: Final = 3
_CHANGE: Final = re.compile(r"[A-Za-z](?=\d)|\d(?=[A-Za-z])")
_OF_JSON: Final = re.compile(r'["\\{}\[\]:,]')


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


def is_like_no_word(token: str) -> bool:
    """Say whether a token can be meant wherever it stands in a text: long, of letters and digits mixed, as one drawn at random.

    A peer may choose any 64 characters, `ACCEPTED` too: taken away wherever it stands, such a token would take evidence with it.
    """
    mixed = sum(1 for _ in _CHANGE.finditer(token)) >= _LEAST_CHANGES
    return len(token) >= _SHORTEST and mixed and not _OF_JSON.search(token)
