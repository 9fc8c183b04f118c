"""The MeterValues of a station as values: each sampled value by its measurand, phase, location and context.

Source: OCPP 2.0.1 Part 2, SampledValueType: what is absent is Energy.Active.Import.Register at the Outlet, Sample.Periodic, Wh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.domain.exchange import Call

ENERGY: Final = "Energy.Active.Import.Register"
_UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "Wh": ("Wh", 1.0), "kWh": ("Wh", 1000.0), "W": ("W", 1.0), "kW": ("W", 1000.0), "A": ("A", 1.0), "V": ("V", 1.0),
}  # fmt: skip
_LARGEST_MULTIPLIER: Final = 18
UNIT_OF: Final[Mapping[str, str]] = {
    ENERGY: "Wh", "Power.Active.Import": "W", "Power.Offered": "W", "Current.Import": "A", "Current.Offered": "A", "Voltage": "V",
}  # fmt: skip
"""What is judged, with its unit."""


@dataclass(frozen=True, slots=True)
class StationValue:
    """One sampled value, in the base unit of its measurand."""

    call: Call
    evse_id: int
    transaction_id: str
    """Empty in MeterValues."""
    event: str
    """Started, Updated or Ended; empty in MeterValues."""
    timestamp: str
    context: str
    measurand: str
    phase: str
    location: str
    value: float
    unit: str

    @property
    def name(self) -> str:
        """Return what a report calls it."""
        return f"{self.measurand} {self.phase}".rstrip()


def station_values(call: Call, evse_id: int) -> Iterator[StationValue]:
    """Yield what one TransactionEvent or MeterValues carries; what has no number is left out.

    Args: evse_id: the EVSE whose transaction it is: a TransactionEvent names it once.
    """
    info = call.request.get("transactionInfo", {})
    for meter_value in call.request.get("meterValue", ()):
        for one in meter_value["sampledValue"]:
            unit = one.get("unitOfMeasure", {})
            base, factor = _UNITS.get(unit.get("unit", "Wh"), (unit.get("unit", "Wh"), 1.0))
            multiplier = unit.get("multiplier", 0)
            if abs(multiplier) > _LARGEST_MULTIPLIER or isinstance(one["value"], bool):
                continue
            yield StationValue(
                call, evse_id, info.get("transactionId", ""), call.request.get("eventType", ""), meter_value["timestamp"],
                one.get("context", "Sample.Periodic"), one.get("measurand", ENERGY), one.get("phase", ""),
                one.get("location", "Outlet"), float(one["value"]) * factor * 10.0**multiplier, base,
            )  # fmt: skip
