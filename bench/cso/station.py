"""What the CSMS knows about one charging station: its connection, connectors, transactions and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bench.wire.ocppj import MessageIds

SHORTEST_LEARNED: Final = 8


@dataclass(slots=True)
class Transaction:
    """One OCPP transaction as its TransactionEvents tell it."""

    evse_id: int | None
    transaction_id: str
    id_token: str | None = None
    started: datetime | None = None
    """When the bench received the event that started it; None when its start was not seen."""
    ended: datetime | None = None
    seq_numbers: list[int] = field(default_factory=list)
    """`seqNo` of each event, in the order of arrival."""
    charging_state: str | None = None
    meter_values: list[dict[str, Any]] = field(default_factory=list)
    """`meterValue` of the last event that had one."""
    stopped_reason: str | None = None


@dataclass(slots=True)
class ProfileReport:
    """The ReportChargingProfiles that answer one GetChargingProfiles."""

    parts: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False

    def profiles(self) -> list[dict[str, Any]]:
        """Return `{"evse_id", "source", "profile"}` for each profile, in the order of the report."""
        return [
            {"evse_id": part["evseId"], "source": part["chargingLimitSource"], "profile": profile}
            for part in self.parts
            for profile in part["chargingProfile"]
        ]


@dataclass(slots=True)
class StationState:
    """One station that is in the rig file or has connected."""

    station_id: str
    online: bool = False
    connections: int = 0
    boot: dict[str, Any] | None = None
    """The last BootNotificationRequest."""
    booted: datetime | None = None
    clock_shift: timedelta = timedelta(0)
    """How far the time that the CSMS serves this station is ahead of the bench's."""
    last_seen: datetime | None = None
    connectors: dict[tuple[int, int], str] = field(default_factory=dict)
    """`connectorStatus` by (evseId, connectorId)."""
    transactions: dict[str, Transaction] = field(default_factory=dict)
    meter_values: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """The last `meterValue` of a MeterValuesRequest, by evseId."""
    reports: dict[int, ProfileReport] = field(default_factory=dict)
    """Reports of charging profiles that were asked for, by requestId."""
    seen: MessageIds = field(default_factory=MessageIds)

    def active_transaction(self, evse_id: int) -> Transaction | None:
        """Return the transaction that runs on an EVSE, or None."""
        for transaction in reversed(self.transactions.values()):
            if transaction.evse_id == evse_id and transaction.ended is None:
                return transaction
        return None


@dataclass(slots=True)
class Outbox:
    """What handling one message brings forth beside the answer; it goes out after the answer."""

    events: list[dict[str, Any]] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)
    """Code and text."""

    def tell(self, event: str, station: StationState, **fields: Any) -> None:
        """Add an event for the listeners."""
        self.events.append({"event": event, "station": station.station_id, **fields})


@dataclass(slots=True)
class Knock:
    """Someone who tried to connect, once or again: accepted with an empty reason, or refused."""

    station_id: str
    """What it called itself; empty where it did not come so far."""
    peer: str
    """Its network address without the port."""
    accepted: bool
    reason: str
    remedy: str
    first: datetime
    last: datetime
    count: int = 1


def learnable_tokens(payload: Mapping[str, Any]) -> list[str]:
    """Return the identification tokens in a request's payload, to be kept out of the evidence wherever else they stand.

    Short ones are left out: they would be found in the middle of numbers. Under their own key no token is ever written.
    """
    tokens = []
    for key in ("idToken", "groupIdToken"):
        token = payload.get(key)
        text = token.get("idToken") if isinstance(token, dict) else None
        if isinstance(text, str) and len(text) >= SHORTEST_LEARNED:
            tokens.append(text)
    return tokens
