"""The device model, as far as smart charging needs it: variables that a CSMS reads and sets.

Source: OCPP 2.0.1 Part 2, B05, B06 and the referenced components of appendix 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MEASURANDS: Final = (
    "Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "Current.Offered", "Power.Offered",
)  # fmt: skip
TX_POINT: Final = "PowerPathClosed"
"""A transaction runs while the cable is connected and someone is authorised: the logical AND of both (part 2, E)."""


@dataclass(slots=True)
class StationVariables:
    """What a CSMS can change while the station runs; it survives a loss of power."""

    heartbeat_interval_s: int = 300
    meter_values_interval_s: int = 300
    """0: no periodic values."""
    ev_connection_timeout_s: int = 60
    """How long an authorisation waits for the cable."""
    limit_change_significance: float = 0.0
    """Percent; smaller changes of a limit or a rate are not told (SC.03)."""
    limit_with_schedules: bool = True
    """Whether NotifyChargingLimit carries the schedule (K11.FR.03, K12.FR.03)."""
    measurands: list[str] = field(default_factory=lambda: list(MEASURANDS))


def changed_by_more(before: float, now: float, percent: float) -> bool:
    """Tell whether a value moved by more than so many percent of what it was; from zero every move is more."""
    return abs(now - before) > abs(before) * percent / 100 + 1e-9


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable; without `write` it is read-only. `write` raises ValueError on a value that it cannot take."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None


Key = tuple[str, int | None, str]


class DeviceModel:
    """Answers GetVariables and SetVariables; only the attribute Actual exists."""

    def __init__(self) -> None:
        self._variables: dict[Key, Variable] = {}

    def add(self, component: str, variable: str, entry: Variable | str, evse_id: int | None = None) -> None:
        """Add a variable; a text is a fixed value."""
        if isinstance(entry, str):
            entry = Variable(lambda value=entry: value)  # type: ignore[misc]
        self._variables[component.casefold(), evse_id, variable.casefold()] = entry

    def get(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return a GetVariableResult for each GetVariableData, in order."""
        results = []
        for one in asked:
            status, entry = self._find(one)
            result = {"attribute_status": status, "component": one["component"], "variable": one["variable"]}
            if "attribute_type" in one:
                result["attribute_type"] = one["attribute_type"]
            if entry is not None:
                result["attribute_value"] = entry.read()
            results.append(result)
        return results

    def set(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Set what may be set and return a SetVariableResult for each SetVariableData, in order."""
        results = []
        for one in asked:
            status, entry = self._find(one)
            result: dict[str, Any] = {"component": one["component"], "variable": one["variable"]}
            if "attribute_type" in one:
                result["attribute_type"] = one["attribute_type"]
            if entry is not None and entry.write is None:
                status, result["attribute_status_info"] = "Rejected", {"reason_code": "ReadOnly"}
            elif entry is not None and entry.write is not None:
                try:
                    entry.write(one["attribute_value"])
                except ValueError as error:
                    status = "Rejected"
                    result["attribute_status_info"] = {"reason_code": "InvalidValue", "additional_info": str(error)[:512]}
            results.append({"attribute_status": status, **result})
        return results

    def _find(self, one: Mapping[str, Any]) -> tuple[str, Variable | None]:
        component, variable = one["component"], one["variable"]
        name, evse_id = component["name"].casefold(), component.get("evse", {}).get("id")
        entry = self._variables.get((name, evse_id, variable["name"].casefold()))
        if entry is None:
            known = any(key[:2] == (name, evse_id) for key in self._variables)
            return "UnknownVariable" if known else "UnknownComponent", None
        if one.get("attribute_type", "Actual") != "Actual":
            return "NotSupportedAttributeType", None
        return "Accepted", entry


def whole_number(low: int, high: int, apply: Callable[[int], None]) -> Callable[[str], None]:
    """Return a writer that takes a whole number in [low, high] and applies it."""

    def write(text: str) -> None:
        if not text.strip().lstrip("-").isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        apply(int(text))

    return write


def percentage(apply: Callable[[float], None]) -> Callable[[str], None]:
    """Return a writer that takes a decimal from 0 to 100 and applies it."""

    def write(text: str) -> None:
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", text.strip(), re.ASCII) or float(text) > 100:
            raise ValueError("must be a number from 0 to 100")
        apply(float(text))

    return write


def truth(apply: Callable[[bool], None]) -> Callable[[str], None]:
    """Return a writer that takes true or false and applies it."""

    def write(text: str) -> None:
        if text.strip().lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        apply(text.strip().lower() == "true")

    return write


def measurand_list(apply: Callable[[list[str]], None]) -> Callable[[str], None]:
    """Return a writer that takes a comma-separated list of known measurands and applies it."""

    def write(text: str) -> None:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in MEASURANDS]
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}")
        apply(names)

    return write
