"""How good a meter proves to be when it is read as fast as it can be: what a rig file says of its latency rests on this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import pstdev
from typing import Any, Final

STEP_W: Final = 100.0
"""A change of power that counts as a step of the load."""
MOVED_W: Final = 20.0
"""A change that may be the beginning of a step, if it is ten times the noise before it as well."""
SETTLED: Final = 0.02
"""Part of a step within which the power has settled."""
LEAST: Final = 5
"""Readings before and after a step that have to be quiet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading, in seconds of one clock."""

    requested_s: float
    received_s: float
    power_w: float | None
    raw: str
    """What was on the wire, to see whether anything changed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the load as the meter showed it."""

    from_w: float
    to_w: float
    ramp_s: float
    """From the last reading of the old power to the first that has settled at the new one."""


@dataclass(frozen=True, slots=True)
class MeterQuality:
    """What was found, in s and W; None where it was not shown."""

    readings: int
    seconds: float
    reply_s: dict[str, float]
    """From request to reply (a telegram: first to last byte): p50, p95, p99, max."""
    refresh_s: dict[str, float] | None
    """Between changes of the values: p50, p95, max."""
    refresh_histogram: dict[str, int]
    """How often an interval of so many tenths of a second lay between two changes."""
    noise_w: float | None
    """Standard deviation over the longest stretch without a step."""
    steps: tuple[Step, ...]
    latency_s: tuple[float, float]
    """What to write into the rig file."""
    not_shown: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def meter_quality(readings: Sequence[Reading]) -> MeterQuality:
    """Return what a series of readings in order of time shows. Raises ValueError for fewer than two readings.

    `latency_s` is [0, longest refresh interval + longest ramp + longest reply]: the time from a change to its *beginning* to show
    is not seen in the meter's own data, so the shortest stays 0.
    """
    if len(readings) < 2:
        raise ValueError(f"{len(readings)} readings: at least 2 are needed")
    replies = sorted(one.received_s - one.requested_s for one in readings)
    changes = [after.received_s for before, after in pairwise(readings) if after.raw != before.raw]
    intervals = sorted(after - before for before, after in pairwise(changes))
    powers = [(one.received_s, one.power_w) for one in readings if one.power_w is not None]
    steps, quiet = _steps(powers)
    missing = ["how long a change takes to begin to show: compare with another meter, or switch the load at a known moment"]
    if not intervals:
        missing.append("the refresh interval: the values changed less than twice; put a load on")
    if not steps:
        missing.append(f"the ramp after a step: there was no change of {STEP_W:g} W; switch a load while the command runs")
    if len(quiet) < LEAST:
        missing.append("the noise: the load was never constant")
    longest = (intervals[-1] if intervals else 0.0) + max((one.ramp_s for one in steps), default=0.0) + replies[-1]
    histogram: dict[str, int] = {}
    for one in intervals:
        key = f"{round(one, 1):g}"
        histogram[key] = histogram.get(key, 0) + 1
    return MeterQuality(
        len(readings), readings[-1].received_s - readings[0].received_s,
        {**_percentiles(replies), "p99": _at(replies, 0.99)},
        _percentiles(intervals) if intervals else None, histogram,
        pstdev(quiet) if len(quiet) >= LEAST else None, tuple(steps), (0.0, round(longest, 2)), tuple(missing),
    )  # fmt: skip


def _percentiles(ordered: Sequence[float]) -> dict[str, float]:
    return {"p50": _at(ordered, 0.5), "p95": _at(ordered, 0.95), "max": ordered[-1]}


def _at(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _steps(powers: Sequence[tuple[float, float]]) -> tuple[list[Step], list[float]]:
    """Return the steps, and the powers of the longest stretch between them."""
    steps: list[Step] = []
    longest: list[float] = []
    quiet: list[float] = []
    index = 0
    while index < len(powers):
        _, power = powers[index]
        if len(quiet) >= LEAST and abs(power - (level := _mean(quiet[-20:]))) > max(MOVED_W, 10 * pstdev(quiet[-20:])):
            last = powers[index - 1][0]
            settled = _settled(powers, index, level)
            if settled is None:
                break
            at, new_level = settled
            if abs(new_level - level) >= STEP_W:
                steps.append(Step(level, new_level, powers[at][0] - last))
            longest, quiet, index = max(longest, quiet, key=len), [], at
            continue
        quiet.append(power)
        index += 1
    return steps, max(longest, quiet, key=len)


def _settled(powers: Sequence[tuple[float, float]], index: int, level: float) -> tuple[int, float] | None:
    """Return the first reading from which the power stays within 2 % of the step for LEAST readings, and that power."""
    for at in range(index, len(powers) - LEAST + 1):
        window = [power for _, power in powers[at : at + LEAST]]
        if max(window) - min(window) <= max(SETTLED * abs(_mean(window) - level), STEP_W / 100):
            return at, _mean(window)
    return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
