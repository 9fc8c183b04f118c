"""Takes the steps of a scenario file."""

from __future__ import annotations

from bench.errors import StationError, UsageError
from bench.runs.procedure import Procedure
from bench.settings.scenario import ScenarioSettings
from bench.settings.steps import (
    AnyStep,
    AskActive,
    AtEvse,
    Authorise,
    Clear,
    ClearPlan,
    Composite,
    CutNetwork,
    Demand,
    DisturbLink,
    ExternalLimit,
    LocalLimit,
    Plug,
    PowerCycle,
    RandomDelay,
    ReadBack,
    Report,
    RequestStart,
    RequestStop,
    Reset,
    SendPlan,
    SetProfile,
    SetVariable,
    SetWindow,
    Starts,
    Supply,
    Unplug,
    VehicleStep,
)


async def take_steps(procedure: Procedure, scenario: ScenarioSettings) -> None:
    """Take each step at its time, then wait for the end of the scenario. Raises StationError, RigError, UsageError."""
    if scenario.needs:
        await procedure.needs(*scenario.needs)
    if scenario.vehicle is not None:
        await procedure.vehicle(scenario.vehicle.properties())
    for step in scenario.step:
        await procedure.wait_until(step.at_s)
        await take_step(procedure, step)
    await procedure.wait_until(scenario.duration_s)


async def take_step(procedure: Procedure, step: AnyStep) -> None:
    """Take one step."""
    if isinstance(step, AtEvse) and step.evse not in (None, procedure.evse.id):
        procedure = procedure.at(step.evse or 0)
    match step:
        case Plug():
            await procedure.plug()
        case Unplug():
            await procedure.unplug()
        case Authorise():
            await procedure.authorise(step.within_s)
        case Demand():
            await procedure.demand(step.amperes)
        case VehicleStep():
            await procedure.vehicle(step.settings)
        case SendPlan():
            await procedure.scsp_plan(step.within_s)
        case ClearPlan():
            await procedure.scsp_clear(step.within_s)
        case AskActive():
            await procedure.scsp_active(step.duration_s, step.within_s)
        case LocalLimit():
            await procedure.local_limit(
                step.by, step.periods, unit=step.unit, duration_s=step.duration_s, emergency=step.emergency
            )
        case SetProfile():
            await _set_profile(procedure, step)
        case SetWindow():
            await procedure.set_window(
                step.zone, step.begin, step.end, inside=step.inside, outside=step.outside, unit=step.unit, days=step.days
            )
        case Composite():
            await procedure.composite(step.duration_s, step.unit, evse_id=step.evse)
        case ReadBack():
            await procedure.read_back()
        case Clear():
            await procedure.clear(step.id, evse_id=step.evse, purpose=step.purpose, stack_level=step.stack_level)
        case Report():
            await procedure.report(evse_id=step.evse, purpose=step.purpose)
        case ExternalLimit():
            await procedure.needs("external_limits")
            await procedure.external_limit(step.limit, step.unit, source=step.source)
        case Reset():
            await procedure.reset(step.kind)
        case RequestStart():
            profile = None if step.profile is None else procedure.profile(step.profile.periods, **step.profile.arguments())
            await procedure.request_start(profile)
            await procedure.wait_for_transaction(step.within_s)
        case RequestStop():
            await procedure.stop()
        case RandomDelay():
            await procedure.needs("random_delay")
            await procedure.set_variables({procedure.station.features.random_delay_variable: str(step.longest_s)})
        case Starts():
            for _ in range(step.times):
                await procedure.authorise()
                await procedure.wait(step.each_s)
                await procedure.stop()
                await procedure.wait(step.pause_s)
        case SetVariable():
            await procedure.set_variables({step.name: step.value})
        case PowerCycle():
            await procedure.power_cycle(wait=step.wait)
        case Supply():
            await procedure.supply(step.volts)
        case CutNetwork():
            await procedure.cut_network(step.seconds)
        case DisturbLink():
            await procedure.disturb_link(
                step.mode, step.seconds, direction=step.direction, delay_s=step.delay_s, bytes_per_s=step.bytes_per_s
            )
        case _:
            raise UsageError(f"unknown step {step!r}")


async def _set_profile(procedure: Procedure, step: SetProfile) -> None:
    transaction = procedure.last_ended(step.evse) if step.of == "ended" else None
    for number in range(step.repeat):
        if number:
            await procedure.wait(step.every_s)
        try:
            await procedure.set_profile(
                step.periods, broken=step.broken, evse_id=step.evse, transaction_id=transaction, **step.arguments()
            )
        except StationError:
            if not step.go_on:
                raise
