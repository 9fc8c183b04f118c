"""Meters on Modbus TCP. All that the bench knows of pymodbus stands in this module."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from bench.adapters.identity import check_plausible, identity_of, locate, read_serial_number
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.ports import Clock
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.meter import MeterMap
from bench.wire.registers import Block, Function

_FUNCTION_CODES: Final = {"input": 4, "holding": 3}
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
"""MODBUS Application Protocol V1.1b3, section 7."""

logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what it has to say becomes a RigError here


class ModbusMeter:
    """A meter on Modbus TCP: one request at a time, never repeated, connected anew when a reading needs it.

    A request without a reply ends its connection. A reply that comes late could otherwise arrive together with the next one,
    and pymodbus 3.16 then sees neither.
    """

    def __init__(
        self, name: str, settings: ModbusTcpMeter, register_map: MeterMap, clock: Clock, client: AsyncModbusTcpClient
    ) -> None:
        self.name = name
        self._clock, self._client = clock, client
        self._unit, self._timeout_s, self._gap_s = settings.unit_id, settings.timeout_s, register_map.minimum_gap_s
        self._settings, self._map = settings, register_map
        self._plan = register_map.at(0).plan() if register_map.sunspec else register_map.plan()
        self._where = f"meter {name} at {settings.host}:{client.comm_params.port}, unit {settings.unit_id}"
        self._free_at = clock.monotonic()
        self._line = asyncio.Lock()

    async def read(self) -> MeterReading:
        """Read all quantities once. Raises RigError that names the meter, its address and the reason."""
        async with self._line:
            if not self._client.connected:
                await self.connect()
            await self._pause()
            requested = self._clock.now()
            replies = [await self._read_block(block, first=index == 0) for index, block in enumerate(self._plan.blocks)]
            received = self._clock.now()
        return self._plan.decode(replies, requested, received)

    async def registers(self, function: Function, address: int, count: int) -> Sequence[int]:
        """Read registers that are no quantity, such as a serial number. Raises RigError."""
        async with self._line:
            if not self._client.connected:
                await self.connect()
            await self._pause()
            return await self._read_block(Block(function, address, count), first=True)

    async def identify(self) -> dict[str, Any]:
        """Find the registers of a SunSpec meter, look whether the readings are plausible; return a METER_IDENTITY's data.

        Raises: RigError that asks whether the meter is what the rig file says.
        """
        located = await locate(self._map, self.registers)
        self._plan = located.register_map.plan()
        check_plausible(self.name, located.register_map, await self.read())
        serial_number = located.serial_number or await read_serial_number(located.register_map, self.registers)
        return identity_of(self.name, self._settings, located.register_map, serial_number, located.model)

    async def connect(self) -> None:
        """Open the connection. Raises RigError."""
        if not await self._client.connect():
            raise RigError(f"{self._where}: no connection within {self._timeout_s:g} s")

    async def _pause(self) -> None:
        if self._gap_s:
            await self._clock.sleep(self._free_at - self._clock.monotonic())

    async def _read_block(self, block: Block, *, first: bool) -> Sequence[int]:
        if not first:
            await self._pause()
        read = self._client.read_input_registers if block.function == "input" else self._client.read_holding_registers
        try:
            reply = await read(block.address, count=block.count, device_id=self._unit)
        except (ModbusException, OSError) as error:
            lost = "" if self._client.connected else " (the connection is lost)"
            self._client.close()
            raise self._error(block, f"no valid reply within {self._timeout_s:g} s{lost}") from error
        except asyncio.CancelledError:
            self._client.close()
            raise
        finally:
            self._free_at = self._clock.monotonic() + self._gap_s
        return self._checked(block, reply)

    def _checked(self, block: Block, reply: ModbusPDU) -> Sequence[int]:
        if reply.isError():
            reason = _EXCEPTIONS.get(reply.exception_code, "unknown reason")
            raise self._error(block, f"refused with exception {reply.exception_code} ({reason})")
        if reply.function_code != _FUNCTION_CODES[block.function]:
            raise self._error(block, f"the reply has function code {reply.function_code}")
        if len(reply.registers) != block.count:
            raise self._error(block, f"the reply has {len(reply.registers)} registers instead of {block.count}")
        return reply.registers

    def _error(self, block: Block, reason: str) -> RigError:
        return RigError(f"{self._where}: {block.count} {block.function} registers from {block.address:#06x}: {reason}")


@asynccontextmanager
async def open_modbus_meter(
    name: str, settings: ModbusTcpMeter, register_map: MeterMap, clock: Clock, port: int | None = None
) -> AsyncIterator[ModbusMeter]:
    """Connect to a meter and close the connection at the end.

    Args:
        port: takes the place of the settings' port, for an emulated meter that chose its own.
    Raises: RigError where there is no connection.
    """
    port = port or settings.port
    if not port:
        raise RigError(f"meter {name} at {settings.host}: port 0 is for an emulated meter; say which port to use")
    client = AsyncModbusTcpClient(
        settings.host, port=port, name=name, timeout=settings.timeout_s, retries=0, reconnect_delay=0
    )  # without a reconnect delay pymodbus starts no task that wakes up to try again
    meter = ModbusMeter(name, settings, register_map, clock, client)
    try:
        await meter.connect()
        yield meter
    finally:
        client.close()
