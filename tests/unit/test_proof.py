"""What speaks against a meter that was shown known loads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, RunFacts, Sample
from bench.domain.oracle import Supply
from bench.domain.proof import Point, objections
from bench.domain.quantities import moment, parse_time
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.proof import gated, judge_proof, without_unproven_energy

LOADS = [(6.0, 0.0, 0.0), (0.0, 10.0, 0.0), (0.0, 0.0, 16.0), (16.0,) * 3, (16.0,) * 3, (0.0,) * 3, (10.0,) * 3]
Triple = tuple[float, ...]


def shown(see: Callable[[Triple, Triple], Triple], power: float = 1.0) -> list[Point]:
    """Return what a meter shows that makes `see(set, before)` of each load, 10 s apart."""
    points, before, counted = [], (0.0, 0.0, 0.0), 0.0
    for index, load in enumerate(LOADS):
        seen = see(load, before)
        watts = 230 * sum(seen) * power
        points.append(Point(10.0 * index, load, 10.0 * index + 5, seen, (230.0,) * 3, watts, counted))
        counted += 230 * sum(load) * 10 / 3600
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
        ([], "no known load", FaultClass.METERING),
    ],
    ids=["phases", "factor", "late", "sign", "one phase counts back", "nothing"],
)
def test_what_speaks_against_a_meter(points: list[Point], reason: str, fault: FaultClass) -> None:
    """Each defect has its own words and class."""
    found = said(points)
    assert reason in found[0][0]
    assert found[0][1] is fault


def judged(made: str = "2026-02-20T00:00:00Z", max_age_days: float = 30, here: str = "4711", **record: Any) -> CheckResult:
    """Judge a record of this moment, changed, in a run that began on 2026-03-01 with meter 4711, or `here`."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), (0.0, 0.2))
    scenario = {"proof": "file", "station": "CS", "evse": 1, "checks": ["power"]}
    begin = parse_time("2026-03-01T00:00:00Z")
    facts = RunFacts(scenario, {"name": "lab-a"}, 1, begin, begin + 100, RunState.COMPLETED, "", [], [], [evse])
    facts.identities["m"] = (3, {"serial_number": here, "model": "SDM630"})
    points = [asdict(one) for one in shown(lambda load, _: load)]
    sound = {
        "by": "file", "points": points, "made": made, "load_percent": 0.0, "failed": "", "max_age_days": max_age_days,
        "station": "CS", "evse": 1, "phases": [1, 2, 3], "side": "AC", "model": "SDM630", "serial_number": "4711",
        "held": [], "responses": [],
    }  # fmt: skip
    if made:
        facts.proofs["m"] = (7, {key: value for key, value in (sound | record).items() if value is not None})
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
    ("backwards", "where"), [((2,), "L2"), ((3,), "L3"), ((1, 3), "L1 and L3"), ((1, 2, 3), "all phases")], ids=str
)
def test_the_phases_that_count_backwards_are_named(backwards: tuple[int, ...], where: str) -> None:
    """All loads together tell which: the single-phase ones and those of three phases."""
    points = [
        replace(one, power_w=sum(230 * amps * (-1 if at in backwards else 1) for at, amps in enumerate(one.set_a, 1)))
        for one in shown(lambda load, _: load)
    ]
    assert said(points)[0][0].endswith(f"the sign is wrong on {where}")


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


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"station": "CS-2"}, "its proof is of station CS-2, and this run has CS"),
        ({"evse": 2}, "its proof is of EVSE 2, and this run has 1"),
        ({"phases": [2, 1, 3]}, "its proof is of phases L2, L1, L3, and this run has L1, L2, L3"),
        ({"phases": None}, "its proof does not say of which phases it is"),
        ({"side": "DC"}, "its proof is of side DC, and this run has AC"),
        ({"model": None}, "its proof does not say of which model it is"),
        ({"serial_number": "0815"}, "its proof is of serial number 0815, and this run has 4711"),
        ({"model": "EM340"}, "its proof is of model EM340, and this run has SDM630"),
        ({"serial_number": ""}, "its proof does not say of which serial number it is"),
    ],
    ids=str,
)
def test_a_record_proves_only_what_it_was_made_with(changed: dict[str, Any], words: str) -> None:
    """Another place, wiring or device of the same name: not proven, and which key differs is said."""
    found = judged(**changed)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.headline == f"meter m: {words}: `bench baseline --rig lab-a` proves it anew"


@pytest.mark.parametrize(("then", "here"), [("00 4711", "4711"), ("", "")])
def test_a_serial_number_counts_as_it_is_meant(then: str, here: str) -> None:
    """Blanks and leading zeros are none of it; a meter that tells none, then and now, is bound by the rest."""
    assert judged(here=here, serial_number=then).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        ({"offset_s": -0.5, "uncertainty_s": 0.25, "why": ""}, "is -0.50 s from the bench's, within 0.25 s; 10 s are allowed"),
        ({"offset_s": 10.3, "uncertainty_s": 0.5, "why": ""}, "is +10.30 s from the bench's, within 0.50 s; 10 s are allowed"),
        ({"offset_s": 3600.0, "uncertainty_s": 0.5, "why": ""}, "within 0.50 s; more than the 10 s that are allowed"),
        ({"offset_s": None, "uncertainty_s": None, "why": "CS: does not tell it"}, "was not shown: CS: does not tell it"),
    ],
)
def test_the_clock_of_the_station_is_told_and_decides_nothing(clock: dict[str, Any], words: str) -> None:
    """The bench measures by its own clock: off, or not known, the meter is proven all the same."""
    found = judged(clock=clock)
    assert (found.verdict, words in found.reasons[-1]) == (Verdict.PASS, True)


def test_an_unproven_register_leaves_only_the_energy_open() -> None:
    """Currents and power are proven, so the power check stands; the energy check does not."""
    proof = judged(held=None)
    assert (proof.verdict, [one.code for one in proof.warnings]) == (Verdict.PASS, ["energy-not-proven"])
    for check, verdict in (("power", Verdict.FAIL), ("energy", Verdict.INCONCLUSIVE)):
        assert gated(CheckResult(check, "title", Verdict.FAIL, ("too much",)), proof).verdict is verdict


@pytest.mark.parametrize(("ahead_s", "allowed"), [(-1, "10 s are allowed"), (60, "more than the 10 s that are allowed")])
def test_the_clock_of_a_meter_that_stamps_its_readings_is_told(ahead_s: float, allowed: str) -> None:
    """Whole seconds, by readings that take 0.1 s and may be 0.2 s old: the offset lies within the bound that is told."""
    points = [asdict(one) for one in shown(lambda load, _: load)]
    for number, one in enumerate(points):
        one["requested"] += number * 0.13
        one["received"] = one["requested"] + 0.1
        one["stamp"] = moment(math.floor(one["requested"] + 0.05 + ahead_s)).isoformat()
    found = judged(points=points)
    offset = next(one for one in found.measurements if one.name == "clock_offset_of_m")
    assert offset.value == pytest.approx(ahead_s, abs=0.6)
    assert (found.verdict, allowed in found.reasons[-1]) == (Verdict.PASS, True)


def test_a_meter_may_stamp_a_reading_before_it_was_asked_for() -> None:
    """Its values are up to 0.2 s old, by the rig file: a stamp of that time is one of a clock that is right."""
    points = [asdict(one) for one in shown(lambda load, _: load)]
    for one in points:
        one |= {"received": one["requested"] + 0.01, "stamp": moment(one["requested"] - 0.15).isoformat()}
    found = judged(points=points)
    offset = next(one.value for one in found.measurements if one.name == "clock_offset_of_m")
    assert offset is not None
    assert "is -0." in found.reasons[-1]
    assert abs(offset) <= float(found.reasons[-1].partition("within ")[2].partition(" s")[0])


@pytest.mark.parametrize(("held", "left"), [(None, False), ([], True)])
def test_the_energy_of_an_unproven_register_is_taken_out(held: list[Any] | None, left: bool) -> None:
    """No check compares anything with it; power and currents stay. Without a register there is nothing to prove."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), (0.0, 0.2))
    evse.samples += [Sample(at, at + 0.01, (16.0,) * 3, 11_040.0, 3.0 * at, at, (230.0,) * 3) for at in range(5)]
    facts = RunFacts({"proof": "file"}, {}, 1, 0, 5, RunState.COMPLETED, "", [], [], [evse])
    facts.proofs["m"] = (7, {} if held is None else {"held": held})
    without_unproven_energy(facts)
    assert [one.energy_wh is not None for one in evse.samples] == [left] * 5
    assert {one.power_w for one in evse.samples} == {11_040.0}
