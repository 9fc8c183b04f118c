"""A line and the devices on it: strictly one request after the other, on TCP or on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from firmware_sim.clock import Clock
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.modbus import NO_SUCH_TARGET, Device, Framing, Reply, Request, Wire, refusal

FORGET_S: Final = 0.1
"""After so long a silence the begin of a request is noise."""


class InFlight(Protocol):
    """Holds virtual time while bytes are on their way through the kernel."""

    def written(self, count: int) -> None:
        """Tell that so many bytes were written to the line."""
        ...

    def read(self, count: int) -> None:
        """Tell that so many bytes were read from the other end."""
        ...


class ModbusBus:
    """Devices by unit id on one line. A unit that is not there is silent; on Modbus TCP it is refused with exception 11."""

    def __init__(
        self, devices: Mapping[int, Device], framing: Framing, clock: Clock, faults: FaultSeam, wire: Wire | None = None
    ) -> None:
        self._devices, self._framing, self._clock, self._faults = devices, framing, clock, faults
        self._wire = wire or Wire()
        self._free = asyncio.Lock()

    async def serve(self, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], None]) -> None:
        """Answer until `read` returns b"". Raises ValueError on what is no Modbus at all."""
        buffer, heard = bytearray(), self._clock.monotonic()
        while data := await read():
            if self._framing.rtu and self._clock.monotonic() - heard > FORGET_S:
                buffer.clear()
            buffer += data
            while (request := self._framing.take(buffer)) is not None:
                async with self._free:
                    await self._serve(request, write)
            heard = self._clock.monotonic()

    async def _serve(self, request: Request, write: Callable[[bytes], None]) -> None:
        await self._pause(request.size * self._wire.character_s + self._wire.turnaround_s)
        if request.unit == 0 and self._framing.rtu:  # a broadcast is obeyed and not answered
            for device in self._devices.values():
                device.answer(request.pdu)
            return
        reply = self._reply(request)
        if reply.frame:
            await self._pause(reply.delay_s + len(reply.frame) * self._wire.character_s)
            write(reply.frame)

    def _reply(self, request: Request) -> Reply:
        device = self._devices.get(request.unit)
        if device is None:
            pdu = None if self._framing.rtu else refusal(request.pdu, NO_SUCH_TARGET)
            return Reply(self._framing.frame(request, pdu) if pdu else b"")
        pdu = device.answer(request.pdu)
        reply = Reply(self._framing.frame(request, pdu) if pdu else b"", rtu=self._framing.rtu)
        changed: Reply = self._faults.apply("reply", device.name, self._clock.monotonic(), value=reply)
        return changed

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)


@asynccontextmanager
async def open_tcp(bus: ModbusBus, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve a bus on TCP and yield the port (`port` 0: a free one). Raises OSError when it is taken."""
    connections: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        connections.add(task)
        try:
            with suppress(ValueError, OSError, asyncio.CancelledError):  # who leaves or talks nonsense loses the connection
                await bus.serve(lambda: reader.read(1024), writer.write)
        finally:
            connections.discard(task)
            writer.transport.abort()

    try:
        server = await asyncio.start_server(connection, host, port)
    except OSError:
        raise OSError(f"the meter cannot listen on {host}:{port}") from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)


@asynccontextmanager
async def open_pty(bus: ModbusBus, *, link: Path | None = None, in_flight: InFlight | None = None) -> AsyncIterator[str]:
    """Serve a bus on a pseudo-terminal and yield the path of its device.

    Args:
        link: a symbolic link to make for it, and to yield in its place; it may not exist.
        in_flight: is told of the bytes that this end reads and writes.
    Raises: OSError where the link cannot be made.
    """
    own, device = os.openpty()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def readable() -> None:
        data = os.read(own, 1024)
        if in_flight:
            in_flight.read(len(data))
        chunks.put_nowait(data)

    def write(data: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: on a wire the bytes are lost as well
            sent = os.write(own, data)
            if in_flight:
                in_flight.written(sent)

    try:
        for end in (own, device):
            tty.setraw(end)
        os.set_blocking(own, False)
        path = os.ttyname(device)
        if link is not None:
            _link(link, path)
        loop.add_reader(own, readable)
        task = loop.create_task(bus.serve(chunks.get, write))
        try:
            yield str(link or path)
        finally:
            loop.remove_reader(own)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if link is not None:
                _unlink(link)
    finally:
        os.close(own)
        os.close(device)


def _link(link: Path, path: str) -> None:
    link.symlink_to(path)


def _unlink(link: Path) -> None:
    link.unlink(missing_ok=True)
