"""An emulated relay board on Modbus TCP: coils with a contactor behind them, and a communication watchdog of its own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from firmware_sim.tcp_server import open_tcp_server

RelayFault = Literal["", "welded", "lies", "silent"]
"""welded: the contact stays closed, and the coil says so; lies: it stays closed, and the coil says open; silent: no answer."""
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class LimitInput:
    """A contact or a holding register by which a station is limited from outside."""

    station: str
    limit: float = 0.0
    """Of a closed contact, in `unit`."""
    unit: str = "A"
    scale: float = 1.0
    """Of a register: limit = register times this."""
    released: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """One relay board on Modbus TCP."""

    port: int = 0
    unit_id: int = 1
    watchdog_s: float = 0.0
    """At the start; 0: switched off until somebody writes its register."""
    watchdog_register: int = 0
    supplies: Mapping[int, str] = field(default_factory=dict)
    """By coil: the station in whose supply the contactor is."""
    contacts: Mapping[int, LimitInput] = field(default_factory=dict)
    """By coil."""
    registers: Mapping[int, LimitInput] = field(default_factory=dict)
    """By holding register."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any], where: str) -> RelaySpec:
        """Take plain data with the names of the fields. Raises ValueError."""
        try:
            values = dict(data)
            for key in ("contacts", "registers"):
                values[key] = {int(at): LimitInput(**one) for at, one in values.get(key, {}).items()}
            values["supplies"] = {int(at): str(one) for at, one in values.get("supplies", {}).items()}
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from None


class RelayBoard:
    """Coils 0 to n-1, all open at first. Protocol data units in and out; the board's own time is the running loop's."""

    def __init__(
        self, coils: int, changed: Callable[[int, bool], None], *, watchdog_s: float = 0.0, watchdog_register: int = 0
    ) -> None:
        """`changed(coil, closed)` is called whenever a contact moves.

        Args: watchdog_register: holds, in tenths of a second, after how long a silence all relays open; 0: never.
        """
        self.contacts = [False] * coils
        self._watchdog = watchdog_register
        self.registers = {watchdog_register: round(watchdog_s * 10)}
        self._takes: dict[int, Callable[[int], None]] = {}
        self.fault: RelayFault = ""
        self._coils = [False] * coils
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None

    def add_register(self, address: int, value: int, takes: Callable[[int], None]) -> None:
        """Give it a holding register; `takes(value)` is called each time it is written."""
        self.registers[address], self._takes[address] = value, takes

    def answer(self, pdu: bytes) -> bytes:
        """Return the answer to a request; every sound request keeps the watchdog quiet. Source: MODBUS V1.1b3, section 6."""
        function = pdu[0] if pdu else 0
        try:
            if function not in (1, 3, 5, 6):
                return bytes((function | 0x80, _ILLEGAL_FUNCTION))
            address, value = struct.unpack(">HH", pdu[1:])
        except struct.error:
            return bytes((function | 0x80, _ILLEGAL_VALUE))
        code, body = {1: self._read_coils, 3: self._read_registers, 5: self._write_coil, 6: self._write_register}[function](
            address, value
        )
        if code:
            return bytes((function | 0x80, code))
        self._fed()
        return bytes((function,)) + body

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_coils(self, address: int, count: int) -> tuple[int, bytes]:
        if count < 1 or address + count > len(self._coils):
            return _ILLEGAL_ADDRESS, b""
        bits = sum(closed << at for at, closed in enumerate(self._coils[address : address + count]))
        size = (count + 7) // 8
        return 0, bytes((size,)) + bits.to_bytes(size, "little")

    def _read_registers(self, address: int, count: int) -> tuple[int, bytes]:
        wanted = range(address, address + count)
        if not 1 <= count <= 125 or not set(wanted) <= set(self.registers):
            return _ILLEGAL_ADDRESS, b""
        return 0, bytes((2 * count,)) + struct.pack(f">{count}H", *(self.registers[one] for one in wanted))

    def _write_coil(self, address: int, value: int) -> tuple[int, bytes]:
        if address >= len(self._coils):
            return _ILLEGAL_ADDRESS, b""
        if value not in (0, 0xFF00):
            return _ILLEGAL_VALUE, b""
        self._move(address, value != 0)
        return 0, struct.pack(">HH", address, value)

    def _write_register(self, address: int, value: int) -> tuple[int, bytes]:
        if address not in self.registers:
            return _ILLEGAL_ADDRESS, b""
        self.registers[address] = value
        if address in self._takes:
            self._takes[address](value)
        return 0, struct.pack(">HH", address, value)

    def _move(self, coil: int, closed: bool) -> None:
        stuck = self.fault in ("welded", "lies") and self.contacts[coil] and not closed
        self._coils[coil] = closed or (stuck and self.fault == "welded")
        if not stuck and self.contacts[coil] != closed:
            self.contacts[coil] = closed
            self._changed(coil, closed)

    def _fed(self) -> None:
        self.close()
        silence_s = self.registers[self._watchdog] / 10
        if silence_s:
            self._timer = asyncio.get_running_loop().call_later(silence_s, self._open_all)

    def _open_all(self) -> None:
        for coil in range(len(self._coils)):
            self._move(coil, False)


@asynccontextmanager
async def open_relay(board: RelayBoard, *, host: str, port: int, unit_id: int = 1) -> AsyncIterator[int]:
    """Serve a board on Modbus TCP and yield the port (`port` 0: a free one). Raises OSError where it is taken."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
            if protocol != 0 or not 2 <= length <= 254:
                return
            pdu = await reader.readexactly(length - 1)
            if unit == unit_id and board.fault != "silent":
                answer = board.answer(pdu)
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)

    async with open_tcp_server(talk, host=host, port=port) as found:
        try:
            yield found
        finally:
            board.close()
