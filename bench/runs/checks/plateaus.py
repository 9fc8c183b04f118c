"""One verdict for each reading: a plateau is judged by its mean, an excursion by itself.

What a meter does wrong it does to all readings alike, so the highest of many is not another chance to be above a limit; only its
noise is. The mean of a plateau takes most of the noise out, and a reading far outside of the noise is no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean
from typing import Final

from bench.domain.decision import DecisionRule, decide
from bench.domain.evidence import Sample
from bench.domain.uncertainty import repeatability_of, scatter_of
from bench.domain.verdicts import Verdict
from bench.runs.checks.phases import DRAWING_A

SIGMAS: Final = 6.0
"""A reading so many standard deviations of the noise away is none of it: one in a thousand million by chance."""
MOST_NOISE: Final = 0.005
"""Of a reading. More scatter than this is the current's own and excuses nothing."""

Uncertainty = Callable[[float, float], float]
"""Gives U of a reading and its repeatability."""
Noise = Callable[[float], float]
"""Gives the standard deviation of single readings about a value."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading beside what was allowed."""

    sample: Sample
    values: tuple[float, ...]
    """A per phase, or W in total: each has to obey."""
    allowed: float
    border: float
    """`allowed` and the tolerance that the product has."""
    settled: bool


def noise_share(samples: Sequence[Sample]) -> float:
    """Return the scatter of single readings as a share of the current, at most MOST_NOISE."""
    drawn = [sample.current_a for sample in samples if max(sample.current_a) > DRAWING_A]
    if len(drawn) < 5:
        return 0.0
    phase = max(range(len(drawn[0])), key=lambda one: fmean(values[one] for values in drawn))
    changes = [0.0]
    for earlier, later in pairwise(values[phase] for values in drawn):
        changes.append(changes[-1] + (later - earlier) / max(later, earlier, DRAWING_A))
    return min(scatter_of(changes), MOST_NOISE)


def verdicts_of(seen: Sequence[Seen], uncertainty: Uncertainty, noise: Noise, rule: DecisionRule) -> list[Verdict]:
    """Return what each reading shows: FAIL for an excursion, else the verdict of its plateau.

    A reading is an excursion where it fails by itself even with all the noise that it can have taken off. A plateau is a
    stretch of settled readings under one limit that stay within U or the noise of their mean. What has not settled can be an
    excursion, and is PASS otherwise.
    """
    found = [_alone(one, uncertainty, noise, rule) for one in seen]
    for plateau in _plateaus(seen, found, uncertainty, noise):
        verdict = _together([seen[index] for index in plateau], uncertainty, noise, rule)
        for index in plateau:
            found[index] = verdict
    return found


def _alone(one: Seen, uncertainty: Uncertainty, noise: Noise, rule: DecisionRule) -> Verdict:
    top = max(one.values)
    verdict = decide(top - SIGMAS * noise(top), one.border, uncertainty(top, 0.0), rule)
    return verdict if verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else Verdict.PASS


def _plateaus(seen: Sequence[Seen], found: Sequence[Verdict], uncertainty: Uncertainty, noise: Noise) -> list[list[int]]:
    plateaus: list[list[int]] = []
    sums: list[float] = []
    border = 0.0
    for index, (one, verdict) in enumerate(zip(seen, found, strict=True)):
        if not one.settled or verdict is Verdict.FAIL:
            continue
        count = len(plateaus[-1]) if plateaus else 0
        same = count and one.border == border and all(
            abs(value - total / count) <= max(uncertainty(value, 0.0), SIGMAS * noise(value))
            for value, total in zip(one.values, sums, strict=True)
        )  # fmt: skip
        if same:
            plateaus[-1].append(index)
            sums = [total + value for total, value in zip(sums, one.values, strict=True)]
        else:
            plateaus.append([index])
            sums, border = list(one.values), one.border
    return plateaus


def _together(plateau: Sequence[Seen], uncertainty: Uncertainty, noise: Noise, rule: DecisionRule) -> Verdict:
    channels = list(zip(*(one.values for one in plateau), strict=True))
    channel = max(channels, key=fmean)
    mean = min(fmean(channel), max(channel))
    repeatability = repeatability_of(channel) if len(channel) > 2 else noise(mean) / sqrt(len(channel))
    return decide(mean, plateau[0].border, uncertainty(mean, repeatability), rule)
