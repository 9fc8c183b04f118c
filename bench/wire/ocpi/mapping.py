"""OCPI charging profiles to OCPP 2.0.1 and back: pure, with limits rounded down and never up.

OCPI names no mapping; this one gives each OCPI profile one stable OCPP id and level, so that the next PUT replaces it
(K01.FR.05), and a TxProfile with the transaction's id (K01.FR.03, FR.09, FR.16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from math import inf
from typing import Any, Final

from bench.wire.ocpi.profiles import MOST_PERIODS, ActiveChargingProfile, ChargingProfile
from bench.wire.ocpi.types import utc_text

_TENTH: Final = Decimal("0.1")
_BEYOND_TENTHS: Final = Decimal(2**53)
"""A number in JSON has no tenths from here on."""


class NotConvertibleError(ValueError):
    """The EVSE cannot be given such a profile; says why."""


@dataclass(frozen=True, slots=True)
class EvseSupply:
    """What of an EVSE matters for the conversion."""

    rate_units: tuple[str, ...] = ("A", "W")
    phases: int | None = 3
    """Phases of the supply; None for DC."""
    voltage_v: float = 230.0
    """Nominal, line to neutral."""
    max_current_a: float = 32.0
    periods: int = MOST_PERIODS
    """Most periods in one schedule (SmartChargingCtrlr.PeriodsPerSchedule)."""
    stack_levels: int = 9
    """Highest stack level (SmartChargingCtrlr.ProfileStackLevel)."""
    smart_charging: bool = True
    """SmartChargingCtrlr.Available and Enabled."""


def round_down(limit: float | Decimal) -> float:
    """Return a limit with one decimal, never more than it was: all that OCPI and OCPP carry."""
    if isinstance(limit, float) and (limit.is_integer() or round(limit, 1) == limit):  # the first is quicker by far
        return limit
    value = Decimal(str(limit))
    return float(value if value > _BEYOND_TENTHS else value.quantize(_TENTH, ROUND_DOWN))


def convert(limit: float, unit: str, to: str, supply: EvseSupply) -> float:
    """Return a limit in another unit, rounded down: W is the total of all phases, A is per phase.

    Raises: NotConvertibleError for DC, where no voltage is known beforehand, and where no number is so great.
    """
    if unit == to:
        return round_down(limit)
    if supply.phases is None:
        raise NotConvertibleError(f"a limit in {unit} has no fixed value in {to} on DC")
    factor = Decimal(str(supply.voltage_v)) * supply.phases
    value = Decimal(str(limit))
    found = round_down(value / factor if to == "A" else value * factor)
    if found == inf:
        raise NotConvertibleError(f"a limit of {limit:g} {unit} is no number in {to}")
    return found


def refusal(profile: ChargingProfile, supply: EvseSupply) -> str:
    """Return why an EVSE cannot be given a profile, without making what it would be given; empty where it can."""
    given, unit = profile.charging_rate_unit, unit_for(profile.charging_rate_unit, supply)
    most = min(MOST_PERIODS, supply.periods)
    if len(profile.charging_profile_period) > most:
        return f"{len(profile.charging_profile_period)} periods: the station holds {most} in one schedule"
    try:
        if unit != given:
            convert(max(one.limit for one in profile.charging_profile_period), given, unit, supply)
            convert(profile.min_charging_rate or 0.0, given, unit, supply)
    except NotConvertibleError as error:
        return str(error)
    return ""


def unit_for(unit: str, supply: EvseSupply) -> str:
    """Return the unit to speak to the station: the asked one where it has it (K01.FR.26), else its own."""
    return unit if unit in supply.rate_units else supply.rate_units[0]


def to_ocpp(
    profile: ChargingProfile, supply: EvseSupply, *, profile_id: int, stack_level: int, transaction_id: str
) -> dict[str, Any]:
    """Return the ChargingProfileType that says what the OCPI profile says.

    `start_date_time` makes it Absolute, its absence Relative (K01.FR.40, FR.41). `min_charging_rate` is handed on as
    information and never clips a limit. Raises: NotConvertibleError.
    """
    if reason := refusal(profile, supply):
        raise NotConvertibleError(reason)
    given, unit = profile.charging_rate_unit, unit_for(profile.charging_rate_unit, supply)
    schedule: dict[str, Any] = {"id": profile_id, "chargingRateUnit": unit}
    if profile.start_date_time is not None:
        schedule["startSchedule"] = utc_text(profile.start_date_time)
    if profile.duration is not None:
        schedule["duration"] = profile.duration
    if profile.min_charging_rate is not None:
        schedule["minChargingRate"] = convert(profile.min_charging_rate, given, unit, supply)
    phases = {"numberPhases": supply.phases} if supply.phases in (1, 2) else {}  # absent means 3 (K01.FR.49)
    periods = profile.charging_profile_period
    limits = [round_down(one.limit) if unit == given else convert(one.limit, given, unit, supply) for one in periods]
    schedule["chargingSchedulePeriod"] = [
        {"startPeriod": one.start_period, "limit": limit, **phases} for one, limit in zip(periods, limits, strict=True)
    ]
    return {
        "id": profile_id,
        "stackLevel": min(stack_level, supply.stack_levels),
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative" if profile.start_date_time is None else "Absolute",
        "transactionId": transaction_id,
        "chargingSchedule": [schedule],
    }


def to_ocpi(composite: Mapping[str, Any], unit: str, supply: EvseSupply) -> ActiveChargingProfile:
    """Return OCPI's view of a CompositeScheduleType, in `unit`; phases cannot be told in OCPI.

    Equal neighbours are merged. Raises: ValueError where the schedule cannot be read, NotConvertibleError.
    """
    given, start = composite["chargingRateUnit"], composite["scheduleStart"]
    periods: list[dict[str, Any]] = []
    for one in composite["chargingSchedulePeriod"]:
        limit = convert(one["limit"], given, unit, supply)
        if not periods or periods[-1]["limit"] != limit:
            periods.append({"start_period": one["startPeriod"], "limit": limit})
    return _active(start, composite["duration"] or None, unit, periods)


def capacity(now: datetime, duration_s: int, unit: str, supply: EvseSupply) -> ActiveChargingProfile:
    """Return the EVSE's maximum as an active profile: what is due where nothing limits any more; on DC at the nominal voltage."""
    limit = convert(supply.max_current_a, "A", unit, supply if supply.phases else replace(supply, phases=1))
    return _active(utc_text(now), duration_s, unit, [{"start_period": 0, "limit": limit}])


def same_ahead(known: ActiveChargingProfile, new: ActiveChargingProfile) -> bool:
    """Say whether a new active profile tells nothing but what the known one said for the time that both cover."""
    one, other = known.charging_profile, new.charging_profile
    if one.charging_rate_unit != other.charging_rate_unit:
        return False
    start = max(_start(known), _start(new))
    end = min(_start(known) + (one.duration or float("inf")), _start(new) + (other.duration or float("inf")))
    if end <= start:
        return False
    edges = {start} | {at for profile in (known, new) for at, _ in _limits(profile) if start < at < end}
    return all(_limit_at(known, at) == _limit_at(new, at) for at in sorted(edges))


def merged(limits: Sequence[float], interval_s: int) -> list[dict[str, Any]]:
    """Return equal intervals of limits as periods, equal neighbours as one."""
    periods = [{"start_period": 0, "limit": limits[0]}]
    for index, (before, limit) in enumerate(pairwise(limits), start=1):
        if limit != before:
            periods.append({"start_period": index * interval_s, "limit": limit})
    return periods


def _active(start: str, duration_s: int | None, unit: str, periods: list[dict[str, Any]]) -> ActiveChargingProfile:
    profile: dict[str, Any] = {"start_date_time": start, "charging_rate_unit": unit, "charging_profile_period": periods}
    if duration_s is not None:
        profile["duration"] = duration_s
    return ActiveChargingProfile.model_validate({"start_date_time": start, "charging_profile": profile})


def _start(active: ActiveChargingProfile) -> float:
    return active.start_date_time.timestamp()


def _limits(active: ActiveChargingProfile) -> list[tuple[float, float]]:
    start = _start(active)
    return [(start + one.start_period, one.limit) for one in active.charging_profile.charging_profile_period]


def _limit_at(active: ActiveChargingProfile, at: float) -> float:
    return next(limit for start, limit in reversed(_limits(active)) if start <= at)
