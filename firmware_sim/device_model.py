"""The device model: variables that a CSMS reads, sets and has reported.

Source: OCPP 2.0.1 Part 2, B05, B06, B07 and the referenced components of appendix 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MEASURANDS: Final = (
    "Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "Current.Offered", "Power.Offered",
)  # fmt: skip
ITEMS_PER_MESSAGE: Final = 50
"""How many variables one GetVariables or SetVariables may name, and one NotifyReport carries."""
TX_POINT: Final = "PowerPathClosed"
"""A transaction runs while the cable is connected and someone is authorised: the logical AND of both (part 2, E)."""
TIME_SOURCES: Final = ("Heartbeat", "NTP", "GPS", "RealTimeClock", "MobileNetwork", "RadioTimeTransmitter")
AVAILABILITY: Final = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")


@dataclass(slots=True)
class StationVariables:
    """What a CSMS can change while the station runs; it survives a loss of power."""

    heartbeat_interval_s: int = 300
    meter_values_interval_s: int = 300
    """0: no periodic values."""
    ev_connection_timeout_s: int = 60
    """How long an authorisation waits for the cable."""
    measurands: list[str] = field(default_factory=lambda: list(MEASURANDS))
    """Of the values that come while a transaction runs."""
    measurands_started: list[str] = field(default_factory=lambda: list(MEASURANDS))
    measurands_ended: list[str] = field(default_factory=lambda: list(MEASURANDS))
    time_source: list[str] = field(default_factory=lambda: ["Heartbeat"])
    limit_change_significance: float = 0.0
    """Percent; a change of the rate or of an external limit by no more than this is not told (SC.03)."""
    external_signals: bool = True
    """Whether external limits count."""
    limit_with_schedules: bool = True
    """Whether NotifyChargingLimit carries the schedule (K11.FR.03, K12.FR.03)."""
    back_off_wait_s: int = 1
    back_off_repeats: int = 3
    offline_threshold_s: int = 60
    random_delay_s: int = 0
    """Starts and planned changes wait for at most so long."""


def changed_by_more(before: float, now: float, percent: float) -> bool:
    """Tell whether a value moved by more than so many percent of what it was; from zero every move is more."""
    return abs(now - before) > abs(before) * percent / 100 + 1e-9


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable; without `write` it is read-only. `write` raises ValueError on a value that it cannot take."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None
    data_type: str = "string"
    """DataEnumType."""
    unit: str | None = None
    max_limit: float | None = None
    values: tuple[str, ...] = ()
    """What a list or an option may hold."""

    def characteristics(self) -> dict[str, Any]:
        """Return VariableCharacteristicsType, in the `ocpp` package's snake case."""
        found: dict[str, Any] = {"data_type": self.data_type, "supports_monitoring": False}
        if self.unit:
            found["unit"] = self.unit
        if self.max_limit is not None:
            found["max_limit"] = self.max_limit
        if self.values:
            found["values_list"] = ",".join(self.values)
        return found


def fixed(value: object, data_type: str = "string", **more: Any) -> Variable:
    """Return a variable with one value for ever; true and false as OCPP writes them."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Variable(lambda: text, None, data_type, **more)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a variable sits: a component, of the station or of an EVSE or its connector, and an instance of the variable."""

    component: str
    variable: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None

    def folded(self) -> Place:
        """Return it as names are compared: without case."""
        instance = self.instance.casefold() if self.instance is not None else None
        return Place(self.component.casefold(), self.variable.casefold(), instance, self.evse_id, self.connector_id)

    def described(self) -> dict[str, Any]:
        """Return `component` and `variable` as they are reported."""
        component: dict[str, Any] = {"name": self.component}
        if self.evse_id is not None:
            component["evse"] = {"id": self.evse_id}
            if self.connector_id is not None:
                component["evse"]["connector_id"] = self.connector_id
        variable = {"name": self.variable} | ({"instance": self.instance} if self.instance is not None else {})
        return {"component": component, "variable": variable}


class DeviceModel:
    """Answers GetVariables, SetVariables and reports; only the attribute Actual exists."""

    def __init__(self) -> None:
        self._variables: dict[Place, tuple[Place, Variable]] = {}

    def add(self, place: Place, entry: Variable) -> None:
        """Add a variable."""
        self._variables[place.folded()] = (place, entry)

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

    def report(self, base: str) -> list[dict[str, Any]]:
        """Return a ReportDataType for each variable of a ReportBaseEnumType (B07.FR.07 to FR.09), in the order of adding."""
        return [
            {
                **place.described(),
                "variable_attribute": [
                    {
                        "type": "Actual",
                        "value": entry.read(),
                        "mutability": "ReadWrite" if entry.write else "ReadOnly",
                        "persistent": True,
                        "constant": False,
                    }
                ],
                "variable_characteristics": entry.characteristics(),
            }
            for place, entry in self._of(base)
        ]

    def _of(self, base: str) -> Iterator[tuple[Place, Variable]]:
        for place, entry in self._variables.values():
            summary = base == "SummaryInventory" and place.variable == "AvailabilityState"
            if base == "FullInventory" or summary or (base == "ConfigurationInventory" and entry.write):
                yield place, entry

    def _find(self, one: Mapping[str, Any]) -> tuple[str, Variable | None]:
        component, variable = one["component"], one["variable"]
        evse = component.get("evse", {})
        place = Place(component["name"], variable["name"], variable.get("instance"), evse.get("id"), evse.get("connector_id"))
        place = place.folded()
        if "instance" in component or place not in self._variables:
            where = (place.component, place.evse_id, place.connector_id)
            known = any((one.component, one.evse_id, one.connector_id) == where for one in self._variables)
            return "UnknownVariable" if known and "instance" not in component else "UnknownComponent", None
        if one.get("attribute_type", "Actual") != "Actual":
            return "NotSupportedAttributeType", None
        return "Accepted", self._variables[place][1]


def whole_number(low: int, high: int, apply: Callable[[int], None]) -> Callable[[str], None]:
    """Return a writer that takes a whole number in [low, high] and applies it."""

    def write(text: str) -> None:
        if not text.strip().lstrip("-").isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        apply(int(text))

    return write


def decimal_number(low: float, high: float, apply: Callable[[float], None]) -> Callable[[str], None]:
    """Return a writer that takes a number in [low, high] and applies it."""

    def write(text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        apply(value)

    return write


def truth(apply: Callable[[bool], None]) -> Callable[[str], None]:
    """Return a writer that takes true or false and applies it."""

    def write(text: str) -> None:
        if text.strip().casefold() not in ("true", "false"):
            raise ValueError("must be true or false")
        apply(text.strip().casefold() == "true")

    return write


def listed(known: Sequence[str], apply: Callable[[list[str]], None]) -> Callable[[str], None]:
    """Return a writer that takes a comma-separated list of known names and applies it."""

    def write(text: str) -> None:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}")
        apply(names)

    return write
