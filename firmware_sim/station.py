"""One emulated charging station: its parts put together, and what a CSMS may command it to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ocpp.charge_point import snake_to_camel_case
from ocpp.v201 import call, call_result
from websockets.asyncio.client import ClientConnection

from firmware_sim.charging import ChargingControl, Outlet
from firmware_sim.clock import Clock
from firmware_sim.device_model import DeviceModel, StationVariables
from firmware_sim.endpoint import Endpoint
from firmware_sim.evse import Authorisation, EvseController, StationParts
from firmware_sim.external import ExternalLimits
from firmware_sim.faults import FaultSeam
from firmware_sim.ids import Identifiers
from firmware_sim.iso15118 import HighLevelCommunication
from firmware_sim.link import CsmsAddress, CsmsLink
from firmware_sim.notices import Notices
from firmware_sim.outbox import Outbox
from firmware_sim.profile_service import ProfileService, status_info
from firmware_sim.profiles import profile_from
from firmware_sim.spec import EmulatorSpec, StationSpec
from firmware_sim.station_meter import StationMeter
from firmware_sim.variables import station_variables

MODEL: Final = "firmware_sim"
VENDOR: Final = "Charge Point Bench"
REBOOT_DELAY_S: Final = 1.0
"""From the answer to Reset to the reset itself."""
Json = dict[str, Any]


class ChargingStation:
    """The firmware: controllers of the EVSEs, profiles, device model and the link to the CSMS."""

    def __init__(
        self, spec: StationSpec, emulator: EmulatorSpec, outlets: Sequence[Outlet], address: CsmsAddress,
        *, clock: Clock, faults: FaultSeam, seed: int,
    ) -> None:  # fmt: skip
        ids = Identifiers(seed, f"{spec.id}/messages")
        external = spec.features.external_limits
        self.powered = True
        self._clock = clock
        self.outbox = Outbox()
        voltage_v = spec.features.nominal_voltage_v
        charging = ChargingControl(outlets, clock, faults, voltage_v=voltage_v, pwm_delay_s=emulator.pwm_delay_s)
        self._charging = charging
        self._variables = StationVariables(meter_values_interval_s=emulator.meter_values_interval_s)
        self.profiles = ProfileService(spec, charging, self.outbox, clock, faults)
        notices = Notices(self.outbox, faults)
        self.external = ExternalLimits(charging, notices, self._variables, clock, voltage_v=voltage_v) if external else None
        """Limits from outside; None: the station has no input for them."""
        plants = {outlet.evse_id: outlet.plant for outlet in outlets}
        self.hlc: HighLevelCommunication | None = None
        """The ISO 15118 sessions; None: the station does not speak it."""
        if spec.features.iso15118:
            self.hlc = HighLevelCommunication(
                plants, charging, notices, clock, faults,
                units=spec.features.rate_units, voltage_v=voltage_v, dc=spec.features.current_type == "DC",
            )  # fmt: skip
        self.profiles.hlc = self.hlc
        parts = StationParts(clock, Identifiers(seed, f"{spec.id}/transactions"), self.outbox, charging, self._variables)
        self.evses = {
            outlet.evse_id: EvseController(
                outlet, parts, StationMeter(outlet.plant, outlet.phases, voltage_v, emulator.station_meter)
            )
            for outlet in outlets
        }
        self._model: DeviceModel = station_variables(spec, self._variables, self.evses, clock)
        self.link = CsmsLink(
            address, clock, self.outbox, self._variables,
            endpoint=lambda connection: self._endpoint(spec.id, connection, ids), boot=_boot, accepted=self._accepted,
        )  # fmt: skip
        self._rebooting: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        if self._rebooting:
            self._rebooting.cancel()
        if self.hlc:
            self.hlc.close()
        self._charging.close()
        for evse in self.evses.values():
            evse.close()

    def power(self, on: bool) -> None:
        """Lose or regain the supply: transactions end, profiles and unsent transaction messages survive (K01.FR.27)."""
        self.powered = on
        for evse in self.evses.values():
            evse.powered = on
        self.link.power(on)
        if not on:
            self._end_all("AbnormalCondition", "PowerLoss")

    def request_start(self, id_token: Json, remote_id: int, evse_id: int | None, profile: Json | None) -> Any:
        """F01, F02, K05: start on the EVSE asked for, or on the first free one, those with a cable first."""
        free = [one for one in self.evses.values() if one.transaction is None and one.operative]
        free.sort(key=lambda one: not one.plugged)
        chosen = [one for one in free if evse_id in (None, one.evse_id)]
        if not chosen:
            return call_result.RequestStartTransaction("Rejected", status_info("TxInProgress", "no free EVSE"))
        evse, installed = chosen[0], None
        if profile is not None:
            try:
                installed = profile_from(evse.evse_id, profile)
            except ValueError as error:
                return call_result.RequestStartTransaction("Rejected", status_info("InvalidSchedule", str(error)))
            refusal = self.profiles.rules.refusal_at_start(installed)
            if refusal:
                why = status_info(refusal.reason_code, refusal.text)
                return call_result.RequestStartTransaction("Rejected", why)
        evse.authorise(Authorisation(snake_to_camel_case(id_token), remote_id, installed), "RemoteStart")
        started = evse.transaction.id if evse.transaction else None
        return call_result.RequestStartTransaction("Accepted", transaction_id=started)

    def request_stop(self, transaction_id: str) -> Any:
        """F03."""
        for evse in self.evses.values():
            if evse.transaction and evse.transaction.id == transaction_id:
                evse.stop("RemoteStop", "Remote")
                return call_result.RequestStopTransaction("Accepted")
        return call_result.RequestStopTransaction("Rejected", status_info("TxNotFound", transaction_id))

    def get_variables(self, asked: Sequence[Json]) -> list[Json]:
        """B06."""
        return self._model.get(asked)

    def set_variables(self, asked: Sequence[Json]) -> list[Json]:
        """B05."""
        before = self._variables.meter_values_interval_s
        results = self._model.set(asked)
        if self._variables.meter_values_interval_s != before:
            for evse in self.evses.values():
                evse.restart_meter_values()
        return results

    def trigger(self, requested_message: str, evse_id: int | None) -> Any:
        """F06."""
        if evse_id is not None and evse_id not in self.evses:
            return call_result.TriggerMessage("Rejected", status_info("InvalidValue", f"EVSE {evse_id} does not exist"))
        evses = [one for one in self.evses.values() if evse_id in (None, one.evse_id)]
        if requested_message == "BootNotification":
            self.outbox.put(_boot("Triggered"))
        elif requested_message == "Heartbeat":
            self.outbox.put(call.Heartbeat())
        elif requested_message in ("StatusNotification", "MeterValues", "TransactionEvent"):
            for evse in evses:
                if requested_message == "StatusNotification":
                    evse.tell_status(always=True)
                elif requested_message == "MeterValues":
                    evse.tell_meter_values()
                else:
                    evse.tell_transaction("Trigger")
        else:
            return call_result.TriggerMessage("NotImplemented")
        return call_result.TriggerMessage("Accepted")

    def reset(self, kind: str, evse_id: int | None) -> Any:
        """B11, B12: the whole station only; OnIdle waits for nothing here but says Scheduled while a transaction runs."""
        if evse_id is not None:
            return call_result.Reset("Rejected", status_info("UnsupportedParam", "an EVSE cannot be reset alone"))
        if self._rebooting and not self._rebooting.done():
            return call_result.Reset("Rejected", status_info("InvalidValue", "a reset is under way"))
        busy = any(evse.transaction for evse in self.evses.values())
        self._rebooting = asyncio.create_task(self._reboot(kind))
        return call_result.Reset("Scheduled" if busy and kind == "OnIdle" else "Accepted")

    def change_availability(self, status: str, evse_id: int | None) -> Any:
        """G03, G04: a running transaction is finished first."""
        if evse_id is not None and evse_id not in self.evses:
            return call_result.ChangeAvailability("Rejected", status_info("InvalidValue", f"EVSE {evse_id} does not exist"))
        evses = [one for one in self.evses.values() if evse_id in (None, one.evse_id)]
        busy = status == "Inoperative" and any(evse.transaction for evse in evses)
        for evse in evses:
            evse.make_available(status == "Operative")
        return call_result.ChangeAvailability("Scheduled" if busy else "Accepted")

    def _endpoint(self, station_id: str, connection: ClientConnection, ids: Identifiers) -> Endpoint:
        return Endpoint(station_id, connection, ids, self, self.profiles)

    def _accepted(self) -> None:
        for evse in self.evses.values():
            evse.tell_status(always=True)
        for part in (self.external, self.hlc):
            if part:
                part.accepted()

    async def _reboot(self, kind: str) -> None:
        if kind == "Immediate":
            self._end_all("ResetCommand", "ImmediateReset")
        while busy := [evse for evse in self.evses.values() if evse.transaction]:
            await busy[0].idle.wait()
        await self._clock.sleep(REBOOT_DELAY_S)
        await self.link.reboot("RemoteReset" if kind == "Immediate" else "ScheduledReset")

    def _end_all(self, trigger: str, reason: str) -> None:
        for evse in self.evses.values():
            evse.stop(trigger, reason)


def _boot(reason: str) -> Any:
    return call.BootNotification({"model": MODEL, "vendorName": VENDOR, "firmwareVersion": "1"}, reason)
