"""One OCPI session of the bench: what is told of it, and who steers it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bench.cso.arbitration import Claim
from bench.cso.ocpi.grants import Grant
from bench.cso.ocpi.periods import Periods
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.relay import Target
from bench.domain.tariff_cost import Amount
from bench.settings.ocpi_site import TariffSettings
from bench.wire.ocpi.profiles import ActiveChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.tariffs import price
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text

NOT_AVAILABLE: Final = "#NA"
"""What OCPI writes where a required text is not known."""


@dataclass(slots=True)
class Steering:
    """Who sets the charging profile of a session, and who hears of changes."""

    claims: dict[str, Claim] = field(default_factory=dict)
    """What each writer wants, from the accepted PUT to its DELETE or the end of the session; by writer."""
    renewal: asyncio.Task[None] | None = None
    """Brings the next part of a schedule that the station cannot hold as a whole."""
    opened: bool = False
    """What limits its EVSE was looked at."""
    watchers: dict[PartyId, Platform] = field(default_factory=dict)
    """Parties with at least one successful PUT: they are told each change."""
    unit: str = ""
    """Of the last PUT."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One order at a time, in the order of their coming."""
    told: dict[PartyId, ActiveChargingProfile] = field(default_factory=dict)
    """What each watcher has taken last."""
    push_wanted: bool = False
    pushing: bool = False
    asked: dict[tuple[str, PartyId], float] = field(default_factory=dict)
    """When each kind of request last came from a party, in seconds of the clock."""


@dataclass(slots=True)
class SessionRecord:
    """One session; its id is its own, for a transaction's id is unique at its station only."""

    target: Target
    started: datetime
    last_updated: datetime
    over: asyncio.Future[None]
    """Done once the session has ended."""
    periods: Periods
    number: int
    """Ascends with the creation of sessions, the order of lists."""
    began: datetime | None = None
    """When the transaction began, from which relative profiles count; None where that was not seen."""
    id_token: str = ""
    """Empty until the station has told who charges: until then nobody is told of the session."""
    grant: Grant | None = None
    """Why it may charge, where an eMSP answers for it; else it is the bench's own token."""
    regranted: bool = False
    """How it was authorized has changed since it was last told."""
    reserved: bool = False
    """A reservation that no transaction has come of yet."""
    preferences: ChargingPreferences | None = None
    ended: datetime | None = None
    heard: datetime | None = None
    """The time of the last thing that the station has told of it."""
    told_at: datetime | None = None
    """Up to when it was told; None before the first PUT."""
    tariff: TariffSettings | None = None
    """Of the whole session: the one that was valid when it began."""
    total_cost: Amount | None = None
    cdr: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By version, once it has ended; empty for a mere reservation."""
    steering: Steering = field(default_factory=Steering)

    @property
    def session_id(self) -> str:
        """Return the OCPI session's id."""
        return self.target.session_id

    @property
    def status(self) -> str:
        """Return ACTIVE, RESERVATION or COMPLETED; PENDING while nobody is known to charge."""
        if self.ended is not None:
            return "COMPLETED"
        if self.reserved:
            return "RESERVATION"
        return "ACTIVE" if self.id_token else "PENDING"

    @property
    def told(self) -> tuple[object, ...]:
        """Return what can change of the Session between two messages; last_updated changes with it."""
        return self.periods.kwh, len(self.periods.told), self.status, self.grant

    def may_be_steered_by(self, party: Party, own: PartyId) -> bool:
        """Say whether a party may see and steer it: an SCSP by its contract with the bench, an eMSP if the token is its own."""
        return party.role == "SCSP" or self.belongs_to(party, own)

    def belongs_to(self, party: Party, own: PartyId) -> bool:
        """Say whether a party is the eMSP that owns the token."""
        return party.role == "EMSP" and party.id == (own if self.grant is None else self.grant.owner)

    def as_session(self, own: PartyId, location_id: str, version: str) -> dict[str, Any]:
        """Return the whole Session object (mod_sessions, 8.3.1)."""
        session: dict[str, Any] = {
            "country_code": own.country_code,
            "party_id": own.party_id,
            "id": self.session_id,
            "start_date_time": utc_text(self.started),
            "kwh": self.periods.kwh,
            **self.authorization(own, version),
            "location_id": location_id,
            **self._place(),
            "currency": self.tariff.currency if self.tariff else "EUR",
            "charging_periods": list(self.periods.told),
            "status": self.status,
            "last_updated": utc_text(self.last_updated),
        }
        if self.ended is not None:
            session["end_date_time"] = utc_text(self.ended)
        if self.total_cost is not None:
            session["total_cost"] = price(self.total_cost, version)
        if self.preferences is not None:
            session["charging_preferences"] = self.preferences.plain()
        return session

    def authorization(self, own: PartyId, version: str) -> dict[str, Any]:
        """Return the fields that say who charges, and who let him."""
        if self.grant is None:
            whose = {"country_code": own.country_code, "party_id": own.party_id}
            token = {**whose, "uid": self.id_token, "type": "RFID", "contract_id": self.id_token}
            return {"cdr_token": token, "auth_method": "WHITELIST"}
        told = {"cdr_token": self.grant.token.cdr_token(version), "auth_method": self.grant.method}
        return told | ({"authorization_reference": self.grant.reference} if self.grant.reference else {})

    def _place(self) -> dict[str, str]:
        if not self.target.evse_id:  # reserved at the station, and no EVSE chosen yet
            return {"evse_uid": NOT_AVAILABLE, "connector_id": NOT_AVAILABLE}
        return {"evse_uid": evse_uid(self.target.station, self.target.evse_id), "connector_id": "1"}


def evse_uid(station: str, evse_id: int) -> str:
    """Return the uid of an EVSE: CiString(36)."""
    return f"{station}-{evse_id}"[-36:]
