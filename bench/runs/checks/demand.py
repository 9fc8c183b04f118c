"""Would the EV have taken more than the limit? Only then does staying below it show anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.domain import power_columns
from bench.domain.evidence import EvseFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import MINIMUM_CURRENT_A
from bench.domain.series import Floats, Series
from bench.runs.checks.phases import DRAWING_A, phases_in_use
from bench.runs.checks.pilot import BEFORE_S, Pilot, drawn, per_phase

HELD_A: Final = 2.5
"""An EV that draws within this of a limit is held by it: cars stay 0.2 to 2 A below what is offered."""


class Demand:
    """What proves that the EV at one EVSE wanted more than a limit."""

    def __init__(self, evse: EvseFacts, pilot: Pilot, near_a: float) -> None:
        self.evse, self.pilot, self._near_a = evse, pilot, near_a
        self._direct, self._nominal_v = evse.current_type == "DC", evse.supply.voltage_v
        self._phases = power_columns.phases_in_use(evse.samples)
        self._drawn = power_columns.drawn(evse.samples, self._nominal_v, direct=self._direct)
        self._received = evse.samples.received
        most = int(self._phases.max())
        self.most_phases, self._drew = max(1, most), most > 0
        """A meter that never showed a current proves no demand, whatever the EV asks for."""

    def before(self, start: float, limit: ExpectedLimit, index: int) -> str:
        """Say how demand above the limit was proven just before it began, where reading `index` came first; empty where not."""
        if index and self._received.item(index - 1) >= start - BEFORE_S:
            drew = self._drawn.item(index - 1)
            if drew >= per_phase(self.evse, limit.limit, limit.unit, max(1, self._phases.item(index - 1))) + 1:
                return f"exercised: drew {drew:.2f} A just before"
        return ""

    def asked(self, start: float, limit: ExpectedLimit, settled: Series) -> str:
        """Say that the EV asked for more than the limit and was held by it; empty where it did not, or nothing shows that it was.

        A wish alone proves little: at 6 A and above the EV has to draw close to the limit, or to what the pilot offers below it,
        as under a limit that EVSEs share. Below 6 A, nothing may be drawn.
        """
        pilot, limit_a = self.pilot.at(start), per_phase(self.evse, limit.limit, limit.unit, self.most_phases)
        wanted = (pilot.ev_wants_a or 0.0) if pilot is not None and pilot.state in ("B", "C", "D") else 0.0
        if pilot is None or not self._drew or wanted < limit_a + 1:
            return ""
        held = limit_a < MINIMUM_CURRENT_A or any(self._held(limit, one) for one in self._perhaps_held(limit, settled))
        return f"exercised: the EV asked for {pilot.ev_wants_a:g} A just before" if held else ""

    def _perhaps_held(self, limit: ExpectedLimit, settled: Series) -> Iterator[Sample]:
        """Yield the readings that are worth a closer look, by the offer seen before each alone."""
        current, may = self._columns(limit, settled)
        least = np.broadcast_to(may, current.shape)
        for where, offered in self.pilot.offered_before(settled):
            if offered >= MINIMUM_CURRENT_A:
                least = least if least.flags.writeable else least.copy()
                least[where] = np.minimum(least[where], offered)
        for index in np.flatnonzero((current > DRAWING_A) & (current >= least - HELD_A)):
            yield settled[int(index)]

    def _columns(self, limit: ExpectedLimit, settled: Series) -> tuple[Floats, Floats | float]:
        """Return what was drawn and the limit at each reading, both in A per phase."""
        where = settled.range_in(self.evse.samples)
        if where is None:
            may = power_columns.per_phase(settled, limit.limit, limit.unit, self._nominal_v)
            return power_columns.drawn(settled, self._nominal_v, direct=self._direct), may
        may = limit.limit
        if limit.unit != "A":
            may = may / (self._nominal_v * np.maximum(1, self._phases[where]))
        return self._drawn[where], may

    def _held(self, limit: ExpectedLimit, sample: Sample) -> bool:
        """Say whether the EV draws about all that it may."""
        current, seen = drawn(self.evse, sample), self.pilot.around(sample)
        may = self._limit_a(limit, sample)
        if seen is not None and seen.offered_a >= MINIMUM_CURRENT_A:
            may = min(may, seen.offered_a)
        return current > DRAWING_A and current >= may - HELD_A

    def at_limit(self, limit: ExpectedLimit, settled: Series) -> str:
        """Say how the first settled reading close below the limit proves demand; empty where none does."""
        if not len(settled):
            return ""
        current, limits_a = self._columns(limit, settled)
        near = (current >= limits_a - self._near_a) & (limits_a >= MINIMUM_CURRENT_A)
        index = int(near.argmax())
        if not near[index]:
            return ""
        limit_a = limits_a.item(index) if isinstance(limits_a, np.ndarray) else limits_a
        return f"exercised: drew {current.item(index):.2f} A of {limit_a:.2f} A per phase"

    def _limit_a(self, limit: ExpectedLimit, sample: Sample) -> float:
        return limit.limit if limit.unit == "A" else per_phase(self.evse, limit.limit, limit.unit, phases_in_use(sample))
