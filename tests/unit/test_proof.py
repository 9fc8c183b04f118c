"""What speaks against a meter that was shown known loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.oracle import Supply
from bench.domain.proof import Point, objections
from bench.domain.quantities import parse_time
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.proof import gated, judge_proof

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


def test_a_phase_without_a_load_is_not_proven() -> None:
    """L2 and L3 were never loaded, so nothing is known of them."""
    points = [Point(0, (16.0, 0.0, 0.0), 5, (16.0, 0.0, 0.0), (230.0,) * 3, 3680.0, None)]
    assert said(points) == [("no known load was shown to it in L2 and L3", FaultClass.METERING)]


def test_loads_that_are_hardly_known_prove_nothing() -> None:
    """An error of the load of 1000 % would let any meter pass."""
    found = objections(shown(lambda load, _: load), Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), 1000.0)
    assert [one.text for one in found] == ["loads that are known to 1000 % prove nothing"]


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


def judged(made: str, max_age_days: float = 30) -> CheckResult:
    """Judge a record of this moment in a run that began on 2026-03-01."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), (0.0, 0.2))
    scenario = {"proof": "file", "station": "CS", "evse": 1, "checks": ["power"]}
    begin = parse_time("2026-03-01T00:00:00Z")
    facts = RunFacts(scenario, {"name": "lab-a"}, 1, begin, begin + 100, RunState.COMPLETED, "", [], [], [evse])
    points = [asdict(one) for one in shown(lambda load, _: load)]
    record = {"points": points, "made": made, "load_percent": 0.0, "failed": "", "max_age_days": max_age_days, "by": "file"}
    if made:
        facts.proofs["m"] = (7, record)
    found = judge_proof(facts)
    assert found is not None
    return found


def test_a_record_counts_for_its_days_only() -> None:
    """A month old it still proves the meter; a day more, and it is too old."""
    young = judged("2026-01-30T01:00:00Z")
    assert young.verdict is Verdict.PASS
    assert young.headline == "7 known loads were shown as they are; on 2026-01-30 01:00:00Z, 30.0 days before this run"
    old = judged("2026-01-29T23:00:00Z")
    assert old.verdict is Verdict.INCONCLUSIVE
    assert old.headline == (
        "meter m: its proof of 2026-01-29 23:00:00Z is 30.04 days old, older than 30 days: "
        "`bench baseline --rig lab-a` makes a new one"
    )


def test_without_a_record_the_cure_is_named() -> None:
    """A newcomer with hardware has none yet: what makes one is said, with the rig's name."""
    assert judged("").headline == (
        "meter m was not proven: there is no record of known loads; `bench baseline --rig lab-a` makes one"
    )


def test_a_record_of_the_future_proves_nothing() -> None:
    """Somebody's clock was wrong, or somebody's hand."""
    assert "after this run began" in judged("2199-01-01T00:00:00Z").headline


@pytest.mark.parametrize(
    ("check", "left"),
    [
        *((one, Verdict.INCONCLUSIVE) for one in ("power", "station_power", "delivery", "energy", "meter_values", "status")),
        *((one, Verdict.FAIL) for one in ("installed", "composite", "intent", "transactions")),
    ],
)
def test_what_a_meter_that_is_not_proven_shows_convicts_nobody(check: str, left: Verdict) -> None:
    """What is held against its readings is undecided; what stands in messages stays."""
    proof = CheckResult("proof", "", Verdict.INCONCLUSIVE, ("not proven",), (Layer.METER,))
    assert gated(CheckResult(check, "", Verdict.FAIL, ("found",), (Layer.STATION,)), proof).verdict is left
