"""The WebSocket connection itself: fragments, pings, bad text, a silent and a greedy peer, and a defect of ours."""

from __future__ import annotations

import asyncio
import logging
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bench.adapters.ocpp_server import OcppServer, open_ocpp_server
from bench.adapters.websocket import CLOSE_TIMEOUT_S
from bench.errors import StationOfflineError
from bench.ports import StationLink
from tests.stations import rig_settings

Frames = list[str | bytes]
HANDSHAKE = (
    b"GET /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n"
)


class Attached:
    """Takes the place of the CSMS: keeps what came and how it ended."""

    def __init__(self, receive: Callable[[str | bytes], None] | None = None) -> None:
        self.frames: Frames = []
        self.receive = receive or self.frames.append
        self.links: list[StationLink] = []
        self.ended: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()

    async def attach(self, station_id: str, link: StationLink, peer: str) -> None:
        """Serve one connection."""
        self.links.append(link)
        try:
            await link.serve(self.receive)
        finally:
            self.ended.put_nowait(link.ended())


@asynccontextmanager
async def serving(attached: Attached, *, virtual: bool = True) -> AsyncIterator[OcppServer]:
    """Open the server."""

    def refused(*_: str) -> None:
        raise AssertionError("nobody should be refused here")

    async with open_ocpp_server(rig_settings(), attached.attach, refused, virtual=virtual) as server:
        yield server


def dial(server: OcppServer) -> connect:
    """Connect as a station."""
    return connect(
        f"ws://127.0.0.1:{server.port}/ocpp/CS-1", subprotocols=[Subprotocol("ocpp2.0.1")], compression=None,
        ping_interval=None,
    )  # fmt: skip


def masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """Return a frame as a client sends it, with the mask 0."""
    return struct.pack("!BB", (0x80 if fin else 0) | opcode, 0x80 | len(payload)) + b"\0\0\0\0" + payload


async def raw(server: OcppServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_frames_come_whole_and_in_order() -> None:
    """Fragments are put together, a ping between them is answered, a binary frame is told from text."""
    attached = Attached()
    async with serving(attached) as server, dial(server) as station:
        await station.send(["one ", "two ", "thr", "ee"])
        await station.send(b"\x00")
        await (await station.ping())
        await station.send("é")
        await station.close()
        await attached.ended.get()
    assert attached.frames == ["one two three", b"\x00", "é"]


async def test_empty_fragments_take_no_memory() -> None:
    """A message may have any number of them."""
    attached = Attached()
    async with serving(attached) as server:
        reader, writer = await raw(server)
        writer.write(masked(1, b"on", fin=False))
        tracemalloc.start()
        try:
            for _ in range(10):
                writer.write(masked(0, b"", fin=False) * 2_000 + masked(9, b""))
                await reader.readexactly(2)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        writer.write(masked(0, b"e"))
        writer.write_eof()
        await attached.ended.get()
        writer.close()
    assert grown < 500_000
    assert attached.frames == ["one"]


async def test_frames_that_come_with_the_handshake_are_not_lost() -> None:
    """A station may send at once; the CSMS begins to serve a moment later."""
    attached = Attached()
    async with serving(attached) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE + masked(1, b"first") + masked(1, b"second"))
        writer.write_eof()
        assert await attached.ended.get() == (1006, "")
        writer.close()
    assert attached.frames == ["first", "second"]


async def test_text_that_is_not_utf8_ends_the_connection() -> None:
    """1007, as WebSocket asks; the CSMS makes a finding of it."""
    attached = Attached()
    async with serving(attached) as server:
        _, writer = await raw(server)
        writer.write(masked(1, b"\xff\xfe"))
        ended = await attached.ended.get()
        writer.close()
    assert ended is not None
    assert ended[0] == 1007


async def test_close_of_the_station_is_answered_and_known() -> None:
    """Code and reason of the side that closed first."""
    attached = Attached()
    async with serving(attached) as server, dial(server) as station:
        await station.close(4000, "firmware update")
        assert await attached.ended.get() == (4000, "firmware update")
        with pytest.raises(StationOfflineError):
            attached.links[0].send("too late")


@pytest.mark.virtual
async def test_closing_does_not_wait_for_a_station_that_is_gone() -> None:
    """A half-open connection answers no close."""
    attached = Attached()
    async with serving(attached) as server:
        _, writer = await raw(server)
        begin = asyncio.get_running_loop().time()
        await attached.links[0].close(1008, "superseded")
        assert asyncio.get_running_loop().time() - begin == pytest.approx(CLOSE_TIMEOUT_S)
        assert await attached.ended.get() == (1008, "superseded")
        writer.close()


@pytest.mark.virtual
async def test_closing_does_not_wait_for_a_station_that_goes_on_sending() -> None:
    """What comes after our close frame does not put off the end."""
    attached = Attached()
    async with serving(attached) as server:
        _, writer = await raw(server)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        closing = asyncio.create_task(attached.links[0].close(1001, "the bench is closing"))
        while not closing.done() and loop.time() - begin < 10:
            writer.write(masked(9, b"still here"))
            await asyncio.sleep(0.5)
        assert closing.done()
        assert loop.time() - begin <= CLOSE_TIMEOUT_S + 0.5
        writer.close()


@pytest.mark.virtual
async def test_station_that_answers_no_ping_is_given_up() -> None:
    """Within two intervals of 20 s; one that answers stays."""
    attached = Attached()
    async with serving(attached, virtual=False) as server, dial(server) as alive:
        _, writer = await raw(server)
        begin = asyncio.get_running_loop().time()
        ended = await attached.ended.get()
        assert ended is not None
        assert ended[0] == 1011
        assert asyncio.get_running_loop().time() - begin <= 45
        await asyncio.sleep(100)
        await alive.send("still here")
        await (await alive.ping())
        assert attached.frames == ["still here"]
        writer.close()


@pytest.mark.virtual
async def test_an_idle_connection_does_not_tick() -> None:
    """In virtual time nothing wakes the loop, so that a day costs nothing."""
    attached = Attached()
    async with serving(attached) as server, dial(server):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1)
        before = loop.iterations  # type: ignore[attr-defined]
        await asyncio.sleep(3600)
        assert loop.iterations - before < 5  # type: ignore[attr-defined]


async def test_station_that_reads_nothing_is_not_read_from() -> None:
    """Answers must not pile up in memory: reading goes on when the station takes them."""
    count, answered = 20_000, 0

    def answer(frame: str | bytes) -> None:
        nonlocal answered
        answered += 1
        attached.links[0].send("x" * 2_000)

    attached = Attached(answer)
    async with serving(attached) as server:
        reader, writer = await raw(server)
        writer.write(masked(1, b"x" * 120) * count)
        for _ in range(200):
            await asyncio.sleep(0)
        assert answered < count
        while answered < count:
            assert await reader.read(1_000_000)
        writer.close()
        await attached.ended.get()


async def test_defect_of_the_csms_ends_one_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is swallowed, and the server goes on."""

    def fail(frame: str | bytes) -> None:
        raise ZeroDivisionError

    attached = Attached(fail)
    async with serving(attached) as server:
        with caplog.at_level(logging.ERROR, logger="bench.ocpp"):
            async with dial(server) as station:
                await station.send("x")
                with pytest.raises(ConnectionClosed):
                    await station.recv()
        async with dial(server) as again:
            await (await again.ping())
    assert "a connection failed" in caplog.text
