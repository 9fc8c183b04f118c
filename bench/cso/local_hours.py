"""Hours of local time as the CSMS turns them into charging schedule periods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bench.errors import UsageError

OffsetOf = Callable[[timedelta, timedelta], timedelta]
"""(offset of the first day, offset that is due) to the offset that is used."""


@dataclass(frozen=True, slots=True)
class LocalWindow:
    """One limit between two hours of each day, another one outside; `end` may lie on the next day."""

    zone: str
    begin: time
    end: time
    inside: float
    outside: float

    def periods(self, now: datetime, days: int, offset: OffsetOf = lambda first, due: due) -> list[tuple[int, float]]:
        """Return (seconds from `now` on, limit) for so many days, each edge at its own hour on its own day.

        Raises: UsageError for an unknown time zone.
        """
        try:
            zone = ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise UsageError(f"zone = {self.zone!r}: no time zone of this computer; such as Europe/Paris") from None
        here = now.astimezone(zone)
        first = here.utcoffset() or timedelta(0)
        edges = []
        for day in range(-1, days + 1):
            date = here.date() + timedelta(days=day)
            for hour, limit in ((self.begin, self.inside), (self.end, self.outside)):
                due = datetime.combine(date, hour, zone).utcoffset() or timedelta(0)
                edges.append((datetime.combine(date, hour, UTC) - offset(first, due), limit))
        edges.sort()
        before = [limit for at, limit in edges if at <= now]
        return [(0, before[-1]), *((int((at - now).total_seconds()), limit) for at, limit in edges if at > now)]
