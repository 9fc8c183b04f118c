"""A Modbus line and the requests on it. All that the bench knows of pymodbus' client stands in this module.

A reply on RTU does not say to which request it belongs: one that comes late would pass for the answer to the next. Therefore one
request at a time is on a line, and after a request without a sound reply the line has to be silent before it is used again.
Modbus TCP numbers its requests; there the connection is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Final

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from bench.adapters.clock import VirtualLoop
from bench.adapters.serial_port import why_not
from bench.errors import RigError
from bench.ports import Clock
from bench.settings.lines import SerialLine, TcpLine
from bench.wire.registers import Function
from bench.wire.rtu import SHORTEST_FRAME, reply_in

Client = AsyncModbusTcpClient | AsyncModbusSerialClient
Send = Callable[[Client], Awaitable[ModbusPDU]]

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
_KEPT_BYTES: Final = 1024
"""Of what comes during one request: four times the longest frame."""
_TOLERANCE_S: Final = 1e-6
_OWED: Final = 24
"""A reply may be later than as many time-outs and silences, and is still told apart."""
_OTHER_COUNTS: Final = range(2, 2 * _OWED + 5, 2)
"""Even ones: Eastron's meters know no others."""
_REGISTERS: Final = 0x10000

logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # what it has to say becomes a RigError here


@dataclass(frozen=True, slots=True)
class Reply:
    """The registers that were asked for, in the order of their addresses, and the interval in which they were read."""

    registers: tuple[int, ...]
    requested: datetime
    """Just before the request left."""
    received: datetime
    """Just after the reply came."""


@dataclass(slots=True)
class _Unit:
    """A device on the line: one request at a time, and when the next may leave."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = -inf
    silent: bool = False
    """It gave no sign at its last request, nor in the silence after it."""
    owed: deque[int] = field(default_factory=lambda: deque(maxlen=_OWED))
    """How many registers were asked for by the last reads that were not answered: their replies may come at any time."""


class _RefusedError(RigError):
    """The device answered that it does not do this."""


class ModbusLine:
    """One line, one request at a time, none repeated; connected anew when a request needs it.

    A device that owes a reply is first asked for another number of registers, which no late reply can be the answer to: it
    answers in order, so what it owed has come before. A device's own gap keeps no other device waiting. A device that is silent
    for the first time costs the line its time-out and the silence after it (a late reply may still come), from then on the
    time-out alone.
    """

    def __init__(self, where: str, settings: TcpLine | SerialLine, clock: Clock, client: Client) -> None:
        self.where = where
        self._clock, self._client, self._timeout_s = clock, client, settings.timeout_s
        self._numbered = settings.kind == "modbus-tcp"
        self._echoes = isinstance(settings, SerialLine) and settings.local_echo
        self._drain_s = settings.drain_s
        self._frame_gap_s = frame_gap_s(settings) if isinstance(settings, SerialLine) else 0.0
        self._silence_s = self._frame_gap_s
        self._asked_at = self._heard_at = -inf
        self._lock = asyncio.Lock()
        self._units: dict[int, _Unit] = {}
        self._sent: bytes | None = None
        self._number = 0
        """Of the last request on Modbus TCP (MODBUS Messaging on TCP/IP V1.0b, 3.1.3); pymodbus takes a reply with 0 for any."""
        self._received = b""
        self._unasked = 0
        self._busy = False
        self._refusal: OSError | None = None
        loop = asyncio.get_running_loop()
        self._in_flight = loop.in_flight if isinstance(loop, VirtualLoop) and isinstance(settings, SerialLine) else None
        self._port = settings.port if isinstance(settings, SerialLine) else None
        self._watch(client)

    async def read(self, unit_id: int, function: Function, address: int, count: int, *, gap_s: float = 0) -> Reply:
        """Read `count` registers from `address` (0-based, as in the PDU), at most 125.

        Args:
            gap_s: what this device needs between the reply and the next request to it.
        Raises: RigError that names line, unit, registers and the reason; never returns what was not asked for.
        """
        what = f"{count} {function} registers from {address:#06x}"
        if not 0 <= address <= _REGISTERS - count:
            raise RigError(f"{self.where}, unit {unit_id}: {what}: the last register is {_REGISTERS - 1:#06x}")
        unit = self._units.setdefault(unit_id, _Unit())
        code = 4 if function == "input" else 3

        async def ask(count: int) -> tuple[ModbusPDU, datetime, datetime]:
            async def send(client: Client) -> ModbusPDU:
                read = client.read_input_registers if function == "input" else client.read_holding_registers
                return await read(address, count=count, device_id=unit_id)

            def check(reply: ModbusPDU) -> str:
                got = len(reply.registers)
                return "" if got == count else f"the reply has {got} registers instead of {count}"

            unit.owed.append(count)
            try:
                answer = await self._request(unit_id, what, code, send, check, gap_s)
            except _RefusedError:
                unit.owed.clear()
                raise
            unit.owed.clear()
            return answer

        async with unit.reading:
            if unit.owed and not self._numbered:
                with suppress(_RefusedError):  # an answer as well
                    await ask(next(one for one in _OTHER_COUNTS if one != count and one not in unit.owed))
            reply, requested, received = await ask(count)
        return Reply(tuple(reply.registers), requested, received)

    async def expect(self, unit_id: int, function: Function, address: int, registers: Sequence[int], *, gap_s: float = 0) -> None:
        """Read registers whose content is known and constant, such as a serial number: the canary of a line.

        Raises: RigError where they are not what they have to be; the line is then taken for shifted and has to be silent first.
        """
        reply = await self.read(unit_id, function, address, len(registers), gap_s=gap_s)
        if reply.registers != tuple(registers):
            self._spoil(self._units[unit_id], heard=True)
            found, due = (" ".join(f"{one:04x}" for one in words) for words in (reply.registers, registers))
            what = f"{self.where}, unit {unit_id}: {len(registers)} {function} registers from {address:#06x}"
            raise RigError(f"{what}: hold {found} instead of {due}: another device, or a shifted line")

    async def read_coil(self, unit_id: int, address: int) -> bool:
        """Read one coil (0-based, as in the PDU). Raises RigError."""
        what = f"coil {address}"
        reply, *_ = await self._request(
            unit_id, what, 1, lambda client: client.read_coils(address, count=1, device_id=unit_id),
            lambda reply: "" if len(reply.bits) == 8 else f"the reply has {len(reply.bits)} bits instead of 8",
        )  # fmt: skip
        return bool(reply.bits[0])

    async def write_coil(self, unit_id: int, address: int, value: bool) -> None:
        """Write one coil (0-based, as in the PDU); the device has confirmed it on return. Raises RigError."""

        def check(reply: ModbusPDU) -> str:
            confirmed = reply.address == address and bool(reply.bits[0]) == value
            return "" if confirmed else f"the reply confirms coil {reply.address} = {int(reply.bits[0])}"

        what = f"coil {address} = {int(value)}"
        await self._request(unit_id, what, 5, lambda client: client.write_coil(address, value, device_id=unit_id), check)

    async def write_register(self, unit_id: int, address: int, value: int) -> None:
        """Write one holding register (0-based, 0 to 65535); the device has confirmed it on return. Raises RigError."""

        def check(reply: ModbusPDU) -> str:
            confirmed = reply.address == address and list(reply.registers) == [value]
            return "" if confirmed else f"the reply confirms register {reply.address:#06x} = {list(reply.registers)}"

        what = f"holding register {address:#06x} = {value}"
        if not 0 <= value < 0x10000:
            raise RigError(f"{self.where}, unit {unit_id}: {what}: a register holds 0 to 65535")
        await self._request(unit_id, what, 6, lambda client: client.write_register(address, value, device_id=unit_id), check)

    async def connect(self) -> None:
        """Open the connection or the port where it is not. Raises RigError that says how to mend it."""
        if self._client.connected:
            return
        self._refusal = None
        if not await self._client.connect():
            raise RigError(f"{self.where}: {self._why_not()}")
        self._silence_s, self._heard_at = self._drain_s, self._clock.monotonic()
        for _ in range(2):  # pymodbus has its own set-up to do
            await asyncio.sleep(0)

    def _why_not(self) -> str:
        if self._port is not None and self._refusal is not None:
            return why_not(self._client.comm_params.host, self._refusal)
        reason = f" ({self._refusal.strerror or self._refusal})" if self._refusal else ""
        return f"no connection within {self._timeout_s:g} s{reason}"

    async def _request(
        self, unit_id: int, what: str, function_code: int, send: Send, check: Callable[[ModbusPDU], str], gap_s: float = 0
    ) -> tuple[ModbusPDU, datetime, datetime]:
        """Wait for the device, then for the line; return a reply that was checked, and when it was asked for and came."""
        unit = self._units.setdefault(unit_id, _Unit())
        what = f"{self.where}, unit {unit_id}: {what}"
        async with unit.lock:
            await self._clock.sleep(unit.free_at - self._clock.monotonic())
            async with self._lock:
                await self.connect()
                await self._silence()
                requested = self._clock.now()
                reply = await self._exchange(unit, what, function_code, send, check, gap_s)
                return reply, requested, self._clock.now()

    async def _silence(self) -> None:
        """Wait until the line was silent for as long as it has to be. Raises RigError where it never is."""
        if self._numbered:
            return
        give_up = self._clock.monotonic() + 5 * max(1.0, self._drain_s)
        while (wait := self._heard_at + self._silence_s - self._clock.monotonic()) > _TOLERANCE_S:
            if self._clock.monotonic() > give_up:
                raise RigError(f"{self.where}: is never silent for {self._silence_s:g} s: something else asks or talks on it")
            await self._clock.sleep(wait)
        self._silence_s = self._frame_gap_s

    async def _exchange(
        self, unit: _Unit, what: str, function_code: int, send: Send, check: Callable[[ModbusPDU], str], gap_s: float
    ) -> ModbusPDU:
        self._asked_at = self._clock.monotonic()
        sound, self._busy, self._received, self._unasked = False, True, b"", 0
        try:
            reply = await send(self._client)
            if self._numbered and reply.transaction_id != self._number:
                raise RigError(f"{what}: the reply has number {reply.transaction_id} instead of {self._number}")
            if reply.isError():
                sound = True
                reason = _EXCEPTIONS.get(reply.exception_code, "unknown reason")
                raise _RefusedError(f"{what}: refused with exception {reply.exception_code} ({reason})")
            wrong = f"the reply has function code {reply.function_code}" if reply.function_code != function_code else check(reply)
            if wrong:
                raise RigError(f"{what}: {wrong}")
            sound = True
            return reply
        except (ModbusException, OSError) as error:
            raise RigError(f"{what}: {self._no_reply()}") from error
        finally:
            self._busy, self._sent = False, None
            unit.free_at = self._clock.monotonic() + gap_s
            if sound:
                unit.silent = False
            else:
                self._spoil(unit, heard=bool(self._received))

    def _no_reply(self) -> str:
        if not self._client.connected:
            return "no valid reply: the connection is lost"
        came = f"; what came: {self._received[:16].hex(' ')}" if self._received else ""
        came += f" … ({len(self._received)} bytes)" if len(self._received) > 16 else ""
        return f"no valid reply within {self._timeout_s:g} s{came}"

    def _spoil(self, unit: _Unit, *, heard: bool) -> None:
        """A reply to this device's request may still come: see to it that it is taken for nothing."""
        if self._numbered:
            self._client.close()
            return
        due = max(self._clock.monotonic(), self._asked_at + self._timeout_s)  # a request that was given up may yet be answered
        unit.free_at = max(unit.free_at, due + self._drain_s)
        if heard or not unit.silent:
            self._silence_s, self._heard_at = self._drain_s, due
        unit.silent = not heard

    def _watch(self, client: Client) -> None:
        """Stand between pymodbus and the line: hand on sound replies only, and keep the reason of a failed connection."""
        ctx = client.ctx
        create, receive = ctx.call_create, ctx.data_received

        async def connect() -> object:
            try:
                return await create()
            except OSError as error:
                self._refusal = error
                raise

        def heard(data: bytes) -> None:
            if frame := self._heard(data):
                receive(frame)

        ctx.call_create = connect
        ctx.trace_packet = self._trace
        ctx.trace_connect = self._changed
        if not self._numbered:
            ctx.data_received = heard  # type: ignore[method-assign]

    def _trace(self, sending: bool, data: bytes) -> bytes:
        if sending:
            self._sent, self._number = data, int.from_bytes(data[:2])
            if self._in_flight is not None:
                self._in_flight.written(len(data))
        return data

    def _changed(self, connected: bool) -> None:
        """A lost connection ends the request that is on it."""
        reply = self._client.ctx.response_future
        if not connected and self._busy and not reply.done():
            reply.set_exception(ConnectionException("the connection is lost"))

    def _heard(self, data: bytes) -> bytes:
        """Take bytes from the line; return the frame that answers the request on it, b"" where there is none yet."""
        if self._in_flight is not None:
            self._in_flight.read(len(data))
        self._heard_at = max(self._heard_at, self._clock.monotonic())
        if self._sent is None:
            self._unasked += len(data)
            if self._unasked >= SHORTEST_FRAME:  # less is the noise of a line that is let go
                self._silence_s = self._drain_s
                for unit in self._units.values():
                    unit.silent = False
            return b""
        self._received = (self._received + data)[-_KEPT_BYTES:]
        frame = reply_in(self._received, self._sent, echoed=self._echoes)
        if frame:
            self._sent = None
        return frame


def frame_gap_s(line: SerialLine) -> float:
    """Return the silence between two frames: 3.5 characters, above 19,200 baud 1.75 ms.

    Source: MODBUS over Serial Line V1.02, 2.5.1.1.
    """
    return max(3.5 * bits_per_character(line) / line.baud, 0.00175)


def bits_per_character(line: SerialLine) -> int:
    """Return start, data, parity and stop bits of one character."""
    return 9 + (line.parity != "N") + line.stop_bits


@asynccontextmanager
async def open_modbus_line(
    name: str, settings: TcpLine | SerialLine, clock: Clock, port: int | str | None = None
) -> AsyncIterator[ModbusLine]:
    """Open a line and close it at the end.

    Args:
        name: the line's name in the rig file; empty for the line of a meter with an address of its own.
        port: takes the place of the settings' port, for an emulated line: a TCP port or a device.
    Raises: RigError where there is no connection, or where the port is missing, taken or not permitted.
    """
    port = port or settings.port
    client: Client
    if isinstance(settings, SerialLine):
        place = str(port)
        client = AsyncModbusSerialClient(
            place, baudrate=settings.baud, parity=settings.parity, stopbits=settings.stop_bits,
            name=place, timeout=settings.timeout_s, retries=0, reconnect_delay=0,
        )  # fmt: skip
    else:
        place = f"{settings.host}:{port}"
        framer = FramerType.SOCKET if settings.kind == "modbus-tcp" else FramerType.RTU
        client = AsyncModbusTcpClient(
            settings.host, port=int(port or 0), framer=framer, name=place, timeout=settings.timeout_s, retries=0,
            reconnect_delay=0,
        )  # fmt: skip
    where = f"line {name} ({place})" if name else place
    if not port:
        raise RigError(f"{where}: this port is for an emulated rig; say in the rig file which to use")
    line = ModbusLine(where, settings, clock, client)
    try:
        await line.connect()
        yield line
    finally:
        client.close()
