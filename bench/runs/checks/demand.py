"""Would the EV have taken more than the limit? Only then does staying below it show anything."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import MINIMUM_CURRENT_A
from bench.runs.checks.phases import DRAWING_A, phases_in_use
from bench.runs.checks.pilot import BEFORE_S, Pilot, drawn, per_phase

HELD_A: Final = 2.5
"""An EV that draws within this of a limit is held by it: cars stay 0.2 to 2 A below what is offered."""


class Demand:
    """What proves that the EV at one EVSE wanted more than a limit."""

    def __init__(self, evse: EvseFacts, pilot: Pilot, near_a: float) -> None:
        self.evse, self.pilot, self._near_a = evse, pilot, near_a
        self._times = [sample.received for sample in evse.samples]
        self.most_phases = max(phases_in_use(sample) for sample in evse.samples)
        self._drew = any(max(sample.current_a) > DRAWING_A for sample in evse.samples)
        """A meter that never showed a current proves no demand, whatever the EV asks for."""

    def before(self, start: float, limit: ExpectedLimit) -> str:
        """Say how demand above the limit was proven just before it began; empty where it was not."""
        earlier = self.evse.samples[bisect_left(self._times, start - BEFORE_S) : bisect_left(self._times, start)]
        if earlier:
            drew = drawn(self.evse, earlier[-1])
            if drew >= per_phase(self.evse, limit.limit, limit.unit, phases_in_use(earlier[-1])) + 1:
                return f"exercised: drew {drew:.2f} A just before"
        return ""

    def asked(self, start: float, limit: ExpectedLimit, settled: Sequence[Sample]) -> str:
        """Say that the EV asked for more than the limit and was held by it; empty where it did not, or nothing shows that it was.

        A wish alone proves little: at 6 A and above the EV has to draw close to the limit, or to what the pilot offers below it,
        as under a limit that EVSEs share. Below 6 A, nothing may be drawn.
        """
        pilot, limit_a = self.pilot.at(start), per_phase(self.evse, limit.limit, limit.unit, self.most_phases)
        wanted = (pilot.ev_wants_a or 0.0) if pilot is not None and pilot.state in ("B", "C", "D") else 0.0
        held = limit_a < MINIMUM_CURRENT_A or any(self._held(limit, one) for one in settled)
        if pilot is not None and self._drew and held and wanted >= limit_a + 1:
            return f"exercised: the EV asked for {pilot.ev_wants_a:g} A just before"
        return ""

    def _held(self, limit: ExpectedLimit, sample: Sample) -> bool:
        """Say whether the EV draws about all that it may."""
        current, seen = drawn(self.evse, sample), self.pilot.around(sample)
        may = per_phase(self.evse, limit.limit, limit.unit, phases_in_use(sample))
        if seen is not None and seen.offered_a >= MINIMUM_CURRENT_A:
            may = min(may, seen.offered_a)
        return current > DRAWING_A and current >= may - HELD_A

    def at_limit(self, limit: ExpectedLimit, settled: Sequence[Sample]) -> str:
        """Say how a settled reading close below the limit proves demand; empty where none does."""
        for sample in settled:
            current, limit_a = drawn(self.evse, sample), per_phase(self.evse, limit.limit, limit.unit, phases_in_use(sample))
            if limit_a >= MINIMUM_CURRENT_A and current >= limit_a - self._near_a:
                return f"exercised: drew {current:.2f} A of {limit_a:.2f} A per phase"
        return ""
