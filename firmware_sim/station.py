"""One emulated charging station: its parts put together, and what a CSMS may command it to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ocpp.charge_point import snake_to_camel_case
from ocpp.v201 import call, call_result
from websockets.asyncio.client import ClientConnection

from firmware_sim.charging import ChargingControl, ChargingRules
from firmware_sim.clock import Clock, StationClock, text_of
from firmware_sim.device_model import ITEMS_PER_MESSAGE, DeviceModel, StationVariables
from firmware_sim.endpoint import Endpoint
from firmware_sim.evse import Authorisation, EvseController, StationParts
from firmware_sim.external import ExternalLimits
from firmware_sim.ids import Identifiers
from firmware_sim.iso15118 import HighLevelCommunication
from firmware_sim.limiter import Limiter
from firmware_sim.link import CsmsAddress, CsmsLink
from firmware_sim.notices import Notices
from firmware_sim.outbox import Outbox
from firmware_sim.outlet import Outlet
from firmware_sim.profile_service import ProfileService, status_info
from firmware_sim.profiles import Profile
from firmware_sim.random_delay import RandomDelay
from firmware_sim.seam import Seam
from firmware_sim.spec import EmulatorSpec, StationSpec
from firmware_sim.station_meter import StationMeter
from firmware_sim.validation import Refusal
from firmware_sim.variables import MODEL, VENDOR, station_variables

REBOOT_DELAY_S: Final = 1.0
"""From the answer to Reset to the reset itself."""
Json = dict[str, Any]


class ChargingStation:
    """The firmware: controllers of the EVSEs, profiles, device model and the link to the CSMS."""

    def __init__(
        self, spec: StationSpec, emulator: EmulatorSpec, outlets: Sequence[Outlet], address: CsmsAddress,
        *, clock: Clock, faults: Seam, seed: int,
    ) -> None:  # fmt: skip
        ids = Identifiers(seed, f"{spec.id}/messages")
        external = spec.features.external_limits
        self.powered = True
        self._clock = clock = StationClock(clock)
        self._faults = faults
        self.outbox = Outbox(faults)
        voltage_v = spec.grid_w_per_a
        self._variables = StationVariables(meter_values_interval_s=emulator.meter_values_interval_s)
        delay = RandomDelay(seed, spec.id, self._variables, faults)
        charging = ChargingControl(outlets, clock, faults, charging_rules(spec, emulator), delay)
        self._charging = charging
        self.profiles = ProfileService(spec, charging, self.outbox, clock, faults)
        notices = Notices(self.outbox, faults)
        self.external: ExternalLimits | None = None
        """Limits from outside; None: the station has no input for them."""
        if external:
            failsafe = (float(spec.features.failsafe_s), spec.features.failsafe_w)
            self.external = ExternalLimits(
                charging, notices, self._variables, clock, voltage_v=voltage_v, failsafe=failsafe, faults=faults
            )
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
                outlet, parts,
                StationMeter(
                    outlet.plant, outlet.phases, voltage_v, emulator.station_meter, dc=outlet.dc,
                    tells_offered=emulator.tells_offered,
                ),
            )
            for outlet in outlets
        }
        self._model: DeviceModel = station_variables(spec, self._variables, self.evses, clock, lambda: len(list(charging.store)))
        self.link = CsmsLink(
            address, clock, self.outbox, self._variables,
            faults=faults,
            endpoint=lambda connection: self._endpoint(spec.id, connection, ids), boot=_boot, accepted=self._accepted,
            told_time=self._told_time, up=self._went,
        )  # fmt: skip
        self._rebooting: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        if self._rebooting:
            self._rebooting.cancel()
        if self.hlc:
            self.hlc.close()
        if self.external:
            self.external.close()
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
            self._restart()

    def request_start(self, id_token: Json, remote_id: int, evse_id: int | None, profile: Json | None) -> Any:
        """F01, F02, K05: start on the EVSE asked for, or on the first free one, those with a cable first."""
        free = [one for one in self.evses.values() if one.transaction is None and one.operative]
        free.sort(key=lambda one: not one.plugged)
        chosen = [one for one in free if evse_id in (None, one.evse_id)]
        if not chosen:
            return call_result.RequestStartTransaction("Rejected", status_info("TxInProgress", "no free EVSE"))
        evse = chosen[0]
        installed = None if profile is None else self.profiles.start_profile(evse.evse_id, profile)
        if isinstance(installed, Refusal):
            why = status_info(installed.reason_code, installed.info)
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
        before, longest = self._variables.meter_values_interval_s, self._variables.random_delay_s
        results = self._model.set(asked)
        if self._variables.meter_values_interval_s != before:
            for evse in self.evses.values():
                evse.restart_meter_values()
        if self._variables.random_delay_s < longest:
            self._charging.act_at_once()
        return results

    def base_report(self, request_id: int, base: str) -> Any:
        """B07: the parts follow the answer, numbered from 0, tbc on all but the last."""
        found = self._model.report(base)
        if not found:
            return call_result.GetBaseReport("EmptyResultSet")
        for number, first in enumerate(range(0, len(found), ITEMS_PER_MESSAGE)):
            more = True if first + ITEMS_PER_MESSAGE < len(found) else None
            part = found[first : first + ITEMS_PER_MESSAGE]
            self.outbox.put(call.NotifyReport(request_id, text_of(self._clock.now()), number, part, more), asked=True)
        return call_result.GetBaseReport("Accepted")

    def trigger(self, requested_message: str, evse_id: int | None) -> Any:
        """F06."""
        if evse_id is not None and evse_id not in self.evses:
            return call_result.TriggerMessage("Rejected", status_info("InvalidValue", f"EVSE {evse_id} does not exist"))
        evses = [one for one in self.evses.values() if evse_id in (None, one.evse_id)]
        if requested_message == "BootNotification":
            self.outbox.put(_boot("Triggered"))
        elif requested_message == "Heartbeat":
            self.outbox.put(call.Heartbeat(), answered=self._heart_answered)
        elif requested_message == "TransactionEvent" and not any(one.transaction for one in evses):
            return call_result.TriggerMessage("Rejected", status_info("TxNotFound", "no transaction runs"))
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

    def unlock(self, evse_id: int, connector_id: int) -> Any:
        """F05: not while somebody charges; each EVSE has one connector."""
        evse = self.evses.get(evse_id)
        if evse is None or connector_id != 1:
            return call_result.UnlockConnector("UnknownConnector")
        return call_result.UnlockConnector("OngoingAuthorizedTransaction" if evse.transaction else "Unlocked")

    def _endpoint(self, station_id: str, connection: ClientConnection, ids: Identifiers) -> Endpoint:
        return Endpoint(station_id, connection, ids, self, self.profiles, self.link)

    def _accepted(self) -> None:
        for evse in self.evses.values():
            evse.tell_status(always=True)
        for part in (self.external, self.hlc):
            if part:
                part.accepted()
        for payload in self._faults.apply("on_accepted", value=[]):
            self.outbox.put(payload, keep=True)

    async def _reboot(self, kind: str) -> None:
        if kind == "Immediate":
            self._end_all("ResetCommand", "ImmediateReset")
        while busy := [evse for evse in self.evses.values() if evse.transaction]:
            await busy[0].idle.wait()
        await self._clock.sleep(REBOOT_DELAY_S)
        self._restart()
        await self.link.reboot("RemoteReset" if kind == "Immediate" else "ScheduledReset")

    def _restart(self) -> None:
        """Come back with what the memory holds: profiles survive (K01.FR.27)."""
        kept: list[Profile] = self._faults.apply("on_restart", value=list(self._charging.store))
        self._charging.store.delete([one for one in self._charging.store if one not in kept])

    def _heart_answered(self, answer: Any) -> None:
        if answer is not None:
            self._told_time(answer.current_time)

    def _told_time(self, text: str) -> None:
        """Set the clock by the CSMS's where that is its source (B01.FR.06, G02.FR.06)."""
        if "Heartbeat" in self._variables.time_source:
            step = self._clock.set(text)
            if step:
                self._charging.clock_stepped(step)

    def _went(self, online: bool) -> None:
        """Profiles rule on- and offline alike (K06.FR.01, K07.FR.01)."""
        self._faults.apply("on_link", value=online)
        self._charging.decide()

    def _end_all(self, trigger: str, reason: str) -> None:
        for evse in self.evses.values():
            evse.stop(trigger, reason)


def charging_rules(spec: StationSpec, emulator: EmulatorSpec) -> ChargingRules:
    """Return how a station of this kind charges."""
    features = spec.features
    return ChargingRules(
        Limiter(spec.grid_w_per_a, spec.dc, features.relative_anchor), emulator.pwm_delay_s, emulator.phase_switch_pause_s,
        phase_switching=not spec.dc and (features.phases_3to1 or features.ac_phase_switching),
        phase_choice=features.ac_phase_switching, max_current_a=spec.max_current_a, local_limit=features.local_limit,
    )  # fmt: skip


def _boot(reason: str) -> Any:
    return call.BootNotification({"model": MODEL, "vendorName": VENDOR, "firmwareVersion": "1"}, reason)
