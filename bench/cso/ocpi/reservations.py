"""Reservations: each party's own ids, and the numbers that stations know them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform
from bench.cso.ocpi.sessions import Sessions
from bench.ports import Clock
from bench.wire.ocpi.transport import PartyId


@dataclass(slots=True, eq=False)
class Reservation:
    """One reservation, from its order on."""

    number: int
    """What the station is told in place of the party's id."""
    platform: Platform
    party: PartyId
    station: str
    response_url: str
    expiry: datetime
    record: SessionRecord | None = None
    """Its session, once the station has accepted it."""

    @property
    def is_open(self) -> bool:
        """Say whether it stands: accepted, not used, not over."""
        return self.record is not None and self.record.reserved and self.record.ended is None


class Reservations:
    """All reservations; a session of status RESERVATION for each that a station has accepted."""

    def __init__(self, clock: Clock, sessions: Sessions, background: Background) -> None:
        self._clock, self._sessions, self._background = clock, sessions, background
        self._known: dict[tuple[PartyId, str], Reservation] = {}
        self._numbers = 0

    def find(self, party: PartyId, reservation_id: str) -> Reservation | None:
        """Return the reservation that this party knows by an id, whatever its case."""
        return self._known.get((party, reservation_id.casefold()))

    def numbered(
        self, platform: Platform, party: PartyId, reservation_id: str, station: str, response_url: str, expiry: datetime
    ) -> Reservation:
        """Return a reservation with a number of its own; the same number where it replaces one that stands at that station."""
        known = self.find(party, reservation_id)
        if known is not None and known.station == station and known.is_open:
            return Reservation(known.number, platform, party, station, response_url, expiry, known.record)
        self._numbers += 1
        return Reservation(self._numbers, platform, party, station, response_url, expiry)

    def accepted(self, reservation_id: str, reservation: Reservation, record: SessionRecord) -> None:
        """Keep what a station has accepted, until it expires."""
        reservation.record = record
        self._known[reservation.party, reservation_id.casefold()] = reservation
        self._background.start(self._expire(reservation_id, reservation))

    def end(self, reservation: Reservation) -> None:
        """End a reservation: its session is COMPLETED, unless it has become a charging session."""
        if reservation.record is not None:
            self._sessions.end_reservation(reservation.record)

    def told_by_station(self, event: Mapping[str, Any]) -> Reservation | None:
        """Take a ReservationStatusUpdate (H04); return the reservation that the station has removed."""
        payload = event["payload"]
        for one in self._known.values():
            if one.station == event["station"] and one.number == payload["reservationId"] and one.is_open:
                self.end(one)
                return one if payload["reservationUpdateStatus"] == "Removed" else None
        return None

    async def _expire(self, reservation_id: str, reservation: Reservation) -> None:
        await self._clock.sleep((reservation.expiry - self._clock.now()).total_seconds())
        if self.find(reservation.party, reservation_id) is reservation:  # not replaced by a later one
            self.end(reservation)
