"""What charging profiles ask for over time: brought to one unit, merged, and cut into windows that a station can hold.

Pure. Nothing here ever gives more power than was asked for: of two limits the lower one counts, conversions round down, and what
comes after a window is held at the lowest limit that is still to come.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil, floor, inf
from typing import Final

from bench.wire.ocpi.mapping import EvseSupply, NotConvertibleError, convert
from bench.wire.ocpi.profiles import MOST_PERIODS, ChargingProfile

CLOCK_S: Final = 60.0
"""So far a station's clock may be off: a window says what is asked from so long before it is sent to so long after."""


@dataclass(frozen=True, slots=True)
class Span:
    """One limit over a half-open time, in seconds of the calendar (POSIX); an end at infinity is none."""

    start: float
    end: float
    limit: float


@dataclass(frozen=True, slots=True)
class Window:
    """What a station is given of a schedule, and when the next part of it is due."""

    profile: ChargingProfile
    renew_at: float | None
    """In seconds of the calendar; None where nothing is left out."""


def spans_of(profile: ChargingProfile, anchor: datetime | None) -> list[Span]:
    """Return what a profile asks for; before its start, and after its duration, it asks for nothing.

    Args: anchor: when the transaction began, from which a relative profile counts.
    Raises: NotConvertibleError for a relative profile where that is not known.
    """
    start = profile.start_date_time or anchor
    if start is None:
        raise NotConvertibleError("a relative profile cannot be merged or cut: it is not known when this transaction began")
    origin = start.timestamp()
    end = inf if profile.duration is None else origin + profile.duration
    starts = [origin + one.start_period for one in profile.charging_profile_period]
    limits = [one.limit for one in profile.charging_profile_period]
    found = zip(starts, [*starts[1:], end], limits, strict=True)
    return joined([Span(begin, min(until, end), limit) for begin, until, limit in found if begin < min(until, end)])


def asks(profile: ChargingProfile, at: float, anchor: datetime | None) -> bool:
    """Say whether a profile asks for anything at a moment; a relative one whose begin is not known does."""
    start = profile.start_date_time or anchor
    since = at if start is None else start.timestamp()
    return since <= at < (inf if profile.duration is None else since + profile.duration)


def end_of(profile: ChargingProfile, anchor: datetime | None) -> float:
    """Return from when on a profile asks for nothing any more; infinity for never, and where its begin is not known."""
    start = profile.start_date_time or anchor
    return inf if start is None or profile.duration is None else start.timestamp() + profile.duration


def common_unit(profiles: Sequence[ChargingProfile], supply: EvseSupply) -> str:
    """Return the unit to merge in: their own where all agree, else A where the station has it, for A bounds each phase."""
    units = {one.charging_rate_unit for one in profiles}
    return str(units.pop()) if len(units) == 1 else "A" if "A" in supply.rate_units else "W"


def merge(
    profiles: Sequence[ChargingProfile], unit: str, supply: EvseSupply, anchor: datetime | None,
    counting: Callable[[set[int]], Collection[int]] = lambda there: there,
) -> list[Span]:  # fmt: skip
    """Return the lowest of all limits at each moment; nothing where no profile asks for anything.

    Args: counting: given the indexes of the profiles that ask for something at a moment, returns those that count then.

    Edges lie on whole seconds, as OCPP needs them: within a second that two limits share, the lower one counts.
    Raises: NotConvertibleError.
    """
    lines = [_converted(profile, unit, supply, anchor) for profile in profiles]
    if len(lines) == 1:
        return lines[0]
    edges = sorted({edge for line in lines for one in line for at in (one.start, one.end) for edge in _whole(at)})
    starts = [[one.start for one in line] for line in lines]
    found = []
    for begin, end in pairwise(edges):
        there = {index: limits for index, line in enumerate(lines) if (limits := _touching(line, starts[index], begin, end))}
        if there:
            found.append(Span(begin, end, min(limit for index in counting(set(there)) for limit in there[index])))
    return joined(found)


def joined(spans: Sequence[Span]) -> list[Span]:
    """Return spans in which equal neighbours are one."""
    found: list[Span] = []
    for one in spans:
        if found and found[-1].end == one.start and found[-1].limit == one.limit:
            one = Span(found.pop().start, one.end, one.limit)
        found.append(one)
    return found


def window(spans: Sequence[Span], now: float, unit: str, most: int, clock_s: float = CLOCK_S) -> Window | None:
    """Return the first part of what is left of a schedule, in at most `most` periods; None where it is all in the past.

    A TxProfile that runs out would raise power, and so would one with a gap that nobody fills in time. So whatever does not
    go into the window is held, until the end of the whole schedule, at the lowest limit that is still to come.

    One that has not begun would raise it too, and a station may be behind by `clock_s`, or ahead: what is asked for from so long
    before to so long after now goes in. Where that alone is too much, the first spans of it are one, at their lowest limit.
    """
    left = [one for one in spans if one.end > now - clock_s]
    if not left or left[-1].end <= now:
        return None
    most = max(1, min(most, MOST_PERIODS))
    run = next((index for index, (one, other) in enumerate(pairwise(left), start=1) if one.end != other.start), len(left))
    if run == len(left) <= most:
        return Window(_profile(left, unit), None)
    moves_on = left[0].end + clock_s
    over = sum(one.start <= now + clock_s for one in left[:run]) - (most - 1)
    merged = most > 1 and over > 0
    if merged:
        left, run = [_lowest(left[0].start, left[: over + 1]), *left[over + 1 :]], run - over
    kept = min(run, most - 1)
    since = left[kept - 1].end if kept else left[0].start
    held = [_lowest(since, left[kept:])] if left[kept:] else []
    used_up = since + clock_s if kept == run else since - clock_s  # a gap has to have begun by any clock
    due = min(used_up, moves_on) if merged else used_up if kept else moves_on
    return Window(_profile(joined([*left[:kept], *held]), unit), due)


def _lowest(start: float, spans: Sequence[Span]) -> Span:
    return Span(start, spans[-1].end, min(one.limit for one in spans))


def _profile(spans: Sequence[Span], unit: str) -> ChargingProfile:
    start, end = spans[0].start, spans[-1].end
    periods = [{"start_period": round(one.start - start), "limit": one.limit} for one in spans]
    raw = {"start_date_time": datetime.fromtimestamp(start, UTC), "charging_rate_unit": unit, "charging_profile_period": periods}
    if end != inf:
        raw["duration"] = round(end - start)
    return ChargingProfile.model_validate(raw)


def _converted(profile: ChargingProfile, unit: str, supply: EvseSupply, anchor: datetime | None) -> list[Span]:
    given = profile.charging_rate_unit
    return [Span(one.start, one.end, convert(one.limit, given, unit, supply)) for one in spans_of(profile, anchor)]


def _whole(at: float) -> tuple[float, ...]:
    return (at,) if at == inf else (float(floor(at)), float(ceil(at)))


def _touching(line: Sequence[Span], starts: Sequence[float], begin: float, end: float) -> list[float]:
    """Return the limits of all spans that have a part of a cell."""
    index = max(0, bisect_right(starts, begin) - 1)
    found = []
    while index < len(line) and line[index].start < end:
        if line[index].end > begin:
            found.append(line[index].limit)
        index += 1
    return found
