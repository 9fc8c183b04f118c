"""Profiles and cases for the tests of the oracle and of `bench composite`."""

from __future__ import annotations

from typing import Any, Final

from bench.domain.composite import expected_composite
from bench.domain.quantities import moment
from bench.settings.case import check_case
from bench.settings.composite_case import CompositeSettings

T0: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z, a Thursday."""
DAY: Final = 86_400

Periods = list[tuple[float, float | None, int | None]]


def stamp(offset: float) -> str:
    """Return T0 + offset as the wire has it."""
    return moment(T0 + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def profile(identity: int, *periods: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    """Return a ChargingProfileType: a TxProfile in A from T0, unless changed.

    Args: periods: (startPeriod, limit) or (startPeriod, limit, numberPhases). fields: purpose, kind, level, unit, start,
        duration, or a key of the profile itself; start None leaves startSchedule out.
    """
    kind, start = fields.pop("kind", "Absolute"), fields.pop("start", 0)
    schedule: dict[str, Any] = {
        "id": identity,
        "chargingRateUnit": fields.pop("unit", "A"),
        "chargingSchedulePeriod": [dict(zip(("startPeriod", "limit", "numberPhases"), one, strict=False)) for one in periods],
    }
    if kind != "Relative" and start is not None:
        schedule["startSchedule"] = stamp(start)
    if "duration" in fields:
        schedule["duration"] = fields.pop("duration")
    return {
        "id": identity,
        "stackLevel": fields.pop("level", 0),
        "chargingProfilePurpose": fields.pop("purpose", "TxProfile"),
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
        **fields,
    }


def default(identity: int, *periods: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    """Return a TxDefaultProfile."""
    return profile(identity, *periods, purpose="TxDefaultProfile", **fields)


def station_max(identity: int, *periods: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    """Return a ChargingStationMaxProfile."""
    return profile(identity, *periods, purpose="ChargingStationMaxProfile", **fields)


def external(identity: int, *periods: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    """Return external constraints."""
    return profile(identity, *periods, purpose="ChargingStationExternalConstraints", **fields)


def case(*installed: tuple[int, dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return a case over 100 s from T0 in A on EVSE 1 of 2, with these (evseId, profile)s and changes."""
    profiles = [{"evseId": evse_id, "chargingProfile": raw} for evse_id, raw in installed]
    asked = {"now": stamp(0), "duration_s": 100, "rate_unit": "A", "evse": 1, "n_evses": 2, "profiles": profiles}
    return {**asked, **changes}


def composite(*installed: tuple[int, dict[str, Any]], **changes: Any) -> Periods:
    """Return (start_s, limit, number_phases) of each period of a case's composite schedule."""
    periods = expected_composite(check_case(CompositeSettings, case(*installed, **changes)).case())
    return [(one.start_s, one.limit, one.number_phases) for one in periods]
