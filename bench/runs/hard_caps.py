"""Hard caps of the rig: no scenario exceeds them, and a reading above one is a hard stop."""

from __future__ import annotations

from math import inf
from typing import Final

from bench.domain.meter import MeterReading
from bench.errors import UsageError
from bench.settings.rig import RigSettings
from bench.settings.safety import SafetySettings
from bench.settings.scenario import ScenarioSettings
from bench.settings.steps import PILOT_MOST_A, Demand

PHASES: Final = ("L1", "L2", "L3")


def passed_cap(safety: SafetySettings, meter: str, reading: MeterReading) -> str | None:
    """Return which cap a reading is above, in words; None where it is above none. Power and current count in either direction."""
    for what, unit, cap, values in (
        ("current", "A", safety.max_current_a, reading.current_a),
        ("voltage", "V", safety.max_voltage_v, reading.voltage_v),
    ):
        for phase, value in zip(PHASES, values, strict=True):
            if cap is not None and value is not None and abs(value) > cap:
                return f"meter {meter} reads {value:.2f} {unit} {what} in {phase}, above the rig's hard cap of {cap:g} {unit}"
    cap = safety.max_power_w
    if cap is not None and reading.power_w is not None and abs(reading.power_w) > cap:
        return f"meter {meter} reads {reading.power_w:.0f} W, above the rig's hard cap of {cap:g} W"
    return None


def blind_caps(safety: SafetySettings, reading: MeterReading) -> list[str]:
    """Return the caps that a reading cannot be held against, because the meter does not tell the quantity."""
    watched = (
        ("max_current_a", safety.max_current_a, reading.current_a),
        ("max_voltage_v", safety.max_voltage_v, reading.voltage_v),
        ("max_power_w", safety.max_power_w, (reading.power_w,)),
    )
    return [name for name, cap, values in watched if cap is not None and all(value is None for value in values)]


def refuse_demand(rig: RigSettings, amperes: float, where: str) -> None:
    """Refuse a demand above the rig's cap or what its EV takes, and one that is no current. Raises UsageError."""
    cap = rig.safety.max_current_a
    if not 0 <= amperes < inf:
        raise UsageError(f"{where} {amperes:g} A: must be a number from 0")
    if rig.emulator is not None and amperes > PILOT_MOST_A:
        raise UsageError(f"{where} {amperes:g} A: the emulated EV takes {PILOT_MOST_A:g} A at most")
    if cap is not None and amperes > cap:
        raise UsageError(f"{where} {amperes:g} A: rig {rig.name} allows {cap:g} A (safety.max_current_a)")


def refuse_above_caps(rig: RigSettings, scenario: ScenarioSettings) -> None:
    """Refuse a scenario whose EV is to draw more than the rig allows, before anything is opened. Raises UsageError."""
    for index, step in enumerate(scenario.step):
        if isinstance(step, Demand):
            refuse_demand(rig, step.amperes, f"scenario {scenario.name}: step[{index}].amperes:")
