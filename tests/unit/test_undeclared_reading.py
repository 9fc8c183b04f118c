"""What a reading that nobody declared adds to the answer of a check."""

from __future__ import annotations

from typing import cast

import pytest

from bench.domain.evidence import EvseFacts
from bench.domain.verdicts import CheckResult, Verdict
from bench.runs.checks.case import Case
from bench.runs.readings import Read, Reading

NOWHERE = cast("Case", None)
"""Neither is looked at."""
HERE = cast("EvseFacts", None)


@pytest.mark.parametrize("check", ["power", "composite"])
def test_a_reading_that_does_not_decide_leaves_the_answer_open(check: str) -> None:
    """What fits only a reading that may be wrong has not passed: INCONCLUSIVE, and why comes first."""
    found = Read(NOWHERE, Reading("", "fits another reading", HERE, decides=False)).told(
        CheckResult(check, "title", Verdict.PASS, ("no reading exceeded the limit",))
    )
    assert (found.verdict, found.headline) == (Verdict.INCONCLUSIVE, "fits another reading")


def test_a_reading_that_decides_is_told_beside_the_answer() -> None:
    """Obeying it is obeying: PASS stands, with a finding."""
    found = Read(NOWHERE, Reading("relative-anchor", "counts later", HERE)).told(
        CheckResult("power", "title", Verdict.PASS, ("no reading exceeded the limit",))
    )
    assert (found.verdict, [one.code for one in found.warnings]) == (Verdict.PASS, ["relative-anchor"])
