"""Everyone who tried to connect, accepted or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

MOST_KNOCKS: Final = 1_000
"""Different ones that are remembered; the oldest goes first."""
MOST_OF_AN_ID: Final = 60
"""An OCPP identity has at most 48 characters; of what somebody else calls himself so much is kept."""


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


class Knocks:
    """Remembers the same one for the same reason once, with a count."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Knock] = {}

    def note(self, now: datetime, station_id: str, peer: str, accepted: bool, reason: str = "", remedy: str = "") -> None:
        """Note one attempt."""
        station_id = station_id[:MOST_OF_AN_ID]
        known = self._known.get((station_id, peer, reason))
        if known is not None:
            known.last, known.count = now, known.count + 1
            return
        if len(self._known) >= MOST_KNOCKS:
            del self._known[next(iter(self._known))]  # the journal keeps them all
        self._known[station_id, peer, reason] = Knock(station_id, peer, accepted, reason, remedy, now, now)

    def all(self) -> list[Knock]:
        """Return them, the first one first."""
        return list(self._known.values())
