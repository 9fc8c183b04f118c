"""Charging preferences of a driver. Source: OCPI 2.2.1 and 2.3.0, mod_sessions (the same in both)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench.wire.ocpi.types import Number, OcpiDateTime, OcpiModel


class ChargingPreferences(OcpiModel):
    """What the driver wants: when to leave, and how much energy (kWh) by then."""

    profile_type: str
    departure_time: OcpiDateTime | None = None
    energy_need: Annotated[Number, Field(ge=0)] | None = None
    discharge_allowed: bool | None = None
