"""What the reference meter showed around a moment and between two, for what a station says of the same."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.domain.evidence import Sample


@dataclass(frozen=True, slots=True)
class Between:
    """The least and the most that something was."""

    low: float
    high: float


class Reference:
    """The readings of one meter, in order of time."""

    def __init__(self, samples: Sequence[Sample], longest_gap_s: float) -> None:
        """`longest_gap_s`: a longer span without a reading shows nothing."""
        self._samples, self._longest_gap_s = samples, longest_gap_s
        self._times = [one.received for one in samples]
        self._power = [(one.received, one.power_w) for one in samples if one.power_w is not None]
        self._most_w = max([0.0, *(watts for _, watts in self._power)])
        self._register = [(one.received, one.energy_wh) for one in samples if one.energy_wh is not None]
        self._counted = list(_integral(self._power))
        self._gaps = {id(series): list(_gaps(series, longest_gap_s)) for series in (self._register, self._counted)}

    def around(self, start: float, end: float, value: Callable[[Sample], float | None]) -> Between | None:
        """Return what was read from `start` to `end` and just before and after; None where the readings do not reach so far."""
        first, last = max(0, bisect_right(self._times, start) - 1), bisect_left(self._times, end)
        if not self._samples or start < self._times[0] - self._longest_gap_s or end > self._times[-1] + self._longest_gap_s:
            return None
        chosen = self._samples[first : last + 1]
        edges = [min(start, chosen[0].received), *(one.received for one in chosen), max(end, chosen[-1].received)]
        values = [found for one in chosen if (found := value(one)) is not None]
        if not values or any(after - before > self._longest_gap_s for before, after in pairwise(edges)):
            return None
        return Between(min(values), max(values))

    def energy(self, start: float, end: float) -> Between | None:
        """Return the energy in Wh from `start` to `end` by register and by integral of power; None where neither shows it.

        They may differ: a register has coarse steps, and the integral knows nothing of what happened between two readings. Before
        the first reading and after the last one the most may have flowed that was ever seen.
        """
        found = []
        for series in (self._register, self._counted):
            ends = (_at(series, start, self._longest_gap_s), _at(series, end, self._longest_gap_s))
            if ends[0] is not None and ends[1] is not None and not self._gap(series, start, end):
                unseen_s = max(0.0, series[0][0] - start) + max(0.0, end - series[-1][0])
                found += [ends[1] - ends[0], ends[1] - ends[0] + self._most_w * unseen_s / 3600]
        return Between(min(found), max(found)) if found else None

    def integral(self, start: float, end: float) -> float | None:
        """Return the energy in Wh from `start` to `end` by the integral of power alone; None where the readings have a gap."""
        first, last = (_at(self._counted, one, self._longest_gap_s) for one in (start, end))
        if first is None or last is None or self._gap(self._counted, start, end):
            return None
        return last - first

    def register_step(self) -> float:
        """Return the step of the energy register in Wh: the smallest change between two readings; 0 for none."""
        changes = (after - before for (_, before), (_, after) in pairwise(self._register))
        return min((one for one in changes if one > 1e-9), default=0.0)

    def registered(self, start: float, end: float) -> float | None:
        """Return the energy in Wh from `start` to `end` by the register alone."""
        first, last = (_at(self._register, one, self._longest_gap_s) for one in (start, end))
        return None if first is None or last is None else last - first

    def _gap(self, series: Sequence[tuple[float, float]], start: float, end: float) -> bool:
        return any(first < end and start < last for first, last in self._gaps[id(series)])


def _gaps(series: Sequence[tuple[float, float]], longest_gap_s: float) -> Iterator[tuple[float, float]]:
    """Yield each span without a reading that is too long."""
    for (before, _), (after, _) in pairwise(series):
        if after - before > longest_gap_s:
            yield before, after


def _integral(power: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the energy in Wh since the first reading, by trapezoids."""
    total = 0.0
    for number, (at, watts) in enumerate(power):
        if number:
            before, earlier = power[number - 1]
            total += (watts + earlier) / 2 * (at - before) / 3600
        yield at, total


def _at(series: Sequence[tuple[float, float]], when: float, longest_gap_s: float) -> float | None:
    """Return the value at a moment, on the line between its neighbours; outside the series that of its nearest end."""
    if not series or not series[0][0] - longest_gap_s <= when <= series[-1][0] + longest_gap_s:
        return None
    index = bisect_right(series, (when, float("inf")))
    if index in (0, len(series)):
        return series[min(index, len(series) - 1)][1]
    (before, low), (after, high) = series[index - 1], series[index]
    return low + (high - low) * (when - before) / (after - before)
