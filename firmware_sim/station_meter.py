"""The station's own meter: what it reports in MeterValues, with errors of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firmware_sim.distortion import Distortion
from firmware_sim.physics import Truth
from firmware_sim.plant import EvsePlant


class StationMeter:
    """Measures one EVSE for the station."""

    def __init__(
        self, plant: EvsePlant, phases: int, w_per_a: float, distortion: Distortion, *, dc: bool = False,
        tells_offered: bool = True,
    ) -> None:  # fmt: skip
        """`w_per_a` is what one ampere costs in W: per phase, or (`dc`) at the EV."""
        self._plant, self._phases, self._w_per_a, self._distortion = plant, phases, w_per_a, distortion
        self._dc, self._tells_offered = dc, tells_offered

    def sample(self, context: str, measurands: Sequence[str], offered_a: float) -> list[dict[str, Any]]:
        """Return a list of SampledValueType.

        Args:
            context: ReadingContextEnumType.
            measurands: which, in this order; at least the energy register is always there.
            offered_a: what the pilot offers now, A per phase.
        """
        truth = self._plant.truth(self._distortion.latency_s)
        told = [name for name in measurands if self._tells_offered or not name.endswith(".Offered")]
        names = told or ("Energy.Active.Import.Register",)
        values = [value for name in names for value in self._values(name, truth, offered_a)]
        return [
            {"value": value, "context": context, "measurand": name, **phase, "unitOfMeasure": {"unit": unit}}
            for name, phase, value, unit in values
        ]

    def power_w(self) -> str:
        """Return the power in W as it shows it."""
        truth = self._plant.truth(self._distortion.latency_s)
        return str(round(sum(self._distortion.power(truth, phase) for phase in range(self._phases)), 1))

    def _values(self, name: str, truth: Truth, offered_a: float) -> list[tuple[str, dict[str, str], float, str]]:
        if name == "Energy.Active.Import.Register":
            return [(name, {}, round(self._distortion.energy(truth.energy_wh), 3), "Wh")]
        if name == "Power.Active.Import":
            power = sum(self._distortion.power(truth, phase) for phase in range(self._phases))
            return [(name, {}, round(power, 1), "W")]
        if name == "Current.Import":
            return [
                (name, {"phase": f"L{phase + 1}"}, round(self._distortion.current(truth.current_a[phase]), 3), "A")
                for phase in range(self._phases)
            ]
        if name == "Voltage":
            return [(name, {"phase": f"L{phase + 1}-N"}, round(truth.voltage_v[phase], 1), "V") for phase in range(self._phases)]
        if name == "Current.Offered":
            return [(name, {}, round(offered_a, 3), "A")]
        lines = 1 if self._dc else len(self._plant.lines)
        return [(name, {}, round(offered_a * self._w_per_a * lines, 1), "W")]
