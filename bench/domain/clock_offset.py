"""How far a station's clock is from the bench's, from readings of `ClockCtrlr.DateTime` between two moments of the bench.

Each reading bounds the offset: the station read its clock after the request left and before the answer came, and what it
wrote was cut off to its resolution. Readings around the roll-over of a second make the bounds meet, even where the station
writes whole seconds only. Times are in seconds since 1970 UTC; an offset is the station's time less the bench's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.quantities import parse_time

_FRACTION: Final = re.compile(r"\d[.,](\d+)")
_ROUNDING_S: Final = 1e-6
"""Moments are kept in whole microseconds."""
DRIFT_PPM: Final = 1_000.0
"""A clock that gains or loses faster does not drift, it jumps."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One answer to GetVariables of ClockCtrlr.DateTime."""

    sent: float
    """Bench time just before the request left."""
    received: float
    """Bench time when the answer was there."""
    text: str
    """The value as the station wrote it."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The station's time less the bench's: it lies within `offset_s` plus and minus `uncertainty_s`."""

    offset_s: float
    uncertainty_s: float
    resolution_s: float
    """The smallest step that was seen in what the station writes: 1 for whole seconds."""
    readings: int
    rollovers: int
    """How many readings pinned the change of a second: the bounds of two neighbours met there."""
    drift_ppm: float | None = None
    """How fast the offset grows, where the readings show that it does."""
    jumped: bool = False
    """The readings fit no single offset and no steady drift; the offset is that of the last ones."""


Bounds = tuple[float, float]


def estimate_offset(readings: Sequence[ClockReading]) -> ClockOffset:
    """Return the offset that the readings allow.

    Args: readings: in the order of time, at least one.
    Returns: the middle of the bounds that all readings share, plus and minus half their width. Where they share none, the
        readings are split into runs that do: a steady drift is told as such, anything else is a jump, and the offset is the
        last run's; a drift's uncertainty covers all that the last run may have moved.
    Raises: ValueError where a text is no date-time, or without a reading.
    """
    if not readings:
        raise ValueError("the clock was never read")
    resolution = resolution_of([one.text for one in readings])
    runs: list[tuple[Bounds, list[ClockReading]]] = []
    for one in readings:
        bounds = bounds_of(one, resolution)
        shared = _shared(runs[-1][0], bounds) if runs else None
        if shared is None:
            runs.append((bounds, [one]))
        else:
            runs[-1] = (shared, [*runs[-1][1], one])
    (low, high), last = runs[-1]
    offset, width = (low + high) / 2, (high - low) / 2
    rollovers = _rollovers(readings, resolution)
    if len(runs) == 1:
        return ClockOffset(offset, width, resolution, len(readings), rollovers)
    drift = _drift(runs)
    if drift is None:
        return ClockOffset(offset, width, resolution, len(readings), rollovers, jumped=True)
    moved = abs(drift) * 1e-6 * (last[-1].received - last[0].sent)
    return ClockOffset(offset, width + moved, resolution, len(readings), rollovers, drift_ppm=drift)


def bounds_of(reading: ClockReading, resolution: float) -> Bounds:
    """Return the lowest and highest offset that one reading allows: the text is the true time cut off to `resolution`."""
    told = parse_time(reading.text)
    return told - reading.received - _ROUNDING_S, told + resolution - reading.sent + _ROUNDING_S


def resolution_of(texts: Sequence[str]) -> float:
    """Return what the digits of the texts resolve, in s; where no fraction is ever other than zero, that is 1 s."""
    fractions = [found.group(1) if (found := _FRACTION.search(text)) else "" for text in texts]
    digits = max((len(one.rstrip("0")) for one in fractions), default=0)
    return max(1e-6, 10.0**-digits) if digits else 1.0


def wait_for_rollover(readings: Sequence[ClockReading], now: float, *, lead_s: float) -> float:
    """Return how long to wait so that a request that is read `lead_s` after its sending meets the station's next second.

    Args: lead_s: half of the usual round trip. Returns: at least 0, below 1 s.
    """
    estimate = estimate_offset(readings)
    station = now + lead_s + estimate.offset_s
    return (-station) % 1.0


def _shared(one: Bounds, other: Bounds) -> Bounds | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def _rollovers(readings: Sequence[ClockReading], resolution: float) -> int:
    """Count the readings that came within the round trip of the change of the station's second."""
    estimate = bounds_of(readings[-1], resolution)
    for one in readings:
        estimate = _shared(estimate, bounds_of(one, resolution)) or bounds_of(one, resolution)
    offset, width = sum(estimate) / 2, (estimate[1] - estimate[0]) / 2
    count = 0
    for one in readings:
        middle = (one.sent + one.received) / 2 + offset
        reach = width + (one.received - one.sent) / 2 + 0.01
        distance = abs(middle - round(middle))
        count += distance <= reach < 0.5
    return count


def _drift(runs: Sequence[tuple[Bounds, list[ClockReading]]]) -> float | None:
    """Return the drift in ppm that the first and last run show; None where the runs between do not lie on it."""
    points = [((bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2, _middle(among)) for bounds, among in runs]
    (first, _, begin), (last, _, end) = points[0], points[-1]
    if len(points) < 3 or end <= begin:
        return None
    slope = (last - first) / (end - begin)
    fits = all(abs(first + slope * (at - begin) - offset) <= width + 0.05 for offset, width, at in points[1:-1])
    return slope * 1e6 if fits and abs(slope) * 1e6 <= DRIFT_PPM else None


def _middle(readings: Sequence[ClockReading]) -> float:
    return (readings[0].sent + readings[-1].received) / 2
