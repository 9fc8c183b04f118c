"""An RS-485 bus on a pty, for tests: devices that answer one request after the other, soundly or as a script tells."""

from __future__ import annotations

import asyncio
import os
import tty
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.adapters.clock import VirtualLoop
from bench.wire.rtu import crc16

Saying = Sequence[tuple[float, bytes]]
"""What a device says: bytes, each after so many seconds."""
Script = Callable[[bytes], Saying]
UNITS = (1, 2)


def register(unit: int, function: int, address: int) -> int:
    """Return what a register holds: no other register below address 0x800 of units 1 to 7 holds the same."""
    return unit << 13 | (function & 1) << 12 | address & 0xFFF


def with_crc(frame: bytes) -> bytes:
    """Return a frame with its CRC."""
    return frame + crc16(frame).to_bytes(2, "little")


def answer(request: bytes) -> bytes:
    """Return the sound reply to a request that reads registers, reads one coil or writes."""
    unit, function = request[0], request[1]
    address, count = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
    if function in (3, 4):
        words = [register(unit, function, address + number) for number in range(count)]
        return with_crc(bytes([unit, function, 2 * count]) + b"".join(word.to_bytes(2) for word in words))
    return with_crc(bytes([unit, function, 1, address & 1])) if function == 1 else request


def soundly(request: bytes) -> Saying:
    """Answer as a sound device does, at once."""
    return [(0.0, answer(request))]


class RtuBus:
    """The bus. A request for a unit that is not on it gets no answer; requests to one unit wait for one another."""

    def __init__(self, script: Script, units: Sequence[int], *, echo: bool, link: Path | None) -> None:
        self.script, self.requests, self.echo = script, list[bytes](), echo
        self._loop = asyncio.get_running_loop()
        self._in_flight = self._loop.in_flight if isinstance(self._loop, VirtualLoop) else None
        self._master, self._slave = os.openpty()
        for fd in (self._master, self._slave):
            tty.setraw(fd)
        self.device, self._link = os.ttyname(self._slave), link
        if link is not None:
            link.symlink_to(self.device)
        self._buffer = b""
        self._waiting = {unit: deque[bytes]() for unit in units}
        self._timers: set[asyncio.TimerHandle] = set()
        self._loop.add_reader(self._master, self._receive)

    def close(self) -> None:
        """Take the adapter out of its socket."""
        self._loop.remove_reader(self._master)
        for timer in self._timers:
            timer.cancel()
        if self._link is not None:
            self._link.unlink()
        os.close(self._master)
        os.close(self._slave)

    def say(self, data: bytes) -> None:
        """Put bytes on the line."""
        if data and self._in_flight is not None:
            self._in_flight.written(len(data))
        os.write(self._master, data)

    def _receive(self) -> None:
        data = os.read(self._master, 1000)
        if self._in_flight is not None:
            self._in_flight.read(len(data))
        if self.echo:
            self.say(data)
        self._buffer += data
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            assert with_crc(request[:6]) == request, f"a broken request: {request.hex()}"
            self.requests.append(request)
            if (queue := self._waiting.get(request[0])) is not None:
                queue.append(request)
                if len(queue) == 1:
                    self._serve(queue)

    def _serve(self, queue: deque[bytes]) -> None:
        self._next(queue, list(self.script(queue[0])))

    def _next(self, queue: deque[bytes], rest: list[tuple[float, bytes]]) -> None:
        if not rest:
            queue.popleft()
            if queue:
                self._serve(queue)
            return

        def speak() -> None:
            self._timers.discard(timer)
            self.say(rest[0][1])
            self._next(queue, rest[1:])

        timer = self._loop.call_later(rest[0][0], speak)
        self._timers.add(timer)


@asynccontextmanager
async def rtu_bus(
    script: Script = soundly, *, units: Sequence[int] = UNITS, link: Path | None = None, echo: bool = False
) -> AsyncIterator[RtuBus]:
    """Plug in an adapter with a bus behind it, `link` being its stable name; pull it out at the end."""
    bus = RtuBus(script, units, echo=echo, link=link)
    try:
        yield bus
    finally:
        bus.close()
