"""What the bench's OCPI platform tells of its site: the location of its EVSEs, and its tariffs."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from bench.settings.base import Settings, written

Id = Annotated[str, Field(pattern=written(r"^[!-~]{1,36}$", "1 to 36 printable ASCII characters without blanks"))]
Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]
Quantity = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]
_THREE = written(r"^[A-Z]{3}$", "three capital letters, such as NLD for a country or EUR for a currency")
_DEGREES = "decimal degrees with 5 to 7 decimals, as text, such as \"51.98510\""
DayOfWeek = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ConnectorStandard = Literal[
    "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2", "IEC_62196_T2_COMBO", "CHADEMO", "MCS", "SAE_J3400",
]  # fmt: skip
Capability = Literal[
    "CHARGING_PROFILE_CAPABLE", "REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER",
    "UNLOCK_CAPABLE",
]  # fmt: skip


class LocationSettings(Settings):
    """The one Location that all EVSEs of the rig stand at (mod_locations)."""

    name: str = Field(default="charge point bench", max_length=255)
    address: str = Field(default="Bench 1", min_length=1, max_length=255)
    city: str = Field(default="Laboratory", min_length=1, max_length=45)
    postal_code: str = Field(default="", max_length=10)
    country: str = Field(default="NLD", pattern=_THREE)
    latitude: str = Field(default="52.000000", pattern=written(r"^-?[0-9]{1,2}\.[0-9]{5,7}$", _DEGREES))
    """Decimal degrees, as text: OCPI does not take a number."""
    longitude: str = Field(default="5.000000", pattern=written(r"^-?[0-9]{1,3}\.[0-9]{5,7}$", _DEGREES))
    time_zone: str = "Europe/Amsterdam"
    """By its name in the IANA database; tariffs tell times of the day in it."""
    publish: bool = False
    """May be shown to drivers: a bench is none of their business."""
    standard: ConnectorStandard | None = None
    """Of all connectors; absent: Type 2, or CCS 2 where the station gives DC. To 2.2.1, which has no word for them, MCS is told
    as IEC_62196_T2_COMBO and SAE_J3400 as TESLA_S."""
    format: Literal["SOCKET", "CABLE"] = "SOCKET"
    capabilities: tuple[Capability, ...] = (
        "CHARGING_PROFILE_CAPABLE", "REMOTE_START_STOP_CAPABLE", "RFID_READER", "UNLOCK_CAPABLE",
    )  # fmt: skip
    """What parties may ask of each EVSE; charging profiles and commands whose capability is not among them are NOT_SUPPORTED."""
    help_phone: str = Field(default="", max_length=25)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no time zone of the IANA database, such as Europe/Amsterdam") from None
        return value


class PriceComponentSettings(Settings):
    """The price of one dimension: per kWh, per hour, or flat."""

    type: Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
    price: Money
    vat: Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)] | None = None
    """Percent; absent: no tax applies."""
    step_size: int = Field(default=1, ge=1)
    """Wh or s."""


class RestrictionSettings(Settings):
    """When an element applies (TariffRestrictions): minima include their value, maxima do not."""

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Quantity | None = None
    max_kwh: Quantity | None = None
    min_current: Quantity | None = None
    max_current: Quantity | None = None
    min_power: Quantity | None = None
    max_power: Quantity | None = None
    min_duration: int | None = Field(default=None, ge=0)
    max_duration: int | None = Field(default=None, ge=0)
    day_of_week: tuple[DayOfWeek, ...] = ()


class ElementSettings(Settings):
    """Prices that apply under the same conditions."""

    price_components: tuple[PriceComponentSettings, ...] = Field(min_length=1)
    restrictions: RestrictionSettings | None = None


class PriceLimitSettings(Settings):
    """The least or the most that a session costs."""

    before_taxes: Money
    after_taxes: Money | None = None


class TariffSettings(Settings):
    """One tariff of the CPO (mod_tariffs, as in 2.3.0; what 2.2.1 lacks is turned into what it has)."""

    id: Id
    currency: str = Field(default="EUR", pattern=_THREE)
    type: Literal["AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"] | None = None
    """Absent: valid for all sessions."""
    tax_included: Literal["YES", "NO", "N/A"] = "NO"
    elements: tuple[ElementSettings, ...] = Field(min_length=1)
    min_price: PriceLimitSettings | None = None
    max_price: PriceLimitSettings | None = None
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> TariffSettings:
        moments = [one for one in (self.start_date_time, self.end_date_time) if one is not None]
        if any(one.tzinfo is None for one in moments):
            raise ValueError("start_date_time and end_date_time need an offset, such as 2026-01-01T00:00:00Z")
        if len(moments) == 2 and moments[0] >= moments[1]:
            raise ValueError("end_date_time must come after start_date_time")
        return self
