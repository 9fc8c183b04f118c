"""One OCPI session of the bench: what is told of it, and who steers it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any, Final

from bench.cso.ocpi.grants import Grant
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.relay import Target
from bench.wire.ocpi.profiles import ActiveChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text

_ENERGY: Final = "Energy.Active.Import.Register"
NOT_AVAILABLE: Final = "#NA"
"""What OCPI writes where a required text is not known."""
_MOST_TENS: Final = 24
"""A reading with another multiplier is nonsense and is left out."""


@dataclass(slots=True)
class Steering:
    """Who sets the charging profile of a session, and who hears of changes."""

    writer: PartyId | None = None
    """The first party whose PUT was accepted, until its DELETE or the end of the session."""
    watchers: dict[PartyId, Platform] = field(default_factory=dict)
    """Parties with at least one successful PUT: they are told each change."""
    unit: str = ""
    """Of the last PUT."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One order at a time, in the order of their coming."""
    told: ActiveChargingProfile | None = None
    push_wanted: bool = False
    pushing: bool = False
    asked: dict[str, float] = field(default_factory=dict)
    """When each kind of request last came, in seconds of the clock."""


@dataclass(slots=True)
class SessionRecord:
    """One session; its id is its own, for a transaction's id is unique at its station only."""

    target: Target
    started: datetime
    last_updated: datetime
    over: asyncio.Future[None]
    """Done once the session has ended."""
    id_token: str = ""
    """Empty until the station has told who charges: until then nobody is told of the session."""
    grant: Grant | None = None
    """Why it may charge, where an eMSP answers for it; else it is the bench's own token."""
    reserved: bool = False
    """A reservation that no transaction has come of yet."""
    preferences: ChargingPreferences | None = None
    ended: datetime | None = None
    first_wh: float | None = None
    energy_wh: float | None = None
    told_kwh: float = 0.0
    told_at: datetime | None = None
    """When the last update went out; None before the first PUT."""
    periods: list[dict[str, Any]] = field(default_factory=list)
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
    def kwh(self) -> float:
        """Return the energy so far, by the station's register."""
        if self.energy_wh is None or self.first_wh is None:
            return 0.0
        return max(0.0, round((self.energy_wh - self.first_wh) / 1000, 4))  # a register that jumps back gives nothing back

    def meter(self, values: Iterable[Mapping[str, Any]]) -> None:
        """Take the energy register of `meterValue`s: the first one ever is the start."""
        for reading in registers_wh(values):
            if self.first_wh is None:
                self.first_wh = reading
            self.energy_wh = reading

    def may_be_steered_by(self, party: Party, own: PartyId) -> bool:
        """Say whether a party may see and steer it: an SCSP by its contract with the bench, an eMSP if the token is its own."""
        return party.role == "SCSP" or self.belongs_to(party, own)

    def belongs_to(self, party: Party, own: PartyId) -> bool:
        """Say whether a party is the eMSP that owns the token."""
        return party.role == "EMSP" and party.id == (own if self.grant is None else self.grant.owner)

    def as_session(self, own: PartyId, location_id: str) -> dict[str, Any]:
        """Return the whole Session object (mod_sessions, 8.3.1)."""
        session: dict[str, Any] = {
            "country_code": own.country_code,
            "party_id": own.party_id,
            "id": self.session_id,
            "start_date_time": utc_text(self.started),
            "kwh": self.kwh,
            **self.authorization(own),
            "location_id": location_id,
            **self._place(),
            "currency": "EUR",
            "charging_periods": list(self.periods),
            "status": self.status,
            "last_updated": utc_text(self.last_updated),
        }
        if self.ended is not None:
            session["end_date_time"] = utc_text(self.ended)
        if self.preferences is not None:
            session["charging_preferences"] = self.preferences.plain()
        return session

    def authorization(self, own: PartyId) -> dict[str, Any]:
        """Return the fields that say who charges, and who let him."""
        if self.grant is None:
            whose = {"country_code": own.country_code, "party_id": own.party_id}
            token = {**whose, "uid": self.id_token, "type": "RFID", "contract_id": self.id_token}
            return {"cdr_token": token, "auth_method": "WHITELIST"}
        told = {"cdr_token": self.grant.token.cdr_token(), "auth_method": self.grant.method}
        return told | ({"authorization_reference": self.grant.reference} if self.grant.reference else {})

    def _place(self) -> dict[str, str]:
        if not self.target.evse_id:  # reserved at the station, and no EVSE chosen yet
            return {"evse_uid": NOT_AVAILABLE, "connector_id": NOT_AVAILABLE}
        return {"evse_uid": evse_uid(self.target.station, self.target.evse_id), "connector_id": "1"}

    def close_period(self, now: datetime) -> dict[str, Any] | None:
        """Add the energy since the last update as a ChargingPeriod and return it; None where there was none."""
        since = self.told_at or self.started
        volume = round(self.kwh - self.told_kwh, 4)
        self.told_at, self.told_kwh = now, self.kwh
        if volume <= 0:
            return None
        period = {"start_date_time": utc_text(since), "dimensions": [{"type": "ENERGY", "volume": volume}]}
        self.periods.append(period)
        return period


def evse_uid(station: str, evse_id: int) -> str:
    """Return the uid of an EVSE: CiString(36)."""
    return f"{station}-{evse_id}"[-36:]


def registers_wh(values: Iterable[Mapping[str, Any]]) -> list[float]:
    """Return the readings of the imported energy, total of all phases, in Wh, in the order of the message."""
    found = []
    for value in values:
        for sample in value.get("sampledValue", ()):
            if sample.get("measurand", _ENERGY) != _ENERGY or "phase" in sample:
                continue
            unit = sample.get("unitOfMeasure") or {}
            scale = 1000.0 if unit.get("unit", "Wh") == "kWh" else 1.0
            multiplier = unit.get("multiplier", 0)
            if abs(multiplier) <= _MOST_TENS:
                found.append(float(sample["value"]) * scale * 10.0**multiplier)
    return [reading for reading in found if isfinite(reading)]
