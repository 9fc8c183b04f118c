"""A charging profile in a case: read strictly, so that an error names the profile's id and the place in it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from bench.domain.oracle import RECURRENCE_S
from bench.domain.profiles import ChargingProfile, Kind, ProfileError, Purpose
from bench.domain.quantities import parse_time
from bench.settings.case import CaseError

Kinds = Mapping[str, tuple[type, ...]]
_NUMBER: Final = (int, float)
_PROFILE: Final[Kinds] = {
    "id": (int,), "stackLevel": (int,), "chargingProfilePurpose": (str,), "chargingProfileKind": (str,),
    "chargingSchedule": (list,), "recurrencyKind": (str,), "validFrom": (str,), "validTo": (str,), "transactionId": (str,),
    "customData": (dict,),
}  # fmt: skip
_SCHEDULE: Final[Kinds] = {
    "chargingRateUnit": (str,), "chargingSchedulePeriod": (list,), "id": (int,), "startSchedule": (str,), "duration": (int,),
    "minChargingRate": _NUMBER, "salesTariff": (dict,), "customData": (dict,),
}  # fmt: skip
_PERIOD: Final[Kinds] = {
    "startPeriod": (int,), "limit": _NUMBER, "numberPhases": (int,), "phaseToUse": (int,), "customData": (dict,),
}  # fmt: skip
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE)
"""RFC 3339; one without an offset is taken as UTC."""
_HUGE: Final = 10**12
"""No time in seconds, limit or id of a station comes near it."""
_NAMES: Final = {int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}


def read_profile(raw: Mapping[str, Any], path: str) -> ChargingProfile:
    """Return a ChargingProfileType as the oracle knows it. Raises CaseError for what it could not say the meaning of.

    Only the first schedule counts. Source of names and types: OCPP 2.0.1 Part 2, ChargingProfileType and the types in it.
    """
    name = f"charging profile {raw.get('id', 'without id')}"
    _checked(raw, _PROFILE, 5, path, name)
    for key, known in (("chargingProfilePurpose", Purpose), ("chargingProfileKind", Kind)):
        if raw[key] not in tuple(known):
            raise CaseError(f"{path}.{key}", f"{name}: {raw[key]!r} must be one of {', '.join(known)}")
    schedules = raw["chargingSchedule"]
    if not schedules:
        raise CaseError(f"{path}.chargingSchedule", f"{name}: has no chargingSchedule")
    where = f"{path}.chargingSchedule[0]"
    _checked(schedules[0], _SCHEDULE, 2, where, name)
    if schedules[0].get("duration", 0) < 0:
        raise CaseError(f"{where}.duration", f"{name}: {schedules[0]['duration']} s must be at least 0")
    _check_unit(schedules[0]["chargingRateUnit"], f"{where}.chargingRateUnit", name)
    for content, key, place in ((raw, "validFrom", path), (raw, "validTo", path), (schedules[0], "startSchedule", where)):
        if key in content:
            _check_time(content[key], f"{place}.{key}", name)
    _check_periods(schedules[0]["chargingSchedulePeriod"], f"{where}.chargingSchedulePeriod", name)
    try:
        profile = ChargingProfile.from_ocpp(raw)
    except ProfileError as error:
        raise CaseError(path, str(error)) from None
    if profile.kind is not Kind.RELATIVE and profile.schedule.start is None:
        raise CaseError(f"{where}.startSchedule", f"{name}: {profile.kind} needs a startSchedule (K01.FR.40)")
    if profile.kind is Kind.RECURRING and profile.recurrency not in RECURRENCE_S:
        raise CaseError(f"{path}.recurrencyKind", f"{name}: Recurring needs Daily or Weekly, has {profile.recurrency!r}")
    return profile


def _check_unit(unit: str, path: str, name: str) -> None:
    if unit not in ("A", "W"):
        raise CaseError(path, f"{name}: {unit!r} must be A or W")


def _check_time(text: str, path: str, name: str) -> None:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        parse_time(text.upper())
    except ValueError:
        raise CaseError(path, f"{name}: {text!r} is no RFC 3339 date-time, such as 2026-01-15T10:00:00Z") from None


def _check_periods(periods: list[Any], path: str, name: str) -> None:
    if not periods:
        raise CaseError(path, f"{name}: has no chargingSchedulePeriod")
    for index, period in enumerate(periods):
        _check_period(period, f"{path}[{index}]", name)
    for index, (earlier, later) in enumerate(pairwise(periods), 1):
        if later["startPeriod"] <= earlier["startPeriod"]:
            reason = f"{later['startPeriod']} comes after {earlier['startPeriod']}: startPeriod has to ascend (K01.FR.35)"
            raise CaseError(f"{path}[{index}].startPeriod", f"{name}: {reason}")


def _check_period(period: Any, path: str, name: str) -> None:
    _checked(period, _PERIOD, 2, path, name)
    for key, low, high in (("startPeriod", 0, None), ("limit", 0, None), ("numberPhases", 1, 3), ("phaseToUse", 1, 3)):
        value = period.get(key, low)
        if value < low or (high is not None and value > high):
            bound = f"at least {low}" if high is None else f"from {low} to {high}"
            raise CaseError(f"{path}.{key}", f"{name}: {value} must be {bound}")


def _checked(content: Any, kinds: Kinds, required: int, path: str, name: str) -> None:
    """Refuse missing, unknown and wrongly typed keys; the first `required` ones of `kinds` have to be there."""
    if not isinstance(content, Mapping):
        raise CaseError(path, f"{name}: must be an object")
    for key in list(kinds)[:required]:
        if key not in content:
            raise CaseError(f"{path}.{key}", f"{name}: is required")
    for key, value in content.items():
        if key not in kinds:
            raise CaseError(f"{path}.{key}", f"{name}: unknown key; known: {', '.join(kinds)}")
        if isinstance(value, bool) or not isinstance(value, kinds[key]):
            raise CaseError(f"{path}.{key}", f"{name}: {value!r} must be {_NAMES[kinds[key][-1]]}")
        if isinstance(value, float) and not math.isfinite(value):
            raise CaseError(f"{path}.{key}", f"{name}: {value} is no finite number")
        if isinstance(value, int | float) and abs(value) > _HUGE:
            raise CaseError(f"{path}.{key}", f"{name}: is too large, must be at most {_HUGE}")
