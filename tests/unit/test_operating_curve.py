"""What a decision is worth: draws of meters and noise against the power check, without a rig."""

from __future__ import annotations

import os
from random import Random
from statistics import NormalDist

import numpy as np
import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import RunState, Verdict
from bench.runs.checks.plateaus import Scale, verdicts_on
from bench.runs.checks.power import PowerRule, judge_power
from bench.runs.checks.sureness import detectable

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
DRAWS = 100_000 if DEEP else 400
LIMIT_A = 16.0
METERS = {"class A": Accuracy(3.5, 0.01), "class B": Accuracy(2.0, 0.01), "class C": Accuracy(0.7, 0.01),
          "analyser": Accuracy(0.1, 0.001)}  # fmt: skip
NOISE_A = 0.02
READINGS = 20
PHI = NormalDist().cdf


def plateau(draw: Random, true_a: float, error_a: float, noise_a: float = NOISE_A) -> list[float]:
    """Return the readings of a settled plateau by a meter with one error for all of them."""
    return [true_a + error_a + draw.gauss(0, noise_a) for _ in range(READINGS)]


def found(readings: list[float], meter: Accuracy) -> Verdict:
    """Return the verdict on a plateau, as the power check finds it: that of an excursion, else that of its first reading."""
    count, scale = len(readings), Scale(meter, scatter=NOISE_A / LIMIT_A)
    groups = verdicts_on(
        np.array([readings]), np.full(count, LIMIT_A), np.full(count, True), scale, DecisionRule.FOUR_WAY
    )
    verdicts = {index: verdict for verdict, where in groups for index in where.tolist()}
    return Verdict.FAIL if Verdict.FAIL in verdicts.values() else verdicts[0]


@pytest.mark.parametrize("name", METERS)
def test_a_sound_meter_convicts_no_sound_station(name: str) -> None:
    """A true current up to the limit itself and errors anywhere within the meter's bounds, the bounds themselves most: 0 FAIL."""
    draw, meter = Random(1), METERS[name]
    most = meter.percent / 100 * LIMIT_A
    for number in range(DRAWS):
        error = most if number % 2 else draw.uniform(-most, most)
        true = LIMIT_A if number % 3 else draw.uniform(0.9 * LIMIT_A, LIMIT_A)
        assert found(plateau(draw, true, error), meter) is not Verdict.FAIL


@pytest.mark.parametrize("name", METERS)
def test_at_the_detection_limit_95_of_100_fail(name: str) -> None:
    """Normal errors with the standard uncertainty that the meter has: at limit + U + 1.645 u at least 95 % are FAIL."""
    draw, meter = Random(2), METERS[name]
    true = detectable(LIMIT_A, Scale(meter, scatter=NOISE_A / LIMIT_A), DecisionRule.FOUR_WAY)
    fails = sum(found(plateau(draw, true, draw.gauss(0, meter.standard(true))), meter) is Verdict.FAIL for _ in range(DRAWS))
    assert fails / DRAWS >= 0.95 - (0 if DEEP else 0.03)


@pytest.mark.parametrize(("units_above", "words"), [(-2.5, 0), (-1.0, 1), (0.0, 1), (1.0, 2), (2.5, 3)])
def test_conditional_rates_are_as_predicted(units_above: float, words: int) -> None:
    """With normal errors of u, a true current of limit + x u is PASS with Phi(-2 - x), FAIL with Phi(x - 2), and so on."""
    draw, meter = Random(3), METERS["class B"]
    u = meter.standard(LIMIT_A, repeatability=NOISE_A / READINGS**0.5)
    counts = dict.fromkeys(Verdict, 0)
    for _ in range(DRAWS):
        counts[found(plateau(draw, LIMIT_A + units_above * u, draw.gauss(0, meter.standard(LIMIT_A))), meter)] += 1
    order = (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.CONDITIONAL_FAIL, Verdict.FAIL)
    edges = [PHI(edge - units_above) for edge in (-2.0, 0.0, 2.0)]
    predicted = [edges[0], edges[1] - edges[0], edges[2] - edges[1], 1 - edges[2]]
    rates = [counts[one] / DRAWS for one in order]
    told = (f"{word} {rate:.3f} ({due:.3f})" for word, rate, due in zip(order, rates, predicted, strict=True))
    print(f"limit {units_above:+.1f} u, found (predicted): {', '.join(told)}")
    assert rates == pytest.approx(predicted, abs=0.02 if DEEP else 0.06)
    assert max(range(4), key=lambda one: predicted[one]) == words or abs(units_above) == 0


def whole_check(true_a: float, offered_a: float, draw: Random, meter: Accuracy) -> Verdict:
    """Judge a run with a limit of 16 A and then one of 8 A, which the station keeps or not."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, meter, meter, (0.0, 0.2))
    gain = draw.uniform(-1, 1) * meter.percent / 100
    for at in range(200):
        true, offered = (LIMIT_A, LIMIT_A) if at < 103 else (true_a, offered_a)
        currents = (true * (1 + gain) + draw.gauss(0, NOISE_A), *(true * (1 + gain) + draw.gauss(0, NOISE_A) for _ in range(2)))
        evse.samples.append(Sample(at, at + 0.01, currents, sum(currents) * 230, 0.0, at))
        evse.pilot.append(PilotSample(at, "C", offered, 32, 1000 + at))
    steps: list[tuple[float, ExpectedLimit | None]] = [
        (0, ExpectedLimit(LIMIT_A, "A", LIMIT_A, 3, 1)), (100, ExpectedLimit(8, "A", 8, 3, 1)),
    ]  # fmt: skip
    limits = Timeline(steps, 200)
    facts = RunFacts({}, {}, 1, 0, 200, RunState.COMPLETED, "", [], [], [evse])
    rule = PowerRule(DecisionRule.FOUR_WAY, 15, "nominal", 1.5, 30, 1, 1)
    return judge_power(facts, evse, limits, rule).verdict


@pytest.mark.parametrize("name", METERS)
def test_the_whole_check_keeps_its_word(name: str) -> None:
    """Over periods, phases and steps: a station at its limit is never FAIL; one with twice the least excess always."""
    draw, meter = Random(4), METERS[name]
    excess = max(2 * (detectable(8.0, Scale(meter, scatter=NOISE_A / 8), DecisionRule.FOUR_WAY) - 8.0), 0.2)
    for _ in range(2000 if DEEP else 6):
        assert whole_check(8.0, 8.0, draw, meter) is not Verdict.FAIL
        assert whole_check(8.0 + excess, 8.0 + excess, draw, meter) is Verdict.FAIL
