"""A line and the devices on it: strictly one request after the other, on TCP or on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
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
        self._devices, self._framing, self.clock, self._faults = devices, framing, clock, faults
        self._wire = wire or Wire()
        self._free = asyncio.Lock()

    async def serve(
        self, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], None],
        unplug: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """Answer until `read` returns b"".

        Args: unplug: takes the bench's adapter away for so many seconds; None where there is none.
        Raises: ValueError on what is no Modbus at all.
        """
        buffer, heard = bytearray(), self.clock.monotonic()
        while data := await read():
            if self._framing.rtu and self.clock.monotonic() - heard > FORGET_S:
                buffer.clear()
            buffer += data
            while (request := self._framing.take(buffer)) is not None:
                if unplug is not None and (gone_s := self._gone_s(request)) > 0:
                    buffer.clear()
                    await unplug(gone_s)
                    break
                async with self._free:
                    await self._serve(request, write)
            heard = self.clock.monotonic()

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

    def _gone_s(self, request: Request) -> float:
        device = self._devices.get(request.unit)
        if device is None:
            return 0.0
        gone_s: float = self._faults.apply("adapter_gone", device.name, self.clock.monotonic(), value=0.0)
        return gone_s

    def _reply(self, request: Request) -> Reply:
        device = self._devices.get(request.unit)
        if device is None:
            pdu = None if self._framing.rtu else refusal(request.pdu, NO_SUCH_TARGET)
            return Reply(self._framing.frame(request, pdu) if pdu else b"")
        pdu = device.answer(request.pdu)
        reply = Reply(self._framing.frame(request, pdu) if pdu else b"", rtu=self._framing.rtu)
        changed: Reply = self._faults.apply("reply", device.name, self.clock.monotonic(), value=reply)
        return changed

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self.clock.sleep(seconds)


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


class _Terminal:
    """This end of a pseudo-terminal behind a symbolic link, which can be taken away and put back like a USB adapter."""

    def __init__(self, link: Path, clock: Clock, in_flight: InFlight | None) -> None:
        self._link, self._clock, self._in_flight = link, clock, in_flight
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ends: tuple[int, int] | None = None
        self.read = self._chunks.get

    def plug(self) -> None:
        """Make a new terminal. Raises OSError where the link cannot be made."""
        own, device = os.openpty()
        try:
            for end in (own, device):
                tty.setraw(end)
            os.set_blocking(own, False)
            self._link.symlink_to(os.ttyname(device))
        except OSError:
            os.close(own)
            os.close(device)
            raise
        self._ends = own, device
        self._loop.add_reader(own, self._readable, own)

    def pull(self) -> None:
        """Take it away: whoever has it open reads an error, and there is no device behind the link."""
        if self._ends is None:
            return
        own, device = self._ends
        self._ends = None
        self._loop.remove_reader(own)
        self._link.unlink(missing_ok=True)
        os.close(own)
        os.close(device)

    async def unplug(self, gone_s: float) -> None:
        """Take it away for so long."""
        self.pull()
        await self._clock.sleep(gone_s)
        self.plug()

    def write(self, data: bytes) -> None:
        """Put bytes on the line."""
        if self._ends is None:
            return
        with suppress(BlockingIOError):  # nobody reads: on a wire the bytes are lost as well
            sent = os.write(self._ends[0], data)
            if self._in_flight:
                self._in_flight.written(sent)

    def _readable(self, own: int) -> None:
        data = os.read(own, 1024)
        if self._in_flight:
            self._in_flight.read(len(data))
        self._chunks.put_nowait(data)


@asynccontextmanager
async def open_pty(bus: ModbusBus, *, link: Path | None = None, in_flight: InFlight | None = None) -> AsyncIterator[str]:
    """Serve a bus on a pseudo-terminal and yield the path of a symbolic link to it.

    Args:
        link: the link, which may not exist; None makes one in a folder of its own.
        in_flight: is told of the bytes that this end reads and writes.
    Raises: OSError where the link cannot be made.
    """
    with TemporaryDirectory(prefix="line-") as folder:
        path = link or Path(folder) / "bus"
        terminal = _Terminal(path, bus.clock, in_flight)
        try:
            terminal.plug()
            task = asyncio.create_task(bus.serve(terminal.read, terminal.write, terminal.unplug))
            try:
                yield str(path)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        finally:
            terminal.pull()
