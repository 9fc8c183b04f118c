"""How the EV answers: how soon it rises with the limit and resumes after a pause, and how it loads the phases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, Limits, Sample
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.verdicts import Layer, Measurement, Warn
from bench.runs.checks.demand import HELD_A
from bench.runs.checks.phases import DRAWING_A, phases_in_use
from bench.runs.checks.pilot import per_phase

IMBALANCE: Final = "phase-imbalance"
IMBALANCE_A: Final = 3.0
IMBALANCE_SHARE: Final = 0.2
"""Phases in use that differ by more than both are worth a look."""
LASTS_S: Final = 30.0


def ev_response(evse: EvseFacts, limits: Limits) -> tuple[Measurement, ...]:
    """Return `limit_rise_time` or `resume_time` in s for each rise of the limit, None where it did not come; and `phases_in_use`.

    A rise is optional, so no time is a verdict by itself.
    """
    if evse.current_type == "DC" or not evse.samples:
        return ()
    busiest = max(evse.samples, key=phases_in_use)
    most = phases_in_use(busiest) if max(busiest.current_a) > DRAWING_A else 0
    used = Measurement("phases_in_use", most, "", "most phases that carried a current at once", (busiest.seq,))
    return (*_rises(evse, limits), used)


def _rises(evse: EvseFacts, limits: Limits) -> Iterator[Measurement]:
    phases = max(phases_in_use(sample) for sample in evse.samples)
    for before, segment in pairwise(limits.segments()):
        if before.value is None or segment.value is None:
            continue
        was = per_phase(evse, before.value.limit, before.value.unit, phases)
        now = per_phase(evse, segment.value.limit, segment.value.unit, phases)
        if now < max(was + 1, MINIMUM_CURRENT_A):
            continue
        paused = was < MINIMUM_CURRENT_A
        enough = DRAWING_A if paused else max(was, now - HELD_A)
        received = evse.samples.received
        there = list(evse.samples.taken((received >= segment.start) & (received < segment.end)))
        reached = next((one for one in there if max(one.current_a) > enough), None)
        already = reached is not None and reached is there[0]
        doc = (
            f"from {segment.value.limit:g} {segment.value.unit} being due at {clock_text(segment.start)} to the first reading "
            f"{'of a current' if paused else f'above {enough:.1f} A'}; {'already there' if already else 'commanded'}"
        )
        value = None if reached is None else 0.0 if already else round(reached.received - segment.start, 3)
        name = "resume_time" if paused else "limit_rise_time"
        yield Measurement(name, value, "s", doc, () if reached is None else (reached.seq,))


def imbalance(evse: EvseFacts) -> tuple[Warn, ...]:
    """Return a finding where the phases in use carried clearly different currents for long; an idle phase is not in use."""
    run: list[Sample] = []
    for sample in evse.samples:
        used = [one for one in sample.current_a if one > DRAWING_A]
        apart = max(used) - min(used) if len(used) > 1 else 0.0
        if apart <= max(IMBALANCE_A, IMBALANCE_SHARE * max(used, default=0.0)):
            run = []
            continue
        run.append(sample)
        if run[-1].received - run[0].received >= LASTS_S:
            text = f"the phases in use at {evse.name} differed by {apart:.1f} A at {clock_text(sample.received)}"
            return (Warn(IMBALANCE, text, (Layer.EV, Layer.METER), (run[0].seq, sample.seq)),)
    return ()
