"""Steps at the station as a whole: reset, trigger, variables, availability, limits from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import UsageError
from bench.runs.steps_ev import EvSteps


class StationSteps(EvSteps):
    """What the CSMS, and an external system, do to the station."""

    async def reset(self, kind: str = "Immediate", *, evse_id: int | None = None, within_s: float = 120) -> str:
        """Send Reset and, where the whole station accepts it, wait until it has booted again; return the status (B11, B12).

        Args: kind: Immediate or OnIdle.
        """
        async with self.step("reset", kind=kind, evse=evse_id):
            before = self.bench.csms.stations[self.station.id].booted
            request: dict[str, Any] = {"type": kind} if evse_id is None else {"type": kind, "evseId": evse_id}
            status = str((await self.bench.csms.call(self.station.id, "Reset", request))["status"])
            if status == "Accepted" and evse_id is None:
                await self._booted(before, within_s)
            return status

    async def supply(self, volts: float) -> None:
        """Give the station another supply voltage, V phase to neutral; the end of the run gives back the nominal one.

        Raises: NotApplicableError where the rig has no AC source.
        """
        async with self.step("supply", volts=volts):
            self.course.supply_changed = True
            await self.act("supply", volts=volts)

    async def trigger(self, message: str, *, evse_id: int | None = None) -> str:
        """Send TriggerMessage and return the status (F06)."""
        async with self.step("trigger", message=message, evse=evse_id):
            request: dict[str, Any] = {"requestedMessage": message}
            if evse_id is not None:
                request["evse"] = {"id": evse_id}
            return str((await self.bench.csms.call(self.station.id, "TriggerMessage", request))["status"])

    async def change_availability(self, operational: bool, *, evse_id: int = 0, connector_id: int = 0) -> str:
        """Take the station (EVSE 0), an EVSE or a connector (0: all) in or out of operation; return the status (G03, G04).

        The end of the run gives back what was found.
        """
        async with self.step("change_availability", operational=operational, evse=evse_id, connector=connector_id):
            self.course.availability.add((evse_id, connector_id))
            request: dict[str, Any] = {"operationalStatus": "Operative" if operational else "Inoperative"}
            if evse_id:
                request["evse"] = {"id": evse_id, **({"connectorId": connector_id} if connector_id else {})}
            return str((await self.bench.csms.call(self.station.id, "ChangeAvailability", request))["status"])

    async def get_variables(self, *names: str) -> dict[str, str | None]:
        """Read variables named `Component[@EVSE].Variable`, with `/INSTANCE` behind either; None for one that has no value."""
        async with self.step("get_variables", names=list(names)):
            asked = [_variable(name) for name in names]
            answer = await self.bench.csms.call(self.station.id, "GetVariables", {"getVariableData": asked})
            return {
                name: one.get("attributeValue") if one["attributeStatus"] == "Accepted" else None
                for name, one in zip(names, answer["getVariableResult"], strict=False)
            }

    async def set_variables(self, values: Mapping[str, str]) -> dict[str, str]:
        """Set variables, named as in `get_variables`; return the status of each. What they were is written down before.

        The end of the run sets them back.
        """
        async with self.step("set_variables", values=dict(values)):
            asked = [{**_variable(name), "attributeValue": value} for name, value in values.items()]
            for one in asked:
                await self.course.snapshot.keep_variable(self.bench.csms, self.bench.journal, one)
            answer = await self.bench.csms.call(self.station.id, "SetVariables", {"setVariableData": asked})
            results = answer["setVariableResult"]
            return {name: str(one["attributeStatus"]) for name, one in zip(values, results, strict=False)}

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Limit the whole station from outside, past the CSMS; None releases the limit of that source (K11 to K13).

        Args: limit: in A per phase or W in total. periods: start in s from now and limit of each, in place of `limit`.
        Raises: RigError where the rig has no means for it; say `needs("external_limits")` first.
        """
        listed = [list(one) for one in periods]
        async with self.step("external_limit", limit=limit, unit=unit, source=source, periods=listed):
            self.course.external_sources.add(source)
            await self.act("external_limit", limit=limit, unit=unit, source=source, periods=listed)
            if limit is None and not periods:
                self.course.external_sources.discard(source)


def _variable(name: str) -> dict[str, Any]:
    """Return component and variable of `Component[/instance][@EVSE].Variable[/instance]`. Raises UsageError."""
    component, dot, variable = name.partition(".")
    component, at, evse = component.partition("@")
    if not dot or not component or not variable or (at and not evse.isdecimal()):
        raise UsageError(f"variable {name!r}: must read Component.Variable or Component@EVSE.Variable")
    place = _instance(component)
    if at:
        place["evse"] = {"id": int(evse)}
    return {"component": place, "variable": _instance(variable)}


def _instance(text: str) -> dict[str, Any]:
    name, slash, instance = text.partition("/")
    return {"name": name, "instance": instance} if slash else {"name": name}
