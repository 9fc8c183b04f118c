"""A car that takes an exact current, and a meter that scatters: what an operating curve is drawn with."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Final

from firmware_sim.faults.metering import _METER, _OfMeter


class Draws:
    """The EV draws one current to the last digit."""

    ID: ClassVar = "EV.draws"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "while it charges the EV draws exactly so much, whatever is offered"
    PARAMS: ClassVar[dict[str, str]] = {"amps": "A per phase, a number from 0 to 80"}

    def __init__(self, *, amps: float) -> None:
        if isinstance(amps, bool) or not isinstance(amps, int | float) or not 0 <= amps <= 80:
            raise ValueError(f"{self.ID}: amps = {amps!r}: must be a number from 0 to 80")
        self._amps = float(amps)

    def ev_current(self, evse_id: int, t: float, amps: float) -> float:
        """Draw it."""
        return self._amps


class Noise(_OfMeter):
    """Single readings scatter."""

    ID: ClassVar = "meter.noise"
    TEXT: ClassVar = "single readings of currents that flow scatter, and the powers with them"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": _METER,
        "amps": "standard deviation of a phase current, a number from 0 to 10",
        "seed": "of the draws, a whole number from 0 to 1000000000",
    }

    def __init__(self, *, meter: str, amps: float, seed: int) -> None:
        super().__init__(meter)
        self._amps = self._number("amps", amps, 0, 10)
        self._draw = Random(self._whole("seed", seed, 0, 1_000_000_000))

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Add to each phase current, and what that makes to the powers."""
        if not self._hits(meter):
            return values
        shown = dict(values)
        for phase in (1, 2, 3):
            amps = shown.get(f"current_l{phase}", 0.0)
            if not amps:
                continue
            error = self._draw.gauss(0.0, self._amps)
            watts = error * shown.get(f"voltage_l{phase}", 0.0)
            shown[f"current_l{phase}"] = amps + error
            shown[f"power_l{phase}"] = shown.get(f"power_l{phase}", 0.0) + watts
            shown["power_total"] = shown.get("power_total", 0.0) + watts
        return shown


INEXACT_FAULTS: Final[tuple[Any, ...]] = (Draws, Noise)
