"""A meter's readings in spans over which one and the same limits bind them: only a span's highest reading has to be compared.

Instead of finding the limit of each of many readings, the few moments at which a limit changes are searched in the readings.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.domain.series import Floats, Series
from bench.domain.timeline import Timeline

DRAWING_A: Final = 0.5
"""A phase that carries more is in use."""


class Span(NamedTuple):
    """Readings first to last (by index, the last one not included) that are bound by the same limits."""

    first: int
    last: int
    highest: float | None
    """In the unit of the limit; None where no reading has a value."""
    requested: float
    received: float
    """Of its first reading."""
    settled: bool
    """Asked for once the limit in force was due."""


class PowerColumns:
    """The readings of one EVSE, split at each moment at which what binds them changes.

    Args:
        settle_s, latency_s, longest_gap_s: as the reading-wise comparison has them.
        voltage_v: nominal, for W as the sum of the phase currents; None where W limits are judged by the meter's own power.
    """

    def __init__(
        self,
        series: Series,
        limits: Timeline[Any],
        settle_s: float,
        latency_s: tuple[float, float],
        longest_gap_s: float,
        voltage_v: float | None = None,
    ) -> None:
        self._series, self._voltage_v = series, voltage_v
        requested, received = series.requested, series.received
        waits = np.diff(received)
        self.ordered = in_order(waits, requested)
        """Whether time never goes back; else the readings cannot be searched, and there are no spans."""
        self._before_gap: list[int] = np.flatnonzero(waits > longest_gap_s).tolist()
        self._highest: dict[str, list[float]] = {}
        if not self.ordered or not len(series):
            return
        shortest, longest = latency_s
        starts = np.array(limits.starts, np.float64)
        bounds = np.append(starts, limits.end)
        parts, due = received.searchsorted(bounds), requested.searchsorted(np.minimum(bounds[1:], starts + settle_s + longest))
        cuts = (first_at(requested, bounds, longest, settle_s), first_at(received, bounds, shortest), parts, due)
        ends = parts.tolist()
        self._parts = dict(zip(limits.starts, zip(ends, ends[1:], due.tolist(), strict=False), strict=True))
        edges = np.unique(np.concatenate(((0,), *cuts)))
        self._edges = edges[edges < len(series)]
        self.firsts: list[int] = self._edges.tolist()
        """Index of the first reading of each span; `asked` and `answered`: when it was requested and received."""
        self.asked: list[float] = requested[self._edges].tolist()
        self.answered: list[float] = received[self._edges].tolist()

    def part(self, start: float, end: float, settled_from: float) -> tuple[Series, Series, int]:
        """Return the readings of one segment of the limits, the settled ones among them, and the index of the first."""
        if self.ordered:
            first, last, due = self._parts[start]
            return self._series[first:last], self._series[max(first, due) : last], first
        first, last = bisect_left(self._series.received, start), bisect_left(self._series.received, end)
        part = self._series[first:last]
        return part, part.taken(part.requested >= settled_from), first

    def values(self, unit: str, part: Series) -> Floats:
        """Return each reading in the unit of a limit; NaN where there is none, as with power that counts backwards."""
        if unit == "A":
            return part.highest_a
        if self._voltage_v is None:
            power = part.power_w
            return np.where((power < 0) & (part.highest_a > DRAWING_A), np.nan, power)
        total: Floats = part.current_a[0] * 1.0
        for phase in part.current_a[1:]:
            total += phase
        total *= self._voltage_v
        return total

    def last_above(self, first: int, part: Series, limit: float, unit: str) -> int | None:
        """Return which of the readings of a segment, whose first has the index `first`, is the last one above a limit."""
        begin, end = 0, len(part)
        if self.ordered:
            over = [one for one in self.spans(first, first + end, 0.0, unit) if one.highest is not None and one.highest > limit]
            if not over:
                return None
            begin, end = over[-1].first - first, over[-1].last - first
        above = np.flatnonzero(self.values(unit, part[begin:end]) > limit)
        return begin + int(above[-1]) if len(above) else None

    def numbers(self, first: int, last: int) -> range:
        """Return the numbers of the spans of the readings of one segment, first to last."""
        return range(bisect_left(self.firsts, first), bisect_left(self.firsts, last))

    def tops(self, unit: str) -> Floats:
        """Return the highest reading of each span."""
        if unit != "A":
            tops: Floats = np.fmax.reduceat(self.values(unit, self._series), self._edges)
        else:
            tops = np.max([np.maximum.reduceat(phase, self._edges) for phase in self._series.current_a], axis=0)
        return tops + 0.0  # no negative zero

    def has_gap(self, part: Series) -> bool:
        """Say whether two neighbours are further apart than the longest gap; True where only a closer look can tell."""
        where = part.range_in(self._series)
        return where is None or bisect_left(self._before_gap, where.start) != bisect_left(self._before_gap, where.stop - 1)

    def spans(self, first: int, last: int, settled_from: float, unit: str) -> list[Span]:
        """Return the spans of the readings of one segment, first to last."""
        if unit not in self._highest:
            self._highest[unit] = self.tops(unit).tolist()
        highest, firsts = self._highest[unit], self.firsts
        found = []
        for index in self.numbers(first, last):
            start, top, asked = firsts[index], highest[index], self.asked[index]
            end = firsts[index + 1] if index + 1 < len(firsts) else len(self._series)
            found.append(Span(start, end, None if top != top else top, asked, self.answered[index], asked >= settled_from))
        return found


def in_order(waits: Floats, requested: Floats) -> bool:
    """Say whether neither the differences between neighbours nor the other column goes back."""
    return bool(len(waits) == 0 or waits.min() >= 0) and not bool((requested[1:] < requested[:-1]).any())


def first_at(column: Floats, bounds: Floats, *less: float) -> NDArray[np.int64]:
    """Return the first index of a column in order at which `value - less[0] - less[1] …` reaches each bound, to the last bit.

    The bounds are searched instead of the differences, which would be a column of their own; where rounding makes a
    difference the neighbours are tried.
    """
    found: NDArray[np.int64] = column.searchsorted(bounds + sum(less))

    def reached(index: NDArray[np.int64]) -> NDArray[np.bool_]:
        value = column[index]
        for one in less:
            value = value - one
        there: NDArray[np.bool_] = value >= bounds
        return there

    last = len(column) - 1
    while (early := (found > 0) & reached(np.maximum(found - 1, 0))).any():
        found = found - early
    while (late := (found <= last) & ~reached(np.minimum(found, last))).any():
        found = found + late
    return found


def phases_in_use(series: Series) -> NDArray[np.uint8]:
    """Return how many phases carry a current at each reading, 0 included."""
    count = np.zeros(len(series), np.uint8)
    for phase in series.current_a:
        count += phase > DRAWING_A
    return count


def drawn(series: Series, nominal_v: float, *, direct: bool) -> Floats:
    """Return what was drawn per phase in use, in A at nominal voltage; on DC from the power."""
    if not direct:
        return series.highest_a
    shared: Floats = np.nan_to_num(series.power_w, nan=0.0) / (nominal_v * np.maximum(1, phases_in_use(series)))
    return shared


def per_phase(series: Series, limit: float, unit: str, nominal_v: float) -> Floats | float:
    """Return a limit in A per phase at each reading, W shared by the phases in use."""
    if unit == "A":
        return limit
    shared: Floats = limit / (nominal_v * np.maximum(1, phases_in_use(series)))
    return shared
