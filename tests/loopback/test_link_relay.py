"""The relay before the CSMS port, on real sockets: what passes undisturbed, and what each disturbance does."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from bench.adapters.clock import LoopClock
from bench.adapters.link_relay import LinkRelay, open_link_relay
from bench.adapters.ocpp_server import open_ocpp_server
from bench.domain.link import DEFAULT_BACK_OFF, BackOff, LinkFault
from bench.settings.safety import LinkSettings
from tests.stations import new_csms, rig_settings
from tests.support import EPOCH, FakeClock, MemoryJournal

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lab:
    """A relay before a server that hands each connection to the test."""

    def __init__(self, relay: LinkRelay, port: int, clock: LoopClock, accepted: asyncio.Queue[Pair]) -> None:
        self.relay, self.port, self.clock, self.accepted = relay, port, clock, accepted
        self.opened: list[asyncio.StreamWriter] = []
        self.over: list[float] = []

    async def connect(self) -> tuple[Pair, Pair]:
        """Return the station's end and the server's end of a new connection."""
        station = await asyncio.open_connection("127.0.0.1", self.port)
        self.opened.append(station[1])
        return station, await self.accepted.get()

    def disturb(self, fault: LinkFault) -> None:
        """Disturb, and remember when it is over."""
        self.relay.disturb(fault, lambda: self.over.append(self.clock.monotonic()))


@asynccontextmanager
async def open_lab() -> AsyncIterator[Lab]:
    """Open server and relay."""
    accepted: asyncio.Queue[Pair] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        accepted.put_nowait((reader, writer))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    clock = LoopClock(EPOCH)
    async with open_link_relay(listener, server.sockets[0].getsockname(), clock) as relay:
        lab = Lab(relay, listener.getsockname()[1], clock, accepted)
        try:
            yield lab
        finally:
            for writer in [*lab.opened, *writers]:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            server.close()
            await server.wait_closed()


async def test_bytes_pass_whole_and_in_order_both_ways() -> None:
    """3 MB each way at the same time, on three connections."""
    sent = bytes(range(256)) * 12_000

    async def exchange(lab: Lab) -> None:
        station, server = await lab.connect()

        async def send(end: Pair) -> None:
            end[1].write(sent)
            await end[1].drain()
            end[1].write_eof()

        got = await asyncio.gather(station[0].read(-1), server[0].read(-1), send(station), send(server))
        assert got[0] == sent
        assert got[1] == sent

    async with open_lab() as lab:
        await asyncio.gather(*(exchange(lab) for _ in range(3)))


async def test_who_does_not_read_slows_down_who_writes() -> None:
    """The relay holds little: of 64 MB most stays with the sender."""
    async with open_lab() as lab:
        (_, station), _server = await lab.connect()
        station.transport.set_write_buffer_limits(high=0)
        written = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while written < 64_000_000:
                    station.write(bytes(1_000_000))
                    await station.drain()
                    written += 1_000_000
        assert written < 40_000_000
        station.transport.abort()


async def test_the_end_of_a_stream_and_a_reset_go_on_as_what_they_are() -> None:
    """A half-closed connection still carries the other way; a reset is a reset."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        station[1].write_eof()
        assert await server[0].read() == b""
        server[1].write(b"still here")
        assert await station[0].readexactly(10) == b"still here"
        server[1].transport.abort()
        station, server = await lab.connect()
        station[1].transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        station[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await server[0].read()


@pytest.mark.parametrize(("mode", "ends"), [("close", b""), ("reset", None)])
async def test_close_and_reset_end_both_sides(mode: str, ends: bytes | None) -> None:
    """FIN or RST at both ends at once; the next connection is let in."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault(mode, 0))  # type: ignore[arg-type]
        for end in (station, server):
            if ends is None:
                with pytest.raises(ConnectionResetError):
                    await end[0].read()
            else:
                assert await end[0].read() == ends
        await asyncio.sleep(0)
        await _echo(*await lab.connect())
    assert len(lab.over) == 1


@pytest.mark.parametrize("mode", ["reset", "refuse"])
@pytest.mark.virtual
async def test_newcomers_are_reset_for_so_long(mode: str) -> None:
    """And after that they are let in; `refuse` lets the open connection be."""
    async with open_lab() as lab:
        ends = await lab.connect()
        lab.disturb(LinkFault(mode, 30))  # type: ignore[arg-type]
        with suppress(ConnectionResetError):
            reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
            lab.opened.append(writer)
            assert await reader.read() == b"", "let in"
        if mode == "refuse":
            await _echo(*ends)
        await lab.clock.sleep(31)
        await _echo(*await lab.connect())


@pytest.mark.parametrize(
    ("direction", "held"), [("to_csms", (True, False)), ("to_station", (False, True)), ("both", (True, True))]
)
@pytest.mark.virtual
async def test_swallowed_bytes_do_not_arrive_while_it_lasts(direction: str, held: tuple[bool, bool]) -> None:
    """The connection stays open, the other direction flows; afterwards TCP has lost nothing."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault("swallow", 20, direction))  # type: ignore[arg-type]
        station[1].write(b"ping")
        server[1].write(b"pong")
        came = [await _came_within(server[0], 19), await _came_within(station[0], 0.5)]
        assert [not one for one in came] == list(held)
        await lab.clock.sleep(2)
        await _echo(station, server, lost=(came[1] or b"pong") if held[1] else b"", lost_up=b"ping" if held[0] else b"")


@pytest.mark.virtual
async def test_a_reset_is_swallowed_too() -> None:
    """Nobody behind a dead link hears of it before the link is back."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault("swallow", 20))
        began = lab.clock.monotonic()
        station[1].transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        station[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await server[0].read()
        assert lab.clock.monotonic() - began == pytest.approx(20, abs=0.1)


@pytest.mark.virtual
async def test_ends_that_do_not_close_after_a_close_are_reset() -> None:
    """After 2 s the relay has forgotten the connection."""
    async with open_lab() as lab:
        _station, server = await lab.connect()
        port = server[1].get_extra_info("peername")[1]
        lab.disturb(LinkFault("close", 0))
        await lab.clock.sleep(1)
        assert lab.relay.peer_of(port) == "127.0.0.1"
        await lab.clock.sleep(2)
        assert lab.relay.peer_of(port) is None


@pytest.mark.virtual
async def test_delayed_bytes_arrive_later_and_in_order() -> None:
    """5 s each, also two that were sent 1 s apart; what is under way at the end arrives at once."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault("delay", 60, "to_csms", delay_s=5))
        began = lab.clock.monotonic()
        arrived = []
        for text in (b"a", b"b"):
            station[1].write(text)
            await lab.clock.sleep(1)
        for text in (b"a", b"b"):
            assert await server[0].readexactly(1) == text
            arrived.append(round(lab.clock.monotonic() - began, 3))
        assert arrived == [5, 6]


@pytest.mark.virtual
async def test_throttled_bytes_arrive_at_that_rate() -> None:
    """1,000 bytes at 100 bytes/s take 10 s."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault("throttle", 60, bytes_per_s=100))
        began = lab.clock.monotonic()
        station[1].write(bytes(1000))
        await server[0].readexactly(1000)
        assert lab.clock.monotonic() - began == pytest.approx(10, abs=0.2)


@pytest.mark.virtual
async def test_a_slow_throttle_is_as_slow_as_it_says() -> None:
    """10 bytes at 2 bytes/s take about 5 s, not one."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        lab.disturb(LinkFault("throttle", 60, bytes_per_s=2))
        began = lab.clock.monotonic()
        station[1].write(bytes(10))
        await server[0].readexactly(10)
        assert lab.clock.monotonic() - began == pytest.approx(4.5, abs=0.6)


@pytest.mark.virtual
async def test_a_station_that_never_closes_loses_its_connection() -> None:
    """The CSMS has ended it: half a minute later it is reset, or such peers use up the bench's sockets."""
    async with open_lab() as lab:
        station, server = await lab.connect()
        server[1].write_eof()
        assert await station[0].read() == b""
        await lab.clock.sleep(29)
        station[1].write(b"late")
        assert await server[0].readexactly(4) == b"late"
        await lab.clock.sleep(2)
        with pytest.raises(ConnectionResetError):
            await server[0].read()


async def _echo(station: Pair, server: Pair, lost: bytes = b"", lost_up: bytes = b"") -> None:
    """Show that both directions carry, after what was held."""
    station[1].write(b"up")
    assert await server[0].readexactly(2 + len(lost_up)) == lost_up + b"up"
    server[1].write(b"down")
    assert await station[0].readexactly(4 + len(lost)) == lost + b"down"


async def _came_within(reader: asyncio.StreamReader, seconds: float) -> bytes:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await reader.readexactly(4)
    return b""


@pytest.mark.parametrize(("station_id", "accepted"), [("CS-1", True), ("CS-9", False)])
async def test_the_csms_sees_the_station_s_own_address(
    clock: FakeClock, journal: MemoryJournal, station_id: str, accepted: bool
) -> None:
    """Accepted or refused: not that of the relay before it."""
    settings = rig_settings().model_copy(update={"link": LinkSettings()})
    csms = new_csms(clock, journal, settings)
    async with open_ocpp_server(settings, csms.attach, csms.knock, virtual=False) as server:
        url = f"ws://127.0.0.1:{server.port}/ocpp/{station_id}"
        with suppress(InvalidStatus):
            async with connect(url, subprotocols=[Subprotocol("ocpp2.0.1")], local_addr=("127.0.0.2", 0)) as station:
                await station.send('[2,"h1","Heartbeat",{}]')
                assert (await station.recv())[:7] == '[3,"h1"'
        assert [(one.peer, one.accepted) for one in csms.knocks] == [("127.0.0.2", accepted)]
        await csms.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinkFault("refuse", 0), lambda: LinkFault("delay", 5), lambda: LinkFault("close", 1, "to_csms"),
        lambda: LinkFault("swallow", math.nan), lambda: LinkFault("close", 1, delay_s=math.nan),
        lambda: LinkFault("swallow", 1, delay_s=2), lambda: LinkFault("throttle", 5, bytes_per_s=-1),
    ],
)  # fmt: skip
def test_a_disturbance_that_makes_no_sense_is_refused(make: Callable[[], Awaitable[None]]) -> None:
    """With the field and the reason."""
    with pytest.raises(ValueError, match=r"must be|needs|has none"):
        make()


def test_the_wait_after_an_outage_follows_the_doubling() -> None:
    """Waits of 10, 20, 40 s plus up to 5 s: the one that is going on when the network is back can last that long."""
    back_off = BackOff(10, 5, 2)
    assert [back_off.after(one) for one in (0, 9, 10, 29, 31, 1e6)] == [15, 15, 25, 25, 45, 45]
    assert (back_off.longest_s, DEFAULT_BACK_OFF.longest_s) == (45, 135)
