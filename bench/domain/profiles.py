"""Charging profiles as they are on the OCPP 2.0.1 wire, read into frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from bench.domain.quantities import parse_time


class Purpose(StrEnum):
    """ChargingProfilePurposeEnumType."""

    EXTERNAL = "ChargingStationExternalConstraints"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    """ChargingProfileKindEnumType."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class ProfileError(ValueError):
    """A charging profile that cannot be read; says which one and why."""


@dataclass(frozen=True, slots=True)
class ChargingSchedulePeriod:
    """A limit from `start_s` seconds after the schedule's start; in the schedule's unit."""

    start_s: int
    limit: float
    number_phases: int | None = None
    """None where the period says nothing, which means 3 on AC (K01.FR.49)."""
    phase_to_use: int | None = None


@dataclass(frozen=True, slots=True)
class ChargingSchedule:
    """Limits over time: A per phase, or W as the total of all phases."""

    unit: str
    periods: tuple[ChargingSchedulePeriod, ...]
    duration_s: float | None = None
    start: float | None = None
    """`startSchedule`, in seconds since 1970 UTC."""
    offsets: tuple[int, ...] = field(init=False, compare=False, repr=False)
    """When each period starts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", tuple(period.start_s for period in self.periods))


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """One profile; only its first schedule counts (the others are for ISO 15118)."""

    id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedule: ChargingSchedule
    recurrency: str | None = None
    valid_from: float | None = None
    valid_to: float | None = None
    transaction_id: str | None = None

    @classmethod
    def from_ocpp(cls, raw: Mapping[str, Any]) -> ChargingProfile:
        """Read a ChargingProfileType. Raises ProfileError that names the profile's id."""
        try:
            return cls(
                id=raw["id"],
                stack_level=raw["stackLevel"],
                purpose=Purpose(raw["chargingProfilePurpose"]),
                kind=Kind(raw["chargingProfileKind"]),
                schedule=_schedule(raw["chargingSchedule"][0]),
                recurrency=raw.get("recurrencyKind"),
                valid_from=_time(raw.get("validFrom")),
                valid_to=_time(raw.get("validTo")),
                transaction_id=raw.get("transactionId"),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            name = raw.get("id", "without id") if isinstance(raw, Mapping) else "that is no object"
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ProfileError(f"charging profile {name}: {reason}") from None


@dataclass(frozen=True, slots=True)
class InstalledProfile:
    """A profile in the station's store: on one EVSE, or on the whole station (`evse_id` 0)."""

    evse_id: int
    profile: ChargingProfile
    received: float | None = field(default=None, compare=False)
    """When the station accepted it, in seconds since 1970 UTC; None where that was not seen."""
    source: str | None = field(default=None, compare=False)
    """Who set an external limit (ChargingLimitSourceEnumType); None where nobody told."""


def _schedule(raw: Mapping[str, Any]) -> ChargingSchedule:
    unit = raw["chargingRateUnit"]
    if unit not in ("A", "W"):
        raise ValueError(f"chargingRateUnit {unit!r} is neither A nor W")
    periods = tuple(
        ChargingSchedulePeriod(one["startPeriod"], float(one["limit"]), one.get("numberPhases"), one.get("phaseToUse"))
        for one in raw["chargingSchedulePeriod"]
    )
    if not periods:
        raise ValueError("has no chargingSchedulePeriod")
    if any(later.start_s <= earlier.start_s for earlier, later in pairwise(periods)):
        raise ValueError("startPeriod does not ascend (K01.FR.35)")
    return ChargingSchedule(unit, periods, raw.get("duration"), _time(raw.get("startSchedule")))


def _time(text: str | None) -> float | None:
    return None if text is None else parse_time(text)
