"""Commissioning: reads what a station says of itself, observes what it does, and makes a target of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bench.domain.device_model import DeviceModel
from bench.domain.features import Reported, differences, evse_ids, reported_features
from bench.domain.quantities import seconds, time_or
from bench.errors import CallRejectedError, RigError, StationError
from bench.runs.bench import Bench
from bench.runs.commission_evse import TOLERANCE_A, EvseWatch
from bench.runs.commission_model import Sampling, read_device_model
from bench.runs.procedure import Procedure
from bench.runs.station_clock import StationClock, measure_clock
from bench.settings.rig import EvseSettings
from bench.settings.scenario import ScenarioSettings
from bench.settings.target import Origin, TargetFeatures, TargetSettings

BOOT_PATIENCE_S: Final = 300.0
STATUS_PATIENCE_S: Final = 10.0
STATUS_TOLERANCE_S: Final = 2.0
"""How far the time of a StatusNotification may be from that of DateTime."""
_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


def commission_scenario(station: str, evse_id: int = 1) -> ScenarioSettings:
    """Return the scenario that stands behind the procedure of one EVSE; it has no step of its own."""
    return ScenarioSettings.model_validate({
        "schema": 1, "name": "commission", "title": f"Commissioning of {station}", "station": station, "evse": evse_id,
        "duration_s": 1, "step": [{"at_s": 0, "do": "read_back"}],
    })  # fmt: skip


@dataclass(slots=True)
class Commissioning:
    """What came out."""

    model: DeviceModel = field(default_factory=DeviceModel)
    reported: Reported = field(default_factory=Reported)
    observed: dict[str, Any] = field(default_factory=dict)
    evses: dict[int, dict[str, Any]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    """Between the device model and the rig file, in words."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, was refused or not observed, in words."""


class Commissioner:
    """Takes the steps on one station; each adds to `result`, so that an early end keeps what there is."""

    def __init__(self, bench: Bench, procedure: Procedure, sampling: Sampling) -> None:
        self._bench, self._procedure, self._sampling = bench, procedure, sampling
        self._station = procedure.station
        self.result = Commissioning()

    async def read(self) -> None:
        """Read the device model and say where it contradicts the rig file. Raises StationError."""
        async with self._procedure.step("read_device_model"):
            self.result.model = await read_device_model(self._bench.csms, self._bench.ids, self._station.id)
        self.result.reported = reported = reported_features(self.result.model)
        entered = {name: getattr(self._station.features, name) for name in self._station.features.model_fields_set}
        self.result.differences = differences(reported.features, entered)
        ids, wired = evse_ids(self.result.model), [one.id for one in self._station.evse]
        if ids and ids != wired:
            self.result.differences.append(f"EVSEs: the station reports {_list(ids)}, the rig file has {_list(wired)}")
        self.result.notes += reported.notes

    async def set_sampling(self) -> None:
        """Set measurands and intervals as far as the station takes them. Raises StationError."""
        async with self._procedure.step("set_sampling"):
            await self._sampling.set(self.result.model)

    async def observe(self) -> None:
        """Observe clock, boot and each EVSE. Raises StationError, RigError."""
        await self._observe_clock()
        if await self._procedure.read_back():
            self.result.notes.append("the station holds charging profiles already: what it does without any is not what was seen")
        await self._observe_boot()
        for evse in self._station.evse:
            await self._observe_evse(evse)

    async def _observe_clock(self) -> None:
        observed, notes, csms = self.result.observed, self.result.notes, self._bench.csms
        clock = StationClock(csms, self._bench.clock, self._bench.journal, self._station.id)
        try:
            async with self._procedure.step("observe_clock"):
                found = await measure_clock(csms, self._bench.clock, self._station.id)
                observed["clock_offset_s"] = round(found.offset_s - clock.shift_s, 6)
                observed["clock_uncertainty_s"] = round(found.uncertainty_s, 6)
                if found.jumped:
                    notes.append("the station's clock jumped while it was read; its offset is that of the last readings")
                if found.drift_ppm is not None:
                    notes.append(f"the station's clock drifts by {found.drift_ppm:.0f} ppm")
                await self._cross_check(found.offset_s, found.uncertainty_s)
            if not clock.shift_s:
                async with self._procedure.step("observe_heartbeat_time"):
                    observed["clock_takes_heartbeat"] = await clock.follows_heartbeat()
            else:
                observed["clock_takes_heartbeat"] = True
        except StationError as error:
            notes.append(f"not observed: the station's clock: {error}")

    async def _cross_check(self, offset_s: float, uncertainty_s: float) -> None:
        """Compare with the timestamp of a StatusNotification that was asked for."""
        csms, station, told = self._bench.csms, self._station.id, list[float]()

        def listen(event: Mapping[str, Any]) -> None:
            if event["event"] == "status" and event["station"] == station:
                now = seconds(self._bench.clock.now())
                told.append(time_or(event["timestamp"], now + offset_s) - now)

        unsubscribe = csms.subscribe(listen)
        try:
            asked = {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}
            await csms.call(station, "TriggerMessage", asked)
            await csms.wait_until(lambda: bool(told), STATUS_PATIENCE_S)
        except CallRejectedError:
            return
        finally:
            unsubscribe()
        if not told:
            self.result.notes.append("the clock was not cross-checked: no StatusNotification came when asked for")
        elif abs(told[0] - offset_s) > STATUS_TOLERANCE_S + uncertainty_s:
            self.result.notes.append(
                f"StatusNotification tells a time {told[0]:+.1f} s from the bench's, ClockCtrlr.DateTime {offset_s:+.1f} s"
            )

    async def _observe_boot(self) -> None:
        """Reset, and wait for the BootNotification; the CSMS accepts it at once."""
        csms, clock, station = self._bench.csms, self._bench.clock, self._station.id
        state = csms.stations[station]
        async with self._procedure.step("observe_boot"):
            before = state.booted
            try:
                answer = await csms.call(station, "Reset", {"type": "Immediate"})
            except CallRejectedError as error:
                self.result.notes.append(f"not observed: boot time: Reset was refused with CALLERROR {error.code}")
                return
            begin = clock.monotonic()
            if answer["status"] not in ("Accepted", "Scheduled"):
                self.result.notes.append(f"not observed: boot time: Reset was answered {answer['status']}")
                return
            if not await csms.wait_until(lambda: state.booted != before and state.online, BOOT_PATIENCE_S):
                raise StationError(f"{station}: did not boot within {BOOT_PATIENCE_S:g} s of a Reset that it had accepted")
            self.result.observed["boot_s"] = round(clock.monotonic() - begin, 2)
            await csms.wait_until(lambda: all(self._status(one.id) for one in self._station.evse), STATUS_PATIENCE_S)

    async def _observe_evse(self, evse: EvseSettings) -> None:
        name, meter = f"EVSE {evse.id}", self._bench.meters.get(evse.meter)
        if meter is None:
            self.result.notes.append(f"{name}: not observed: no meter measures it")
            return
        procedure = self._procedure
        if evse.id != procedure.evse.id:
            procedure = procedure.at(evse.id)
        watch = EvseWatch(procedure, meter, self._unit())
        try:
            if self._status(evse.id) == "Available":
                await watch.standby()
            else:
                watch.found.notes.append(f"{name}: not observed: stand-by power: it is {self._status(evse.id) or 'unknown'}")
            if self._station.id in self._bench.controls:
                await watch.charging()
            else:
                watch.found.notes.append(f"{name}: not observed: charging: nothing acts on the EV")
        except (StationError, RigError) as error:
            watch.found.notes.append(f"{name}: the observation ended early: {error}")
        highest = watch.found.values.get("max_current_a")
        if highest is not None and highest > evse.max_current_a + TOLERANCE_A:
            self.result.differences.append(
                f"{name}: it gives {highest:g} A without a profile, the rig file says at most {evse.max_current_a:g} A"
            )
        self.result.evses[evse.id] = watch.found.values
        self.result.notes += watch.found.notes

    def _unit(self) -> str:
        units: tuple[str, ...] = self.result.reported.features.get("rate_units", self._station.features.rate_units)
        return "A" if "A" in units else "W"

    def _status(self, evse_id: int) -> str:
        """Return the worst that the EVSE's connectors say: Available only where all are."""
        connectors = self._bench.csms.stations[self._station.id].connectors
        said = [status for (evse, _), status in sorted(connectors.items()) if evse == evse_id]
        return next((one for one in said if one != "Available"), said[0] if said else "")


def target_of(result: Commissioning, features: TargetFeatures, boot: Mapping[str, Any] | None, station: str) -> TargetSettings:
    """Return the target: what was entered in the rig file, then what the station reports, and what was observed.

    Args: features: of the rig file. boot: the last BootNotificationRequest.
    """
    made = (boot or {}).get("chargingStation", {})
    vendor, model, firmware = (str(made.get(key, "")) for key in ("vendorName", "model", "firmwareVersion"))
    entered = {name: getattr(features, name) for name in sorted(features.model_fields_set)}
    told = entered | result.reported.features
    origin: dict[str, Origin] = dict.fromkeys(entered, "entered")
    origin |= dict.fromkeys((*result.reported.features, *result.reported.values), "reported")
    origin |= dict.fromkeys(result.observed, "observed")
    for evse_id, values in result.evses.items():
        origin |= {f"evse.{evse_id}.{name}": "observed" for name in values}
    return TargetSettings.model_validate({
        "schema": 1, "name": target_name(vendor, model) or target_name(station, "") or "target",
        "vendor": vendor, "model": model, "firmware": firmware, "features": told, "reported": result.reported.values,
        "observed": result.observed, "origin": origin,
        "evse": [{"id": evse_id, **values} for evse_id, values in sorted(result.evses.items()) if values],
    })  # fmt: skip


def target_name(vendor: str, model: str) -> str:
    """Return a file's name for a station: letters, digits and dashes, whatever its maker wrote."""
    return _NAME.sub("-", f"{vendor} {model}").strip("-").lower()[:48]


def _list(ids: list[int]) -> str:
    return ", ".join(map(str, ids)) or "none"
