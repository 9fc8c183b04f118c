"""How long a current takes to follow a step of the limit, from readings of a meter that shows it late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurrentSample:
    """One reading: the highest current of the EVSE's phases, in A, and the total power, in W where the meter tells it."""

    requested: float
    received: float
    current_a: float
    power_w: float | None = None


def plateau(samples: Sequence[CurrentSample], hold_s: float, spread_a: float) -> float | None:
    """Return the mean current of the last `hold_s` seconds; None where they are not covered or spread more than `spread_a`."""
    if not samples or samples[-1].received - samples[0].requested < hold_s:
        return None
    held = [one.current_a for one in samples if one.received >= samples[-1].received - hold_s]
    return sum(held) / len(held) if max(held) - min(held) <= spread_a else None


def settling_interval(
    samples: Sequence[CurrentSample], final_a: float, tolerance_a: float, latency_s: tuple[float, float], since: float
) -> tuple[float, float] | None:
    """Return the shortest and longest time in s from `since` to the current's being within `tolerance_a` of `final_a` for good.

    Args:
        samples: in order of time, from before the change on.
        latency_s: the meter's shortest and longest: a reading shows the current of received minus the one, at the latest, and
            of requested minus the other, at the earliest.
    Returns: None where the last sample is not within, or none is.
    """
    outside = [number for number, one in enumerate(samples) if abs(one.current_a - final_a) > tolerance_a]
    first = outside[-1] + 1 if outside else 0
    if first >= len(samples):
        return None
    longest = max(0.0, samples[first].received - latency_s[0] - since)
    shortest = max(0.0, samples[outside[-1]].requested - latency_s[1] - since) if outside else 0.0
    return shortest, longest
