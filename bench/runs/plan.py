"""What a scenario will take, before it is started: time, people, energy, wear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.errors import UsageError
from bench.runs.baseline import baseline_s
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings, under_test
from bench.settings.steps import (
    AnyStep,
    Authorise,
    Clear,
    CutNetwork,
    Demand,
    ExternalLimit,
    LocalLimit,
    Plug,
    PowerCycle,
    RequestStart,
    Reset,
    SendPlan,
    SetProfile,
    Starts,
    Unplug,
    VehicleStep,
)

_BY_HAND: Final = {
    Plug: "plug in", Unplug: "unplug", Authorise: "present a card", Demand: "set the car's current",
    VehicleStep: "change the car", Starts: "present a card for each start",
    PowerCycle: "switch the station off and on", CutNetwork: "cut the network", ExternalLimit: "set the external limit",
}  # fmt: skip
"""Steps that a person takes where no instrument does, in words."""
_SET_UP_S: Final = 30.0
"""Connecting, snapshot, safe state and its end, about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one scenario takes at most."""

    scenario: str
    duration_s: float
    by_hand: tuple[str, ...]
    """What the operator has to do: when, and what."""
    energy_wh: float
    """What the EV can draw at most, limits left aside: until its battery is full."""
    contactor_cycles: int
    """How often the station's contactors close and open, at most."""
    profile_writes: int
    """SetChargingProfile and ClearChargingProfile: many stations keep their store in flash."""


def plan_of(rig: RigSettings, scenario: ScenarioSettings, energy_steps: Mapping[str, float] | None = None) -> Plan:
    """Return what a scenario takes on a rig. Raises UsageError where it has no place there.

    Args: energy_steps: step of each meter's energy register in Wh, where it is known; known loads take longer for a coarse one.
    """
    _, evse = under_test(rig, scenario)
    phases = len(evse.phases) if scenario.vehicle is None else min(len(evse.phases), scenario.vehicle.phases)
    amperes = evse.max_current_a if scenario.vehicle is None else min(evse.max_current_a, scenario.vehicle.max_current_a)
    volts = under_test(rig, scenario)[0].features.nominal_voltage_v
    starts = [step for step in scenario.step if isinstance(step, Authorise | RequestStart | Starts)]
    seconds = scenario.duration_s - starts[0].at_s if starts else 0.0
    places = len({step.evse or scenario.evse for step in starts})
    energy_wh = volts * phases * amperes * seconds / 3600
    if scenario.vehicle is not None:
        energy_wh = min(energy_wh, scenario.vehicle.battery_wh * (1 - scenario.vehicle.soc_percent / 100))
    by_hand = [f"{step.at_s:g} s: {_BY_HAND[type(step)]}" for step in scenario.step if type(step) in _BY_HAND]
    return Plan(
        scenario.name,
        scenario.duration_s + _SET_UP_S + baseline_s(rig, scenario, energy_steps),
        tuple(by_hand) if rig.operator is not None else (),
        energy_wh * max(1, places),
        sum(_cycles(step) for step in scenario.step) + (1 if rig.has_power_switch(under_test(rig, scenario)[0].id) else 0),
        sum(_writes(step) for step in scenario.step) + (2 if rig.floor_wanted(under_test(rig, scenario)[0].id) else 0),
    )


def _cycles(step: AnyStep) -> int:
    """Return how often a step lets a contactor close and open: a start, a restart, and each pause that a profile asks for."""
    if isinstance(step, Starts):
        return step.times
    if isinstance(step, Authorise | RequestStart | PowerCycle | Reset):
        return 1
    if isinstance(step, SetProfile):
        return step.repeat * sum(limit == 0 for _, limit in step.periods)
    return 0


def _writes(step: AnyStep) -> int:
    if isinstance(step, SetProfile):
        return step.repeat
    return int(isinstance(step, Clear | LocalLimit | SendPlan) or (isinstance(step, RequestStart) and step.profile is not None))


def refuse_beyond_budget(rig: RigSettings, plans: Sequence[Plan]) -> None:
    """Refuse what takes more than the rig's budget allows. Raises UsageError that names the key and both numbers."""
    for name, total, unit in (
        ("duration_s", sum(one.duration_s for one in plans), "s"),
        ("energy_wh", sum(one.energy_wh for one in plans), "Wh"),
        ("contactor_cycles", sum(one.contactor_cycles for one in plans), ""),
        ("profile_writes", sum(one.profile_writes for one in plans), ""),
    ):
        allowed = getattr(rig.budget, name)
        if allowed is not None and total > allowed:
            gravest = max(plans, key=lambda one: getattr(one, name)).scenario
            raise UsageError(
                f"rig {rig.name}: budget.{name} = {allowed:g}: this takes up to {total:g} {unit}".rstrip()
                + f", most of it by {gravest}; run fewer scenarios at once, or raise the budget"
            )
