"""When something happened that a station tells: its time stamp, as far as the bench's own time bears it out."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bench.domain.evidence import RunFacts
from bench.domain.exchange import Call

LATE_S: Final = 10.0
"""How far a time stamp may be from the bench's receive time before it is not used."""
QUEUE_S: Final = 120.0
"""How long after an outage what was queued may still come."""


def stamp_of(text: str) -> tuple[float, bool] | None:
    """Return a time stamp in seconds since 1970, and whether it has a zone; None where it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    if parsed.tzinfo is not None:
        return parsed.timestamp(), True
    return datetime.fromisoformat(f"{text}+00:00").timestamp(), False


def outage_of(facts: RunFacts, station: str, told: float, received: float) -> tuple[float, float] | None:
    """Return the outage in which a moment of the bench's time lies, if it was over before the message came."""
    spans = facts.offline(station)
    return next((one for one in spans if one[0] - 1 <= told <= one[1] + LATE_S and one[1] <= received + 1), None)


def maybe_queued(facts: RunFacts, call: Call) -> bool:
    """Say whether a message may have waited for a connection: it says so, or it came soon after one was made."""
    soon = any(0 <= call.asked - end <= QUEUE_S for _, end in facts.offline(call.station))
    return soon or bool(call.request.get("offline"))


def happened(facts: RunFacts, call: Call, timestamp: str) -> tuple[float, float] | None:
    """Return from when to when, in the bench's time, that may have happened which a message gives a time stamp.

    The receive time counts unless the station was offline: then its time stamp, if it lies inside the outage. None where
    neither says when it was.
    """
    stamp = stamp_of(timestamp)
    told = None if stamp is None or not stamp[1] else stamp[0] - facts.clock_offset(call.station)
    if told is not None and abs(told - call.asked) <= LATE_S:
        return min(told, call.asked), max(told, call.asked)
    if told is not None and outage_of(facts, call.station, told, call.asked):
        return told, told
    return None if maybe_queued(facts, call) else (call.asked - 1, call.asked)
