"""A TCP relay before the CSMS port that can disturb the connections of stations. It relays bytes, so TLS makes no difference.

Undisturbed, each byte goes on as soon as it is there, the end of a stream as its end and a reset as a reset. No more than
MOST_HELD bytes wait in either direction: who does not read slows down who writes, as on a connection without a relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from bench.domain.link import Direction, LinkFault
from bench.ports import Clock

CHUNK: Final = 65_536
MOST_HELD: Final = 4 * CHUNK
SLICES_PER_S: Final = 10
"""A throttled connection gets its bytes in so many pieces a second."""
CLOSE_PATIENCE_S: Final = 2.0
"""How long a closed connection may take to be closed by its other end as well."""
HALF_CLOSED_S: Final = 30.0
"""How long a station may leave a connection open that the CSMS has ended; who never closes must not use up the sockets."""
_RESET: Final = struct.pack("ii", 1, 0)

_log = logging.getLogger("bench.link")
_log.addHandler(logging.NullHandler())


class LinkRelay:
    """Fits Link. Listens on one socket and connects each station to the CSMS behind it."""

    def __init__(self, listener: socket.socket, clock: Clock) -> None:
        self.clock = clock
        self.fault: LinkFault | None = None
        self.changed = asyncio.Event()
        self._listener, self._over = listener, _nothing
        self._target: tuple[str, int] | None = None
        self._ends: asyncio.Task[None] | None = None
        self._peers: dict[int, str] = {}
        self._connections: dict[asyncio.Task[None], _Relayed] = {}

    def disturb(self, fault: LinkFault, over: Callable[[], None]) -> None:
        """Disturb all connections from now on, in place of what disturbs them already; `over` is called once at the end."""
        self.restore()
        self.fault, self._over = fault, over
        self._wake()
        for one in self._connections.values():
            if fault.mode == "reset":
                one.reset()
            elif fault.mode == "close":
                one.close()
        self._ends = asyncio.ensure_future(self._end_after(fault.seconds))

    def restore(self) -> None:
        """End what disturbs the connections; nothing to do where nothing does."""
        if self._ends is not None:
            self._ends.cancel()
            self._end()

    def peer_of(self, port: int) -> str | None:
        """Return the address of the station behind a connection that the CSMS sees coming from this port."""
        return self._peers.get(port)

    async def _end_after(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._end()

    def _end(self) -> None:
        over, self._over = self._over, _nothing
        self.fault, self._ends = None, None
        self._wake()
        over()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    # connections -----------------------------------------------------------------------------------------------

    async def run(self, target: tuple[str, int]) -> None:
        """Accept connections for ever and relay them to `target`; at the end reset what is still open."""
        loop = asyncio.get_running_loop()
        self._target = target
        try:
            while True:
                try:
                    accepted, address = await loop.sock_accept(self._listener)
                except OSError as error:  # out of file descriptors, or the peer was gone at once
                    _log.warning("accepting a connection failed: %s", error)
                    await self.clock.sleep(1)
                    continue
                self._let_in(accepted, str(address[0]))
        finally:
            await self._close()

    def _let_in(self, accepted: socket.socket, peer: str) -> None:
        accepted.setblocking(False)
        if self.fault is not None and self.fault.mode in ("reset", "refuse"):
            _reset(accepted)
            return
        if self.fault is not None and self.fault.mode == "close":
            accepted.close()
            return
        relayed = _Relayed(self, accepted)
        task = asyncio.ensure_future(self._relay(relayed, peer))
        self._connections[task] = relayed
        task.add_done_callback(self._connections.pop)

    async def _relay(self, relayed: _Relayed, peer: str) -> None:
        """Connect to the CSMS from a port that is known to be the station's, and relay until both ends are done."""
        assert self._target is not None
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        port = 0
        try:
            inner.setblocking(False)
            inner.bind(("127.0.0.1", 0))
            port = inner.getsockname()[1]
            self._peers[port] = peer
            await asyncio.get_running_loop().sock_connect(inner, self._target)
            await relayed.run(inner)
        except OSError as error:
            _log.warning("relaying a connection of %s: %s", peer, error)
            _reset(relayed.station)
        finally:
            self._peers.pop(port, None)
            relayed.station.close()
            inner.close()

    async def _close(self) -> None:
        self.restore()
        self._listener.close()
        open_ones = list(self._connections)
        for relayed in list(self._connections.values()):
            relayed.reset()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


class _Relayed:
    """One station's connection: two sockets and a pump in each direction."""

    def __init__(self, relay: LinkRelay, station: socket.socket) -> None:
        self._relay, self.station = relay, station
        self._pumps: list[asyncio.Task[None]] = []
        self._flows: list[_Flow] = []
        self._was_reset = False

    async def run(self, csms: socket.socket) -> None:
        """Relay until both directions have ended, or one end has reset the connection: then the other one is reset too."""
        if self._was_reset:
            raise ConnectionResetError("reset before it was connected")
        for one in (self.station, csms):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flows = [
            _Flow(self._relay, "to_csms", self.station, csms), _Flow(self._relay, "to_station", csms, self.station),
        ]  # fmt: skip
        self._pumps = [asyncio.ensure_future(work()) for flow in self._flows for work in (flow.read, flow.write)]
        self._pumps[-1].add_done_callback(self._csms_has_ended)
        try:
            done, _ = await asyncio.wait(self._pumps, return_when=asyncio.FIRST_EXCEPTION)
            if self._was_reset or any(task.cancelled() or task.exception() for task in done):
                _linger(self.station)
                _linger(csms)
        finally:
            for task in self._pumps:
                task.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    def reset(self) -> None:
        """End both sides with RST."""
        self._was_reset = True
        for task in self._pumps:
            task.cancel()

    def close(self) -> None:
        """End both sides with FIN; what still comes is read and thrown away until the other end closes as well."""
        if not self._pumps:
            self.reset()
            return
        for flow in self._flows:
            flow.finish()
        self._pumps.append(asyncio.ensure_future(self._give_up(CLOSE_PATIENCE_S)))

    def _csms_has_ended(self, told: asyncio.Task[None]) -> None:
        if not told.cancelled() and told.exception() is None:
            self._pumps.append(asyncio.ensure_future(self._give_up(HALF_CLOSED_S)))

    async def _give_up(self, patience_s: float) -> None:
        """Reset the connection where the station has not ended it by then."""
        await self._relay.clock.sleep(patience_s)
        if not self._pumps[0].done():
            self.reset()


class _Flow:
    """What flows in one direction: read by one task, held if it must be, written by another."""

    def __init__(self, relay: LinkRelay, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        self._relay, self._direction, self._source, self._sink = relay, direction, source, sink
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes | None]] = deque()
        """With the moment at which each piece was read; an empty one is the end of the stream, None a reset."""
        self._size = 0
        self._moved = asyncio.Event()
        self._finished = False

    def finish(self) -> None:
        """Send the end of the stream at once, and throw away all that comes."""
        self._finished = True
        with contextlib.suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)
        self._moved.set()

    async def read(self) -> None:
        """Read to the end of the stream. Raises OSError where the connection was reset and nothing hides that."""
        try:
            while data := await self._loop.sock_recv(self._source, CHUNK):
                if self._finished:
                    continue
                self._hold(data)
                while self._size >= MOST_HELD and not self._finished:
                    await self._next_move()
        except OSError:
            if not self._fault("swallow"):
                raise
            self._hold(None)
        else:
            self._hold(b"")

    def _hold(self, data: bytes | None) -> None:
        self._held.append((self._relay.clock.monotonic(), data))
        self._size += len(data or b"")
        self._moved.set()

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def write(self) -> None:
        """Write what is held when it is due. Raises OSError where the connection was reset."""
        while not self._finished:
            if not self._held:
                await self._next_move()
                continue
            if await self._waited():
                continue
            read_at, data = self._held.popleft()
            if data is None:
                raise ConnectionResetError
            piece = data[: self._most()]
            if rest := data[len(piece) :]:
                self._held.appendleft((read_at, rest))
            if not data:
                self._sink.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(self._sink, piece)
            self._size -= len(piece)
            self._moved.set()
            if throttle := self._fault("throttle"):
                await self._change_within(len(piece) / throttle.bytes_per_s)

    def _fault(self, mode: str) -> LinkFault | None:
        fault = self._relay.fault
        return fault if fault is not None and fault.mode == mode and fault.acts_on(self._direction) else None

    def _most(self) -> int:
        fault = self._fault("throttle")
        return max(1, int(fault.bytes_per_s / SLICES_PER_S)) if fault else CHUNK

    async def _waited(self) -> bool:
        """Wait for what the disturbance asks for; say whether it did, and the first piece has to be looked at again."""
        if self._fault("swallow"):
            await self._change_within(None)
            return True
        fault = self._fault("delay")
        wait_s = self._held[0][0] + fault.delay_s - self._relay.clock.monotonic() if fault else 0.0
        if wait_s > 1e-9:
            await self._change_within(wait_s)
            return True
        return False

    async def _change_within(self, seconds: float | None) -> None:
        """Wait so long (None: for ever), or until the disturbance begins, changes or ends."""
        changed = asyncio.ensure_future(self._relay.changed.wait())
        waits = [changed] + ([asyncio.ensure_future(self._sleep(seconds))] if seconds is not None else [])
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _sleep(self, seconds: float) -> bool:
        await self._relay.clock.sleep(seconds)
        return True


def _nothing() -> None:
    return None


def _linger(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _reset(one: socket.socket) -> None:
    """Close a socket with RST."""
    _linger(one)
    one.close()


@asynccontextmanager
async def open_link_relay(listener: socket.socket, target: tuple[str, int], clock: Clock) -> AsyncIterator[LinkRelay]:
    """Relay what connects to `listener` to `target`; at the end `listener` and all connections are closed."""
    relay = LinkRelay(listener, clock)
    running = asyncio.create_task(relay.run(target), name="link relay")
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.wait([running])
