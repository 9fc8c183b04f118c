"""Oddities of a charging profile that no requirement forbids, in words: worth a look before it is sent."""

from __future__ import annotations

from typing import Any, Final

from bench.domain.lint_request import ProfileRequest, as_int, periods_of, validity

LONG_S: Final = 366 * 86_400
"""A schedule that runs for longer than a year is rarely meant."""


def notes(request: ProfileRequest) -> tuple[str, ...]:
    """Return what is odd about a profile. Pure; raises nothing. Source: OCPP 2.0.1 part 2, ChargingProfileType and its parts."""
    found: list[str] = []
    raw, recurring = request.raw, request.kind == "Recurring"
    begin, end = validity(raw)
    if end <= begin:
        found.append("validTo is not after validFrom: the profile is never valid (K01.FR.36, FR.37)")
    if recurring and "recurrencyKind" not in raw:
        found.append("Recurring without recurrencyKind: nothing says how often")
    if request.stack_level is not None and request.stack_level < 0:
        found.append(f"stackLevel {request.stack_level}: the lowest is 0")
    if "transactionId" in raw and not request.is_tx:
        found.append("transactionId belongs in a TxProfile only")
    if len(request.schedules) > 1 and not request.is_tx:
        found.append("more than one schedule is for TxProfiles only")
    for number, schedule in enumerate(request.schedules):
        found += (f"chargingSchedule[{number}].{text}" for text in _of_schedule(schedule))
    for place, period in request.placed():
        found += (f"{place}.{text}" for text in _of_period(period))
    return tuple(found)


def _of_schedule(schedule: Any) -> list[str]:
    found, duration = [], as_int(schedule.get("duration"))
    starts = [start for period in periods_of(schedule) if (start := as_int(period.get("startPeriod"))) is not None]
    if duration is not None and duration <= 0:
        found.append(f"duration {duration}: nothing of it is ever executed (K01.FR.11)")
    elif duration is not None and starts and max(starts) >= duration:
        found.append(f"duration {duration}: the period at {max(starts)} is never executed (K01.FR.11)")
    if max([duration or 0, *starts]) > LONG_S:
        found.append("duration: longer than a year")
    return found


def _of_period(period: Any) -> list[str]:
    found, limit = [], period.get("limit")
    if isinstance(limit, int | float) and not isinstance(limit, bool):
        if limit < 0:
            found.append(f"limit {limit}: negative")
        elif limit > 1_000_000:
            found.append("limit: beyond what any EVSE can give")
        elif round(limit, 1) != limit:
            found.append(f"limit {limit}: the station need not take more than one digit after the point")
    phases, phase = as_int(period.get("numberPhases")), as_int(period.get("phaseToUse"))
    if phases is not None and not 1 <= phases <= 3:
        found.append(f"numberPhases {phases}: 1 to 3 can be")
    if phase is not None and not 1 <= phase <= 3:
        found.append(f"phaseToUse {phase}: 1 to 3 can be")
    return found
