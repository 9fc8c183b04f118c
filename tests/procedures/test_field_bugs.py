"""The catalogue of field bugs, run: each variant ends in the verdict that is due, and the sound rig beside it stays quiet."""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

from bench.rig.files import field_bugs
from bench.rig.matrix import ACQUITTED, Trial, run_trial, variant_of

DEEP: Final = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EVERY: Final = 1 if DEEP else 3
"""`make test` runs every third, `make deep` all."""


def variants() -> list[Any]:
    """Return each variant as a test parameter."""
    rows = [
        pytest.param(Trial(bug.id, number, seed=1), id=f"{bug.id}-{number}")
        for bug in field_bugs()
        for number, _ in enumerate(bug.variant)
    ]
    return rows[::EVERY]


def sound() -> list[Any]:
    """Return each scenario of the catalogue on its sound rig, with another seed than the bugs have."""
    places = {(variant.scenario, variant.rig): (bug.id, number)
              for bug in field_bugs() for number, variant in enumerate(bug.variant)}  # fmt: skip
    rows = [
        pytest.param(Trial(bug, number, seed=7, seeded=False), id=f"{scenario}-{rig}")
        for (scenario, rig), (bug, number) in sorted(places.items())
    ]
    return rows[1::EVERY]


@pytest.mark.parametrize("trial", variants())
def test_a_bug_ends_in_the_verdict_that_is_due(trial: Trial) -> None:
    """Verdict, leading check, blamed layers, class and findings are exactly those that the catalogue has written down."""
    result = run_trial(trial)
    assert result.meets(variant_of(trial).due), result.said()


@pytest.mark.parametrize("trial", sound())
def test_a_sound_rig_is_acquitted(trial: Trial) -> None:
    """The same scenario without the bug passes without a finding, on a rig with another voltage, speed and meter error."""
    result = run_trial(trial)
    assert (result.verdict in ACQUITTED, result.warnings) == (True, ()), result.said()
