"""Opens what acts on the stations of a rig: each role of a station by the actuator that fills it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.adapters.modbus_line import open_modbus_line
from bench.adapters.relay import RelaySwitch
from bench.errors import RigError
from bench.ports import Clock, Load, PowerSwitch
from bench.rig.meters import Ports
from bench.settings.actuators import Actuator, ModbusRelay, Role
from bench.settings.rig import RigSettings


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
    """Open the contactor of a station, alone, on a connection of its own.

    Args: ports: what takes the place of ports of the rig file, by line or actuator, where they are emulated.
    Raises: RigError where there is none or where it does not answer.
    """
    found = actuator_of(rig, station, "power_switch")
    if found is None:
        raise RigError(f"{station}: no actuator has the role power_switch")
    name, settings = found
    if isinstance(settings, ModbusRelay):
        async with open_modbus_line(settings.line, rig.lines[settings.line], clock, (ports or {}).get(settings.line)) as line:
            switch = RelaySwitch(name, settings, line)
            await switch.arm()
            yield switch
        return
    raise RigError(f"actuators.{name}: kind {settings.kind} cannot be a power switch yet")


@asynccontextmanager
async def open_load(
    rig: RigSettings, rig_path: Path, station: str, clock: Clock, ports: Ports | None = None
) -> AsyncIterator[Load]:
    """Open the load of a station, alone, on a connection of its own. Raises RigError."""
    raise RigError(f"{station}: no actuator has the role load")
    yield
