"""Charging profiles, the same in 2.2.1 and 2.3.0.

Parsing accepts what can be understood; what a peer got wrong is said by `bench.wire.ocpi.checks`, from the raw JSON.
Source: OCPI, mod_charging_profiles.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from bench.wire.ocpi.types import Number, OcpiDateTime, OcpiModel, Seconds, Url

MOST_PERIODS: Final = 1024
"""OCPP 2.0.1 carries no more in one schedule."""


def _ascending(periods: list[ChargingProfilePeriod]) -> list[ChargingProfilePeriod]:
    if periods[0].start_period != 0:
        raise ValueError("the first start_period must be 0")
    for earlier, later in pairwise(periods):
        if later.start_period <= earlier.start_period:
            raise ValueError(f"start_period must ascend: {later.start_period} follows {earlier.start_period}")
    return periods


class ChargingProfilePeriod(OcpiModel):
    """A limit from so many seconds after the start: W in total, or A per phase; a maximum, never a target."""

    start_period: Seconds
    limit: Annotated[Number, Field(ge=0)]


class ChargingProfile(OcpiModel):
    """Limits over time. Without `start_date_time` it is relative to the start of charging."""

    start_date_time: OcpiDateTime | None = None
    duration: Annotated[Seconds, Field(ge=1, json_schema_extra={"minimum": 1})] | None = None
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
