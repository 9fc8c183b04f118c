"""Meters that are read over a Modbus line by their register map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bench.adapters.identity import Constant, check_plausible, identity_of, locate, read_serial_number
from bench.adapters.modbus_line import ModbusLine
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.settings.instruments import MappedMeter
from bench.settings.meter import MeterMap
from bench.wire.registers import Function

READINGS_PER_CHECK: Final = 60
"""Between two looks at the serial number: a minute at a reading per second."""


class ModbusMeter:
    """A meter on a line that it may share with others.

    Once it is identified its serial number is read again every `READINGS_PER_CHECK` readings and before the first reading after
    one that failed: a meter that was exchanged, or a line that is shifted, gives no reading.
    """

    def __init__(self, name: str, settings: MappedMeter, register_map: MeterMap, line: ModbusLine) -> None:
        self.name = name
        self.line, self.unit_id = line, settings.unit_id
        self._settings, self._map = settings, register_map
        self._gap_s = register_map.minimum_gap_s
        self._plan = register_map.at(0).plan() if register_map.sunspec else register_map.plan()
        self._constant: Constant | None = None
        self._unchecked = 0
        """Readings since the serial number was looked at."""

    async def read(self) -> MeterReading:
        """Read all quantities once. Raises RigError that names the meter, its address and the reason."""
        try:
            await self._check()
            since, self._unchecked = self._unchecked, READINGS_PER_CHECK
            replies = [
                await self.line.read(self.unit_id, one.function, one.address, one.count, gap_s=self._gap_s)
                for one in self._plan.blocks
            ]
        except RigError as error:
            raise RigError(f"meter {self.name} at {error}") from error
        self._unchecked = since + 1
        return self._plan.decode([one.registers for one in replies], replies[0].requested, replies[-1].received)

    async def _check(self) -> None:
        """Look whether it is still the meter that was identified, where that is due. Raises RigError."""
        one = self._constant
        if one is not None and self._unchecked >= READINGS_PER_CHECK:
            try:
                await self.line.expect(self.unit_id, one.function, one.address, one.content, gap_s=self._gap_s)
            except RigError as error:
                raise RigError(f"{error} (its serial number, which is read again from time to time)") from error
            self._unchecked = 0

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
        self._constant = None
        located = await locate(self._map, self.registers)
        self._plan = located.register_map.plan()
        check_plausible(self.name, located.register_map, await self.read())
        serial_number, self._constant = located.serial_number, located.constant
        if not serial_number:
            serial_number, self._constant = await read_serial_number(located.register_map, self.registers)
        self._unchecked = 0
        return identity_of(self.name, self._settings, located.register_map, serial_number, located.model)
