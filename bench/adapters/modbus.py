"""Meters that are read over a Modbus line by their register map."""

from __future__ import annotations

from bench.adapters.modbus_line import ModbusLine
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.settings.instruments import MappedMeter
from bench.settings.meter import MeterMap


class ModbusMeter:
    """A meter on a line that it may share with others."""

    def __init__(self, name: str, settings: MappedMeter, register_map: MeterMap, line: ModbusLine) -> None:
        self.name = name
        self.line, self.unit_id = line, settings.unit_id
        self._gap_s, self._plan = register_map.minimum_gap_s, register_map.plan()

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
