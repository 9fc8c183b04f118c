"""How the CSMS answers each CALL that a charging station may send: plain functions from payload to payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from itertools import count, islice, takewhile
from typing import Any, Final

from bench.cso.core import Handler, Payload
from bench.cso.external_limits import limit_cleared, limit_notified
from bench.cso.station import MOST_PLACES, MOST_TRANSACTIONS, Outbox, StationState, Transaction, Undecided
from bench.ports import Authorizer, Clock

DECLINED: Final[Mapping[str, Payload]] = {
    "DataTransfer": {"status": "UnknownVendorId"},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "NotifyCustomerInformation": {},
    "NotifyDisplayMessages": {},
    "NotifyMonitoringReport": {},
    "PublishFirmwareStatusNotification": {},
    "SignCertificate": {"status": "Rejected"},
}
"""Known, and outside of what the bench does: each gets this valid answer and leaves a finding."""


class NotSupportedError(Exception):
    """The action is part of OCPP 2.0.1 but not one that a station sends to a CSMS."""


def accept_everyone(station_id: str, id_token: Mapping[str, Any]) -> str:
    """The default policy: a bench charges whoever asks."""
    return "Accepted"


class Handlers:
    """Answers for all stations; what a message changes goes into the StationState, what it brings forth into the Outbox.

    Source of requests and answers: OCPP 2.0.1 Part 2, blocks A to P, and the schemas of Part 3.
    """

    def __init__(self, clock: Clock, heartbeat_interval_s: int, authorize: Authorizer, others: Mapping[str, Handler]) -> None:
        self._clock = clock
        self._interval_s = heartbeat_interval_s
        self.authorize = authorize
        self._by_action: dict[str, Handler] = {
            "Authorize": self._authorized,
            "BootNotification": self._booted,
            "ClearedChargingLimit": limit_cleared,
            "FirmwareStatusNotification": _noted("firmware_status"),
            "Heartbeat": self._heartbeat,
            "LogStatusNotification": _noted("log_status"),
            "MeterValues": self._meter_values,
            "NotifyChargingLimit": partial(limit_notified, clock),
            "NotifyEvent": _noted("event_data"),
            "ReservationStatusUpdate": _noted("reservation"),
            "SecurityEventNotification": _noted("security_event"),
            "StatusNotification": self._status,
            "TransactionEvent": self._transaction_event,
            **others,
        }

    def answer(self, station: StationState, action: str, payload: Payload, out: Outbox) -> Payload:
        """Return the payload of the CALLRESULT. Raises NotSupportedError for an action that only a CSMS sends."""
        handler = self._by_action.get(action)
        if handler is not None:
            return handler(station, payload, out)
        if action not in DECLINED:
            raise NotSupportedError(f"{action} goes from the CSMS to the station")
        out.findings.append(("unhandled_action", f"{action} was answered with {DECLINED[action]}, nothing more was done"))
        return DECLINED[action]

    def _booted(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """B01: accepted at once; the station sets its clock by `currentTime`."""
        now = self._clock.now()
        station.boot, station.booted = payload, now
        out.tell("boot", station, reason=payload["reason"], charging_station=payload["chargingStation"])
        return {"currentTime": _text(now + station.clock_shift), "interval": self._interval_s, "status": "Accepted"}

    def _heartbeat(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        return {"currentTime": _text(self._clock.now() + station.clock_shift)}

    def _authorized(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        token = payload["idToken"]
        return self._decide(station, token, out, lambda status: out.tell(
            "authorize", station, id_token=token["idToken"], status=status
        ))  # fmt: skip

    def _decide(self, station: StationState, token: Payload, out: Outbox, settled: Callable[[str], None]) -> Payload:
        """Return an answer with the status of a token, and have it told; nothing yet where somebody has to be asked."""
        status = self.authorize(station.station_id, token)
        if isinstance(status, str):
            settled(status)
            return {"idTokenInfo": {"status": status}}
        out.later = Undecided(status, settled)
        return {}

    def _status(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        evse_id, connector_id, status = payload["evseId"], payload["connectorId"], payload["connectorStatus"]
        if not _fits(station.connectors, (evse_id, connector_id), "connectors", out):
            return {}
        station.connectors[evse_id, connector_id] = status
        out.tell("status", station, evse=evse_id, connector=connector_id, status=status, timestamp=payload["timestamp"])
        return {}

    def _meter_values(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        if not _fits(station.meter_values, payload["evseId"], "EVSEs", out):
            return {}
        station.meter_values[payload["evseId"]] = payload["meterValue"]
        out.tell("meter_values", station, evse=payload["evseId"], meter_value=payload["meterValue"])
        return {}

    def _transaction_event(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """E01 to E15: keeps the transaction's state; `idTokenInfo` answers an `idToken` (C12, E05)."""
        now, phase = self._clock.now(), payload["eventType"]
        transaction = self._transaction(station, payload, out, now)
        if transaction is None:
            return {"idTokenInfo": {"status": "Invalid"}} if "idToken" in payload else {}
        _check_sequence(transaction, payload, out)
        info = payload["transactionInfo"]
        transaction.charging_state = info.get("chargingState", transaction.charging_state)
        if "meterValue" in payload:
            transaction.meter_values = payload["meterValue"]
        if "evse" in payload:
            transaction.evse_id = payload["evse"]["id"]
        if phase == "Ended":
            transaction.ended, transaction.stopped_reason = now, info.get("stoppedReason")
        event = {
            "phase": phase,
            "evse": transaction.evse_id,
            "transaction_id": transaction.transaction_id,
            "trigger": payload["triggerReason"],
            "charging_state": transaction.charging_state,
            "remote_start_id": info.get("remoteStartId"),
            "reservation_id": payload.get("reservationId"),
            "stopped_reason": transaction.stopped_reason,
            "timestamp": payload["timestamp"],
            "offline": payload.get("offline", False),
            "meter_value": payload.get("meterValue", []),
        }

        def told() -> None:
            out.tell("transaction", station, **event, id_token=transaction.id_token, id_status=transaction.id_status)

        def settled(status: str) -> None:
            transaction.id_status = status
            told()

        if "idToken" not in payload:
            told()
            return {}
        if transaction.id_token != payload["idToken"]["idToken"]:
            transaction.id_token, transaction.id_status = payload["idToken"]["idToken"], None
        elif transaction.id_status == "Accepted":  # decided on already: the same use of it
            told()
            return {"idTokenInfo": {"status": "Accepted"}}
        return self._decide(station, payload["idToken"], out, settled)

    def _transaction(self, station: StationState, payload: Payload, out: Outbox, now: datetime) -> Transaction | None:
        """Return the transaction of an event; None where there are too many to know one more."""
        transaction_id, phase = payload["transactionInfo"]["transactionId"], payload["eventType"]
        known = station.transactions.get(transaction_id)
        if known is not None:
            if known.ended is not None:
                out.findings.append(("transaction_after_end", f"{phase} for {transaction_id}, which has ended"))
            if phase == "Started" and known.started is None:
                known.started = now  # it was late: an event sent while offline comes after those sent since
            elif phase == "Started":
                out.findings.append(("transaction_started_twice", f"seqNo {payload['seqNo']} starts {transaction_id} again"))
            return known
        if not _has_room(station, transaction_id, out):
            return None
        evse_id = payload["evse"]["id"] if "evse" in payload else None
        transaction = Transaction(evse_id, transaction_id, started=now if phase == "Started" else None)
        if transaction.started is None:
            out.findings.append(("transaction_without_start", f"{phase} for {transaction_id}, whose start was not seen"))
        station.transactions[transaction_id] = transaction
        return transaction


def _fits(known: Mapping[Any, object], key: object, what: str, out: Outbox) -> bool:
    """Say whether a station may speak of one more."""
    if key in known or len(known) < MOST_PLACES:
        return True
    out.findings.append(("too_many_places", f"more than {MOST_PLACES} {what}: this one is not kept"))
    return False


def _has_room(station: StationState, transaction_id: str, out: Outbox) -> bool:
    """Forget the oldest transaction that has ended, where that is needed to know one more; none that runs is forgotten."""
    known = station.transactions
    if len(known) < MOST_TRANSACTIONS:
        return True
    ended = next((one.transaction_id for one in known.values() if one.ended is not None), None)
    if ended is None:
        text = f"{MOST_TRANSACTIONS} transactions have not ended: nothing is known of {transaction_id[:60]}"
        out.findings.append(("too_many_transactions", text))
        return False
    del known[ended]
    if not station.forgets:
        station.forgets = True
        text = f"more than {MOST_TRANSACTIONS} transactions: from now on the oldest that have ended are forgotten"
        out.findings.append(("transactions_forgotten", text))
    return True


def _check_sequence(transaction: Transaction, payload: Payload, out: Outbox) -> None:
    """Find gaps, repetitions and disorder of `seqNo`, which counts a transaction's events (E01)."""
    number, seen = payload["seqNo"], transaction.seq_numbers
    where = f"transaction {transaction.transaction_id}: seqNo {number}"
    if number in seen:
        out.findings.append(("transaction_seq_repeated", f"{where} came before"))
    elif seen and number < max(seen):
        out.findings.append(("transaction_seq_order", f"{where} came after {max(seen)}"))
    elif seen and number > max(seen) + 1:
        known, counted = set(seen), count(int(min(seen)))  # a peer may leap to any number: no more is built than is named
        missing = list(islice((one for one in takewhile(lambda one: one < number, counted) if one not in known), 10))
        out.findings.append(("transaction_seq_gap", f"{where} came, not yet {', '.join(map(str, missing))}"))
    seen.append(number)


def _noted(event: str) -> Handler:
    """Return a handler that tells the listeners and answers with nothing."""

    def noted(station: StationState, payload: Payload, out: Outbox) -> Payload:
        out.tell(event, station, payload=payload)
        return {}

    return noted


def _text(moment: datetime) -> str:
    """Return a moment as OCPP writes it: UTC, milliseconds, `Z`."""
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
