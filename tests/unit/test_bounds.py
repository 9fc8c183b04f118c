"""What binds a reading, and from which excess on a single reading fails."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import Verdict
from bench.runs.checks import plateaus
from bench.runs.checks.bounds import Bounds
from bench.runs.checks.plateaus import Scale, verdicts_on

METER = Accuracy(0.2, 0.001)


def limit(amps: float) -> ExpectedLimit:
    """Return a limit on three phases."""
    return ExpectedLimit(amps, "A", amps, 3, 1)


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        (12.9, math.nan), (13, 8), (101.9, 8), (102, 16), (212.9, 16), (213, 8), (312.9, 8), (313, math.nan),
    ],
)  # fmt: skip
def test_a_reading_may_show_what_was_allowed_in_the_time_that_it_may_be_of(at: float, allowed: float) -> None:
    """It is 2 to 3 s old, and 10 s are given to settle: the highest limit from 13 s to 2 s before it; nothing is known of before
    the first limit and of after the last. 8 A from second 0 on, 16 A from 100, 8 A from 200 to 300."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, METER, METER, (2.0, 3.0))
    bounds = Bounds(evse, Timeline([(0, limit(8)), (100, limit(16)), (200, limit(8))], 300), 10)
    found = bounds.of(np.array([float(at)]), np.array([float(at)]), "A")
    assert found.tolist() == pytest.approx([allowed], nan_ok=True)


@pytest.mark.parametrize(("amps", "verdict"), [(16.036, Verdict.PASS), (16.040, Verdict.FAIL)])
def test_an_excursion_fails_above_its_uncertainty_only(amps: float, verdict: Verdict) -> None:
    """The data sheet's bounds at 16 A are 0.033 A, and U = 2 x 0.033 / sqrt 3 = 0.038 A: what has not settled fails above U."""
    found = verdicts_on(np.array([[amps]]), np.array([16.0]), np.array([False]), Scale(METER), DecisionRule.FOUR_WAY)
    assert [(word, where.tolist()) for word, where in found if len(where)] == [(verdict, [0])]


@pytest.mark.parametrize("seed", range(40))
def test_what_passes_at_a_glance_passes_plateau_by_plateau(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two levels below 16 A that are one plateau, whose scatter counts: each reading gets what a look at each plateau gives."""
    dice = np.random.default_rng(seed)
    levels = np.repeat(dice.uniform(-0.4, 0, (3, 2)), 30, axis=1)
    values = 16 - dice.uniform(0, 0.4) + levels + dice.normal(0, 0.002, (3, 60))

    def verdicts() -> list[tuple[int, Verdict]]:
        scale = Scale(METER, scatter=0.005)
        found = verdicts_on(values, np.full(60, 16.0), np.full(60, True), scale, DecisionRule.GUARDED)
        return sorted((index, word) for word, where in found for index in where.tolist())

    at_a_glance = verdicts()
    monkeypatch.setattr(plateaus, "_all_pass", lambda *_: False)
    assert at_a_glance == verdicts()
