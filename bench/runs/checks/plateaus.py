"""One verdict for each reading: a plateau is judged by its mean, an excursion by itself.

What a meter does wrong it does to all readings alike, so the highest of many is not another chance to be above a limit; only its
noise is. The mean of a plateau takes most of the noise out, and a reading far outside of the noise is no noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.domain.decision import DecisionRule, Mask, decide, fails, passes
from bench.domain.series import Floats, Series
from bench.domain.uncertainty import Accuracy, repeatability_of, scatter_of_steps
from bench.domain.verdicts import Verdict
from bench.runs.checks.phases import DRAWING_A

SIGMAS: Final = 6.0
"""A reading so many standard deviations of the noise away is none of it: one in a thousand million by chance."""
MEAN_SIGMAS: Final = 4.0
"""Likewise for the mean of a plateau, of which a run has few: three in a hundred thousand."""
MOST_NOISE: Final = 0.005
"""Of a reading. More scatter than this is the current's own and excuses nothing."""
_UNSURE: Final = 3.0
"""Two and a half standard deviations of a scatter, times sqrt n."""
_BLOCK: Final = 64
"""So many readings are looked at first for the end of a plateau."""

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

    def expanded_of(self, readings: Floats, repeatability: Floats) -> Floats:
        """Return U of each reading or plateau."""
        found = self.accuracy.expanded_of(readings / self.volts, self.channels, repeatability / self.volts)
        found *= self.volts
        return found

    def guard_of(self, readings: Floats) -> Floats:
        """Return the guard band of FAIL of each single reading."""
        bounds = self.volts * self.accuracy.largest_of(readings / self.volts)
        return np.maximum(self.expanded_of(readings, np.zeros_like(readings)), bounds)

    def noise_of(self, readings: Floats) -> Floats:
        """Return the standard deviation of each single reading."""
        return np.maximum(self.volts * sqrt(self.channels) * self.accuracy.noise, self.scatter * np.abs(readings))


def noise_share(samples: Series) -> float:
    """Return the scatter of single readings as a share of the current, at most MOST_NOISE.

    A few readings may scatter less than the meter does: n steps tell it to 1.2 / sqrt n of itself, so the highest that it may
    well be is taken.
    """
    if len(samples) < 5:
        return 0.0
    drawn = samples.current_a
    if not any(phase.min() > DRAWING_A for phase in drawn):
        drawn = drawn[:, drawn.max(axis=0) > DRAWING_A]
    if drawn.shape[1] < 5:
        return 0.0
    amps = drawn[drawn.mean(axis=1).argmax()]
    steps, larger = np.diff(amps), np.maximum(amps[1:], amps[:-1])
    steps /= np.maximum(larger, DRAWING_A, out=larger)
    return min(scatter_of_steps(steps) * (1 + _UNSURE / sqrt(len(steps))), MOST_NOISE)


def verdicts_on(
    values: Floats, border: Floats, settled: Mask, scale: Scale, rule: DecisionRule
) -> list[tuple[Verdict, NDArray[np.intp]]]:
    """Return what the readings show, and by index which of them: FAIL for an excursion, else the verdict of their plateau.

    A reading is an excursion where it fails by itself even with all the noise that it can have taken off. A plateau is a
    stretch of settled readings under one limit that stay within U or the noise of their mean. What has not settled can be an
    excursion, and is PASS otherwise.

    Args:
        values: of shape (channels, n), A per phase, or (1, n), W in total: each has to obey.
        border: of shape (n,): what is allowed and the tolerance that the product has.
    """
    tops = values.max(axis=0)
    guard, least = scale.guard_of(tops), tops - SIGMAS * scale.noise_of(tops)
    unsure = np.isinf(guard)
    above = ~unsure & fails(least, border, guard, rule)
    moving, chosen = ~settled & ~above, np.flatnonzero(settled & ~above)
    found = [
        (Verdict.FAIL, np.flatnonzero(above)), (Verdict.INCONCLUSIVE, np.flatnonzero(moving & unsure)),
        (Verdict.PASS, np.flatnonzero(moving & ~unsure)),
    ]  # fmt: skip
    kept, border = values.take(chosen, axis=1), border[chosen]
    if _all_pass(kept, border, scale, rule):
        return [*found, (Verdict.PASS, chosen)]
    for first, last in _plateaus(kept, border, scale):
        found.append((_together(kept[:, first:last].tolist(), border.item(first), scale, rule), chosen[first:last]))
    return found


def _all_pass(values: Floats, border: Floats, scale: Scale, rule: DecisionRule) -> bool:
    """Say whether each plateau passes, wherever it begins and ends; False where only a closer look can tell.

    No mean is above the highest reading, no scatter of three or more above a range / sqrt 3, and no U above that of the largest
    reading with the largest scatter, unless a certificate counts.
    """
    if not len(border) or not scale.accuracy.by_data_sheet:
        return False
    tops, lows = values.max(axis=1), values.min(axis=1)
    largest = np.maximum(np.abs(tops), np.abs(lows))
    scatter = np.maximum((tops - lows) / sqrt(3), scale.noise_of(largest))
    return bool(passes(tops, border.min(), scale.expanded_of(largest, scatter), rule).all())


def _plateaus(values: Floats, border: Floats, scale: Scale) -> Iterator[tuple[int, int]]:
    """Yield first and last (not included) of each plateau."""
    count = len(border)
    near = np.maximum(scale.expanded_of(values, np.zeros_like(values)), SIGMAS * scale.noise_of(values))
    first, size = 0, _BLOCK
    while first < count:
        end = min(first + size, count)
        means = np.cumsum(values[:, first : end - 1], axis=1) / np.arange(1, end - first)
        away = (np.abs(values[:, first + 1 : end] - means) > near[:, first + 1 : end]).any(axis=0)
        breaks = np.flatnonzero(away | (border[first + 1 : end] != border[first]))
        if len(breaks) or end == count:
            last = first + 1 + int(breaks[0]) if len(breaks) else count
            yield first, last
            first, size = last, _BLOCK
        else:
            size *= 2


def _together(plateau: Sequence[Sequence[float]], border: float, scale: Scale, rule: DecisionRule) -> Verdict:
    """Return the verdict on the mean of the phase that has most.

    By the four-way rule what lies above the limit by no more than `Scale.guard` is not surely above it.
    """
    channel = max(plateau, key=fmean)
    mean = min(fmean(channel), max(channel))
    repeatability = repeatability_of(channel) if len(channel) > 2 else scale.noise(mean) / sqrt(len(channel))
    verdict = decide(mean, border, scale.expanded(mean, repeatability), rule)
    unsure = rule is DecisionRule.FOUR_WAY and mean <= border + scale.guard(mean, repeatability)
    return Verdict.CONDITIONAL_FAIL if verdict is Verdict.FAIL and unsure else verdict
