"""The composite schedule that the station reports: the pointwise limiter asked at every moment at which it may change.

Where no profile limits, the EVSE's own maximum fills the gap; it is no cap on what profiles say. Source: OCPP 2.0.1 Part 2, K08.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from firmware_sim.limiter import Limiter, Ruling, lowest, next_change
from firmware_sim.profiles import Profile


@dataclass(frozen=True, slots=True)
class EvseView:
    """What the calculation needs to know of one EVSE."""

    evse_id: int
    max_current_a: float
    phases: int
    transaction_id: str | None
    transaction_start: float | None


@dataclass(frozen=True, slots=True)
class CompositePeriod:
    """One period of a composite schedule, `start_s` counted from its start."""

    start_s: int
    limit: float
    number_phases: int


def composite_schedule(
    store: Iterable[Profile], limiter: Limiter, evses: list[EvseView], evse_id: int, start: float, duration_s: int, unit: str
) -> list[CompositePeriod]:
    """Return the limits from `start` (whole seconds since 1970) for `duration_s`, equal neighbours merged.

    Args:
        evses: all EVSEs of the station; those without a transaction count as if one began at `start` (K08.FR.06).
        evse_id: one EVSE, or 0 for the expected consumption of the whole station (K08.FR.03).
        unit: A per phase or W in total, with one decimal, never rounded up.
    """
    profiles = list(store)
    ask = _station(profiles, limiter, evses) if evse_id == 0 else _evse(profiles, limiter, evses[evse_id - 1])
    anchors = [view.transaction_start if view.transaction_start is not None else start for view in evses]
    periods: list[CompositePeriod] = []
    t = start
    while t < start + duration_s:
        ruling = ask(t, start)
        value = ruling.watts(limiter.voltage_v) if unit == "W" else ruling.amps
        period = CompositePeriod(math.ceil(t - start), math.floor(value * 10 + 1e-6) / 10, ruling.number_phases)
        if periods and periods[-1].start_s == period.start_s:
            periods[-1] = period  # two changes within one second: the later one counts
        elif not periods or (periods[-1].limit, periods[-1].number_phases) != (period.limit, period.number_phases):
            periods.append(period)
        t = min(next_change(profiles, t, anchor) for anchor in anchors)
    return periods


def _local(view: EvseView) -> Ruling:
    return Ruling(view.max_current_a, view.max_current_a, "A", view.phases, 0, "")


def _begun(view: EvseView, start: float) -> float:
    return start if view.transaction_start is None else view.transaction_start


def _evse(profiles: list[Profile], limiter: Limiter, view: EvseView) -> Callable[[float, float], Ruling]:
    def ask(t: float, start: float) -> Ruling:
        found = limiter.ruling(
            profiles, view.evse_id, t, transaction_id=view.transaction_id, transaction_start=_begun(view, start)
        )
        return found or _local(view)

    return ask


def _station(profiles: list[Profile], limiter: Limiter, evses: list[EvseView]) -> Callable[[float, float], Ruling]:
    def ask(t: float, start: float) -> Ruling:
        rulings = [
            limiter.ruling(
                profiles,
                view.evse_id,
                t,
                transaction_id=view.transaction_id,
                transaction_start=_begun(view, start),
                with_station_max=False,
            )
            or _local(view)
            for view in evses
        ]
        amps = sum(one.amps for one in rulings)
        total = Ruling(amps, amps, "A", max(one.number_phases for one in rulings), 0, "")
        return lowest(total, limiter.station_max(profiles, t)) or total

    return ask
