"""Opens the meters of a rig file, and the lines on which they hang."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.adapters.modbus import ModbusMeter
from bench.adapters.modbus_line import ModbusLine, open_modbus_line
from bench.errors import RigError, UsageError
from bench.ports import Clock, IdentifiedMeter
from bench.settings.instruments import AnyMeter, BusMeter, ModbusTcpMeter, MqttMeter, P1Meter, SmlMeter
from bench.settings.lines import TcpLine
from bench.settings.meter import load_meter_map
from bench.settings.rig import RigSettings

Ports = Mapping[str, int | str]
"""TCP ports and devices that take the place of the rig file's, by name, for what is emulated."""


class Instruments:
    """The meters of a rig by name, and its Modbus lines, each opened when it is first asked for."""

    def __init__(self, rig: RigSettings, clock: Clock, line_ports: Ports, stack: AsyncExitStack) -> None:
        self.meters: dict[str, IdentifiedMeter] = {}
        self.lines: dict[str, ModbusLine] = {}
        self.rig, self.clock, self._ports, self.stack = rig, clock, line_ports, stack
        self._own: dict[tuple[str, int], ModbusLine] = {}

    async def line(self, name: str) -> ModbusLine:
        """Return a line of the rig file. Raises RigError where it cannot be opened, UsageError where there is none."""
        if name not in self.lines:
            if name not in self.rig.lines:
                raise UsageError(f"line {name!r}: lines of this rig: {', '.join(sorted(self.rig.lines)) or 'none'}")
            opened = open_modbus_line(name, self.rig.lines[name], self.clock, self._ports.get(name))
            self.lines[name] = await self.stack.enter_async_context(opened)
        return self.lines[name]

    async def own_line(self, meter: ModbusTcpMeter, port: int) -> ModbusLine:
        """Return the line of a meter with an address of its own; meters at one address share it, and the longest time-out."""
        place = (meter.host, port)
        if place not in self._own:
            others = [one for one in self.rig.meters.values() if isinstance(one, ModbusTcpMeter) and one.host == meter.host]
            timeout_s = max(one.timeout_s for one in others if one.port == meter.port)
            settings = TcpLine(kind="modbus-tcp", host=meter.host, port=port, timeout_s=timeout_s)
            self._own[place] = await self.stack.enter_async_context(open_modbus_line("", settings, self.clock))
        return self._own[place]


@asynccontextmanager
async def open_meters(
    rig: RigSettings, rig_path: Path, clock: Clock, meter_ports: Ports | None = None, line_ports: Ports | None = None
) -> AsyncIterator[Instruments]:
    """Open every meter of a rig and close them at the end.

    Args:
        rig_path: the rig file, from which the paths of register maps count.
        meter_ports, line_ports: what takes the place of the ports of the rig file, where they are emulated.
    Raises: RigError, SettingsError, UsageError.
    """
    async with AsyncExitStack() as stack:
        instruments = Instruments(rig, clock, line_ports or {}, stack)
        for name, settings in rig.meters.items():
            instruments.meters[name] = await _open(name, settings, instruments, rig_path, (meter_ports or {}).get(name))
        yield instruments


async def _open(
    name: str, settings: AnyMeter, instruments: Instruments, rig_path: Path, port: int | str | None
) -> IdentifiedMeter:
    match settings:
        case ModbusTcpMeter():
            register_map = load_meter_map(rig_path, settings)
            try:
                line = await instruments.own_line(settings, int(port or settings.port))
            except RigError as error:
                raise RigError(f"meter {name} at {error}") from error
            return ModbusMeter(name, settings, register_map, line)
        case BusMeter():
            return ModbusMeter(name, settings, load_meter_map(rig_path, settings), await instruments.line(settings.line))
        case P1Meter() | SmlMeter():
            from bench.adapters.push_meter import open_p1_meter, open_sml_meter

            device = str(port) if port else None
            opened = (
                open_p1_meter(name, settings, instruments.clock, device)
                if isinstance(settings, P1Meter)
                else open_sml_meter(name, settings, instruments.clock, device)
            )
            return await instruments.stack.enter_async_context(opened)
        case MqttMeter():
            from bench.adapters.mqtt_meter import open_mqtt_meter

            assert instruments.rig.mqtt is not None
            return await instruments.stack.enter_async_context(
                open_mqtt_meter(name, settings, instruments.rig.mqtt, instruments.clock)
            )
