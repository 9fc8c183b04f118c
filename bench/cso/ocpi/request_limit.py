"""How many requests one platform may send. OCPI knows TOO_OFTEN for charging profiles, and no HTTP 429."""

from __future__ import annotations

from bench.cso.ocpi.registry import Platform
from bench.ports import Clock

_MINUTE_S = 60.0


class RequestLimit:
    """A bucket for each platform: full at first, it fills up evenly within a minute.

    Args: per_minute: how many requests fill the bucket; 0: any number may come.
    """

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock, self.per_minute = clock, per_minute
        self._buckets: dict[Platform, tuple[float, float]] = {}
        """What is left, and when that was."""

    def passed(self, platform: Platform) -> bool:
        """Count one request; say whether it is one too many."""
        if not self.per_minute:
            return False
        now = self._clock.monotonic()
        left, at = self._buckets.get(platform, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - at) * self.per_minute / _MINUTE_S)
        self._buckets[platform] = (left - 1 if left >= 1 else left, now)
        return left < 1
