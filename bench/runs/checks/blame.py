"""Whose fault is a current above the limit: the station's, which offered too much, or the EV's, which took more?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.evidence import Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.verdicts import Layer, Verdict
from bench.runs.checks.phases import DRAWING_A, phases_in_use
from bench.runs.checks.pilot import Pilot, per_phase

_DUTY_TOLERANCE_A: Final = 0.6
"""One percentage point of duty: what IEC 61851-1 grants the generator."""
_PILOT_MARGIN_A: Final = 0.1
"""Duty cycles are read to about this much."""


@dataclass(frozen=True, slots=True)
class Above:
    """One reading above what was allowed."""

    sample: Sample
    reading: float
    allowed: float
    unit: str
    verdict: Verdict


def blame(pilot: Pilot, run: Sequence[Above]) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """Blame the station for a duty above the limit, the EV for a current above the duty; return layers and documents.

    Only readings count between two looks at the pilot that agree; without one the evidence does not separate the two.
    """
    evse = pilot.evse
    for one in sorted(run, key=lambda above: -above.reading):
        seen = pilot.around(one.sample)
        if seen is None:
            continue
        current = max(one.sample.current_a)
        blamed = []
        if seen.offered_a > per_phase(evse, one.allowed, one.unit, phases_in_use(one.sample)) + _PILOT_MARGIN_A:
            blamed.append(Layer.STATION)
        if evse.current.known and current > seen.offered_a + max(_PILOT_MARGIN_A, evse.current.expanded(current)):
            blamed.append(Layer.EV)
        if blamed:
            return tuple(blamed), (seen.seq,)
    return (Layer.STATION, Layer.EV), ()


def offered_above(pilot: Pilot, limit: ExpectedLimit, settled: Sequence[Sample], most_phases: int) -> str:
    """Say that the station offered more than the limit, though nobody took it; empty where it did not."""
    in_use = [phases_in_use(one) for one in settled if max(one.current_a) > DRAWING_A]
    limit_a = per_phase(pilot.evse, limit.limit, limit.unit, max(in_use, default=most_phases))
    for sample in settled:
        seen = pilot.around(sample)
        if seen is not None and seen.offered_a > limit_a + _DUTY_TOLERANCE_A:
            return f"the duty cycle offered {seen.offered_a:.1f} A, above the limit of {limit_a:.1f} A, and nobody took it"
    return ""
