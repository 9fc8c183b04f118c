"""What readings may show at most: the limits that were in force in the settling time and meter latency before each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.domain.decision import DecisionRule, passes
from bench.domain.evidence import EvseFacts, Limits
from bench.domain.oracle import ExpectedLimit
from bench.domain.power_columns import PowerColumns
from bench.domain.series import Floats
from bench.runs.checks.plateaus import Scale


class Spans(NamedTuple):
    """The spans of readings that the same limits bind, in one unit, each judged by its highest reading."""

    tops: list[float]
    """The highest reading; NaN where none has a value."""
    allowed: Floats
    judged: list[bool]
    """It has a reading and a limit."""
    passed: list[bool]
    """It passes beyond doubt, or is not judged."""


class Bounds:
    """The limits of one EVSE, ready to be looked up for many readings at once."""

    def __init__(self, evse: EvseFacts, limits: Limits, settle_s: float) -> None:
        self._evse, self._limits, self._settle_s = evse, limits, settle_s
        self._starts = np.array(limits.starts, np.float64)
        self._values: dict[str, Floats] = {}

    def of(self, requested: Floats, received: Floats, unit: str) -> Floats:
        """Return the highest limit of the span before each reading, in `unit`; NaN where nothing limited."""
        limits, (shortest, longest) = self._limits, self._evse.latency_s
        begin, end = requested - longest - self._settle_s, received - shortest
        if unit not in self._values:
            self._values[unit] = np.array([*(self._value(one, unit) for one in limits.values), np.nan])
        first = np.maximum(self._starts.searchsorted(begin, "right") - 1, 0)
        last = self._starts.searchsorted(end, "right")
        highest = np.maximum.reduceat(self._values[unit], np.stack((first, last), axis=1).ravel())[::2]
        known = (begin >= limits.start) & (begin < limits.end) & (last > first)
        return np.where(known, highest, np.nan)

    def spans(self, columns: PowerColumns, unit: str, scale: Scale, rule: DecisionRule) -> Spans:
        """Compare the highest reading of each span with what bound it."""
        tops = columns.tops(unit)
        asked, answered = np.array(columns.asked, np.float64), np.array(columns.answered, np.float64)
        allowed = self.of(asked, answered, unit)
        tolerances = np.array([0.0 if one is None else self.tolerance(one) for one in self._limits.values])
        border = allowed + tolerances[self._starts.searchsorted(answered, "right") - 1]
        judged = ~(np.isnan(allowed) | np.isnan(tops))
        passed = passes(tops, border, scale.expanded_of(tops, scale.noise_of(tops)), rule)
        return Spans(tops.tolist(), allowed, judged.tolist(), (passed | ~judged).tolist())

    def tolerance(self, limit: ExpectedLimit) -> float:
        """Return what the product may exceed a limit by, in the unit of the limit."""
        watts = self._evse.supply.voltage_v * limit.number_phases if limit.unit == "W" else 1.0
        return self._evse.product_tolerance_a * watts

    def _value(self, limit: ExpectedLimit | None, unit: str) -> float:
        if limit is None or (self._evse.current_type == "DC" and limit.unit != unit):
            return np.nan
        in_unit = limit.limit_a if unit == "A" else limit.watts(self._evse.supply)
        return max(0.0, limit.limit if limit.unit == unit else in_unit)
