"""One EVSE of the station: cable, authorisation, transaction, and what it tells the CSMS about them.

A transaction runs while the cable is connected and someone is authorised (TxStartPoint and TxStopPoint PowerPathClosed).
Source: OCPP 2.0.1 Part 2, blocks C, E, F and J.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ocpp.v201 import call

from firmware_sim.charging import ChargingControl
from firmware_sim.clock import Clock, seconds_of, text_of
from firmware_sim.device_model import StationVariables, changed_by_more
from firmware_sim.ids import Identifiers
from firmware_sim.outbox import Outbox
from firmware_sim.outlet import Outlet
from firmware_sim.profiles import Profile
from firmware_sim.station_meter import StationMeter

SUSPENDED_EV_AFTER_S: Final = 10.0
"""An EV that does not ask that long after the PWM began is reported as SuspendedEV."""


@dataclass(frozen=True, slots=True)
class StationParts:
    """What all EVSEs of a station share."""

    clock: Clock
    ids: Identifiers
    outbox: Outbox
    charging: ChargingControl
    variables: StationVariables


@dataclass(slots=True)
class Transaction:
    """A running transaction."""

    id: str
    token: Mapping[str, str]
    """IdTokenType."""
    remote_start_id: int | None
    began: float
    """Loop seconds."""
    seq_no: int = 0
    state: str = "EVConnected"
    duty_percent: float | None = None
    """As last seen."""
    told_rate: float = 0.0
    """What the CSMS was last told that is offered, in A over all phases."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Someone may charge as soon as the cable is connected."""

    token: Mapping[str, str]
    remote_start_id: int | None = None
    profile: Profile | None = None
    """The TxProfile that came with RequestStartTransaction."""


class EvseController:
    """The logic of one EVSE. Its methods are called by the outside world (cable, card) and by the CSMS."""

    def __init__(self, outlet: Outlet, parts: StationParts, meter: StationMeter) -> None:
        self.evse_id = outlet.evse_id
        self.transaction: Transaction | None = None
        self.operative = self.powered = True
        self.idle = asyncio.Event()
        """Set while no transaction runs."""
        self.idle.set()
        self._plant, self._parts, self._meter = outlet.plant, parts, meter
        self._waiting: Authorisation | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reported_status = ""
        self._plant.subscribe(self._look)

    @property
    def plugged(self) -> bool:
        """Whether a cable is connected."""
        return self._plant.plugged

    def plug(self) -> None:
        """The cable was connected."""
        if self._waiting:
            self._start(self._waiting, "CablePluggedIn")
        self.tell_status()

    def unplug(self) -> None:
        """The cable was disconnected."""
        self.stop("EVCommunicationLost", "EVDisconnected")
        self.tell_status()

    def present(self, token: Mapping[str, str]) -> None:
        """A card was presented: it starts a transaction, or stops the one that it started. Offline every card is taken."""
        if self.transaction:
            if self.transaction.token == token:
                self.stop("StopAuthorized", "Local")
        elif self._parts.outbox.open:
            self._parts.outbox.put(call.Authorize(id_token=dict(token)), answered=lambda answer: self._answered(token, answer))
        else:
            self.authorise(Authorisation(token), "Authorized")

    def authorise(self, who: Authorisation, trigger: str) -> None:
        """Start a transaction, or wait for the cable as long as EVConnectionTimeOut says."""
        if self.transaction or not (self.operative and self.powered):
            return
        if self._plant.plugged:
            self._start(who, trigger)
            return
        self._waiting = who
        self._after("cable", self._parts.variables.ev_connection_timeout_s, self._no_cable_came)

    def stop(self, trigger: str, reason: str) -> None:
        """End the transaction, if one runs, and the authorisation."""
        self._waiting = None
        transaction = self.transaction
        if transaction is None:
            return
        self._cancel_timers()
        self.transaction = None
        self.idle.set()
        self._parts.charging.end(self.evse_id)
        transaction.state = "EVConnected" if self._plant.plugged else "Idle"
        self._tell(transaction, "Ended", trigger, "Transaction.End", {"stoppedReason": reason})
        if not self.operative:
            self.make_available(False)

    def make_available(self, operative: bool) -> None:
        """Become operative or inoperative; a running transaction is finished first (G03.FR.05)."""
        self.operative = operative
        if operative or not self.transaction:
            self._waiting = None if not operative else self._waiting
            self._plant.make_available(operative)
            self.tell_status()

    def status(self) -> str:
        """Return the connector's status."""
        if not self.operative and not self.transaction:
            return "Unavailable"
        return "Occupied" if self._plant.plugged or self.transaction else "Available"

    def power(self) -> str:
        """Return the power in W that the station measures."""
        return self._meter.power_w()

    def tell_status(self, *, always: bool = False) -> None:
        """Send StatusNotification when the status changed, or always."""
        status = self.status()
        if always or status != self._reported_status:
            self._reported_status = status
            timestamp = text_of(self._parts.clock.now())
            self._parts.outbox.put(call.StatusNotification(timestamp, status, self.evse_id, 1))

    def tell_transaction(self, trigger: str) -> None:
        """Send a TransactionEvent Updated with meter values, if a transaction runs."""
        if self.transaction:
            self._tell(self.transaction, "Updated", trigger, "Trigger" if trigger == "Trigger" else "Other")

    def tell_meter_values(self) -> None:
        """Send MeterValues, as TriggerMessage asks for them."""
        self._parts.outbox.put(call.MeterValues(self.evse_id, [self._meter_value("Trigger")]))

    def restart_meter_values(self) -> None:
        """Follow a changed interval of the periodic meter values."""
        if self.transaction:
            interval = self._parts.variables.meter_values_interval_s
            elapsed = self._parts.clock.monotonic() - self.transaction.began
            self._arm_meter_values(int(elapsed // interval) + 1 if interval else 0)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        self._cancel_timers()

    def _answered(self, token: Mapping[str, str], answer: Any) -> None:
        offline = answer is None and not self._parts.outbox.open
        if offline or (answer is not None and answer.id_token_info["status"] == "Accepted"):
            self.authorise(Authorisation(token), "Authorized")

    def _no_cable_came(self) -> None:
        self._waiting = None

    def _start(self, who: Authorisation, trigger: str) -> None:
        self._cancel_timers()
        self._waiting = None
        clock = self._parts.clock
        transaction = Transaction(self._parts.ids.token(32), who.token, who.remote_start_id, clock.monotonic())
        self.transaction = transaction
        self.idle.clear()
        remote = {} if who.remote_start_id is None else {"remoteStartId": who.remote_start_id}
        self._tell(transaction, "Started", trigger, "Transaction.Begin", remote, answered=self._start_answered)
        if who.profile:
            received = {**who.profile.received, "transaction_id": transaction.id}
            self._parts.charging.store.install(replace(who.profile, transaction_id=transaction.id, received=received))
        self._parts.charging.begin(self.evse_id, transaction.id, seconds_of(clock.now()), at_once=who.profile is not None)
        self._after("asking", SUSPENDED_EV_AFTER_S, self._tell_state)
        self._arm_meter_values(1)

    def _start_answered(self, answer: Any) -> None:
        info = answer.id_token_info if answer is not None else None
        if info and info["status"] != "Accepted":
            self.stop("Deauthorized", "DeAuthorized")

    def _look(self) -> None:
        """Tell the CSMS when the duty cycle or the charging state changed."""
        transaction = self.transaction
        if transaction is None or not self._plant.plugged:
            return
        if self._plant.duty_percent != transaction.duty_percent:
            transaction.duty_percent = self._plant.duty_percent
            if transaction.duty_percent is None:
                self._cancel_timer("asking")
            else:
                self._after("asking", SUSPENDED_EV_AFTER_S, self._tell_state)
            self._tell_rate(transaction)
        if self._plant.charging() or transaction.state == "Charging" or "asking" not in self._timers:
            self._tell_state()

    def _tell_rate(self, transaction: Transaction) -> None:
        """Tell a rate that has changed by more than LimitChangeSignificance says (K11.FR.04, K13.FR.03, SC.03)."""
        rate, told = self._plant.offered_a * len(self._plant.lines), transaction.told_rate
        changed = changed_by_more(told, rate, self._parts.variables.limit_change_significance)
        if self._parts.charging.rate_changed(self.evse_id, changed):
            transaction.told_rate = rate
            self._tell(transaction, "Updated", "ChargingRateChanged", "Other")

    def _tell_state(self) -> None:
        transaction = self.transaction
        if transaction is None:
            return
        self._cancel_timer("asking")
        if self._plant.charging():
            state = "Charging"
        elif self._plant.duty_percent is not None:
            state = "SuspendedEV"
        else:
            state = "SuspendedEVSE"
        if state != transaction.state:
            transaction.state = state
            self._tell(transaction, "Updated", "ChargingStateChanged", "Other")

    def _arm_meter_values(self, number: int) -> None:
        """Send the periodic values number 1, 2, 3 … so many intervals after the transaction began."""
        interval = self._parts.variables.meter_values_interval_s
        if self.transaction and interval:
            due = self.transaction.began + number * interval - self._parts.clock.monotonic()
            self._after("meter", due, lambda: self._periodic(number))
        else:
            self._cancel_timer("meter")

    def _periodic(self, number: int) -> None:
        if self.transaction:
            self._tell(self.transaction, "Updated", "MeterValuePeriodic", "Sample.Periodic")
            self._arm_meter_values(number + 1)

    def _tell(
        self, transaction: Transaction, event: str, trigger: str, context: str, info: Mapping[str, Any] | None = None,
        answered: Callable[[Any], None] | None = None,
    ) -> None:  # fmt: skip
        payload = call.TransactionEvent(
            event_type=event,
            timestamp=text_of(self._parts.clock.now()),
            trigger_reason=trigger,
            seq_no=transaction.seq_no,
            transaction_info={"transactionId": transaction.id, "chargingState": transaction.state, **(info or {})},
            meter_value=[self._meter_value(context)],
            offline=None if self._parts.outbox.open else True,
            evse={"id": self.evse_id, "connectorId": 1},
            id_token=dict(transaction.token) if event == "Started" else None,
        )
        transaction.seq_no += 1
        self._parts.outbox.put(payload, keep=True, answered=answered)

    def _meter_value(self, context: str) -> Any:
        offered_a = self._parts.charging.offered_a(self.evse_id) if self.transaction else 0.0
        return {
            "timestamp": text_of(self._parts.clock.now()),
            "sampledValue": self._meter.sample(context, self._measurands(context), offered_a),
        }

    def _measurands(self, context: str) -> list[str]:
        variables = self._parts.variables
        if context == "Transaction.Begin":
            return variables.measurands_started
        return variables.measurands_ended if context == "Transaction.End" else variables.measurands

    def _after(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._cancel_timer(name)
        self._timers[name] = asyncio.get_running_loop().call_later(max(0.0, seconds), action)

    def _cancel_timer(self, name: str) -> None:
        if handle := self._timers.pop(name, None):
            handle.cancel()

    def _cancel_timers(self) -> None:
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
