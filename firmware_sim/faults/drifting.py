"""A meter that drifts: it was sound when it was proven, and is no more."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

from firmware_sim.faults.network import number


class Drift:
    """Power and current, or the energy, are no longer what they were."""

    ID: ClassVar = "meter.drift"
    LAYER: ClassVar = "meter"
    TEXT: ClassVar = "from a moment on currents and powers, or the energy that is counted, are off by a factor that may grow"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": "name of the meter, * for all", "from_s": "seconds from the first request after which it begins",
        "over_s": "how long it grows, s", "factor": "what it is multiplied by at the end, such as 1.05",
        "of": "power (with the currents), or energy",
    }  # fmt: skip

    def __init__(self, *, meter: str, from_s: float, over_s: float, factor: float, of: str) -> None:
        if not isinstance(meter, str) or not meter:
            raise ValueError(f"{self.ID}: meter = {meter!r}: must be the name of a meter, or *")
        if of not in ("power", "energy"):
            raise ValueError(f"{self.ID}: of = {of!r}: must be power or energy")
        self._meter, self._of_power = meter, of == "power"
        self._from_s, self._over_s = number("from_s", from_s), number("over_s", over_s)
        self._share = number("factor", factor) - 1
        self._began: dict[str, float] = {}
        self._counted: dict[str, tuple[float, float]] = {}
        """By meter: the true energy at the last look, and what was counted too much until then."""

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Scale what drifts."""
        if self._meter not in ("*", meter):
            return values
        age = t - self._began.setdefault(meter, t) - self._from_s
        grown = min(1.0, age / self._over_s if self._over_s else math.inf)
        off = self._share * grown if age >= 0 else 0.0
        if self._of_power:
            return {name: one * (1 + off) if name.startswith(("current", "power")) else one for name, one in values.items()}
        true, more = self._counted.get(meter, (values["energy_import"], 0.0))
        more += (values["energy_import"] - true) * off
        self._counted[meter] = values["energy_import"], more
        return {**values, "energy_import": values["energy_import"] + more}


DRIFT_FAULTS: Final[tuple[Any, ...]] = (Drift,)
