"""More phases than the limit allows: a limit of 6 A on one phase, from the first second of the run on."""

from __future__ import annotations

import pytest

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.runs.checks.phases import PHASE_SWITCH_S, phase_breaches

SETTLE_S = 10
FIRST_S = SETTLE_S + PHASE_SWITCH_S


@pytest.mark.parametrize(("last", "found"), [(FIRST_S - 1, 0), (FIRST_S, 1)])
def test_what_was_allowed_before_the_run_is_not_known(last: float, found: int) -> None:
    """Three phases are no breach while the station may still be switching from what held before the run began."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.0))
    evse.samples += [Sample(at, at, (6.0,) * 3, 4140.0, 0.0, at) for at in range(1, int(last) + 1)]
    limits = Timeline[ExpectedLimit | None]([(0, ExpectedLimit(6, "A", 6, 1, 1))], 100)
    assert len(phase_breaches(evse, limits, SETTLE_S)) == found
