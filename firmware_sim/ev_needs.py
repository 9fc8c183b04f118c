"""What an ISO 15118 EV tells its EVSE and what it makes of the schedules that it is offered. No I/O, no clock.

Schedules are lists of (seconds from their start, limit in A per phase). Source: ISO 15118-2 (ChargeParameterDiscovery,
PowerDelivery) as OCPP 2.0.1 Part 2, K15 to K17, speaks of it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

NEEDS_KEYS: Final = ("iso15118", "departure_s", "energy_wh", "max_schedule_tuples", "ev_profile", "requested_mode")
"""Properties of `vehicle` that are said over ISO 15118."""
PROFILES: Final = ("inside", "outside", "stubborn", "none")
MODES: Final = ("AC_single_phase", "AC_two_phase", "AC_three_phase", "DC")
MAX_TUPLES: Final = 1024
INSIDE: Final = 0.8
"""An EV that answers inside the schedule asks for this share of it."""
OUTSIDE: Final = 1.25
"""An EV that answers outside of it asks for this multiple, and at least OUTSIDE_A more."""
OUTSIDE_A: Final = 2.0
DEFAULT_HORIZON_S: Final = 86_400
MIN_CURRENT_A: Final = 6
MAX_AC_VOLTAGE_V: Final = 400
MAX_DC_VOLTAGE_V: Final = 920
_EPSILON: Final = 1e-6

Steps = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class EvNeeds:
    """The ISO 15118 side of an EV."""

    iso15118: bool = False
    """Whether it speaks ISO 15118 at all."""
    departure_s: float | None = None
    """From the moment it says so; None: not said."""
    energy_wh: float | None = None
    """What it asks for; None: what its battery still takes."""
    max_schedule_tuples: int = 24
    """Most entries of one schedule that it takes."""
    ev_profile: str = "none"
    """Which charging profile it returns: inside or outside the schedule that it chose, or none; a stubborn EV's is outside
    again and again, any other's inside once the CSMS has rejected it."""
    requested_mode: str | None = None
    """EnergyTransferModeEnumType; None: as its EVSE is, AC with the phases it has."""

    def changed(self, settings: Mapping[str, float | str]) -> tuple[EvNeeds, dict[str, Any]]:
        """Return the EV with these settings instead, and those settings that are not about ISO 15118.

        Raises: ValueError that names the key, the value and what is allowed.
        """
        mine = {key: value for key, value in settings.items() if key in NEEDS_KEYS}
        rest: dict[str, Any] = {key: value for key, value in settings.items() if key not in NEEDS_KEYS}
        new: dict[str, Any] = {}
        for key, value in mine.items():
            if key in ("ev_profile", "requested_mode"):
                known = PROFILES if key == "ev_profile" else MODES
                if value not in known:
                    raise ValueError(f"vehicle: {key} = {value!r}: must be one of {', '.join(known)}")
                new[key] = value
            elif key == "iso15118":
                if value not in (0, 1) or isinstance(value, str):
                    raise ValueError(f"vehicle: iso15118 = {value!r}: must be 0 or 1")
                new[key] = bool(value)
            elif key == "max_schedule_tuples":
                new[key] = int(_number(key, value, 1, MAX_TUPLES))
            else:
                new[key] = _number(key, value, 1, 1e6)
        return replace(self, **new), rest

    def mode(self, phases: int, dc: bool) -> str:
        """Return the mode that it requests with so many phases, or on DC."""
        return self.requested_mode or ("DC" if dc else MODES[phases - 1])


def _number(key: str, value: float | str, low: float, high: float) -> float:
    if isinstance(value, bool | str) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"vehicle: {key} = {value!r}: must be a number from {low:g} to {high:g}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule that an EV is offered or answers: limits over a time."""

    id: int
    """SAScheduleTupleID: the id of the CSMS's chargingSchedule."""
    start: float
    """Seconds since 1970 UTC."""
    duration_s: int
    steps: Steps
    number_phases: int

    @property
    def end(self) -> float:
        """Return when it no longer says anything."""
        return self.start + self.duration_s

    def limit_at(self, t: float) -> float:
        """Return the limit at a moment; infinity outside of the schedule's time."""
        if not self.start <= t < self.end:
            return math.inf
        return self.steps[bisect_right(self.steps, t - self.start, key=lambda one: one[0]) - 1][1]

    def edges(self) -> list[float]:
        """Return the moments at which it changes, its end included."""
        return [*(self.start + at for at, _ in self.steps), self.end]

    def next_edge(self, t: float) -> float:
        """Return the first of them after `t`; infinity when there is none."""
        return min((one for one in self.edges() if one > t), default=math.inf)


def within(own: Schedule, offered: Schedule) -> bool:
    """K15.FR.09, K16.FR.04, K17.FR.09: tell whether a schedule never exceeds another one."""
    moments = [t for t in (*own.edges(), *offered.edges()) if own.start <= t < own.end]
    return all(own.limit_at(t) <= offered.limit_at(t) + _EPSILON for t in moments)


def differ(one: Schedule, other: Schedule, since: float) -> bool:
    """Tell whether two schedules say different limits at any moment from `since` on that both are about."""
    end = min(one.end, other.end)
    moments = [since, *(t for t in (*one.edges(), *other.edges()) if since < t < end)]
    return any(abs(one.limit_at(t) - other.limit_at(t)) > _EPSILON for t in moments if t < end)


def shortened(steps: Sequence[tuple[int, float]], most: int) -> Steps:
    """Return a schedule of at most so many entries which nowhere allows more: the last entry takes the lowest of the rest."""
    if len(steps) <= most:
        return tuple(steps)
    return (*steps[: most - 1], (steps[most - 1][0], min(limit for _, limit in steps[most - 1 :])))


def choose(offered: Sequence[Schedule], max_current_a: float) -> Schedule:
    """Return the schedule that an EV picks: the one with the most energy for it, the first of equal ones."""

    def charge(schedule: Schedule) -> float:
        ends = [at for at, _ in schedule.steps[1:]] + [schedule.duration_s]
        return sum(min(limit, max_current_a) * (end - at) for (at, limit), end in zip(schedule.steps, ends, strict=True))

    return max(offered, key=charge)


def ev_answer(chosen: Schedule, ev_profile: str) -> Schedule | None:
    """Return the charging profile that the EV sends with PowerDeliveryReq; None where it sends none."""
    if ev_profile == "none":
        return None
    if ev_profile == "inside":
        steps = tuple((at, math.floor(limit * INSIDE * 10 + _EPSILON) / 10) for at, limit in chosen.steps)
    else:
        steps = tuple((at, round(max(limit * OUTSIDE, limit + OUTSIDE_A), 1)) for at, limit in chosen.steps)
    return replace(chosen, steps=steps)


def charging_needs(
    needs: EvNeeds,
    *,
    phases: int,
    max_current_a: float,
    battery_wh: float,
    soc_percent: float,
    departure: str | None,
    dc: bool = False,
) -> dict[str, Any]:
    """Return a ChargingNeedsType in snake case with AC or DC parameters, exactly one of them (K15.FR.06, K17.FR.06)."""
    mode = needs.mode(phases, dc)
    energy_wh = round(needs.energy_wh if needs.energy_wh is not None else battery_wh * (100 - soc_percent) / 100)
    content: dict[str, Any] = {"requested_energy_transfer": mode}
    if departure is not None:
        content["departure_time"] = departure
    if mode == "DC":
        content["dc_charging_parameters"] = {
            "ev_max_current": round(max_current_a),
            "ev_max_voltage": MAX_DC_VOLTAGE_V,
            "energy_amount": energy_wh,
            "state_of_charge": round(soc_percent),
            "ev_energy_capacity": round(battery_wh),
        }
    else:
        content["ac_charging_parameters"] = {
            "energy_amount": energy_wh,
            "ev_min_current": MIN_CURRENT_A,
            "ev_max_current": round(max_current_a),
            "ev_max_voltage": MAX_AC_VOLTAGE_V,
        }
    return content
