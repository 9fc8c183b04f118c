"""Meters that are read over a Modbus line by their register map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.adapters.identity import check_plausible, identity_of, locate, read_serial_number
from bench.adapters.modbus_line import ModbusLine
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.settings.instruments import MappedMeter
from bench.settings.meter import MeterMap
from bench.wire.registers import Function


class ModbusMeter:
    """A meter on a line that it may share with others."""

    def __init__(self, name: str, settings: MappedMeter, register_map: MeterMap, line: ModbusLine) -> None:
        self.name = name
        self.line, self.unit_id = line, settings.unit_id
        self._settings, self._map = settings, register_map
        self._gap_s = register_map.minimum_gap_s
        self._plan = register_map.at(0).plan() if register_map.sunspec else register_map.plan()

    async def read(self) -> MeterReading:
        """Read all quantities once. Raises RigError that names the meter, its address and the reason."""
        try:
            replies = [
                await self.line.read(self.unit_id, one.function, one.address, one.count, gap_s=self._gap_s)
                for one in self._plan.blocks
            ]
        except RigError as error:
            raise RigError(f"meter {self.name} at {error}") from error
        return self._plan.decode([one.registers for one in replies], replies[0].requested, replies[-1].received)

    async def registers(self, function: Function, address: int, count: int) -> Sequence[int]:
        """Read registers that are no quantity, such as a serial number. Raises RigError."""
        try:
            return (await self.line.read(self.unit_id, function, address, count, gap_s=self._gap_s)).registers
        except RigError as error:
            raise RigError(f"meter {self.name} at {error}") from error

    async def identify(self) -> dict[str, Any]:
        """Find the registers of a SunSpec meter, look whether the readings are plausible; return a METER_IDENTITY's data.

        Raises: RigError that asks whether the meter is what the rig file says.
        """
        located = await locate(self._map, self.registers)
        self._plan = located.register_map.plan()
        check_plausible(self.name, located.register_map, await self.read())
        serial_number = located.serial_number or await read_serial_number(located.register_map, self.registers)
        return identity_of(self.name, self._settings, located.register_map, serial_number, located.model)
