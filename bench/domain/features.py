"""What a device model says about smart charging, as typed values; what cannot be read is a note, never a guess.

Source: OCPP 2.0.1 Part 2, the referenced components and variables; appendices, list of standardised variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bench.domain.device_model import DeviceModel, Variable, shown

MOST: Final = 2**31 - 1
"""The largest OCPP integer."""
_TRUE_FALSE: Final = {"true": True, "false": False}


@dataclass(slots=True)
class Reported:
    """What the device model says: features of the target file, other values of it, and what was wrong."""

    features: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def whole(low: int, high: int = MOST) -> Callable[[str], int]:
    """Return a reader of a whole number in [low, high]; it raises ValueError with the reason."""

    def read(text: str) -> int:
        try:
            number = float(text) if text.isascii() and len(text) < 40 else float("nan")
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise ValueError("is no whole number")
        if not low <= number <= high:
            raise ValueError(f"is not from {low} to {high}")
        return int(number)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of a number in [low, high]."""

    def read(text: str) -> float:
        try:
            value = float(text) if text.isascii() and len(text) < 40 else float("nan")
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"is no number from {low:g} to {high:g}")
        return value

    return read


def truth(text: str) -> bool:
    """Read a boolean, whatever the case of its letters."""
    value = _TRUE_FALSE.get(text.strip().lower())
    if value is None:
        raise ValueError("is neither true nor false")
    return value


def names(text: str) -> tuple[str, ...]:
    """Read a list of names parted by commas, each once, in the station's order."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or any(len(one) > 50 or not one.isprintable() for one in found):
        raise ValueError("is no list of names")
    return found


def rate_units(text: str) -> tuple[str, ...]:
    """Read SmartChargingCtrlr.RateUnit: the OCPP values are A and W, the appendix writes Current and Power too."""
    meant = {"a": "A", "w": "W", "current": "A", "power": "W"}
    units = tuple(dict.fromkeys(meant.get(one.lower(), one) for one in names(text)))
    if not set(units) <= {"A", "W"}:
        raise ValueError("names another unit than A and W")
    return units


Reader = Callable[[str], Any]
FEATURES: Final[tuple[tuple[str, str, str, Reader], ...]] = (
    ("rate_units", "SmartChargingCtrlr", "RateUnit", rate_units),
    ("profile_stack_level", "SmartChargingCtrlr", "ProfileStackLevel", whole(0)),
    ("periods_per_schedule", "SmartChargingCtrlr", "PeriodsPerSchedule", whole(1)),
    ("supply_phases", "ChargingStation", "SupplyPhases", whole(0, 3)),
    ("ac_phase_switching", "SmartChargingCtrlr", "ACPhaseSwitchingSupported", truth),
    ("phases_3to1", "SmartChargingCtrlr", "Phases3to1", truth),
    ("external_limits", "SmartChargingCtrlr", "ExternalControlSignalsEnabled", truth),
    ("iso15118", "ISO15118Ctrlr", "Available", truth),
)
"""Feature of the target file, component, variable, reader."""
VALUES: Final[tuple[tuple[str, str, str, Reader], ...]] = (
    ("tx_start_point", "TxCtrlr", "TxStartPoint", names),
    ("tx_stop_point", "TxCtrlr", "TxStopPoint", names),
    ("time_source", "ClockCtrlr", "TimeSource", names),
    ("heartbeat_interval_s", "OCPPCommCtrlr", "HeartbeatInterval", whole(0)),
    ("message_timeout_s", "OCPPCommCtrlr", "MessageTimeout", whole(0)),
    ("retry_back_off_repeat_times", "OCPPCommCtrlr", "RetryBackOffRepeatTimes", whole(0)),
    ("retry_back_off_wait_minimum_s", "OCPPCommCtrlr", "RetryBackOffWaitMinimum", whole(0)),
    ("retry_back_off_random_range_s", "OCPPCommCtrlr", "RetryBackOffRandomRange", whole(0)),
    ("external_control_signals", "SmartChargingCtrlr", "ExternalControlSignalsEnabled", truth),
    ("notify_limit_with_schedules", "SmartChargingCtrlr", "NotifyChargingLimitWithSchedules", truth),
    ("limit_change_significance_percent", "SmartChargingCtrlr", "LimitChangeSignificance", number(0, 100)),
)
"""Other value of the target file, component, variable, reader."""
CLOCK: Final = ("ClockCtrlr", "DateTime")
_SMART_CHARGING: Final = ("Available", "Enabled")
_INSTANCES: Final = {"MessageTimeout": "Default"}
"""Instances of variables as the specification names them."""


def asked_variables() -> list[tuple[str, str, str]]:
    """Return each (component, variable, variable's instance) of use here: asked for where a station gives no report.

    Those that the specification names with an instance are asked for without it as well.
    """
    listed = [one[1:3] for one in (*FEATURES, *VALUES)] + [("SmartChargingCtrlr", name) for name in _SMART_CHARGING]
    plain = dict.fromkeys((component, variable, "") for component, variable in (*listed, CLOCK))
    named = [(component, variable, _INSTANCES[variable]) for component, variable, _ in plain if variable in _INSTANCES]
    return [*plain, *named]


def reported_features(model: DeviceModel) -> Reported:
    """Return the values that a device model tells. A value of the wrong type or size is left out and noted."""
    found = Reported(notes=list(model.notes))
    for name, component, variable, read in FEATURES:
        for value in _read(model, component, variable, read, found.notes):
            found.features[name] = value
    for name, component, variable, read in VALUES:
        for value in _read(model, component, variable, read, found.notes):
            found.values[name] = value
    _read_entries(model, found)
    if found.features.get("supply_phases") == 0:  # a DC supply has none
        del found.features["supply_phases"]
        found.features["current_type"] = "DC"
    told = [value for name in _SMART_CHARGING for value in _read(model, "SmartChargingCtrlr", name, truth, found.notes)]
    if told:
        found.features["smart_charging"] = all(told)
    return found


def _read_entries(model: DeviceModel, found: Reported) -> None:
    """SmartChargingCtrlr.Entries counts the profiles that are installed now; its maxLimit is how many the store holds."""
    entries = model.find("SmartChargingCtrlr", "Entries")
    limit = entries.max_limit if entries is not None else None
    if limit is None:
        return
    if limit.is_integer() and 1 <= limit <= MOST:
        found.features["entries"] = int(limit)
    else:
        found.notes.append(f"SmartChargingCtrlr.Entries: its maxLimit {limit:g} is no number of profiles; it is left out")


def evse_ids(model: DeviceModel) -> list[int]:
    """Return the ids of the EVSEs that the device model names."""
    return sorted({one.evse_id for one in model.variables if one.evse_id})


def differences(reported: dict[str, Any], entered: dict[str, Any]) -> list[str]:
    """Return, in words, each reported feature that contradicts what was entered."""
    return [
        f"{name}: the station reports {_told(value)}, the rig file says {_told(entered[name])}"
        for name, value in sorted(reported.items())
        if name in entered and entered[name] != value
    ]


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(model: DeviceModel, component: str, variable: str, read: Reader, notes: list[str]) -> Iterator[Any]:
    """Yield the value, where there is one that can be read."""
    found: Variable | None = model.find(component, variable)
    if found is None or found.value is None:
        return
    try:
        yield read(found.value)
    except ValueError as error:
        notes.append(f"{component}.{variable} = {shown(found.value)} {error}; it is left out")
