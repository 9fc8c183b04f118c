"""Charging needs of an ISO 15118 EV: read them, and make a TxProfile of them (K15, K17)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.domain.quantities import moment, parse_time

MOST_SCHEDULES: Final = 3
"""K15.FR.07."""
DAY_S: Final = 86_400
"""A schedule without a known departure lasts so long, what ISO 15118-2 asks a schedule to cover."""
LONGEST_S: Final = 16_777_214
"""The largest start and duration of a relative time interval in ISO 15118-2."""
_PHASES: Final = {"AC_single_phase": 1, "AC_two_phase": 2, "AC_three_phase": 3, "DC": 3}


class NeedsError(ValueError):
    """Charging needs that cannot be met because they make no sense; says why."""


@dataclass(frozen=True, slots=True)
class ChargingNeeds:
    """What the EV asks for. Energy in Wh, currents in A per phase (DC: A), power in W; None where it is not told."""

    dc: bool
    phases: int
    energy_wh: float | None
    min_current_a: float
    max_current_a: float
    max_voltage_v: float
    max_power_w: float | None
    departure: float | None
    """Seconds since 1970 UTC."""
    tuples: int | None
    """maxScheduleTuples: how many periods the EV takes in a schedule."""

    @classmethod
    def from_ocpp(cls, request: Mapping[str, Any], now: float) -> ChargingNeeds:
        """Read a valid NotifyEVChargingNeedsRequest. Raises NeedsError that names the field.

        Exactly one of the AC and DC parameters is there and fits the requested transfer (K15.FR.06); what cannot be
        negative is not; the departure lies ahead.
        """
        needs = request["chargingNeeds"]
        transfer = needs["requestedEnergyTransfer"]
        ac, direct = needs.get("acChargingParameters"), needs.get("dcChargingParameters")
        if (ac is None) == (direct is None):
            which = "both acChargingParameters and dcChargingParameters" if ac else "neither AC nor DC parameters"
            raise NeedsError(f"{which} are given: it has to be one of them (K15.FR.06)")
        given = ac if ac is not None else direct
        if (transfer == "DC") != (direct is not None):
            raise NeedsError(f"requestedEnergyTransfer {transfer} does not fit the parameters that are given")
        for name in ("energyAmount", "evMinCurrent", "evMaxCurrent", "evMaxVoltage", "evMaxPower"):
            if given.get(name) is not None and given[name] < 0:
                raise NeedsError(f"{name} is {given[name]}: it cannot be negative")
        if given["evMaxCurrent"] < given.get("evMinCurrent", 0):
            raise NeedsError(f"evMaxCurrent {given['evMaxCurrent']} is below evMinCurrent {given['evMinCurrent']}")
        tuples = request.get("maxScheduleTuples")
        if tuples is not None and tuples < 1:
            raise NeedsError(f"maxScheduleTuples is {tuples}: a schedule has at least one")
        return cls(
            direct is not None, _PHASES[transfer], given.get("energyAmount"), given.get("evMinCurrent", 0), given["evMaxCurrent"],
            given["evMaxVoltage"], given.get("evMaxPower"), _departure(needs.get("departureTime"), now), tuples,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """What the EVSE can give: V per phase, A per phase, and what its station takes in a schedule."""

    units: tuple[str, ...]
    voltage_v: float
    phases: int
    max_current_a: float
    periods: int
    """SmartChargingCtrlr.PeriodsPerSchedule."""


def tx_profile(
    needs: ChargingNeeds, offer: Offer, now: float, *, profile_id: int, stack_level: int, transaction_id: str, schedules: int = 1
) -> dict[str, Any]:
    """Return a TxProfile that lets the EV take its energy until it departs, within what EV and EVSE can.

    Args: now: seconds since 1970 UTC. schedules: up to three alternatives, where EV and station take two periods: level (the
        lowest constant limit that suffices), early (as fast as possible, then the minimum), late (the minimum, then as fast
        as possible). One is recommended (K15.FR.18).
    Returns: a ChargingProfileType; limits in A per phase or W in total, rounded up to 0.1 and never above the maximum; no
        more periods than EV and station take (K15.FR.07). Energy that cannot be had in time gets the maximum.
    """
    dc = needs.dc
    unit = "W" if "W" in offer.units and (dc or "A" not in offer.units) else "A"
    phases = min(needs.phases, offer.phases)
    one_a = (needs.max_voltage_v if dc else offer.voltage_v * phases) or 1.0
    top_w = offer.max_current_a * offer.voltage_v * offer.phases if dc else min(needs.max_current_a, offer.max_current_a) * one_a
    if dc:
        top_w = min(top_w, needs.max_current_a * one_a, math.inf if needs.max_power_w is None else needs.max_power_w)
    low_w = min(top_w, needs.min_current_a * one_a)
    start = math.floor(now)
    span_s = DAY_S if needs.departure is None else max(1, min(LONGEST_S, math.floor(needs.departure) - start))
    level_w = top_w if needs.energy_wh is None else min(top_w, max(low_w, needs.energy_wh * 3600 / span_s))
    shapes: list[list[tuple[int, float]]] = [[(0, level_w)]]
    if needs.energy_wh is not None and top_w > low_w and min(offer.periods, needs.tuples or offer.periods) >= 2:
        above_wh = max(0.0, needs.energy_wh - low_w * span_s / 3600)
        full_s = math.ceil(above_wh * 3600 / (top_w - low_w))
        if 0 < full_s < span_s:
            shapes += [[(0, top_w), (full_s, low_w)], [(0, low_w), (span_s - full_s, top_w)]]

    def limit(power_w: float) -> float:
        most = top_w / one_a if unit == "A" else top_w
        value = power_w / one_a if unit == "A" else power_w
        return max(0.0, min(math.ceil(round(value * 10, 6)), math.floor(round(most * 10, 6))) / 10)

    def period(begin: int, power_w: float) -> dict[str, Any]:
        number = {} if dc else {"numberPhases": phases}
        return {"startPeriod": begin, "limit": limit(power_w), **number}

    return {
        "id": profile_id, "stackLevel": stack_level, "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute", "transactionId": transaction_id,
        "chargingSchedule": [
            {
                "id": number, "startSchedule": moment(start).strftime("%Y-%m-%dT%H:%M:%SZ"), "duration": span_s,
                "chargingRateUnit": unit, "chargingSchedulePeriod": [period(begin, power_w) for begin, power_w in shape],
            }
            for number, shape in enumerate(shapes[: max(1, min(schedules, MOST_SCHEDULES))], 1)
        ],
    }  # fmt: skip


def _departure(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    try:
        departure = parse_time(text)
    except ValueError:
        raise NeedsError(f"departureTime {text[:40]!r} is no date-time") from None
    if departure <= now:
        raise NeedsError(f"departureTime {text[:40]} has passed")
    return departure
