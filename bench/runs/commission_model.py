"""Reads a station's device model: a full inventory where the station gives one, else the variables that matter, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bench.cso.csms import Csms
from bench.domain.device_model import DeviceModel, ReportParts, Variable, from_get_variables, shown
from bench.domain.features import asked_variables
from bench.errors import CallRejectedError, StationError
from bench.ports import IdSource

REPORT_PATIENCE_S: Final = 60.0
"""How long the next part of the report may take."""
REPORT_MOST: Final = 20
"""So many times that patience in all, for a station that never comes to an end."""
AT_ONCE: Final = 10
"""Variables that one GetVariables asks for; stations may take fewer (ItemsPerMessage), so a refusal halves it."""
SAMPLED: Final = ("Power.Active.Import", "Current.Import", "Current.Offered", "Energy.Active.Import.Register", "SoC")
"""What the bench wants the station to measure, the most wanted first."""
SAMPLED_INTERVAL_S: Final = 10
ALIGNED_INTERVAL_S: Final = 60


async def read_device_model(csms: Csms, ids: IdSource, station: str) -> DeviceModel:
    """Return the whole device model (B07), or what GetVariables tells (B06) where there is no report.

    Raises: StationError where the station is gone.
    """
    parts = ReportParts(ids.number(2**31 - 1))

    def listen(event: Mapping[str, Any]) -> None:
        if event["event"] == "report" and event["station"] == station:
            parts.take(event["payload"])

    unsubscribe = csms.subscribe(listen)
    try:
        answer = await csms.call(station, "GetBaseReport", {"requestId": parts.request_id, "reportBase": "FullInventory"})
        why = "" if answer["status"] == "Accepted" else f"GetBaseReport was answered {answer['status']}"
        for _ in range(REPORT_MOST if not why else 0):
            known = len(parts.parts)
            await csms.wait_until(lambda: parts.complete, REPORT_PATIENCE_S)
            if parts.complete or len(parts.parts) == known:
                break
    except CallRejectedError as error:
        why = f"GetBaseReport was refused with CALLERROR {error.code}"
    finally:
        unsubscribe()
    if not why and parts.complete:
        return parts.model()
    told = parts.model()
    notes = (f"{why}; the variables were asked for one by one",) if why else (*told.notes, "what is missing was asked for")
    asked = await _asked_one_by_one(csms, station)
    known_names = {(one.component.casefold(), one.variable.casefold(), one.evse_id) for one in told.variables}
    more = [one for one in asked if (one.component.casefold(), one.variable.casefold(), one.evse_id) not in known_names]
    return DeviceModel((*told.variables, *more), notes, complete=False)


async def _asked_one_by_one(csms: Csms, station: str) -> Sequence[Variable]:
    wanted = [
        {"component": {"name": component}, "variable": {"name": variable} | ({"instance": instance} if instance else {})}
        for component, variable, instance in asked_variables()
    ]
    found: list[Variable] = []
    size = AT_ONCE
    while wanted:
        try:
            answer = await csms.call(station, "GetVariables", {"getVariableData": wanted[:size]})
        except CallRejectedError:
            if size == 1:
                wanted = wanted[1:]
            size = max(1, size // 2)
            continue
        found += from_get_variables(answer["getVariableResult"]).variables
        wanted = wanted[size:]
    return found


@dataclass(slots=True)
class Sampling:
    """Sets what the station measures and how often, as far as it takes it; `restore` puts back what was there."""

    csms: Csms
    station: str
    changed: list[Variable] = field(default_factory=list)
    """With the values from before, in the order of the changes."""
    notes: list[str] = field(default_factory=list)
    """What was refused."""

    async def set(self, model: DeviceModel) -> None:
        """Set measurands and intervals. Raises StationError where the station is gone."""
        for component, names, interval, every_s in (
            ("SampledDataCtrlr", "TxUpdatedMeasurands", "TxUpdatedInterval", SAMPLED_INTERVAL_S),
            ("AlignedDataCtrlr", "Measurands", "Interval", ALIGNED_INTERVAL_S),
        ):
            await self._set_measurands(component, names, model)
            await self._set(component, interval, str(every_s))

    async def restore(self) -> None:
        """Put back what was there, the last change first; what does not go back is a note."""
        while self.changed:
            before = self.changed.pop()
            name = f"{before.component}.{before.variable}"
            try:
                status = await self._write(before.component, before.variable, before.value or "")
            except StationError as error:
                status = str(error)
            if status not in ("Accepted", "RebootRequired"):
                self.notes.append(f"{name} could not be set back to {shown(before.value or '')}: {status}")

    async def _set_measurands(self, component: str, variable: str, model: DeviceModel) -> None:
        """Set the whole list; a station that refuses it gets one more at a time, so that each it takes is in."""
        listed = model.find(component, variable)
        allowed = listed.values_list if listed is not None else ()
        wanted = [one for one in SAMPLED if not allowed or one in allowed]
        lacking = [one for one in SAMPLED if one not in wanted]
        before = await self._read(component, variable)
        if before is None:
            self.notes.append(f"{component}.{variable}: the station has no such variable")
            return
        if await self._try(before, ",".join(wanted)):
            taken = wanted
        else:
            taken = []
            for one in wanted:
                if await self._try(before, ",".join([*taken, one])):
                    taken.append(one)
        lacking += [one for one in wanted if one not in taken]
        if lacking:
            self.notes.append(f"{component}.{variable}: the station does not take {', '.join(lacking)}")

    async def _set(self, component: str, variable: str, value: str) -> None:
        before = await self._read(component, variable)
        if before is None:
            self.notes.append(f"{component}.{variable}: the station has no such variable")
        elif not await self._try(before, value):
            self.notes.append(f"{component}.{variable}: the station does not take {value}")

    async def _try(self, before: Variable, value: str) -> bool:
        if before.value == value:
            return True
        status = await self._write(before.component, before.variable, value)
        if status not in ("Accepted", "RebootRequired"):
            return False
        if before not in self.changed:
            self.changed.append(before)
        return True

    async def _read(self, component: str, variable: str) -> Variable | None:
        asked = {"getVariableData": [{"component": {"name": component}, "variable": {"name": variable}}]}
        try:
            answer = await self.csms.call(self.station, "GetVariables", asked)
        except CallRejectedError:
            return None
        found = from_get_variables(answer["getVariableResult"]).variables
        return replace(found[0], component=component, variable=variable) if found else None

    async def _write(self, component: str, variable: str, value: str) -> str:
        data = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
        try:
            answer = await self.csms.call(self.station, "SetVariables", {"setVariableData": [data]})
        except CallRejectedError as error:
            return f"CALLERROR {error.code}"
        return str(answer["setVariableResult"][0]["attributeStatus"])
