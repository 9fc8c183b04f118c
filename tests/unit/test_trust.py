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


def evse_of(samples: list[Sample]) -> EvseFacts:
    """Return an EVSE with these readings, once what cannot be trusted was taken out."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples += samples
    trusted(RunFacts({}, {}, 1, 0, 100, RunState.COMPLETED, "", [], [], [evse]))
    return evse


@pytest.mark.parametrize(("seconds", "doubted"), [(60, False), (100, True)])
def test_a_register_that_stands_still_is_frozen_once_energy_was_due(seconds: int, doubted: bool) -> None:
    """10.7 kW make 178 Wh in a minute, which a register of 100 Wh may hide, and 297 Wh in 100 s, which it cannot."""
    evse = evse_of([Sample(at, at + 0.01, (15.5,) * 3, 10695.0, 500.0, at, (230.0,) * 3) for at in range(seconds)])
    assert [one.code for one in evse.doubts] == (["frozen"] if doubted else [])


@pytest.mark.parametrize(("jump_wh", "doubted"), [(3, False), (60, False), (300, True)])
def test_a_register_that_jumps_after_a_standstill_tells_that_it_was_frozen(jump_wh: float, doubted: bool) -> None:
    """For a minute no power and the same digits; then more has been counted than the power of one second explains."""
    idle = [Sample(at, at + 0.01, (0.0,) * 3, 0.0, 500.0, at, (230.0,) * 3) for at in range(60)]
    after = [
        Sample(60 + at, 60 + at + 0.01, (15.5,) * 3, 10695.0, 500 + jump_wh + 15 * at, 60 + at, (230.0,) * 3) for at in range(2)
    ]
    evse = evse_of([*idle, *after])
    assert [one.code for one in evse.doubts] == (["frozen"] if doubted else [])


def test_what_flowed_between_two_slow_readings_is_no_jump() -> None:
    """The first reading after the standstill comes 10 s later: its 29 Wh are those 10 s at 10.7 kW."""
    idle = [Sample(at, at + 0.01, (0.0,) * 3, 0.0, 500.0, at, (230.0,) * 3) for at in range(60)]
    after = [Sample(at, at + 0.01, (15.5,) * 3, 10695.0, 529 + 3 * (at - 70), at, (230.0,) * 3) for at in range(70, 90)]
    assert not evse_of([*idle, *after]).doubts
