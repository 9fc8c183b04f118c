"""Reservations: each party's own ids, and the numbers that stations know them by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform
from bench.cso.ocpi.sessions import Sessions
from bench.ports import Clock
from bench.wire.ocpi.transport import PartyId

MOST_RESERVATIONS: Final = 1000
"""So many may stand at once."""


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
    expiring: asyncio.Task[None] | None = None
    """Ends it in time."""

    @property
    def is_open(self) -> bool:
        """Say whether it stands: accepted, not used, not over."""
        return self.record is not None and self.record.reserved and self.record.ended is None


class Reservations:
    """The reservations that stand; a session of status RESERVATION for each that a station has accepted."""

    def __init__(self, clock: Clock, sessions: Sessions, background: Background) -> None:
        self._clock, self._sessions, self._background = clock, sessions, background
        self._known: dict[tuple[PartyId, str], Reservation] = {}
        self._numbers = 0

    def find(self, party: PartyId, reservation_id: str) -> Reservation | None:
        """Return the reservation that this party knows by an id, whatever its case."""
        return self._known.get((party, reservation_id.casefold()))

    def has_room(self, party: PartyId, reservation_id: str) -> bool:
        """Say whether one more may be ordered, or one that replaces another."""
        self._known = {key: one for key, one in self._known.items() if one.is_open}
        return len(self._known) < MOST_RESERVATIONS or self.find(party, reservation_id) is not None

    def numbered(
        self, platform: Platform, party: PartyId, reservation_id: str, station: str, response_url: str, expiry: datetime
    ) -> Reservation:
        """Return a reservation with a number of its own; the same number where it replaces one that stands at that station."""
        known = self.find(party, reservation_id)
        if known is not None and known.station == station and known.is_open:
            return Reservation(known.number, platform, party, station, response_url, expiry, known.record)
        self._numbers += 1
        return Reservation(self._numbers, platform, party, station, response_url, expiry)

    def accepted(self, reservation_id: str, reservation: Reservation, record: SessionRecord) -> Reservation | None:
        """Keep what a station has accepted, until it expires; return the one of the same id that stands at another station."""
        reservation.record = record
        former = self.find(reservation.party, reservation_id)
        if former is not None and former.record is record and former.expiring is not None:
            former.expiring.cancel()
        self._known[reservation.party, reservation_id.casefold()] = reservation
        reservation.expiring = self._background.start(self._expire(reservation))
        return former if former is not None and former.is_open and former.record is not record else None

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

    async def _expire(self, reservation: Reservation) -> None:
        assert reservation.record is not None
        left_s = (reservation.expiry - self._clock.now()).total_seconds()
        await asyncio.wait([reservation.record.over], timeout=max(0.0, left_s))
        self.end(reservation)
