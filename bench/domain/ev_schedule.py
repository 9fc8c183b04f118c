"""The schedule that an ISO 15118 EV announces, against the schedules that it was given (K15.FR.11, K16.FR.06, K17.FR.11)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from bench.domain.charging_needs import LONGEST_S, Offer
from bench.domain.quantities import clock_text, parse_time

EDGE_S: Final = 1.0
"""OCPP times have whole seconds: an excess that lasts no longer is one of rounding."""
_SAME: Final = 1e-6
_Step = tuple[float, float, float, int | None]
"""Start and end in seconds since 1970 UTC, limit, numberPhases."""


def ev_schedule_breaks(
    request: Mapping[str, Any], profile: Mapping[str, Any], offer: Offer, *, dc: bool, ev_phases: int
) -> list[str]:
    """Return how a valid NotifyEVChargingScheduleRequest leaves the limits of a TxProfile; empty where it does not.

    The EV's periods count from timeBase. Its schedule's id names the CSMS's (K15.FR.19); one that names none has to lie
    inside at least one of them. Two schedules in A are compared per phase; else AC is taken as W = A x nominal V x phases
    (absent: 3 at most in the CSMS's, the EV's own in the EV's). Where the CSMS's schedule has not begun or has ended it
    says nothing, and nothing is judged.
    """
    ours, theirs = profile["chargingSchedule"], request["chargingSchedule"]
    try:
        base = parse_time(request["timeBase"])
    except (ValueError, OverflowError):
        return [f"timeBase {str(request['timeBase'])[:40]!r} is no date-time"]
    wrong = _malformed(theirs)
    if wrong:
        return [wrong]
    named = [one for one in ours if one["id"] == theirs["id"]]
    tried = [_excess(theirs, base, one, offer, dc, ev_phases) for one in named or ours]
    return min(tried, key=len, default=[])


def _malformed(schedule: Mapping[str, Any]) -> str:
    periods = schedule["chargingSchedulePeriod"]
    starts = [one["startPeriod"] for one in periods]
    if not periods:
        return "the EV's schedule is empty"
    if starts[0] != 0:
        return f"the EV's first period starts at {starts[0]}, not 0"
    if any(later <= earlier for earlier, later in pairwise(starts)):
        return "the EV's startPeriods do not ascend"
    bad = next((one["limit"] for one in periods if not math.isfinite(one["limit"]) or one["limit"] < 0), None)
    if bad is not None:
        return f"a limit of the EV is {bad}: it has to be a number of at least 0"
    longest = max(starts[-1], schedule.get("duration") or 0)
    if longest > LONGEST_S:
        return f"the EV's schedule is {longest} s long; ISO 15118-2 has at most {LONGEST_S} s"
    return ""


def _excess(theirs: Mapping[str, Any], base: float, ours: Mapping[str, Any], offer: Offer, dc: bool, ev_phases: int) -> list[str]:
    units = (theirs["chargingRateUnit"], ours["chargingRateUnit"])
    if dc and units[0] != units[1]:
        return [f"the EV's schedule is in {units[0]} and the CSMS's in {units[1]}: on DC one is not converted to the other"]
    start = parse_time(ours["startSchedule"]) if "startSchedule" in ours else base  # Relative: the EV's time is all there is
    if abs(base - start) > LONGEST_S:
        return [f"timeBase lies {abs(base - start):.0f} s from the start of schedule {ours['id']}"]
    limits = _steps(ours, start, math.inf)
    breaks = []
    for begin, end, wanted, phases in _steps(theirs, base, max(start + ours.get("duration", LONGEST_S), base)):
        for first, last, limit, allowed_phases in limits:
            low, high = max(begin, first), min(end, last)
            if high - low <= EDGE_S:
                continue
            mine, other = wanted, limit
            if not dc and units[0] != units[1]:
                count, most = phases or ev_phases, min(allowed_phases or 3, offer.phases)
                mine = wanted * offer.voltage_v * count if units[0] == "A" else wanted
                other = limit * offer.voltage_v * most if units[1] == "A" else limit
            unit = units[0] if units[0] == units[1] else "W"
            if mine > other + _SAME * max(1.0, other):
                breaks.append(f"{_plans(low)} {mine:g} {unit} where schedule {ours['id']} allows {other:g} {unit}")
            elif units == ("A", "A") and not dc and phases and allowed_phases and phases > allowed_phases and wanted > 0:
                breaks.append(f"{_plans(low)} {phases} phases where schedule {ours['id']} allows {allowed_phases}")
    return breaks


def _plans(at: float) -> str:
    return f"from {clock_text(at)} the EV plans"


def _steps(schedule: Mapping[str, Any], start: float, end: float) -> list[_Step]:
    if schedule.get("duration") is not None:
        end = start + schedule["duration"]
    periods = schedule["chargingSchedulePeriod"]
    edges = [*(start + one["startPeriod"] for one in periods), math.inf]
    return [
        (edges[index], min(edges[index + 1], end), float(one["limit"]), one.get("numberPhases"))
        for index, one in enumerate(periods)
        if edges[index] < end
    ]
