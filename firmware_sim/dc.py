"""DC charging: the EVSE converts, the EV says what it takes, and the meter sits in the AC supply.

What is offered is a current at the EV in A, agreed by digital communication (pilot at 5 %), down to any current. At a fixed
battery voltage and efficiency one ampere there costs GRID_W_PER_A at the grid, and so a limit in W counts at the grid, which
is what a composite schedule reports (OCPP 2.0.1 Part 2, K08.FR.03), while a limit in A is the EV's. numberPhases and
phaseToUse are ignored (K01.FR.44).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.ev import ElectricVehicle
from firmware_sim.physics import EvsePhysics, Truth

BATTERY_V: Final = 400.0
CONVERTER_EFFICIENCY: Final = 0.95
"""DC out per AC in."""
GRID_W_PER_A: Final = BATTERY_V / CONVERTER_EFFICIENCY
AC_LINES: Final = 3
"""The converter takes the same from each phase."""
DIGITAL_DUTY_PERCENT: Final = 5.0
"""IEC 61851-1: the pilot says that the current is agreed digitally."""


@dataclass(frozen=True, slots=True)
class DcVehicle(ElectricVehicle):
    """An EV on DC: any current above zero will do, and it takes exactly what is offered."""

    phases: int = 1
    max_current_a: float = 60.0
    offset_a: float = 0.0
    efficiency: float = CONVERTER_EFFICIENCY

    def changed(self, settings: Mapping[str, float]) -> ElectricVehicle:
        """Return the EV with these settings instead; how many phases it takes on AC is nothing to its DC inlet."""
        return replace(ElectricVehicle.changed(self, settings), phases=1)

    def goal_a(self, offer_a: float, soc_percent: float) -> float:
        """Return the current in A that it settles at; 0 when it does not charge."""
        return self.follows_a(offer_a, soc_percent) if offer_a > 0 and self.wants_energy(soc_percent) else 0.0


class DcEvsePhysics(EvsePhysics):
    """One DC EVSE and its EV. Inside, currents are the EV's, and energy and power those at the grid."""

    def __init__(self, evse_id: int, t: float, *, ac_voltage_v: float, **seam: object) -> None:
        """`ac_voltage_v` is the supply's, phase to neutral; `seam` as for EvsePhysics."""
        super().__init__(evse_id, t, phases=1, voltage_v=GRID_W_PER_A, **seam)  # type: ignore[arg-type]
        self._ac_voltage_v = ac_voltage_v

    def truth(self, t: float) -> Truth:
        """Return what is there at `t` in the AC supply."""
        inside = super().truth(t)
        volts, current = self._ac_voltage_v, inside.power_w / (AC_LINES * self._ac_voltage_v)
        return Truth((volts, volts, volts), (current, current, current), inside.power_w, inside.energy_wh)

    def output(self, t: float) -> Truth:
        """Return what is there at `t` at the output, on L1."""
        inside = super().truth(t)
        amps = inside.current_a[0]
        share = CONVERTER_EFFICIENCY
        return Truth((BATTERY_V, 0.0, 0.0), (amps, 0.0, 0.0), BATTERY_V * amps, inside.energy_wh * share)

    def supply(self, t: float, volts: float) -> None:
        """Let the AC supply have another voltage: the converter takes the same power from it."""
        self.advance(t)
        self._ac_voltage_v = volts

    def visible_duty(self) -> float | None:
        """Return the duty cycle that a probe at the pilot sees."""
        return None if super().visible_duty() is None else DIGITAL_DUTY_PERCENT

    def _vehicle(self) -> ElectricVehicle:
        return DcVehicle()

    def _current_for(self, signal: float | None) -> float:
        """Return the current that the signal offers: it is the current."""
        return signal or 0.0
