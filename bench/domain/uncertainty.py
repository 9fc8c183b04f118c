"""How far a measured number can be from the truth: of a reading, a plateau, a sum, an energy, a moment.

JCGM 100 is the Guide to the expression of uncertainty in measurement (GUM), JCGM 106 its part on conformity assessment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import date
from functools import reduce
from itertools import pairwise
from math import inf, isinf, sqrt
from operator import add
from statistics import NormalDist, fmean
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.domain.verdicts import Verdict

Floats: TypeAlias = NDArray[np.float64]
COVERAGE: Final = 2.0
"""k of each expanded uncertainty here: about 95 % (JCGM 100 6.3.3)."""
ONE_SIDED: Final = 1.645
"""95 % of a normal distribution lie below its mean and so many standard deviations."""
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """One row of a certificate, in the unit of the quantity."""

    reading: float
    error: float
    """What the meter shows too much."""
    uncertainty: float
    """U of that error, with the certificate's k."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a calibration found for one quantity; it says nothing outside of its points."""

    points: tuple[CalibrationPoint, ...]
    """Ascending by reading."""
    k: float = 2.0

    def at(self, reading: float) -> tuple[float, float] | None:
        """Return error and standard uncertainty of a reading, linear between the points; None outside of them."""
        points = self.points
        if not points or not points[0].reading <= reading <= points[-1].reading:
            return None
        for low, high in pairwise(points):
            if reading <= high.reading:
                share = (reading - low.reading) / (high.reading - low.reading)
                error = low.error + share * (high.error - low.error)
                return error, (low.uncertainty + share * (high.uncertainty - low.uncertainty)) / self.k
        return points[0].error, points[0].uncertainty / self.k

    def at_each(self, readings: Floats) -> tuple[Floats, Floats]:
        """Return `at` of each reading; NaN outside of the points."""
        points = self.points if len(self.points) != 1 else self.points * 2
        if not points:
            return np.full_like(readings, np.nan), np.full_like(readings, np.nan)
        at, errors, spread = (np.array(one, np.float64) for one in zip(*map(astuple, points), strict=True))
        low = np.minimum(at[1:].searchsorted(readings), len(at) - 2)
        width = at[low + 1] - at[low]
        share = (readings - at[low]) / np.where(width == 0, 1.0, width)
        share[~((readings >= at[0]) & (readings <= at[-1]))] = np.nan
        error = errors[low] + share * (errors[low + 1] - errors[low])
        return error, (spread[low] + share * (spread[low + 1] - spread[low])) / self.k


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far one quantity of a meter can be trusted, in the unit of the quantity.

    A known error is not taken out of the readings, so that a report shows what the journal has; it widens U by its size
    (JCGM 100 F.2.4.5).
    """

    percent: float
    """Largest error as a share of the reading, by the data sheet; infinite where none is known outside of the certificate."""
    resolution: float
    known: bool = True
    """False: nobody said how far the meter can be trusted; nothing is judged by it."""
    offset: float = 0.0
    """Largest error besides, of the same size at each reading: the data sheet's share of the range."""
    noise: float = 0.0
    """Standard deviation of a single reading of a constant quantity."""
    certificate: Certificate | None = None
    drift_percent: float = 0.0
    """Largest change since the calibration, as a share of the reading; only where the certificate counts."""
    parts: tuple[Accuracy, ...] = field(default=())
    """Present: this is the accuracy of a sum over these meters, and nothing else above counts."""

    def standard(self, reading: float, *, channels: int = 1, repeatability: float = 0.0) -> float:
        """Return the standard uncertainty u of a reading that is the sum of so many like channels.

        Data sheet: u_sys = (p |y| + c) / sqrt 3, a rectangle (JCGM 100 4.3.7). Certificate: u_sys = U / k (4.3.3), with
        u_drift = d |y| / sqrt 3. Half a step of resolution is spread evenly: u_res = r / (2 sqrt 3) (F.2.2.1).
        u = sqrt(u_sys^2 + u_drift^2 + channels u_res^2 + u_rep^2). The systematic part is common to all readings and to all
        channels of a meter, so it grows with their sum; rounding is not (F.1.2.3).

        Args: repeatability: u_rep, as `repeatability_of` gives it.
        """
        systematic, random = self._parts(reading, channels)
        return sqrt(systematic**2 + random**2 + repeatability**2)

    def expanded(self, reading: float, channels: int = 1, repeatability: float = 0.0) -> float:
        """Return U = 2 u, and the known error on top; see `standard`."""
        u = self.standard(reading, channels=channels, repeatability=repeatability)
        return COVERAGE * u + abs(self.error(reading))

    def largest(self, reading: float) -> float:
        """Return how far a reading without noise can be off at most: the bounds that `standard` spreads evenly, added up.

        A certificate knows no bounds: U of its points counts as one.
        """
        if self.parts:
            shared = sum(one.largest(reading / len(self.parts)) for one in self.parts)
            return max(shared, *(one.largest(reading) for one in self.parts))
        found = self.certificate.at(abs(reading)) if self.certificate is not None else None
        if found is None or self.certificate is None:
            return inf if isinf(self.percent) else self.percent / 100 * abs(reading) + self.offset + self.resolution / 2
        return abs(found[0]) + self.certificate.k * found[1] + self.drift_percent / 100 * abs(reading) + self.resolution / 2

    def expanded_of(self, readings: Floats, channels: int, repeatability: Floats) -> Floats:
        """Return `expanded` of each reading."""
        systematic, random = self._parts_of(readings, channels)
        return COVERAGE * np.sqrt(systematic**2 + random**2 + repeatability**2) + np.abs(self._error_of(readings))

    def largest_of(self, readings: Floats) -> Floats:
        """Return `largest` of each reading."""
        if self.parts:
            shared = reduce(add, (one.largest_of(readings / len(self.parts)) for one in self.parts))
            return reduce(np.maximum, (one.largest_of(readings) for one in self.parts), shared)
        size = np.abs(readings)
        sheet = np.full_like(size, inf) if isinf(self.percent) else self.percent / 100 * size + self.offset + self.resolution / 2
        if self.certificate is None:
            return sheet
        error, u = self.certificate.at_each(size)
        certain = np.abs(error) + self.certificate.k * u + self.drift_percent / 100 * size + self.resolution / 2
        return np.where(np.isnan(u), sheet, certain)

    @property
    def by_data_sheet(self) -> bool:
        """Say whether data sheets alone tell U of each reading: the larger the reading, the larger is U."""
        if self.parts:
            return all(one.by_data_sheet for one in self.parts)
        return self.certificate is None and not isinf(self.percent)

    def error(self, reading: float) -> float:
        """Return what the meter is known to show too much; 0 where no certificate says it."""
        if self.parts:
            return sum(one.error(reading / len(self.parts)) for one in self.parts)
        found = self.certificate.at(abs(reading)) if self.certificate is not None else None
        return 0.0 if found is None else found[0]

    def basis(self, reading: float) -> str:
        """Say in words what u of a reading rests on; outside of the points of a certificate the data sheet counts."""
        if self.parts:
            return " and ".join(dict.fromkeys(one.basis(reading / len(self.parts)) for one in self.parts))
        if self.certificate is None:
            return "by rig file or data sheet"
        inside = self.certificate.at(abs(reading)) is not None
        return "by certificate" if inside else "by rig file or data sheet: outside of the points of the certificate"

    def _parts(self, reading: float, channels: int) -> tuple[float, float]:
        """Return the systematic and the random part of u."""
        if self.parts:
            shared = [one._parts(reading / len(self.parts), channels) for one in self.parts]
            alone = [one._parts(reading, channels)[0] for one in self.parts]
            return max(sum(one for one, _ in shared), *alone), sqrt(sum(one**2 for _, one in shared))
        random = sqrt(channels) * self.resolution / (2 * sqrt(3))
        found = self.certificate.at(abs(reading)) if self.certificate is not None else None
        if found is None and isinf(self.percent):
            return inf, random
        if found is None:
            return (self.percent / 100 * abs(reading) + self.offset) / sqrt(3), random
        return sqrt(found[1] ** 2 + (self.drift_percent / 100 * reading) ** 2 / 3), random

    def _parts_of(self, readings: Floats, channels: int) -> tuple[Floats, float]:
        """Return `_parts` of each reading; the random part is the same for all."""
        if self.parts:
            shared = [one._parts_of(readings / len(self.parts), channels) for one in self.parts]
            alone = [one._parts_of(readings, channels)[0] for one in self.parts]
            systematic = reduce(np.maximum, alone, reduce(add, (one for one, _ in shared)))
            return systematic, sqrt(sum(one**2 for _, one in shared))
        random, size = sqrt(channels) * self.resolution / (2 * sqrt(3)), np.abs(readings)
        sheet = np.full_like(size, inf) if isinf(self.percent) else (self.percent / 100 * size + self.offset) / sqrt(3)
        if self.certificate is None:
            return sheet, random
        _, u = self.certificate.at_each(size)
        return np.where(np.isnan(u), sheet, np.sqrt(u**2 + (self.drift_percent / 100 * readings) ** 2 / 3)), random

    def _error_of(self, readings: Floats) -> Floats | float:
        """Return `error` of each reading."""
        if self.parts:
            return sum(one._error_of(readings / len(self.parts)) for one in self.parts)
        if self.certificate is None:
            return 0.0
        return np.nan_to_num(self.certificate.at_each(np.abs(readings))[0], nan=0.0)


UNKNOWN: Final = Accuracy(0, 0, known=False)


def summed(meters: Sequence[Accuracy]) -> Accuracy:
    """Return the accuracy of a sum over several meters.

    Like meters may err the same way: their systematic parts add linearly, as with a correlation of +1 (JCGM 100 5.2.2,
    F.1.2.3), the random parts in squares. How the sum is shared among them is not known: equal parts of it count, or all of it
    at one meter where that is worse.
    """
    if not all(one.known for one in meters):
        return UNKNOWN
    if len(meters) == 1:
        return meters[0]
    worst = max(one.percent for one in meters)
    return Accuracy(0, 0, parts=tuple(replace(one, percent=worst) for one in meters))


def certificate_number(meter: Mapping[str, Any]) -> str:
    """Return the number of the certificate that a meter of the rig file claims; empty where it claims none."""
    return str((meter.get("certificate") or {}).get("number") or (meter.get("accuracy") or {}).get("certificate") or "")


def accuracy_of(data: Mapping[str, Any] | None, quantity: str, unit: str, on: date | None = None) -> Accuracy:
    """Return the accuracy of one quantity from what a METER_IDENTITY document says, or the rig file in the same form.

    Args:
        quantity, unit: current and a, or power and w: as the keys begin and end.
        on: day of the run, to which a meter has drifted from that of its calibration; None leaves drift aside.
    """
    data = data or {}
    percent, certified = data.get(f"{quantity}_percent"), data.get("certified") or {}
    points = tuple(CalibrationPoint(*one) for one in certified.get(quantity, ()))
    certificate = Certificate(points, certified.get("k", 2.0)) if points else None
    if percent is None and certificate is None:
        return UNKNOWN
    return Accuracy(
        percent if percent is not None else inf,
        data.get(f"{quantity}_resolution_{unit}", 0.0),
        offset=data.get(f"{quantity}_offset_{unit}", 0.0),
        noise=data.get(f"{quantity}_noise_{unit}", 0.0),
        certificate=certificate,
        drift_percent=0.0 if certificate is None or on is None else _drift(certified, on),
    )


def _drift(certified: Mapping[str, Any], on: date) -> float:
    days = (on - date.fromisoformat(certified["date"])).days
    return float(certified.get("drift_percent_per_year", 0.0) * max(0, days) / 365.25)


def repeatability_of(readings: Sequence[float]) -> float:
    """Return u_rep of the mean of a plateau: s / sqrt n_eff (JCGM 100 4.2.3).

    n_eff = n (1 - r) / (1 + r) with the lag-1 autocorrelation r, where readings follow each other (4.2.7: s / sqrt n holds for
    independent ones only); r counts from 2 / sqrt n on, below it is chance. 0 for fewer than three readings: their scatter says
    nothing.
    """
    n, values = len(readings), np.array(readings, np.float64)
    if n < 3 or values.min() == values.max():
        return 0.0
    away = values - fmean(readings)
    spread = sqrt(float(away @ away) / (n - 1))
    follows = float(away[1:] @ away[:-1]) / ((n - 1) * spread**2)
    r = min(follows, 1 - 2 / n) if follows > 2 / sqrt(n) else 0.0
    return spread / sqrt(max(1.0, n * (1 - r) / (1 + r)))


def scatter_of_steps(steps: Floats) -> float:
    """Return the standard deviation s of single readings, given the differences of successive ones.

    The median of |difference| is 0.954 s for normal noise (0.6745 sqrt 2); a few excursions or a slow change do not move it.
    """
    return _median(np.abs(steps)) / (0.6745 * sqrt(2))


def _median(values: Floats) -> float:
    """Return the median of at least one value; parted once, where numpy's own parts three times, ten times as slow."""
    middle = len(values) // 2
    parted = np.partition(values, middle)
    upper = parted.item(middle)
    return upper if len(values) % 2 else float(parted[:middle].max() + upper) / 2


def register_uncertainty(step: float) -> float:
    """Return U of the difference of two values of a register with a step q: 2 q / sqrt 6.

    Each is half a step off at most, spread evenly: u = q / (2 sqrt 3) each (JCGM 100 4.3.7, F.2.2.1).
    """
    return COVERAGE * sqrt(2) * step / (2 * sqrt(3))


def conformance_probability(estimate: float, u: float, lower: float, upper: float) -> float:
    """Return the probability that a quantity lies within its tolerance: Phi((TU - y) / u) - Phi((TL - y) / u).

    Source: JCGM 106 7.4 (Gaussian distribution, no prior knowledge).
    """
    return _NORMAL.cdf((upper - estimate) / u) - _NORMAL.cdf((lower - estimate) / u)


def false_accept(guard_u: float) -> float:
    """Return the probability that an item measured right at its acceptance limit does not conform: 1 - Phi(w / u).

    Args: guard_u: the guard band w in standard uncertainties. Source: JCGM 106 8.3.2.
    """
    return 1 - _NORMAL.cdf(guard_u)


def detection_limit(limit: float, guard: float, u: float) -> float:
    """Return the true value that is found above a limit with 95 % probability: limit + w + 1.645 u, where w is U as a rule.

    Its reading is above limit + w unless the meter errs by more than 1.645 u to the low side (JCGM 106 9.4, guarded rejection).

    Args:
        guard: w; above limit + w a reading fails.
        u: standard uncertainty at the limit.
    """
    return limit + guard + ONE_SIDED * u


def test_uncertainty_ratio(tolerance: float, uncertainty: float) -> float:
    """Return tolerance / U; infinite where nothing is uncertain."""
    return tolerance / uncertainty if uncertainty else inf


@dataclass(frozen=True, slots=True)
class Moment:
    """Between which moments something has happened, in s from where the time limit begins to run."""

    earliest: float
    latest: float

    def within(self, limit_s: float) -> Verdict:
        """Return PASS where it surely was within the time limit, FAIL where it surely was not, else INCONCLUSIVE."""
        if self.latest <= limit_s:
            return Verdict.PASS
        return Verdict.FAIL if self.earliest > limit_s else Verdict.INCONCLUSIVE


def reached(before: float, seen: float, latency_s: tuple[float, float], clock_s: float = 0.0) -> Moment:
    """Return when a limit was reached: [t_(k-1) - Lmax - d, t_k - Lmin + d].

    Bounds, not a distribution: the last reading above shows what was at least Lmax before it at most, and the first below
    what was at least Lmin before it.

    Args:
        before, seen: t_(k-1), the last reading that did not comply, and t_k, the first of those that did.
        latency_s: Lmin and Lmax, from a change to its being read.
        clock_s: d, largest error of the clock against that of the time limit.
    """
    shortest, longest = latency_s
    return Moment(before - longest - clock_s, seen - shortest + clock_s)


def interval_width(interval_s: float, latency_s: tuple[float, float], clock_s: float = 0.0) -> float:
    """Return how wide `reached` is with readings every D seconds: D + (Lmax - Lmin) + 2 d."""
    return interval_s + latency_s[1] - latency_s[0] + 2 * clock_s
