"""A meter's readings in spans over which one and the same limits bind them: only a span's highest reading has to be compared.

Instead of finding the limit of each of many readings, the few moments at which a limit changes are searched in the readings.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
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
    settled: bool
    """Asked for once the limit in force was due."""


class PowerColumns:
    """The readings of one EVSE, split at each moment at which what binds them changes.

    Args:
        settle_s, latency_s, pending: as the reading-wise comparison has them; `pending` spans, each (asked, answered), stretch
            the end of what binds a reading.
        voltage_v: nominal, for W as the sum of the phase currents; None where W limits are judged by the meter's own power.
    """

    def __init__(
        self,
        series: Series,
        limits: Timeline[Any],
        settle_s: float,
        latency_s: tuple[float, float],
        pending: Sequence[tuple[float, float]] = (),
        voltage_v: float | None = None,
    ) -> None:
        self._series, self._voltage_v = series, voltage_v
        requested, received = series.requested, series.received
        self.ordered = not (np.any(requested[1:] < requested[:-1]) or np.any(received[1:] < received[:-1]))
        """Whether time never goes back; else the readings cannot be searched, and there are no spans."""
        self._values: dict[str, Floats] = {}
        self._highest: dict[str, list[float]] = {}
        if not self.ordered or not len(series):
            return
        shortest, longest = latency_s
        starts = np.array(limits.starts, np.float64)
        bounds = np.append(starts, limits.end)
        begin, plain = requested - longest - settle_s, received - shortest
        until = plain.copy() if pending else plain
        for asked, answered in pending:
            under_way = slice(int(np.searchsorted(plain, asked)), int(np.searchsorted(plain, answered, "right")))
            np.maximum(until[under_way], answered, out=until[under_way])
        settled = np.minimum(bounds[1:], starts + settle_s + longest)
        cuts = (
            np.searchsorted(begin, bounds), np.searchsorted(until, bounds), np.searchsorted(received, bounds),
            np.searchsorted(requested, settled),
        )  # fmt: skip
        edges = np.unique(np.concatenate(((0,), *cuts)))
        self._edges = edges[edges < len(series)]
        self._firsts: list[int] = self._edges.tolist()

    def values(self, unit: str) -> Floats:
        """Return each reading in the unit of a limit; NaN where there is none, as with power that counts backwards."""
        if unit not in self._values:
            self._values[unit] = self._in_unit(unit)
        return self._values[unit]

    def _in_unit(self, unit: str) -> Floats:
        current = self._series.current_a
        if unit != "A" and self._voltage_v is not None:
            total: Floats = current[0].copy()
            for phase in current[1:]:
                total += phase
            total *= self._voltage_v
            return total
        highest = _over_phases(np.maximum, current)
        if unit == "A":
            return highest
        power = self._series.power_w
        return np.where((power < 0) & (highest > DRAWING_A), np.nan, power)

    def spans(self, first: int, last: int, settled: int, unit: str) -> list[Span]:
        """Return the spans of the readings of one segment; its readings from index `settled` on are settled."""
        if unit not in self._highest:
            self._highest[unit] = np.fmax.reduceat(self.values(unit), self._edges).tolist()
        highest, firsts = self._highest[unit], self._firsts
        found = []
        for index in range(bisect_left(firsts, first), bisect_left(firsts, last)):
            start, top = firsts[index], highest[index]
            end = firsts[index + 1] if index + 1 < len(firsts) else len(self._series)
            found.append(Span(start, end, None if top != top else top, start >= settled))
        return found


def _over_phases(reduce: Callable[..., Any], current: NDArray[Any]) -> Floats:
    """Return what a function of two columns makes of all phases, one after another."""
    column = current[0]
    for phase in current[1:]:
        column = reduce(column, phase)
    return column


def phases_in_use(series: Series) -> NDArray[np.int64]:
    """Return how many phases carry a current at each reading, 0 included."""
    count = np.zeros(len(series), np.int64)
    for phase in series.current_a:
        count += phase > DRAWING_A
    return count


def drawn(series: Series, nominal_v: float, *, direct: bool) -> Floats:
    """Return what was drawn per phase in use, in A at nominal voltage; on DC from the power."""
    if not direct:
        return _over_phases(np.maximum, series.current_a)
    shared: Floats = np.nan_to_num(series.power_w, nan=0.0) / (nominal_v * np.maximum(1, phases_in_use(series)))
    return shared


def per_phase(series: Series, limit: float, unit: str, nominal_v: float) -> Floats | float:
    """Return a limit in A per phase at each reading, W shared by the phases in use."""
    return limit if unit == "A" else limit / (nominal_v * np.maximum(1, phases_in_use(series)))
