"""What speaks against a meter that was shown known loads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.domain.proof import Point, objections
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import FaultClass

LOADS = [(6.0, 0.0, 0.0), (0.0, 10.0, 0.0), (0.0, 0.0, 16.0), (16.0,) * 3, (16.0,) * 3, (0.0,) * 3, (10.0,) * 3]
Triple = tuple[float, ...]


def shown(see: Callable[[Triple, Triple], Triple], power: float = 1.0, energy: float = 1.0) -> list[Point]:
    """Return what a meter shows that makes `see(set, before)` of each load, 10 s apart."""
    points, before, counted = [], (0.0, 0.0, 0.0), 0.0
    for index, load in enumerate(LOADS):
        seen = see(load, before)
        watts = 230 * sum(seen) * power
        points.append(Point(10.0 * index, load, 10.0 * index + 5, seen, (230.0,) * 3, watts, counted))
        counted += 230 * sum(load) * 10 / 3600 * energy
        before = load
    return points


def said(points: list[Point]) -> list[tuple[str, FaultClass]]:
    """Return the objections with their classes."""
    found = objections(points, Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), 0.0)
    return [(one.text, one.fault_class) for one in found]


def test_a_meter_that_shows_the_loads_is_proven() -> None:
    """Nothing speaks against it."""
    assert said(shown(lambda load, _: load)) == []


@pytest.mark.parametrize(
    ("points", "reason", "fault"),
    [
        (shown(lambda load, _: (load[1], load[0], load[2])), "a load on L1 is shown on L2", FaultClass.METERING),
        (shown(lambda load, _: tuple(0.9 * one for one in load)), "90.0 % of each load", FaultClass.METERING),
        (shown(lambda _, before: before), "slower than the rig file says", FaultClass.TIMING),
        (shown(lambda load, _: load, power=-1), "the sign is wrong on all phases", FaultClass.METERING),
        (shown(lambda load, _: load, power=1 / 3), "P and V x I do not agree", FaultClass.METERING),
        (shown(lambda load, _: load, energy=3), "its energy register counts", FaultClass.METERING),
        ([], "no known load", FaultClass.METERING),
    ],
    ids=["phases", "factor", "late", "sign", "one phase counts back", "energy", "nothing"],
)
def test_what_speaks_against_a_meter(points: list[Point], reason: str, fault: FaultClass) -> None:
    """Each defect has its own words and class."""
    found = said(points)
    assert reason in found[0][0]
    assert found[0][1] is fault
