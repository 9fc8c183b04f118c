"""The EV: what it wants, what it can do, and how it follows the pilot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.ev_needs import NEEDS_KEYS
from firmware_sim.pilot import MIN_CURRENT_A

_RANGES: Final = {
    "phases": (1, 3),
    "max_current_a": (MIN_CURRENT_A, 80),
    "dead_time_s": (0, 300),
    "ramp_up_a_s": (0.01, 1000),
    "ramp_down_a_s": (0.01, 1000),
    "offset_a": (0, 5),
    "battery_wh": (1, 1_000_000),
    "soc_percent": (0, 100),
    "taper_soc_percent": (0, 99.9),
    "efficiency": (0.1, 1),
    "wants_a": (0, 80),
}
FULL_SOC_PERCENT: Final = 99.95
"""From here on the battery asks for nothing."""


@dataclass(frozen=True, slots=True)
class ElectricVehicle:
    """One EV with an on-board charger on AC. Currents are per phase."""

    phases: int = 3
    max_current_a: float = 16.0
    """The on-board charger's own limit."""
    dead_time_s: float = 1.0
    """From a new duty cycle to the first reaction."""
    ramp_up_a_s: float = 4.0
    ramp_down_a_s: float = 8.0
    offset_a: float = 0.5
    """How far it stays below the offer in steady state."""
    battery_wh: float = 60_000.0
    soc_percent: float = 20.0
    """State of charge when it was put before the EVSE."""
    taper_soc_percent: float = 80.0
    """Above it the current falls linearly, to zero when full."""
    efficiency: float = 0.9
    """Energy into the battery per energy from the grid."""
    wants_a: float = 80.0
    """Demand; 0 asks for nothing."""
    plan_a: float = math.inf
    """What it agreed over ISO 15118 to take at most; not a setting."""

    def goal_a(self, offer_a: float, soc_percent: float) -> float:
        """Return the current per phase that it settles at; 0 when it does not charge.

        Args:
            offer_a: what the pilot allows, A per phase; below 6 A an EV does not charge.
            soc_percent: state of charge now.
        """
        if offer_a < MIN_CURRENT_A or not self.wants_energy(soc_percent):
            return 0.0
        return self.follows_a(offer_a, soc_percent)

    def follows_a(self, offer_a: float, soc_percent: float) -> float:
        """Return the current per phase that it settles at once it charges."""
        wanted = min(self.wants_a, self.max_current_a, self.plan_a)
        if soc_percent > self.taper_soc_percent:
            wanted = min(wanted, self.max_current_a * (100 - soc_percent) / (100 - self.taper_soc_percent))
        return max(0.0, min(wanted, offer_a - self.offset_a))

    def asks_for_a(self, soc_percent: float) -> float:
        """Return the current per phase that it would draw if nothing limited it."""
        return self.goal_a(math.inf, soc_percent)

    def wants_energy(self, soc_percent: float) -> bool:
        """Tell whether it would charge if it may."""
        return self.wants_a > 0 and soc_percent < FULL_SOC_PERCENT

    def changed(self, settings: Mapping[str, float]) -> ElectricVehicle:
        """Return the EV with these settings instead. Raises ValueError that names the key, the value and the range."""
        for key, value in settings.items():
            if key not in _RANGES:
                raise ValueError(f"vehicle: unknown key {key!r}; known: {', '.join((*_RANGES, *NEEDS_KEYS))}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"vehicle: {key} = {value!r}: must be a number")  # noqa: TRY004  bad input, whatever its type
            low, high = _RANGES[key]
            if not low <= value <= high:
                raise ValueError(f"vehicle: {key} = {value!r}: must be from {low:g} to {high:g}")
        if settings.get("phases", 1) not in (1, 2, 3):
            raise ValueError(f"vehicle: phases = {settings['phases']!r}: must be 1, 2 or 3")
        numbers = {key: int(value) if key == "phases" else float(value) for key, value in settings.items()}
        return replace(self, **numbers)  # type: ignore[arg-type]
