"""What the station measured in a session, as charging periods: energy, time, power, current and state of charge.

Source: mod_cdrs (ChargingPeriod, CdrDimensionType). A period ends where the next one begins, and with the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from bench.domain.tariff_cost import Period
from bench.wire.ocpi.types import utc_text

ENERGY: Final = "Energy.Active.Import.Register"
POWER, CURRENT, SOC = "Power.Active.Import", "Current.Import", "SoC"
SESSION_ONLY: Final = ("CURRENT", "POWER", "STATE_OF_CHARGE")
"""Dimensions that a CDR must not have."""
NOT_REQUESTING: Final = ("EVConnected", "SuspendedEV", "Idle")
"""Charging states in which the vehicle asks for no power (PARKING_TIME). SuspendedEVSE is none: there it asks in vain."""
_MOST_TENS: Final = 24
"""A reading with another multiplier is nonsense and is left out."""
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Reading:
    """One sampled value in base units (Wh, W, A, percent); `phase` empty: of all phases."""

    measurand: str
    value: float
    phase: str = ""


@dataclass(slots=True)
class Periods:
    """The measured periods of one session; the first reading of the energy register is its start."""

    begin: datetime
    """Of the period that runs."""
    charging: bool = False
    first_wh: float | None = None
    first_at: datetime | None = None
    energy_wh: float | None = None
    energy_at: datetime | None = None
    told_kwh: float = 0.0
    """Energy in the periods that are closed."""
    closed: list[Period] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    """The closed ones as a Session has them."""
    powers_w: list[float] = field(default_factory=list)
    currents_a: list[float] = field(default_factory=list)
    """Sums over the phases."""
    soc: float | None = None

    @property
    def kwh(self) -> float:
        """Return the energy so far, by the station's register; one that jumps back gives nothing back."""
        if self.energy_wh is None or self.first_wh is None:
            return 0.0
        return max(self.told_kwh, round((self.energy_wh - self.first_wh) / 1000, 4))

    def meter(self, value: Mapping[str, Any], at: datetime) -> None:
        """Take a `meterValue` of that moment; one that comes after its period was closed has no say but on the first register."""
        found = readings(value)
        for one in found:
            if one.measurand == ENERGY and not one.phase:
                if self.first_at is None or at < self.first_at:
                    self.first_wh, self.first_at = one.value, at
                if self.energy_at is None or at >= self.energy_at:
                    self.energy_wh, self.energy_at = one.value, at
            elif one.measurand == SOC and at >= self.begin:
                self.soc = one.value
        if at >= self.begin:
            self._take(found, POWER, self.powers_w)
            self._take(found, CURRENT, self.currents_a)

    def turns(self, charging_state: str) -> bool:
        """Say whether this state ends the running period: the vehicle begins or ceases to ask for power."""
        return bool(charging_state) and (charging_state not in NOT_REQUESTING) != self.charging

    def close(self, now: datetime, *, last: bool = False) -> dict[str, Any] | None:
        """End the running period and return it as a Session has it; None where it goes on, for it has no length yet.

        last: at the end of the session, which has one period at least, as its CDR must, and all energy in them.
        """
        seconds, volume = (now - self.begin).total_seconds(), round(self.kwh - self.told_kwh, 4)
        if not last and (seconds <= 0 or utc_text(now) == utc_text(self.begin)):
            return None
        if seconds <= 0 and volume <= 0 and self.closed:
            return None
        hours = seconds / _HOUR_S
        power_kw = sum(self.powers_w) / len(self.powers_w) / 1000 if self.powers_w else volume / hours if hours else None
        current_a = sum(self.currents_a) / len(self.currents_a) if self.currents_a else None
        period = Period(
            self.begin, now, Decimal(str(volume)), self.charging,
            None if power_kw is None else Decimal(str(round(power_kw, 4))),
            None if current_a is None else Decimal(str(round(current_a, 4))),
        )  # fmt: skip
        more = {"POWER": power_kw, "CURRENT": current_a, "STATE_OF_CHARGE": self.soc}
        if self.powers_w:
            more["MAX_POWER"] = max(self.powers_w) / 1000
        told = charging_period(period)
        told["dimensions"] += [{"type": kind, "volume": round(value, 4)} for kind, value in more.items() if value is not None]
        self.closed.append(period)
        self.told.append(told)
        self.begin, self.told_kwh = now, round(self.told_kwh + volume, 4)
        self.powers_w, self.currents_a = [], []
        return told

    def saved(self) -> dict[str, Any]:
        """Return what a restart must not lose; the samples of the period that runs are not part of it."""
        return {
            "begin": self.begin.isoformat(), "charging": self.charging, "first_wh": self.first_wh, "energy_wh": self.energy_wh,
            "first_at": _iso(self.first_at), "energy_at": _iso(self.energy_at),
            "told_kwh": self.told_kwh, "soc": self.soc, "told": self.told,
            "closed": [
                [
                    one.start.isoformat(), one.end.isoformat(), str(one.kwh), one.charging,
                    _text(one.power_kw), _text(one.current_a),
                ]
                for one in self.closed
            ],
        }  # fmt: skip

    @classmethod
    def restored(cls, raw: Mapping[str, Any]) -> Periods:
        """Return what was saved."""
        closed = [
            Period(
                datetime.fromisoformat(start), datetime.fromisoformat(end), Decimal(kwh), charging,
                power and Decimal(power), current and Decimal(current),
            )
            for start, end, kwh, charging, power, current in raw["closed"]
        ]  # fmt: skip
        moments = {name: datetime.fromisoformat(at) for name in ("begin", "first_at", "energy_at") if (at := raw.get(name))}
        return cls(**{**raw, **moments, "closed": closed})

    @staticmethod
    def _take(found: list[Reading], measurand: str, into: list[float]) -> None:
        """Add one sample: the total where the station tells it, else the sum of L1 to L3."""
        of_it = [one for one in found if one.measurand == measurand]
        total = [one.value for one in of_it if not one.phase]
        phases = {one.phase: one.value for one in of_it if one.phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")}
        if measurand == CURRENT and phases:
            into.append(sum(phases.values()))
        elif total:
            into.append(total[-1])
        elif phases:
            into.append(sum(phases.values()))


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def charging_period(period: Period, tariff_id: str = "") -> dict[str, Any]:
    """Return a ChargingPeriod with the dimensions that Sessions and CDRs share."""
    kind = "TIME" if period.charging else "PARKING_TIME"
    dimensions: list[dict[str, Any]] = []
    if period.kwh > 0:
        dimensions.append({"type": "ENERGY", "volume": float(round(period.kwh, 4))})
    dimensions.append({"type": kind, "volume": float(round(period.seconds / _HOUR_S, 4))})
    found: dict[str, Any] = {"start_date_time": utc_text(period.start), "dimensions": dimensions}
    return found | ({"tariff_id": tariff_id} if tariff_id else {})


def readings(value: Mapping[str, Any]) -> list[Reading]:
    """Return the finite readings of one MeterValueType in base units."""
    found = []
    for sample in value.get("sampledValue", ()):
        unit = sample.get("unitOfMeasure") or {}
        multiplier = unit.get("multiplier", 0)
        if abs(multiplier) > _MOST_TENS:
            continue
        scale = 1000.0 if str(unit.get("unit", "")).startswith("k") else 1.0
        amount = float(sample["value"]) * scale * 10.0**multiplier
        if isfinite(amount):
            found.append(Reading(sample.get("measurand", ENERGY), amount, sample.get("phase", "")))
    return found
