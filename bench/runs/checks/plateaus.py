"""One verdict for each reading: a plateau is judged by its mean, an excursion by itself.

What a meter does wrong it does to all readings alike, so the highest of many is not another chance to be above a limit; only its
noise is. The mean of a plateau takes most of the noise out, and a reading far outside of the noise is no noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Final

import numpy as np

from bench.domain.decision import DecisionRule, decide
from bench.domain.evidence import Sample
from bench.domain.series import Series
from bench.domain.uncertainty import Accuracy, repeatability_of, scatter_of_steps
from bench.domain.verdicts import Verdict
from bench.runs.checks.phases import DRAWING_A

SIGMAS: Final = 6.0
"""A reading so many standard deviations of the noise away is none of it: one in a thousand million by chance."""
MEAN_SIGMAS: Final = 4.0
"""Likewise for the mean of a plateau, of which a run has few: three in a hundred thousand."""
MOST_NOISE: Final = 0.005
"""Of a reading. More scatter than this is the current's own and excuses nothing."""

@dataclass(frozen=True, slots=True)
class Scale:
    """How far the readings of one quantity of one meter can be trusted."""

    accuracy: Accuracy
    channels: int = 1
    """How many like channels a reading is the sum of."""
    volts: float = 1.0
    """What a reading was multiplied with: nominal voltage where W are taken from currents."""
    scatter: float = 0.0
    """Noise that was seen, as a share of the reading."""

    def expanded(self, reading: float, repeatability: float = 0.0) -> float:
        """Return U of a reading or plateau."""
        return self.volts * self.accuracy.expanded(reading / self.volts, self.channels, repeatability / self.volts)

    def standard(self, reading: float, repeatability: float = 0.0) -> float:
        """Return u of a reading or plateau."""
        u = self.accuracy.standard(reading / self.volts, channels=self.channels, repeatability=repeatability / self.volts)
        return self.volts * u

    def guard(self, reading: float, repeatability: float = 0.0) -> float:
        """Return the guard band of FAIL: U, and at least the bounds of the meter's error and the noise of the mean together.

        U alone is passed by chance where noise is large and the meter errs by all that it may.
        """
        bounds = self.volts * self.accuracy.largest(reading / self.volts)
        return max(self.expanded(reading, repeatability), bounds + MEAN_SIGMAS * repeatability)

    def noise(self, reading: float) -> float:
        """Return the standard deviation of single readings: what the rig file says, or what was seen, if that is more."""
        return max(self.volts * sqrt(self.channels) * self.accuracy.noise, self.scatter * abs(reading))


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


def noise_share(samples: Series) -> float:
    """Return the scatter of single readings as a share of the current, at most MOST_NOISE."""
    if len(samples) < 5:
        return 0.0
    drawing = np.logical_or.reduce([phase > DRAWING_A for phase in samples.current_a])
    drawn = samples.current_a if drawing.all() else samples.current_a[:, drawing]
    if drawn.shape[1] < 5:
        return 0.0
    amps = drawn[drawn.mean(axis=1).argmax()]
    larger = np.maximum(amps[1:], amps[:-1])
    return min(scatter_of_steps(np.diff(amps) / np.maximum(larger, DRAWING_A, out=larger)), MOST_NOISE)


def verdicts_of(seen: Sequence[Seen], scale: Scale, rule: DecisionRule) -> list[Verdict]:
    """Return what each reading shows: FAIL for an excursion, else the verdict of its plateau.

    A reading is an excursion where it fails by itself even with all the noise that it can have taken off. A plateau is a
    stretch of settled readings under one limit that stay within U or the noise of their mean. What has not settled can be an
    excursion, and is PASS otherwise.
    """
    found = [_alone(one, scale, rule) for one in seen]
    for plateau in _plateaus(seen, found, scale):
        verdict = _together([seen[index] for index in plateau], scale, rule)
        for index in plateau:
            found[index] = verdict
    return found


def _alone(one: Seen, scale: Scale, rule: DecisionRule) -> Verdict:
    top = max(one.values)
    verdict = decide(top - SIGMAS * scale.noise(top), one.border, scale.guard(top), rule)
    return verdict if verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else Verdict.PASS


def _plateaus(seen: Sequence[Seen], found: Sequence[Verdict], scale: Scale) -> list[list[int]]:
    plateaus: list[list[int]] = []
    sums: list[float] = []
    border = 0.0
    for index, (one, verdict) in enumerate(zip(seen, found, strict=True)):
        if not one.settled or verdict is Verdict.FAIL:
            continue
        count = len(plateaus[-1]) if plateaus else 0
        same = count and one.border == border and all(
            abs(value - total / count) <= max(scale.expanded(value), SIGMAS * scale.noise(value))
            for value, total in zip(one.values, sums, strict=True)
        )  # fmt: skip
        if same:
            plateaus[-1].append(index)
            sums = [total + value for total, value in zip(sums, one.values, strict=True)]
        else:
            plateaus.append([index])
            sums, border = list(one.values), one.border
    return plateaus


def _together(plateau: Sequence[Seen], scale: Scale, rule: DecisionRule) -> Verdict:
    """Return the verdict on the mean of the phase that has most.

    By the four-way rule what lies above the limit by no more than `Scale.guard` is not surely above it.
    """
    channel = max(zip(*(one.values for one in plateau), strict=True), key=fmean)
    mean, border = min(fmean(channel), max(channel)), plateau[0].border
    repeatability = repeatability_of(channel) if len(channel) > 2 else scale.noise(mean) / sqrt(len(channel))
    verdict = decide(mean, border, scale.expanded(mean, repeatability), rule)
    unsure = rule is DecisionRule.FOUR_WAY and mean <= border + scale.guard(mean, repeatability)
    return Verdict.CONDITIONAL_FAIL if verdict is Verdict.FAIL and unsure else verdict
