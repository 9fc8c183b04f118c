"""Did the EV get more phases than the limit allows? A limit in A with numberPhases binds the phases as well (K01.FR.43)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bench.domain.evidence import EvseFacts, Limits, Sample
from bench.domain.power_columns import DRAWING_A as DRAWING_A
from bench.domain.power_columns import phases_in_use as phases_at_each
from bench.domain.verdicts import Breach, Layer

PHASE_SWITCH_S: Final = 30.0
"""How much longer than a lower duty cycle another number of phases may take: the EV stops, contactors open and close."""


def phases_in_use(sample: Sample) -> int:
    """Return how many phases carry a current; one where none does."""
    return max(1, sum(one > DRAWING_A for one in sample.current_a))


def phase_breaches(evse: EvseFacts, limits: Limits, settle_s: float) -> list[Breach]:
    """Return each span in which more phases were in use than any limit of the settling time before allowed.

    The unit of such a breach is `phases`. W limits are totals, whatever the phases; on DC there are none to count.
    Source: OCPP 2.0.1 Part 2, K01.FR.43, K01.FR.49.
    """
    if evse.current_type == "DC" or evse.evse_id == 0:
        return []  # the sum of several EVSEs may well use more phases than any of them
    fewest = min((one.number_phases for one in limits.values if one is not None and one.unit == "A"), default=len(evse.phases))
    if fewest >= len(evse.phases):
        return []
    found: list[Breach] = []
    run: list[Sample] = []
    allowed_in_run, before = 0, -1
    for index in np.flatnonzero(phases_at_each(evse.samples) > fewest).tolist():  # the others use no more than any limit allows
        sample = evse.samples[index]
        allowed = _phases_allowed(evse, limits, sample, settle_s)
        above = allowed is not None and sum(one > DRAWING_A for one in sample.current_a) > allowed
        if run and (not above or allowed != allowed_in_run or index != before + 1):
            found.append(_breach(evse, run, allowed_in_run))
            run = []
        before = index
        if above and allowed is not None:
            run.append(sample)
            allowed_in_run = allowed
    if run:
        found.append(_breach(evse, run, allowed_in_run))
    return found


def _phases_allowed(evse: EvseFacts, limits: Limits, sample: Sample, settle_s: float) -> int | None:
    shortest, longest = evse.latency_s
    begin = sample.requested - longest - settle_s - PHASE_SWITCH_S
    reach = limits.between(begin, sample.received - shortest)
    if not reach or begin < limits.start or any(one is None or one.unit != "A" for one in reach):
        return None
    most = max(one.number_phases for one in reach if one is not None)
    return most if most < len(evse.phases) else None


def _breach(evse: EvseFacts, run: Sequence[Sample], allowed: int) -> Breach:
    top = max(run, key=phases_in_use)
    refs = tuple(dict.fromkeys((run[0].seq, top.seq, run[-1].seq)))
    return Breach(
        evse.evse_id, run[0].received, run[-1].received, allowed, "phases", phases_in_use(top), (Layer.STATION,), refs,
        why="it is the station that connects the phases to the EV",
    )  # fmt: skip
