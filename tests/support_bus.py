"""What the tests of emulated Modbus lines share: meters on a constant truth, and a client that counts bytes on a terminal."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.adapters.clock import LoopClock, VirtualLoop
from firmware_sim.distortion import NO_DISTORTION
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.line import ModbusBus, open_pty
from firmware_sim.instruments.meter import EmulatedMeter
from firmware_sim.instruments.modbus import Device, RtuFraming, Wire, crc16
from firmware_sim.physics import Truth
from firmware_sim.register_map import read_register_map
from tests.support_firmware import EPOCH, SDM630

TRUTH = Truth((229.87, 230.12, 231.49), (15.496, 7.123, 0.457), 5307.0, 1_234_567.0)


class ConstantPlant:
    """An EVSE on which nothing changes."""

    def metered(self, ago_s: float = 0.0) -> Truth:
        """Return what is always there."""
        return TRUTH


def meter(clock: Any, name: str = "m1", path: Path = SDM630, faults: FaultSeam | None = None) -> EmulatedMeter:
    """Return a meter that sees the constant truth on its three phases."""
    plant: Any = ConstantPlant()
    return EmulatedMeter(name, read_register_map(path), NO_DISTORTION, [(plant, (1, 2, 3))], faults or FaultSeam(), clock)


def framed(unit: int, *pdu: int) -> bytes:
    """Return an RTU frame."""
    body = bytes([unit, *pdu])
    return body + crc16(body)


def read_request(unit: int, address: int, count: int, function: int = 4) -> bytes:
    """Return the RTU frame of a read."""
    return framed(unit, function, *address.to_bytes(2), *count.to_bytes(2))


class Terminal:
    """The bench's end of an emulated line, byte by byte, in virtual time."""

    def __init__(self, fd: int, clock: LoopClock) -> None:
        self.clock, self._fd = clock, fd
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._in_flight = loop.in_flight
        self._heard: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        loop.add_reader(fd, self._readable)

    def _readable(self) -> None:
        data = os.read(self._fd, 1024)
        self._in_flight.read(len(data))
        self._heard.put_nowait((self.clock.monotonic(), data))

    def send(self, data: bytes) -> None:
        """Write at once."""
        self._in_flight.written(os.write(self._fd, data))

    async def heard(self, count: int, patience_s: float = 5.0) -> tuple[float, bytes]:
        """Return when byte number `count` came, in the clock's seconds, and what came; less where no more came in time."""
        received, at = b"", self.clock.monotonic()
        try:
            async with asyncio.timeout(patience_s):
                while len(received) < count:
                    at, data = await self._heard.get()
                    received += data
        except TimeoutError:
            pass
        return at, received

    async def ask(self, request: bytes, count: int = 256, patience_s: float = 5.0) -> bytes:
        """Send a request and return what comes within the time."""
        self.send(request)
        return (await self.heard(count, patience_s))[1]

    def close(self) -> None:
        """Leave the line."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


@asynccontextmanager
async def open_terminal(
    faults: FaultSeam | None = None, wire: Wire | None = None, units: Mapping[int, Device] | None = None
) -> AsyncIterator[Terminal]:
    """Yield a terminal on a line with SDM630s m1 and m2 as units 1 and 2; no time passes on it but for a given wire."""
    clock, faults = LoopClock(EPOCH), faults or FaultSeam()
    devices = units or {unit: meter(clock, f"m{unit}", faults=faults) for unit in (1, 2)}
    bus = ModbusBus(devices, RtuFraming(), clock, faults, wire)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with open_pty(bus, in_flight=loop.in_flight) as path:
        terminal = Terminal(os.open(path, os.O_RDWR | os.O_NOCTTY), clock)
        try:
            yield terminal
        finally:
            terminal.close()


def raw_mode(path: str) -> bool:
    """Tell whether a terminal hands on every byte as it is."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        return not termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON)
    finally:
        os.close(fd)
