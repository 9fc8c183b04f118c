"""A station's device model as it reports it: parts of one report put in order, and values found by component and variable.

Source: OCPP 2.0.1 Part 2, B06 to B08; NotifyReportRequest in Part 2, messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

MOST_PARTS: Final = 10_000
MOST_NAMED: Final = 10
"""Of what a note names, and of the notes on a report's order: a peer may send any number of parts."""
SHOWN: Final = 60
"""Characters of a peer's value that a note repeats."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of one component: what is true of it now, and what it may be set to."""

    component: str
    variable: str
    value: str | None
    """Its attribute Actual; None where it has none or may only be written."""
    evse_id: int | None = None
    connector_id: int | None = None
    instance: str = ""
    """The component's instance, then the variable's, parted by a slash where there are both."""
    mutability: str = "ReadWrite"
    values_list: tuple[str, ...] = ()
    """What its characteristics allow; empty where they do not say."""
    max_limit: float | None = None
    """The largest value by its characteristics."""


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """All variables that were read, and what was noticed on the way."""

    variables: tuple[Variable, ...] = ()
    notes: tuple[str, ...] = ()
    """What was missing or wrong in the report, for people."""
    complete: bool = True

    def find(self, component: str, variable: str, evse_id: int | None = None) -> Variable | None:
        """Return a variable, whatever the case of its letters (component and variable names are case-insensitive).

        Args: evse_id: of one EVSE; None for the station's own. One without instance is preferred.
        """
        names = component.casefold(), variable.casefold()
        fitting = [
            one
            for one in self.variables
            if (one.component.casefold(), one.variable.casefold()) == names
            and (one.evse_id, one.connector_id) == (evse_id, None)
        ]
        return min(fitting, key=lambda one: one.instance, default=None)


@dataclass(slots=True)
class ReportParts:
    """The NotifyReport messages that answer one GetBaseReport, in whatever order they come."""

    request_id: int
    parts: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """By seqNo."""
    notes: list[str] = field(default_factory=list)

    def take(self, payload: Mapping[str, Any]) -> None:
        """Take one NotifyReportRequest; those of other requests are left out."""
        if payload.get("requestId") != self.request_id:
            return
        number = payload["seqNo"]
        if number in self.parts:
            self._note(f"part {number} of the report came twice; the first counts")
            return
        if len(self.parts) >= MOST_PARTS:
            self._note(f"the report has more than {MOST_PARTS} parts; the others are left out")
            return
        if self.parts and number < max(self.parts):
            self._note(f"part {number} of the report came after part {max(self.parts)}")
        self.parts[number] = payload

    @property
    def last(self) -> int | None:
        """Return the number of the last part; None until it came. `tbc` says that more follow."""
        return next((number for number, part in self.parts.items() if not part.get("tbc", False)), None)

    @property
    def missing(self) -> list[int]:
        """Return the first numbers that are lacking below the highest, at most MOST_NAMED; seqNo counts from 0."""
        lacking = (number for number in range(max(self.parts, default=-1)) if number not in self.parts)
        return list(islice(lacking, MOST_NAMED))

    @property
    def complete(self) -> bool:
        """Say whether every part is there."""
        return self.last is not None and not self.missing

    def _note(self, text: str) -> None:
        if len(self.notes) < MOST_NAMED:
            self.notes.append(text)

    def model(self) -> DeviceModel:
        """Return what the parts say, also where some are missing."""
        notes = list(self.notes)
        if self.last is None:
            notes.append("the last part of the report did not come" if self.parts else "the report did not come")
        if self.missing:
            notes.append(f"parts {', '.join(map(str, self.missing))} of the report are missing")
        variables = [one for _, part in sorted(self.parts.items()) for one in _reported(part.get("reportData", ()))]
        return DeviceModel(tuple(variables), tuple(notes), self.complete)


def _reported(data: Sequence[Mapping[str, Any]]) -> Iterator[Variable]:
    for entry in data:
        attributes: Sequence[Mapping[str, Any]] = entry.get("variableAttribute") or ({},)
        actual = next((one for one in attributes if one.get("type", "Actual") == "Actual"), None)
        if actual is None:
            continue
        characteristics = entry.get("variableCharacteristics") or {}
        told, limit = characteristics.get("valuesList") or "", characteristics.get("maxLimit")
        yield _variable(
            entry, actual.get("value"), str(actual.get("mutability", "ReadWrite")),
            tuple(part.strip() for part in str(told).split(",") if part.strip()), None if limit is None else float(limit),
        )  # fmt: skip


def from_get_variables(results: Sequence[Mapping[str, Any]]) -> DeviceModel:
    """Return what the GetVariableResults say; a variable that is not there is left out."""
    found = [one for one in results if one.get("attributeStatus") == "Accepted" and "attributeValue" in one]
    return DeviceModel(tuple(_variable(one, one["attributeValue"]) for one in found))


def _variable(
    entry: Mapping[str, Any], value: Any, mutability: str = "ReadWrite", values_list: tuple[str, ...] = (),
    max_limit: float | None = None,
) -> Variable:
    component, variable = entry["component"], entry["variable"]
    evse = component.get("evse") or {}
    instances = [one["instance"] for one in (component, variable) if one.get("instance")]
    return Variable(
        component["name"], variable["name"], None if value is None else str(value), evse.get("id"), evse.get("connectorId"),
        "/".join(instances), mutability, values_list, max_limit,
    )  # fmt: skip


def shown(value: str) -> str:
    """Return a peer's text for a note, at a length that fits a line."""
    return repr(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")
