"""The decision rules of ILAC-G8:09/2019."""

from __future__ import annotations

from enum import StrEnum
from math import isinf
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.domain.verdicts import Verdict

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


class DecisionRule(StrEnum):
    """How a reading is compared with a limit; agreed before the test."""

    SIMPLE = "simple"
    """Simple acceptance (ILAC-G8 4.2.1): above the limit fails. The risk of a wrong answer is 50 % at the limit."""
    GUARDED = "guarded"
    """Guard band w = U (4.2.2): only what lies below limit - U passes; anything else fails."""
    FOUR_WAY = "four-way"
    """Guard band w = U, non-binary (4.2.3): pass, conditional pass, conditional fail, fail."""


def decide(reading: float, limit: float, uncertainty: float, rule: DecisionRule) -> Verdict:
    """Return the verdict on a reading or a plateau against a maximum, all in one unit; INCONCLUSIVE where U is not known."""
    if isinf(uncertainty):
        return Verdict.INCONCLUSIVE
    if rule is DecisionRule.SIMPLE:
        return Verdict.PASS if reading <= limit else Verdict.FAIL
    if reading <= max(limit - uncertainty, 0.0):  # nothing flows below zero: it is the acceptance limit of a pause
        return Verdict.PASS
    if rule is DecisionRule.GUARDED or reading > limit + uncertainty:
        return Verdict.FAIL
    return Verdict.CONDITIONAL_PASS if reading <= limit else Verdict.CONDITIONAL_FAIL


def passes(readings: Floats, limits: Floats | float, uncertainty: Floats, rule: DecisionRule) -> Mask:
    """Return for which readings `decide` says PASS."""
    accepted = limits if rule is DecisionRule.SIMPLE else np.maximum(limits - uncertainty, 0.0)
    return (readings <= accepted) & ~np.isinf(uncertainty)


def fails(readings: Floats, limits: Floats, uncertainty: Floats, rule: DecisionRule) -> Mask:
    """Return for which readings `decide` says FAIL."""
    beyond = limits + uncertainty if rule is DecisionRule.FOUR_WAY else limits
    return ~passes(readings, limits, uncertainty, rule) & ~np.isinf(uncertainty) & (
        (readings > beyond) | (rule is DecisionRule.GUARDED)
    )
