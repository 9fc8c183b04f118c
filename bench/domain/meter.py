"""What one reading of an independent meter says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Quantity = Literal[
    "voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
    "power_l1", "power_l2", "power_l3", "power_total", "energy_import", "energy_export", "frequency",
]  # fmt: skip
"""What a meter measures, by the names that settings give it."""


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One reading. Power is in W, import positive; energy in Wh, cumulative; None where the meter has no such register."""

    requested: datetime
    """Just before the first request left."""
    received: datetime
    """Just after the last reply came; the reading lies between the two."""
    voltage_v: tuple[float | None, float | None, float | None]
    current_a: tuple[float | None, float | None, float | None]
    power_w: float | None
    phase_power_w: tuple[float | None, float | None, float | None]
    energy_import_wh: float | None
    frequency_hz: float | None
    registers: dict[str, str]
    """Raw registers in hexadecimal by block, e.g. `{"input:0x0000": "4366…"}`, so that they can be decoded again."""
    quality: str = "ok"
    stamp: str = ""
    """When the meter itself says that it measured, as RFC 3339 with its zone; empty where it does not tell. No judge uses it as
    the moment of the reading."""

    def as_document(self, meter: str) -> dict[str, Any]:
        """Return the data of a `meter.sample` document."""
        return {
            "meter": meter,
            "requested": self.requested,
            "received": self.received,
            "voltage_v": self.voltage_v,
            "current_a": self.current_a,
            "power_w": self.power_w,
            "phase_power_w": self.phase_power_w,
            "energy_import_wh": self.energy_import_wh,
            "frequency_hz": self.frequency_hz,
            "registers": self.registers,
            "quality": self.quality,
            **({"stamp": self.stamp} if self.stamp else {}),
        }


def bare_number(serial_number: str) -> str:
    """Return a serial number without what differs from plate to register: blanks, hyphens, case, leading zeros."""
    return re.sub(r"[\s-]", "", serial_number).casefold().lstrip("0")
