"""The planner of the mock SCSP: prices, a solar surplus or one limit become an OCPI ChargingProfile. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.errors import UsageError
from bench.wire.ocpi.mapping import merged, round_down
from bench.wire.ocpi.types import utc_text


def plan_day_ahead(
    prices: Sequence[float],
    curve_start: datetime,
    *,
    start: datetime,
    departure: datetime,
    levels_w: Sequence[float],
    energy_wh: float,
    interval_s: int = 3600,
) -> dict[str, Any]:
    """Return the ChargingProfile (W, total of all phases) that gets the energy in the cheapest intervals.

    The fewest cheapest intervals are taken whose limits, for a whole interval each, add up to the need. They are dealt out
    to the levels above 0, the highest level first, in parts as equal as possible: the cheapest ones get the highest
    level, and those left over go to the higher levels. Ties go to the earlier one. Every other interval gets 0.

    Args:
        prices: one per interval (an hour, a quarter) from `curve_start`, in any one unit; negative ones are fine.
        start: when the session started; only intervals wholly between it and `departure` count for energy.
        levels_w: the limits that may be used.
    Returns: a profile from the interval that contains `start` to the end of the curve, equal neighbours merged.
    Raises: UsageError, which names need and possible, where the need cannot be met.
    """
    step = timedelta(seconds=interval_s)
    first = (start - curve_start) // step
    if not 0 <= first < len(prices):
        raise UsageError(f"the prices from {utc_text(curve_start)} do not cover the session's start {utc_text(start)}")
    usable = [
        index
        for index in range(first, len(prices))
        if curve_start + index * step >= start and curve_start + (index + 1) * step <= departure
    ]
    cheapest = sorted(usable, key=lambda index: (prices[index], index))
    levels = sorted((level for level in levels_w if level > 0), reverse=True)
    dealt = _fewest(levels, energy_wh, len(cheapest), interval_s / 3600)
    limits = [0.0] * len(prices)
    for index, level in zip(cheapest, dealt, strict=False):
        limits[index] = float(level)
    return {
        "start_date_time": utc_text(curve_start + first * step),
        "duration": (len(prices) - first) * interval_s,
        "charging_rate_unit": "W",
        "charging_profile_period": merged(limits[first:], interval_s),
    }


def _fewest(levels: Sequence[float], need_wh: float, most: int, hours: float) -> list[float]:
    """Return a level for each of the fewest intervals (of so many hours) that reach the need, the highest first."""
    possible_wh = 0.0
    for count in range(most + 1):
        dealt = _deal(levels, count)
        possible_wh = sum(dealt) * hours
        if possible_wh >= need_wh:
            return dealt
    where = f"in the {most} whole price intervals before departure"
    raise UsageError(f"the plan needs {need_wh:g} Wh, but only {possible_wh:g} Wh are possible {where}")


def _deal(levels: Sequence[float], count: int) -> list[float]:
    if not levels:
        return []
    each, left_over = divmod(count, len(levels))
    return [level for rank, level in enumerate(levels) for _ in range(each + (rank < left_over))]


def flat(limit: float, unit: str, start: datetime) -> dict[str, Any]:
    """Return the ChargingProfile of one limit from `start` on, without an end."""
    periods = [{"start_period": 0, "limit": round_down(limit)}]
    return {"start_date_time": utc_text(start), "charging_rate_unit": unit, "charging_profile_period": periods}


def plan_solar(
    surplus_w: Sequence[float], curve_start: datetime, *, start: datetime, interval_s: int = 900, least_w: float = 0.0
) -> dict[str, Any]:
    """Return the ChargingProfile (W) that never asks for more than the surplus: its limits are the curve, rounded down.

    Args:
        surplus_w: what is left over in each interval from `curve_start` on; negative ones count as 0.
        start: of the profile; before the curve begins its limit is 0.
        least_w: a car takes nothing below this: where there is less, the limit is 0.
    Returns: a profile without an end, whose last limit is 0: of the time after the curve no surplus is known.
    Raises: UsageError where the curve is over before `start`.
    """
    first = max(0, (start - curve_start) // timedelta(seconds=interval_s))
    if first >= len(surplus_w):
        raise UsageError(f"the surplus from {utc_text(curve_start)} is over before {utc_text(start)}")
    begin, limits = start.replace(microsecond=0), [max(0.0, round_down(one)) if one >= least_w else 0.0 for one in surplus_w]
    periods: list[dict[str, Any]] = [{"start_period": 0, "limit": limits[first] if curve_start <= start else 0.0}]
    for index in range(first, len(limits) + 1):
        at = int((curve_start + timedelta(seconds=index * interval_s) - begin).total_seconds())
        limit = limits[index] if index < len(limits) else 0.0
        if at > 0 and limit != periods[-1]["limit"]:
            periods.append({"start_period": at, "limit": limit})
    return {"start_date_time": utc_text(begin), "charging_rate_unit": "W", "charging_profile_period": periods}


def brought_to(curve_start: datetime, length_s: float, start: datetime) -> datetime:
    """Return the start of a curve, moved by whole days where it does not cover `start`: yesterday's curve taken for today's."""
    if curve_start <= start < curve_start + timedelta(seconds=length_s):
        return curve_start
    return curve_start + (start - curve_start) // timedelta(days=1) * timedelta(days=1)
