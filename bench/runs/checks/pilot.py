"""What the pilot witness saw of one EVSE, and limits and readings per phase to compare it with."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from bench.domain.evidence import EvseFacts, PilotSample, Sample
from bench.domain.power_columns import first_at
from bench.domain.series import Series
from bench.runs.checks.phases import phases_in_use

BEFORE_S: Final = 60.0
"""How far back 'just before' reaches for a reading of the demand."""


class Pilot:
    """The looks of the pilot witness of one EVSE, by time. On DC there are none: a duty of 5 % says that ISO 15118 tells."""

    def __init__(self, evse: EvseFacts) -> None:
        self.evse = evse
        self._looks = [look.at for look in evse.pilot]
        self._offers = [math.nan if look.state is None else look.offered_a for look in evse.pilot]
        self._requested = requested = evse.samples.requested
        self._ordered = not bool((requested[1:] < requested[:-1]).any())
        looks, latency = np.array(self._looks, np.float64), evse.latency_s[1]
        self._from: list[int] = first_at(requested, looks, latency).tolist() if self._ordered and len(requested) else []
        """The first reading before which each look was."""
        self._times = evse.samples.received

    def at(self, when: float) -> PilotSample | None:
        """Return what was seen last at a moment; None where nothing was."""
        if self.evse.current_type == "DC":
            return None
        index = bisect_right(self._looks, when)
        seen = self.evse.pilot[index - 1] if index else None
        return seen if seen is not None and seen.state is not None else None

    def offered_before(self, samples: Series) -> list[tuple[slice, float]]:
        """Return what was offered before the readings, in A, and for which of them; nothing where `around` would have nothing."""
        if not self._looks or self.evse.current_type == "DC" or not len(samples):
            return []
        latency, where = self.evse.latency_s[1], samples.range_in(self.evse.samples)
        if where is None or not self._ordered:
            offered = np.array([math.nan, *self._offers])[np.searchsorted(self._looks, samples.requested - latency, "right")]
            return [(slice(index, index + 1), one) for index, one in enumerate(offered.tolist()) if one == one]
        found = []
        for index in range(max(0, bisect_right(self._from, where.start) - 1), bisect_left(self._from, where.stop)):
            end = self._from[index + 1] if index + 1 < len(self._from) else where.stop
            begin, end = max(0, self._from[index] - where.start), min(end, where.stop) - where.start
            if begin < end and self._offers[index] == self._offers[index]:
                found.append((slice(begin, end), self._offers[index]))
        return found

    def stood_s(self, sample: Sample) -> float:
        """Return for how long the offer had stood, as the pilot was seen, when the meter took a reading; infinity: always."""
        taken = sample.requested - self.evse.latency_s[1]
        index = bisect_right(self._looks, taken) - 1
        while index > 0 and self._offers[index - 1] == self._offers[index]:
            index -= 1
        return taken - self._looks[index] if index > 0 else math.inf

    def around(self, sample: Sample) -> PilotSample | None:
        """Return what the witness saw before and after a reading; None where the two looks differ or saw nothing.

        It looks after each reading, and a look is written down when it differs from the one before. What a reading shows may be
        as old as the meter's latency.
        """
        index = bisect_left(self._times, sample.received) + 1
        following = self._requested.item(index) if index < len(self._times) else sample.received + BEFORE_S
        before, after = self.at(sample.requested - self.evse.latency_s[1]), self.at(following)
        if before is None or after is None or before.offered_a != after.offered_a:
            return None
        return after


def per_phase(evse: EvseFacts, limit: float, unit: str, phases: int) -> float:
    """Return a limit in A per phase, W shared by so many phases."""
    return limit if unit == "A" else limit / (evse.supply.voltage_v * phases)


def drawn(evse: EvseFacts, sample: Sample) -> float:
    """Return what was drawn per phase in use, in A at nominal voltage."""
    if evse.current_type != "DC":
        return max(sample.current_a)
    return (sample.power_w or 0.0) / (evse.supply.voltage_v * phases_in_use(sample))
