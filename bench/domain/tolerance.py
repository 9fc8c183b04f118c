"""Uncertainty of a reading and the decision rules of ILAC-G8:09/2019."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from bench.domain.verdicts import Verdict


class DecisionRule(StrEnum):
    """How a reading is compared with a limit; agreed before the test."""

    SIMPLE = "simple"
    """Simple acceptance (ILAC-G8 4.2.1): above the limit fails. The risk of a wrong answer is 50 % at the limit."""
    GUARDED = "guarded"
    """Guard band w = U (4.2.2): only what lies below limit - U passes; anything else fails."""
    FOUR_WAY = "four-way"
    """Guard band w = U, non-binary (4.2.3): pass, conditional pass, conditional fail, fail."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A meter's largest error as a share of the reading, and its resolution, in the unit of the quantity."""

    percent: float
    resolution: float
    known: bool = True
    """False: nobody said how far the meter can be trusted; nothing is judged by it."""

    def expanded(self, reading: float, channels: int = 1) -> float:
        """Return U (k = 2) of a reading that is the sum of so many like channels.

        The systematic part is common to all readings of a meter, so it adds linearly; half a step of resolution is
        spread evenly. Source: JCGM 100 4.3.7; U = 2 sqrt((p r / sqrt 3)^2 + channels (q / (2 sqrt 3))^2).
        """
        systematic = self.percent / 100 * abs(reading) / sqrt(3)
        rounding = self.resolution / (2 * sqrt(3))
        return 2 * sqrt(systematic**2 + channels * rounding**2)


def decide(reading: float, limit: float, uncertainty: float, rule: DecisionRule) -> Verdict:
    """Return the verdict on one reading against a maximum, all in one unit."""
    if rule is DecisionRule.SIMPLE:
        return Verdict.PASS if reading <= limit else Verdict.FAIL
    if reading <= limit - uncertainty:
        return Verdict.PASS
    if rule is DecisionRule.GUARDED or reading > limit + uncertainty:
        return Verdict.FAIL
    return Verdict.CONDITIONAL_PASS if reading <= limit else Verdict.CONDITIONAL_FAIL
