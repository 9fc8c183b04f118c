"""Versions and credentials: who speaks which version, and where. Source: OCPI 2.2.1 and 2.3.0, versions and credentials."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.wire.ocpi.types import OcpiModel, Url


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
