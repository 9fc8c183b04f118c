"""Readings that stand still: frozen, or of a load that does the same?"""

from __future__ import annotations

import pytest

from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.oracle import Supply
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import RunState
from bench.runs.trust import trusted


@pytest.mark.parametrize(("offered_a", "doubted"), [(6.0, True), (15.9, False)])
def test_a_still_meter_without_energy_is_doubted_where_the_offer_fell(offered_a: float, doubted: bool) -> None:
    """15.5 A for 100 s, digit by digit, while the pilot fell to 6 A: frozen, or an EV that ignores it; nothing tells which."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples += [Sample(at, at + 0.01, (15.5,) * 3, 10695.0, None, at, (230.0,) * 3) for at in range(100)]
    evse.pilot += [PilotSample(-1, "C", 16.0, 32.0, 1000), PilotSample(40, "C", offered_a, 32.0, 1001)]
    trusted(RunFacts({}, {}, 1, 0, 100, RunState.COMPLETED, "", [], [], [evse]))
    assert [one.code for one in evse.doubts] == (["frozen"] if doubted else [])
    assert bool(evse.samples) is not doubted
