"""What the pilot witness saw of one EVSE, and limits and readings per phase to compare it with."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from bench.domain.evidence import EvseFacts, PilotSample, Sample
from bench.domain.series import Floats, Series
from bench.runs.checks.phases import phases_in_use

BEFORE_S: Final = 60.0
"""How far back 'just before' reaches for a reading of the demand."""


class Pilot:
    """The looks of the pilot witness of one EVSE, by time. On DC there are none: a duty of 5 % says that ISO 15118 tells."""

    def __init__(self, evse: EvseFacts) -> None:
        self.evse = evse
        self._looks = [look.at for look in evse.pilot]
        self._offers = np.array([np.nan, *(np.nan if look.state is None else look.offered_a for look in evse.pilot)])
        self._times = evse.samples.received

    def at(self, when: float) -> PilotSample | None:
        """Return what was seen last at a moment; None where nothing was."""
        if self.evse.current_type == "DC":
            return None
        index = bisect_right(self._looks, when)
        seen = self.evse.pilot[index - 1] if index else None
        return seen if seen is not None and seen.state is not None else None

    def offered_before(self, samples: Series) -> Floats:
        """Return what was offered before each reading, in A; NaN where nothing was seen, as `around` would have nothing then."""
        if not self._looks or self.evse.current_type == "DC":
            return np.full(len(samples), np.nan)
        index = np.searchsorted(self._looks, samples.requested - self.evse.latency_s[1], "right")
        return self._offers[index]

    def around(self, sample: Sample) -> PilotSample | None:
        """Return what the witness saw before and after a reading; None where the two looks differ or saw nothing.

        It looks after each reading, and a look is written down when it differs from the one before. What a reading shows may be
        as old as the meter's latency.
        """
        index = bisect_left(self._times, sample.received) + 1
        following = self.evse.samples[index].requested if index < len(self._times) else sample.received + BEFORE_S
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
