"""What the CSMS knows about one charging station: its connection, connectors, transactions and reports."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bench.wire.ocppj import MessageIds

MOST_TRANSACTIONS: Final = 1000
"""Of one station; the oldest that has ended gives way to one more."""
MOST_PLACES: Final = 1000
"""Connectors, and EVSEs, that a station may speak of."""
SHORTEST_LEARNED: Final = 8
_OF_TIMES: Final = re.compile(r"[\dTtZz:.+-]*[-:][\dTtZz:.+-]*")
"""What a date, a time, or a part of one consists of."""
SECRET_VARIABLES: Final = ("basicauthpassword",)
"""To be written only; a station that tells them in a report does not get them into the evidence."""


@dataclass(slots=True)
class Transaction:
    """One OCPP transaction as its TransactionEvents tell it."""

    evse_id: int | None
    transaction_id: str
    id_token: str | None = None
    id_status: str | None = None
    """What the bench made of `id_token`, such as Accepted; None while it is not decided."""
    started: datetime | None = None
    """When the bench received the event that started it; None when its start was not seen."""
    ended: datetime | None = None
    seq_numbers: list[int] = field(default_factory=list)
    """`seqNo` of each event, in the order of arrival."""
    charging_state: str | None = None
    meter_values: list[dict[str, Any]] = field(default_factory=list)
    """`meterValue` of the last event that had one."""
    stopped_reason: str | None = None
    remote_start_id: int | None = None
    """Of the RequestStartTransaction that it came from (F01)."""


@dataclass(slots=True)
class RemoteStart:
    """A RequestStartTransaction that was sent, and the transaction that carries its remoteStartId, once there is one."""

    evse_id: int | None
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExternalLimit:
    """A limit that somebody other than the CSMS puts on the station or on one EVSE (K11, K12)."""

    evse_id: int | None
    """None for the whole station."""
    source: str
    """ChargingLimitSourceEnumType."""
    grid_critical: bool | None
    schedules: tuple[Mapping[str, Any], ...]
    """ChargingScheduleTypes, where the station tells them (K11.FR.03)."""
    since: datetime


@dataclass(slots=True)
class ProfileReport:
    """The ReportChargingProfiles that answer one GetChargingProfiles."""

    evse_id: int | None = None
    """The EVSE that was asked for; None for all."""
    whole: bool = False
    """True where the whole store was asked for."""
    loose: bool = False
    """True where nobody waits for it."""
    version: int = 0
    """Of the ProfileBook when it was asked for."""
    size: int = 0
    overflowed: bool = False
    parts: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False

    def moved_since(self, parts: int) -> bool:
        """Return whether it is over, or has more than so many parts."""
        return self.complete or self.overflowed or len(self.parts) > parts

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
    evse_ids: tuple[int, ...] = ()
    """Of the rig file; empty where it does not name the station."""
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
    """The newest MOST_TRANSACTIONS of them."""
    forgets: bool = False
    """Some that have ended were forgotten."""
    meter_values: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """The last `meterValue` of a MeterValuesRequest, by evseId."""
    reports: dict[int, ProfileReport] = field(default_factory=dict)
    """Reports of charging profiles that were asked for, by requestId."""
    remote_starts: dict[int, RemoteStart] = field(default_factory=dict)
    """By remoteStartId."""
    external_limits: dict[tuple[int | None, str], ExternalLimit] = field(default_factory=dict)
    """Limits that are announced and not yet cleared, by EVSE and source."""
    needs_told: set[int] = field(default_factory=set)
    """The EVSEs whose EV has told its charging needs (K15)."""
    seen: MessageIds = field(default_factory=MessageIds)

    def active_transaction(self, evse_id: int) -> Transaction | None:
        """Return the transaction that runs on an EVSE, or None."""
        for transaction in reversed(self.transactions.values()):
            if transaction.evse_id == evse_id and transaction.ended is None:
                return transaction
        return None


@dataclass(frozen=True, slots=True)
class Undecided:
    """An identification token that somebody outside decides on: the answer waits for that, and nothing else does."""

    ask: Callable[[], Awaitable[dict[str, Any]]]
    """Gives the IdTokenInfo."""
    settled: Callable[[str], None]
    """Called with the status, once: tells what happened."""


@dataclass(slots=True)
class Outbox:
    """What handling one message brings forth beside the answer; it goes out after the answer, a transaction's before."""

    events: list[dict[str, Any]] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)
    """Code and text."""
    later: Undecided | None = None

    def tell(self, event: str, station: StationState, **fields: Any) -> None:
        """Add an event for the listeners."""
        self.events.append({"event": event, "station": station.station_id, **fields})


def may_be_learned(token: str) -> bool:
    """Say whether an identification token may be replaced wherever it stands: it is long enough, and has a digit.

    A short one would be found in the middle of numbers; one such as `Accepted`, or `2026-01-15`, which anybody may choose, would
    take evidence with it. Under its own key no token is ever written.
    """
    return len(token) >= SHORTEST_LEARNED and any(one.isdigit() for one in token) and not _OF_TIMES.fullmatch(token)


def learnable_tokens(payload: Mapping[str, Any]) -> list[str]:
    """Return the identification tokens, and a password told in a report, to be kept out of the evidence wherever they stand."""
    tokens = [
        str(attribute["value"])
        for entry in payload.get("reportData", ())
        if entry["variable"]["name"].lower() in SECRET_VARIABLES
        for attribute in entry["variableAttribute"]
        if len(attribute.get("value", "")) >= SHORTEST_LEARNED
    ]
    for key in ("idToken", "groupIdToken"):
        token = payload.get(key)
        text = token.get("idToken") if isinstance(token, dict) else None
        if isinstance(text, str) and may_be_learned(text):
            tokens.append(text)
    return tokens
