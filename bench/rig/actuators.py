"""Opens what acts on the stations of a rig: each role of a station by the actuator that fills it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.adapters.modbus_line import ModbusLine, open_modbus_line
from bench.adapters.pilot_log import PilotFile
from bench.adapters.prompt import Asker, JournalledAsker, PromptControl, open_console
from bench.adapters.relay import ContactLimit, open_register_limit, open_relay_switch
from bench.adapters.roles import (
    Instrument,
    InstrumentEv,
    InstrumentLimit,
    InstrumentLoad,
    InstrumentPilot,
    InstrumentSupply,
    InstrumentSwitch,
)
from bench.adapters.routed_control import Ev, ExternalLimit, RoutedControl
from bench.adapters.scpi import open_scpi
from bench.adapters.shell_hook import Hook
from bench.domain.documents import Kind
from bench.errors import RigError
from bench.ports import Clock, Journal, Load, PowerSwitch, RigControl, Witness
from bench.rig.meters import Ports
from bench.settings.actuators import (
    Actuator,
    ModbusRegister,
    ModbusRelay,
    PilotLog,
    PromptActuator,
    Role,
    ScpiInstrument,
    ShellHook,
)
from bench.settings.instrument_map import load_instrument_map
from bench.settings.rig import RigSettings


@dataclass(frozen=True, slots=True)
class Actuators:
    """What the actuators of a rig come to."""

    controls: Mapping[str, RigControl]
    """By station id; empty where nothing at all acts on a station."""
    witnesses: Mapping[str, Witness]
    """By station id; empty where nobody sees the control pilot."""


def actuator_of(rig: RigSettings, station: str, role: Role) -> tuple[str, Actuator] | None:
    """Return name and settings of what fills a role of a station; None where nothing does."""
    first = rig.station[0].id
    for name, one in rig.actuators.items():
        if role in one.roles and (one.station or first) == station:
            return name, one
    return None


@asynccontextmanager
async def open_power_switch(
    rig: RigSettings, rig_path: Path, station: str, clock: Clock, ports: Ports | None = None
) -> AsyncIterator[PowerSwitch]:
    """Open the contactor of a station alone, on a connection of its own; a relay's watchdog is armed and kept quiet.

    Raises: RigError where no actuator has the role, or where it does not answer; SettingsError.
    """
    name, settings = _held(rig, station, "power_switch")
    async with AsyncExitStack() as stack:
        if isinstance(settings, ModbusRelay):
            line = open_modbus_line(settings.line, rig.lines[settings.line], clock, (ports or {}).get(settings.line))
            opened = await stack.enter_async_context(line)
            yield await stack.enter_async_context(open_relay_switch(name, settings, opened, clock))
        else:
            yield InstrumentSwitch(await _instrument(name, settings, rig_path, ports, stack))


@asynccontextmanager
async def open_load(
    rig: RigSettings, rig_path: Path, station: str, clock: Clock, ports: Ports | None = None
) -> AsyncIterator[Load]:
    """Open the load of a station alone, on a connection of its own. Raises RigError, SettingsError."""
    name, settings = _held(rig, station, "load")
    async with AsyncExitStack() as stack:
        yield InstrumentLoad(await _instrument(name, settings, rig_path, ports, stack))


@asynccontextmanager
async def open_held(
    rig: RigSettings, rig_path: Path, clock: Clock, ports: Ports | None = None
) -> AsyncIterator[tuple[dict[str, PowerSwitch], dict[str, Load]]]:
    """Open all contactors and loads that are actuators, by station id: what the guard holds. Raises RigError, SettingsError."""
    switches: dict[str, PowerSwitch] = {}
    loads: dict[str, Load] = {}
    async with AsyncExitStack() as stack:
        for one in rig.station:
            if actuator_of(rig, one.id, "power_switch"):
                switches[one.id] = await stack.enter_async_context(open_power_switch(rig, rig_path, one.id, clock, ports))
            found = actuator_of(rig, one.id, "load")
            if found and not isinstance(found[1], PromptActuator):
                loads[one.id] = await stack.enter_async_context(open_load(rig, rig_path, one.id, clock, ports))
        yield switches, loads


@asynccontextmanager
async def open_actuators(
    rig: RigSettings,
    rig_path: Path,
    clock: Clock,
    journal: Journal,
    line: Callable[[str], Awaitable[ModbusLine]],
    base: Mapping[str, RigControl],
    witnesses: Mapping[str, Witness],
    switches: Mapping[str, PowerSwitch],
    loads: Mapping[str, Load],
    ports: Ports | None = None,
    asker: Asker | None = None,
) -> AsyncIterator[Actuators]:
    """Open what the run itself acts with, and send each action to what fills its role, else to `base` or the operator.

    Args:
        line: opens a line of the rig file.
        base, witnesses: of the emulator or of [control], by station id.
        switches, loads: as the guard holds them, by station id.
        asker: who asks the operator; absent: the console.
    Raises: RigError, SettingsError, UsageError.
    """
    async with AsyncExitStack() as stack:
        opening = _Opening(rig, rig_path, clock, journal, line, ports, asker, stack)
        controls: dict[str, RigControl] = {}
        seen = dict(witnesses)
        for station in (one.id for one in rig.station):
            default = base.get(station)
            if default is None and rig.operator is not None:
                default = PromptControl(await opening.asker(), station, rig.operator.timeout_s)
            ev, limit, supply = await opening.ev(station), await opening.limit(station), await opening.supply(station)
            load = loads.get(station) or await opening.asked_load(station)
            switch, cycles = switches.get(station), station not in base  # the emulator restarts the station's electronics
            if ev or limit or load or supply or (switch and cycles):
                controls[station] = RoutedControl(
                    station, clock, default, ev=ev, limit=limit, switch=switch, load=load, supply=supply, cycles=cycles
                )
            elif default:
                controls[station] = default
            if witness := await opening.pilot(station):
                seen[station] = witness
        yield Actuators(controls, seen)


class _Opening:
    """Opens each instrument once, whatever roles it has."""

    def __init__(
        self, rig: RigSettings, rig_path: Path, clock: Clock, journal: Journal, line: Callable[[str], Awaitable[ModbusLine]],
        ports: Ports | None, asker: Asker | None, stack: AsyncExitStack,
    ) -> None:  # fmt: skip
        self._rig, self._rig_path, self._clock, self._journal = rig, rig_path, clock, journal
        self._line, self._ports, self._asker, self._stack = line, ports, asker, stack
        self._instruments: dict[str, Instrument] = {}

    async def asker(self) -> Asker:
        if self._asker is None:
            self._asker = await self._stack.enter_async_context(open_console())
        return JournalledAsker(self._asker, self._clock, self._journal)

    async def ev(self, station: str) -> Ev | None:
        match actuator_of(self._rig, station, "ev"):
            case None:
                return None
            case _, PromptActuator() as prompt:
                return PromptControl(await self.asker(), station, prompt.timeout_s)
            case name, settings:
                return InstrumentEv(await self._instrument(name, settings))

    async def limit(self, station: str) -> ExternalLimit | None:
        match actuator_of(self._rig, station, "external_limit"):
            case None:
                return None
            case _, PromptActuator() as prompt:
                return PromptControl(await self.asker(), station, prompt.timeout_s)
            case name, ModbusRelay() as relay:
                opened = open_relay_switch(name, relay, await self._line(relay.line), self._clock)
                # spoken to all the time, or its watchdog drops the limit
                return ContactLimit(relay, await self._stack.enter_async_context(opened))
            case name, ModbusRegister() as register:
                served = open_register_limit(name, register, await self._line(register.line), self._clock, self._report(station))
                return await self._stack.enter_async_context(served)
            case name, settings:
                return InstrumentLimit(await self._instrument(name, settings))

    async def supply(self, station: str) -> InstrumentSupply | None:
        found = actuator_of(self._rig, station, "supply")
        return None if found is None else InstrumentSupply(await self._instrument(*found))

    async def pilot(self, station: str) -> Witness | None:
        match actuator_of(self._rig, station, "pilot"):
            case None:
                return None
            case name, PilotLog() as log:
                return PilotFile(name, log, self._rig_path.parent / log.path, self._clock)
            case name, settings:
                return InstrumentPilot(await self._instrument(name, settings))

    async def asked_load(self, station: str) -> Load | None:
        found = actuator_of(self._rig, station, "load")
        if found is None or not isinstance(found[1], PromptActuator):
            return None
        return _AskedLoad(PromptControl(await self.asker(), station, found[1].timeout_s))

    async def _instrument(self, name: str, settings: Actuator) -> Instrument:
        if name not in self._instruments:
            self._instruments[name] = await _instrument(name, settings, self._rig_path, self._ports, self._stack)
        return self._instruments[name]

    def _report(self, station: str) -> Callable[[str], None]:
        def report(text: str) -> None:
            data = {"source": "bench", "station": station, "code": "external_limit_not_rewritten", "text": text, "refs": []}
            self._journal.write(Kind.FINDING, data)

        return report


class _AskedLoad:
    """Fits Load: a person turns the knob."""

    def __init__(self, control: PromptControl) -> None:
        self._control = control

    async def draw(self, amperes: float) -> None:
        await self._control.demand(1, amperes)

    async def drawn(self) -> float | None:
        return None


def _held(rig: RigSettings, station: str, role: Literal["power_switch", "load"]) -> tuple[str, Actuator]:
    found = actuator_of(rig, station, role)
    if found is None:
        raise RigError(f"{station}: no actuator has the role {role}")
    return found


async def _instrument(
    name: str, settings: Actuator, rig_path: Path, ports: Ports | None, stack: AsyncExitStack
) -> Instrument:
    match settings:
        case ScpiInstrument():
            port = int((ports or {}).get(name, settings.port))
            return await stack.enter_async_context(open_scpi(name, settings, load_instrument_map(rig_path, settings), port))
        case ShellHook():
            return Hook(name, settings)
        case _:
            raise RigError(f"actuators.{name}: kind {settings.kind} cannot do that")
