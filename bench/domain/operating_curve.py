"""How often a true value gets which word, and how far a rate that was counted can be from the true one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import NormalDist
from typing import Final

from bench.domain.verdicts import Verdict

WORDS: Final = (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.CONDITIONAL_FAIL, Verdict.FAIL)
"""Of the four-way rule, in the order of the reading."""
_NORMAL: Final = NormalDist()
_TWO_SIDED: Final = 1.96


@dataclass(frozen=True, slots=True)
class Spread:
    """How the mean of a plateau is spread about the true value: a meter's error, and the noise of the mean."""

    bound: float
    """The error lies evenly between - bound and + bound; 0 for one that is normal."""
    deviation: float
    """Standard deviation of all that is normal."""

    def below(self, distance: float) -> float:
        """Return the probability that the mean lies no more than `distance` above the true value."""
        if not self.bound:
            return _NORMAL.cdf(distance / self.deviation)
        return (self._integral(distance + self.bound) - self._integral(distance - self.bound)) / (2 * self.bound)

    def _integral(self, distance: float) -> float:
        """Return the integral of the normal distribution function up to `distance`: z F(z) + s^2 f(z)."""
        z = distance / self.deviation
        return distance * _NORMAL.cdf(z) + self.deviation * _NORMAL.pdf(z)


def predicted(true: float, borders: tuple[float, float, float], spread: Spread) -> dict[Verdict, float]:
    """Return how often the four-way rule gives each word.

    Args: borders: the highest readings that are PASS, CONDITIONAL_PASS and CONDITIONAL_FAIL.
    """
    below = [0.0, *(spread.below(border - true) for border in borders), 1.0]
    return {word: high - low for word, (low, high) in zip(WORDS, pairwise(below), strict=True)}


def wilson(count: int, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate that was counted (Wilson's score interval)."""
    z2 = _TWO_SIDED**2
    middle = (count + z2 / 2) / (runs + z2)
    half = _TWO_SIDED / (runs + z2) * sqrt(count * (runs - count) / runs + z2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)
