"""How an instrument differs from the truth: the station's own meter and each independent meter have their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from firmware_sim.physics import Truth


@dataclass(frozen=True, slots=True)
class Distortion:
    """Errors of one instrument; all zero shows the truth."""

    gain_percent: float = 0.0
    """Of current, power and energy."""
    offset_a: float = 0.0
    """Added to each phase current that flows."""
    resolution_a: float = 0.0
    """Step of the last digit of a current; 0 for none."""
    resolution_w: float = 0.0
    resolution_wh: float = 0.0
    latency_s: float = 0.0
    """The instrument shows the truth of so many seconds ago; at most 600."""

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], where: str) -> Distortion:
        """Read it from plain data. Raises ValueError that names the key and the value."""
        known = [field.name for field in fields(cls)]
        for key, value in spec.items():
            if key not in known:
                raise ValueError(f"{where}: unknown key {key!r}; known: {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{where}: {key} = {value!r}: must be a number")  # noqa: TRY004  bad input, whatever its type
            if not -1000 < value <= 600 or (value < 0 and key not in ("gain_percent", "offset_a")):
                raise ValueError(f"{where}: {key} = {value!r}: out of range")
        return cls(**{key: float(value) for key, value in spec.items()})

    def current(self, amperes: float) -> float:
        """Return a phase current as the instrument shows it."""
        if amperes == 0.0:
            return 0.0
        return _step(amperes * (1 + self.gain_percent / 100) + self.offset_a, self.resolution_a)

    def power(self, truth: Truth, phase: int) -> float:
        """Return the power in W of one phase (0 to 2) as the instrument shows it."""
        amperes = truth.current_a[phase]
        shown = amperes * (1 + self.gain_percent / 100) + self.offset_a if amperes else 0.0
        return _step(truth.voltage_v[phase] * shown, self.resolution_w)

    def energy(self, watt_hours: float) -> float:
        """Return the cumulative energy in Wh as the instrument shows it."""
        return _step(watt_hours * (1 + self.gain_percent / 100), self.resolution_wh)


NO_DISTORTION: Final = Distortion()


def _step(value: float, resolution: float) -> float:
    return round(value / resolution) * resolution if resolution else value
