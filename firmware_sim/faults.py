"""The fault seam. A fault crosses as `{"id", "params"}` and is one class here, with any of these methods:

    on_set_profile(evse_id, profile) -> profile
        Station, after a profile was accepted and before it is installed: `profile` is a `profiles.Profile`; what is
        returned is installed instead, None installs nothing.
    limit_a(evse_id, t, ruling, max_a, amps) -> amps
        Station, whenever the limiter decides for an EVSE with a transaction: `t` seconds since 1970, `ruling` the
        `limiter.Ruling` of the profiles or None, `max_a` the EVSE's own maximum, `amps` what a sound station would apply.
    profiles(now, profiles) -> profiles
        Station, before the limiter looks at them: the installed profiles, a list.
    on_clear(store, profiles) -> profiles
        Station, at ClearChargingProfile: all installed profiles, and those that a sound station clears.
    report_found(store, profiles) -> profiles
        Station, at GetChargingProfiles: all installed profiles, and those that a sound station reports.
    notice(payload) -> payload
        Station, before NotifyChargingLimit, ClearedChargingLimit, NotifyEVChargingNeeds or NotifyEVChargingSchedule: a
        request of `ocpp.v201.call`; None sends nothing.
    ev_schedule_check(evse_id, schedule, inside) -> inside
        Station, on the EV's `ev_needs.Schedule`: whether it lies inside what was offered.
    needs_in_renegotiation(evse_id, told) -> told
        Station, when the CSMS begins a renegotiation: whether NotifyEVChargingNeeds is sent again.
    ev_plan(evse_id, amps) -> amps
        EV, whenever its agreed schedule changes: `amps` per phase that a sound EV does not exceed, infinity for none.
    composite(evse_id, periods) -> periods
        Station, before a composite schedule is reported: a list of `composite.CompositePeriod`.
    ev_current(evse_id, t, amps) -> amps
        EV, whenever it sets out for a new current: `amps` per phase that a sound EV settles at, `t` in loop seconds.
    registers(meter, values) -> values
        Meter, at each request: a dict of quantity to value in V, A, W, Wh or Hz, after the meter's own distortion.

The class has `ID`, `LAYER` (station, ev or meter), `TEXT` and `PARAMS` (name to meaning); its constructor takes the
parameters by name and raises ValueError on a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from firmware_sim.faults_external import EXTERNAL_FAULTS
from firmware_sim.limiter import Ruling

_SAME: Final = 1e-6


class IgnoresLimit:
    """The station goes on with what ruled before wherever its schedule says this limit; what it reports is right."""

    ID: ClassVar = "station.ignores-limit"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "periods with one limit are ignored: the limit before goes on, or the station's own maximum"
    PARAMS: ClassVar = {"limit": "the limit that is ignored, a number from 0 to 1000000", "unit": "W or A"}

    def __init__(self, *, limit: float, unit: str) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1e6:
            raise ValueError(f"{self.ID}: limit = {limit!r}: must be a number from 0 to 1000000")
        if unit not in ("A", "W"):
            raise ValueError(f"{self.ID}: unit = {unit!r}: must be A or W")
        self._limit, self._unit = float(limit), unit
        self._before: dict[int, float] = {}

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Keep the amperes of before while the ignored limit rules."""
        if ruling and ruling.unit == self._unit and abs(ruling.limit - self._limit) <= _SAME:
            return self._before.get(evse_id, max_a)
        self._before[evse_id] = amps
        return amps


FAULTS: Final[dict[str, Any]] = {one.ID: one for one in (IgnoresLimit, *EXTERNAL_FAULTS)}


def describe_faults() -> list[dict[str, Any]]:
    """Return id, layer, text and parameters of each fault that can be seeded."""
    return [{"id": id_, "layer": one.LAYER, "text": one.TEXT, "params": dict(one.PARAMS)} for id_, one in FAULTS.items()]


class FaultSeam:
    """The faults seeded so far; each point asks them in the order of seeding."""

    def __init__(self) -> None:
        self._seeded: list[Any] = []

    def seed(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault. Raises ValueError on an unknown id or a wrong parameter."""
        fault = FAULTS.get(fault_id)
        if fault is None:
            raise ValueError(f"unknown fault {fault_id!r}; known: {', '.join(sorted(FAULTS))}")
        known: Mapping[str, str] = fault.PARAMS
        if wrong := [key for key in params if key not in known] + [key for key in known if key not in params]:
            raise ValueError(f"{fault_id}: params must be exactly {', '.join(known)}; wrong or missing: {', '.join(wrong)}")
        self._seeded.append(fault(**params))

    def apply(self, point: str, *context: Any, value: Any) -> Any:
        """Return `value` after each seeded fault that has a method `point(*context, value)`."""
        for fault in self._seeded:
            method = getattr(fault, point, None)
            if method is not None:
                value = method(*context, value)
        return value
