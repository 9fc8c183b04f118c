"""The device model from the CSMS's side: base reports, variables, and the thin calls beside them (B05-B08, B11, F06, G03)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bench.cso.core import CsmsCore, Handler, Payload
from bench.cso.station import Outbox, StationState
from bench.errors import CallTimeoutError, StationError

MOST_VARIABLES: Final = 50_000
"""Of one report, and its parts; what comes beyond is dropped."""
MOST_WAITS: Final = 20
"""So many times the time of a call a report may take in all, for a station that never comes to an end."""
REMEMBERED: Final = 100


@dataclass(frozen=True, slots=True)
class ReportedVariable:
    """One variable of the device model, as NotifyReport tells it."""

    component: str
    instance: str | None
    evse_id: int | None
    connector_id: int | None
    variable: str
    variable_instance: str | None
    attributes: tuple[Mapping[str, Any], ...]
    """VariableAttributeTypes: type (absent: Actual), value, mutability, persistent, constant."""
    characteristics: Mapping[str, Any] | None

    @property
    def value(self) -> str | None:
        """Return the Actual value; None where it is not told."""
        return next((one.get("value") for one in self.attributes if one.get("type", "Actual") == "Actual"), None)

    @classmethod
    def from_ocpp(cls, raw: Mapping[str, Any]) -> ReportedVariable:
        """Read a valid ReportDataType."""
        component, variable = raw["component"], raw["variable"]
        evse = component.get("evse", {})
        return cls(
            component["name"], component.get("instance"), evse.get("id"), evse.get("connectorId"),
            variable["name"], variable.get("instance"), tuple(raw["variableAttribute"]), raw.get("variableCharacteristics"),
        )  # fmt: skip


@dataclass(slots=True)
class DeviceReport:
    """The NotifyReports that answer one request, by seqNo; they may come in any order."""

    parts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    last: int | None = None
    """seqNo of the part that no other follows."""
    size: int = 0
    overflowed: bool = False

    @property
    def complete(self) -> bool:
        """Return whether the last part and all before it came."""
        return self.last is not None and not self.missing

    def moved_since(self, parts: int) -> bool:
        """Return whether it is over, or has more than so many parts."""
        return self.complete or self.overflowed or len(self.parts) > parts

    @property
    def missing(self) -> list[int]:
        """Return the first ten numbers that did not come, of those that must be there."""
        end = self.last if self.last is not None else max(self.parts, default=-1)
        if end + 1 == len(self.parts):
            return []
        missing: list[int] = []
        for number in range(min(end, MOST_VARIABLES) + 1):
            if number not in self.parts:
                missing.append(number)
            if len(missing) == 10:
                break
        return missing


class DeviceModel:
    """Reads and writes the device models of all stations."""

    def __init__(self, core: CsmsCore) -> None:
        self._core = core
        self._reports: dict[tuple[str, int], DeviceReport] = {}
        self._asked: deque[tuple[str, int]] = deque(maxlen=REMEMBERED)
        """Reports that were asked for, also by hand."""
        self.per_message: dict[tuple[str, str], int] = {}
        """DeviceDataCtrlr.ItemsPerMessage by station and message, where known."""
        self.handlers: dict[str, Handler] = {"NotifyReport": self._reported}

    async def base_report(self, station_id: str, base: str = "FullInventory") -> list[ReportedVariable]:
        """Ask for a report of the device model and return it in order. Source: B07.

        Raises: as `Csms.call`; StationError where the station has no such report, CallTimeoutError where a part is missing.
        """
        return await self._report(station_id, "GetBaseReport", {"reportBase": base})

    async def report(self, station_id: str, components: Sequence[Mapping[str, Any]]) -> list[ReportedVariable]:
        """Ask for chosen components (ComponentVariableTypes) and return what is reported. Source: B08; raises as above."""
        return await self._report(station_id, "GetReport", {"componentVariable": [dict(one) for one in components]})

    async def get_variables(self, station_id: str, wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return GetVariableResultTypes for GetVariableDataTypes, in as many messages as the station needs. Source: B06."""
        return await self._variables(station_id, "GetVariables", "getVariableData", "getVariableResult", wanted)

    async def set_variables(self, station_id: str, wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return SetVariableResultTypes for SetVariableDataTypes. Source: B05."""
        return await self._variables(station_id, "SetVariables", "setVariableData", "setVariableResult", wanted)

    async def reset(self, station_id: str, kind: str = "Immediate", evse_id: int | None = None) -> dict[str, Any]:
        """Reset the station or one EVSE, Immediate or OnIdle; return the answer. Source: B11, B12."""
        return await self._core.call(station_id, "Reset", _given(type=kind, evseId=evse_id))

    async def trigger(
        self, station_id: str, message: str, evse_id: int | None = None, connector_id: int | None = None
    ) -> dict[str, Any]:
        """Ask for a message by its MessageTriggerEnumType; return the answer. Source: F06."""
        evse = None if evse_id is None else _given(id=evse_id, connectorId=connector_id)
        return await self._core.call(station_id, "TriggerMessage", _given(requestedMessage=message, evse=evse))

    async def change_availability(
        self, station_id: str, operational: bool, evse_id: int | None = None, connector_id: int | None = None
    ) -> dict[str, Any]:
        """Make the station, an EVSE or a connector Operative or Inoperative; return the answer. Source: G03, G04."""
        evse = None if evse_id is None else _given(id=evse_id, connectorId=connector_id)
        status = "Operative" if operational else "Inoperative"
        return await self._core.call(station_id, "ChangeAvailability", _given(operationalStatus=status, evse=evse))

    def asking(self, station_id: str, action: str, payload: Mapping[str, Any]) -> None:
        """Note the number of a report that is asked for, by whomever."""
        number = payload.get("requestId")
        if action in ("GetBaseReport", "GetReport") and isinstance(number, int):
            self._asked.append((station_id, number))

    async def _report(self, station_id: str, action: str, request: dict[str, Any]) -> list[ReportedVariable]:
        number = self._core.ids.number(2**31 - 1)
        report = self._reports[station_id, number] = DeviceReport()
        try:
            answer = await self._core.call(station_id, action, {"requestId": number, **request})
            if answer["status"] == "EmptyResultSet":
                return []
            if answer["status"] != "Accepted":
                raise StationError(f"{station_id}: {action} was answered with {answer['status']}")
            await self._complete(station_id, report)
        finally:
            del self._reports[station_id, number]
        found = [ReportedVariable.from_ocpp(raw) for _, part in sorted(report.parts.items()) for raw in part]
        self._learn(station_id, found)
        return found

    async def _complete(self, station_id: str, report: DeviceReport) -> None:
        """Wait for the end of a report, as long as another part comes within the time of a call, and not for ever."""
        limit_s = self._core.call_timeout_s
        deadline = self._core.clock.monotonic() + MOST_WAITS * limit_s
        while not report.complete:
            if report.overflowed:
                raise StationError(f"{station_id}: NotifyReport has more than {MOST_VARIABLES} variables or parts")
            before = len(report.parts)
            waited_s = limit_s
            if await self._core.wait_until(partial(report.moved_since, before), limit_s):
                if report.complete or self._core.clock.monotonic() < deadline:
                    continue
                before, waited_s = len(report.parts), MOST_WAITS * limit_s
            lost = ", ".join(map(str, report.missing)) or f"whatever follows {max(report.parts, default=-1)}"
            text = f"{before} parts came; missing: seqNo {lost}" if before else "no part came"
            self._core.finding(station_id, "report_incomplete", f"NotifyReport: {text}")
            raise CallTimeoutError(f"{station_id} did not complete NotifyReport within {waited_s:g} s: {text}")

    def _reported(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """B07: parts are counted from 0; `tbc` says that more follow."""
        out.tell("report", station, payload=payload)
        key, number = (station.station_id, payload["requestId"]), payload["seqNo"]
        where = f"NotifyReport {key[1]}, seqNo {number}"
        report = self._reports.get(key)
        if report is None:
            if key not in self._asked:
                out.findings.append(("unexpected_report", f"{where}: nobody asked for it"))
            return {}
        if number in report.parts:
            out.findings.append(("report_part_repeated", f"{where}: came before"))
            return {}
        if number < 0 or (report.last is not None and number > report.last):
            out.findings.append(("report_part_order", f"{where}: outside of 0 to {report.last}"))
            return {}
        if number > len(report.parts):
            out.findings.append(("report_part_order", f"{where}: came before {report.missing or number - 1}"))
        data = payload.get("reportData", [])
        report.size += len(data)
        if report.size > MOST_VARIABLES or len(report.parts) >= MOST_VARIABLES:
            if not report.overflowed:
                out.findings.append(("report_too_long", f"{where}: more than {MOST_VARIABLES} variables or parts"))
            report.overflowed = True
            return {}
        report.parts[number] = data
        if not payload.get("tbc", False):
            report.last = number
        return {}

    async def _variables(
        self, station_id: str, action: str, field_name: str, answer_name: str, wanted: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        size = self.per_message.get((station_id, action), max(1, len(wanted)))
        results: list[dict[str, Any]] = []
        for first in range(0, len(wanted), size):
            asked = [dict(one) for one in wanted[first : first + size]]
            answer = await self._core.call(station_id, action, {field_name: asked})
            got = answer[answer_name]
            names = [_name(one) for one in got]
            lost = [_name(one) for one in asked if _name(one) not in names]
            if lost or len(got) != len(asked):
                text = f"{action}: {len(got)} results for {len(asked)}; without one: {', '.join(lost[:10]) or 'none'}"
                self._core.finding(station_id, "variables_not_answered", text)
            results += got
        return results

    def _learn(self, station_id: str, found: Sequence[ReportedVariable]) -> None:
        for one in found:
            told = (one.component, one.variable) == ("DeviceDataCtrlr", "ItemsPerMessage")
            if told and one.variable_instance and (one.value or "").isdecimal() and int(one.value or 0) > 0:
                self.per_message[station_id, one.variable_instance] = int(one.value or 0)


def _name(data: Mapping[str, Any]) -> str:
    component, variable = data["component"], data["variable"]
    evse = component.get("evse", {})
    parts = (component["name"], component.get("instance"), evse.get("id"), evse.get("connectorId"), variable["name"])
    named = [*parts, variable.get("instance"), data.get("attributeType", "Actual")]
    return ".".join(str(part) for part in named if part is not None)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
