"""The composite schedule that the station reports: the pointwise limiter asked at every moment at which it may change.

Where no profile limits, the EVSE's own maximum fills the gap; whether it also caps what profiles say is a feature of the
station. Source: OCPP 2.0.1 Part 2, K08.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.limiter import Limiter, Ruling, Situation, lowest
from firmware_sim.profiles import Profile
from firmware_sim.seam import Seam, Sound

MOST_PERIODS: Final = 1000
"""A schedule carries at most 1024 periods; beyond this the report ends early and says so by its duration."""
MOST_STEPS: Final = 5000
"""Nor are more changes looked at than this, however many of them are equal."""


@dataclass(frozen=True, slots=True)
class EvseView:
    """What the calculation needs to know of one EVSE."""

    evse_id: int
    max_current_a: float
    phases: int
    transaction_id: str | None
    transaction_start: float | None

    def situation(self, t: float, start: float) -> Situation:
        """Return it at `t`, as if a transaction began at `start` where none runs (K08.FR.06)."""
        began = start if self.transaction_start is None else self.transaction_start
        return Situation(self.evse_id, t, self.transaction_id, began)


@dataclass(frozen=True, slots=True)
class StationView:
    """What the calculation needs to know of the station."""

    evses: Sequence[EvseView]
    max_current_a: float | None = None
    """Its own limit, A per phase over all EVSEs (K04.FR.02)."""
    local_limit: str = "filler"
    """`cap`: the EVSE's own maximum also caps what profiles say."""


@dataclass(frozen=True, slots=True)
class CompositePeriod:
    """One period of a composite schedule, `start_s` counted from its start."""

    start_s: int
    limit: float
    number_phases: int


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule: its periods, and for how many seconds they hold, at most as many as were asked for."""

    duration_s: int
    periods: list[CompositePeriod]


def composite_schedule(
    installed: Sequence[Profile], limiter: Limiter, station: StationView, evse_id: int, start: float, duration_s: int, unit: str,
    *, seam: Seam | None = None,
) -> Composite:  # fmt: skip
    """Return the limits from `start` (whole seconds since 1970) for `duration_s`, equal neighbours merged.

    Args:
        station: EVSEs without a transaction count as if one began at `start` (K08.FR.06).
        evse_id: one EVSE, or 0 for the expected consumption of the whole station (K08.FR.03).
        duration_s: 0 gives the limit of this moment. Decades are cut at MOST_PERIODS and MOST_STEPS.
        unit: A per phase or W in total, with one decimal, never rounded up.
    """
    seam = seam or Sound()
    asked = [one for one in station.evses if evse_id in (0, one.evse_id)]

    def profiles_at(situation: Situation) -> list[Profile]:
        seen: list[Profile] = seam.apply("profiles", situation, value=list(installed))
        return seen

    ask = (_station if evse_id == 0 else _evse)(profiles_at, limiter, station, asked, start, unit)
    periods: list[CompositePeriod] = []
    t, steps = start, 0
    while not periods or t < start + duration_s:
        steps += 1
        if len(periods) >= MOST_PERIODS or steps > MOST_STEPS:
            duration_s = math.floor(t - start)
            break
        ruling = ask(t)
        value = ruling.watts(limiter.voltage_v) if unit == "W" else ruling.amps
        period = CompositePeriod(math.ceil(t - start), math.floor(value * 10 + 1e-6) / 10, ruling.number_phases)
        if periods and periods[-1].start_s == period.start_s:
            periods[-1] = period  # two changes within one second: the later one counts
        elif not periods or (periods[-1].limit, periods[-1].number_phases) != (period.limit, period.number_phases):
            periods.append(period)
        situations = [one.situation(t, start) for one in asked]
        t = min(limiter.next_change(profiles_at(one), t, one.transaction_start) for one in situations)
    return Composite(duration_s, periods)


_See = Callable[[Situation], list[Profile]]
_Ask = Callable[[float], Ruling]


def _local(view: EvseView) -> Ruling:
    return Ruling(view.max_current_a, view.max_current_a, "A", view.phases, 0, "")


def _ruling(see: _See, limiter: Limiter, station: StationView, view: EvseView, now: Situation, *, shared: bool) -> Ruling:
    found = limiter.ruling(
        see(now), view.evse_id, now.t, transaction_id=now.transaction_id, transaction_start=now.transaction_start,
        with_shared=shared,
    )  # fmt: skip
    capped = lowest(found, _local(view)) if station.local_limit == "cap" else found
    if capped is None:
        return _local(view)
    if capped.number_phases > view.phases:  # imposed on the phases that are there (K01.FR.45)
        return replace(capped, limit=capped.amps, unit="A", number_phases=view.phases)
    return capped


def _evse(see: _See, limiter: Limiter, station: StationView, asked: Sequence[EvseView], start: float, unit: str) -> _Ask:
    (view,) = asked
    return lambda t: _ruling(see, limiter, station, view, view.situation(t, start), shared=True)


def _station(see: _See, limiter: Limiter, station: StationView, asked: Sequence[EvseView], start: float, unit: str) -> _Ask:
    def ask(t: float) -> Ruling:
        rulings = [_ruling(see, limiter, station, view, view.situation(t, start), shared=False) for view in asked]
        total = _sum(rulings, limiter.voltage_v, unit)
        if station.max_current_a is not None and station.max_current_a < total.amps:
            total = Ruling(station.max_current_a, station.max_current_a, "A", total.number_phases, 0, "")
        for cap in limiter.caps(see(Situation(0, t)), t):
            total = _within(total, cap, limiter.voltage_v, unit)
        return total

    return ask


def _within(total: Ruling, cap: Ruling, voltage_v: float, unit: str) -> Ruling:
    """Return the sum, or a limit of the station where that is lower in the unit asked for, on the lower number of phases.

    Power is compared with power and current with current (K08.FR.04). A sum in W stays what the EVSEs take in all, whatever
    the number of phases that the station's limit is for (K08.FR.03).
    """
    phases = min(total.number_phases, cap.number_phases)
    if unit == "A":
        return replace(total, amps=min(total.amps, cap.amps), number_phases=phases)
    watts = min(total.watts(voltage_v), cap.watts(voltage_v))
    return Ruling(watts / (voltage_v * phases), watts, "W", phases, 0, "")


def _sum(rulings: Sequence[Ruling], voltage_v: float, unit: str) -> Ruling:
    """Return the sum over the EVSEs in the unit asked for, on as many phases as the one with the most."""
    phases = max(one.number_phases for one in rulings)
    if unit == "W":
        watts = sum(one.watts(voltage_v) for one in rulings)
        return Ruling(watts / (voltage_v * phases), watts, "W", phases, 0, "")
    amps = sum(one.amps for one in rulings)
    return Ruling(amps, amps, "A", phases, 0, "")
