"""The floor: a TxDefaultProfile that lets no power flow, under everything that a run sends, shown before it counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from bench.cso.csms import Csms
from bench.errors import CallRejectedError, RigError, StationError
from bench.runs.snapshot import FLOOR_PROFILE_ID, clear_profile
from bench.settings.rig import StationSettings
from bench.settings.scenario import ScenarioSettings
from bench.settings.steps import Clear, SetProfile

LOWEST_A: Final = 6.0
"""The lowest current at which an EV may charge (IEC 61851-1): the floor of a station that refuses 0 A."""
CALL_S: Final = 5.0
"""A station that does not answer must not keep the contactor closed for longer."""
_SHOWN_FOR_S: Final = 86_400
_EQUAL: Final = 0.05
DEFAULT: Final = "TxDefaultProfile"


def floor_limits(station: StationSettings) -> tuple[str, tuple[float, ...]]:
    """Return the unit and the limits to try, the lowest first."""
    features = station.features
    if "A" in features.rate_units:
        return "A", (0.0, LOWEST_A)
    return "W", (0.0, LOWEST_A * features.nominal_voltage_v)


def floor_level(station: StationSettings, found: Iterable[Mapping[str, Any]] | None) -> int:
    """Return the lowest stack level at which the floor leads over every default that the station holds.

    Args: found: `{"profile"}` each; None where the station cannot tell, so that only the highest level is sure.
    """
    if found is None:
        return station.features.profile_stack_level
    held = [one["profile"] for one in found if one["profile"]["id"] != FLOOR_PROFILE_ID]
    return 1 + max((one["stackLevel"] for one in held if one["chargingProfilePurpose"] == DEFAULT), default=-1)


async def send_floor(csms: Csms, station: StationSettings, level: int) -> tuple[float | None, str, list[str]]:
    """Install the lowest floor that the station takes, on EVSE 0 and without an end.

    Returns: its limit (None: none was taken), the unit, and each answer. Raises StationError where none came.
    """
    now = csms.station_time(station.id).replace(microsecond=0)
    unit, limits = floor_limits(station)
    answers = []
    for limit in limits:
        schedule = {"id": FLOOR_PROFILE_ID, "startSchedule": (now - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}  # fmt: skip
        profile = {"id": FLOOR_PROFILE_ID, "stackLevel": level, "chargingProfilePurpose": DEFAULT,
                   "chargingProfileKind": "Absolute", "chargingSchedule": [schedule]}  # fmt: skip
        request = {"evseId": 0, "chargingProfile": profile}
        try:
            answer = await csms.call(station.id, "SetChargingProfile", request, timeout_s=CALL_S, rules="report")
        except CallRejectedError as error:
            answer = {"status": error.code}
            if error.unknown:
                return None, unit, [error.code]
        answers.append(f"{limit:g} {unit}: {answer['status']}")
        if answer["status"] == "Accepted":
            return limit, unit, answers
    return None, unit, answers


async def arm_floor(csms: Csms, station: StationSettings, found: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Install the floor over every default that the station holds, see `install_floor`."""
    return await install_floor(csms, station, floor_level(station, found))


async def install_floor(csms: Csms, station: StationSettings, level: int) -> dict[str, Any]:
    """Install the floor and let the station show it for each EVSE; return what it showed and `ok`.

    Where it does not show it, the floor is taken away again. Raises StationError.
    """
    limit, unit, answers = await send_floor(csms, station, level)
    told: dict[str, Any] = {"ok": False, "answers": answers, "stack_level": level, "unit": unit, "limit": limit}
    if limit is None:
        return told
    told["shown"] = {str(evse.id): await _shown(csms, station.id, evse.id, unit) for evse in station.evse}
    told["ok"] = all(isinstance(one, float) and one <= limit + _EQUAL for one in told["shown"].values())
    if not told["ok"]:
        await clear_profile(csms, station.id, FLOOR_PROFILE_ID)
    return told


def not_shown(told: Mapping[str, Any]) -> str:
    """Return in words what a station said of a floor that it does not show."""
    return "; ".join(told["answers"]) + "".join(f"; EVSE {key} shows {one}" for key, one in told.get("shown", {}).items())


async def _shown(csms: Csms, station: str, evse_id: int, unit: str) -> float | str:
    """Return the highest limit of the composite schedule of the next day, or why there is none (K08)."""
    request = {"evseId": evse_id, "duration": _SHOWN_FOR_S, "chargingRateUnit": unit}
    try:
        answer = await csms.call(station, "GetCompositeSchedule", request, timeout_s=CALL_S)
    except CallRejectedError as error:
        return error.code
    except StationError as error:
        return str(error)
    schedule = answer.get("schedule")
    if answer["status"] != "Accepted" or schedule is None or schedule["chargingRateUnit"] != unit:
        return f"{answer['status']}, without a schedule in {unit}"
    return max(float(one["limit"]) for one in schedule["chargingSchedulePeriod"])


def takes_floor(action: str, request: Mapping[str, Any], level: int) -> bool:
    """Say whether a call would take the floor away, or install a default that may lead over it."""
    if action == "SetChargingProfile":
        profile = request.get("chargingProfile") or {}
        return profile.get("id") == FLOOR_PROFILE_ID or profile.get("chargingProfilePurpose") == DEFAULT
    if action != "ClearChargingProfile":
        return False
    if request.get("chargingProfileId") is not None:
        return bool(request["chargingProfileId"] == FLOOR_PROFILE_ID)
    criteria = request.get("chargingProfileCriteria") or {}
    return (
        criteria.get("evseId") in (None, 0)
        and criteria.get("chargingProfilePurpose") in (None, DEFAULT)
        and criteria.get("stackLevel") in (None, level)
    )


def tests_defaults(scenario: ScenarioSettings) -> bool:
    """Say whether a scenario declares that it tests defaults, or has a step that does."""
    for step in scenario.step:
        if isinstance(step, SetProfile) and step.purpose == DEFAULT:
            return True
        if isinstance(step, Clear) and step.id is None and step.purpose in (None, DEFAULT) and step.evse in (None, 0):
            return True
    return scenario.tests_defaults


def needs_contactor(station: str, why: str) -> RigError:
    """Return the error of a rig on which only the floor keeps power down, where it cannot."""
    return RigError(
        f"{station}: {why}; without the floor nothing keeps its power down when the bench is gone, so this rig needs a contactor "
        "that the bench can open: an actuator with the role power_switch"
    )
