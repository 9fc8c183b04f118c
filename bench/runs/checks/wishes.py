"""What somebody wanted of a station, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bench.domain.evidence import Wanted
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import clock_text

_MOST: Final = 3


def limit_words(limit: ExpectedLimit | None) -> str:
    """Return a limit in words."""
    return "nothing" if limit is None else f"{limit.limit:g} {limit.unit}"


def wishes(wants: Iterable[Wanted]) -> str:
    """Return what was wanted, by whom and when; empty where nothing was."""
    told = [_wish(one) for one in {one.seq: one for one in wants}.values()]
    more = [f"and {len(told) - _MOST} more"] if len(told) > _MOST else []
    return "; ".join([*told[:_MOST], *more])


def _wish(want: Wanted) -> str:
    data = want.data
    by = f"wanted by the {data.get('by', 'operator')} at {clock_text(want.at)} (document {want.seq})"
    return f"{_limits(want)} at EVSE {data['evse']} by profile {data['profile_id']} ({data['purpose']}), {by}"


def _limits(want: Wanted) -> str:
    """Return the limits of a profile or a window; `a limit` for a profile that was broken on purpose."""
    window, profile = want.data.get("window"), want.data.get("profile")
    if window is not None:
        unit = window["unit"]
        span = f"from {window['begin']} to {window['end']} {window['zone']}"
        return f"{window['inside']:g} {unit} {span}, else {window['outside']:g} {unit}"
    try:
        schedule = (profile or {})["chargingSchedule"][0]
        periods = schedule["chargingSchedulePeriod"]
        unit = schedule["chargingRateUnit"]
        told = [f"{one['limit']:g} {unit}{_after(one) if len(periods) > 1 else ''}" for one in periods]
    except (LookupError, TypeError, ValueError):
        return "a limit"
    return f"{', '.join(told[:_MOST])}{' …' if len(told) > _MOST else ''}"


def _after(period: Mapping[str, Any]) -> str:
    return f" from {period['startPeriod']} s"
