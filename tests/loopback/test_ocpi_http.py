"""The HTTP server under OCPI: bound first, bounded, and gone without a trace."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bench.adapters import ocpi_client
from bench.adapters.http_server import Message, Receive, Scope, Send, open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.errors import PeerError, RigError

pytestmark = pytest.mark.every_loop


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request's body."""
    message: Message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def _post(url: str, body: bytes, addresses: AddressBook | None = None, timeout_s: float = 10) -> tuple[int, bytes]:
    async with open_transport(addresses or AddressBook()) as transport:
        status, _, content = await transport.request("POST", url, {}, body, timeout_s)
        return status, content


async def test_a_logical_host_leads_to_a_free_port() -> None:
    """Peers know one another by names; ports are nobody's business."""
    addresses = AddressBook()
    async with open_http_server(_echo) as server:
        with addresses.entry("http://peer.bench", server):
            assert await _post("http://peer.bench/x", b"hello", addresses) == (200, b"hello")
    assert server.port > 0


async def test_the_host_header_stays_logical() -> None:
    """A journal of the server side shows the URL that the peer was told."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"])[b"host"])
        await _echo(scope, receive, send)

    addresses = AddressBook()
    async with open_http_server(app) as server:
        with addresses.entry("http://peer.bench", server):
            await _post("http://peer.bench/x", b"", addresses)
    assert seen == [b"peer.bench"]


@pytest.mark.parametrize("headers", [b"Content-Length: 11\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["announced", "chunked"])
async def test_a_body_over_the_limit_is_refused(headers: bytes) -> None:
    """413, whether its length was announced or not; the application never sees it."""
    called: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope)

    async with open_http_server(app, max_body_bytes=10) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        body = b"b\r\n01234567890\r\n0\r\n\r\n" if b"chunked" in headers else b"01234567890"
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body)
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()
        await writer.wait_closed()
    assert called == []


async def test_garbage_is_answered_with_400() -> None:
    """What is no HTTP ends the connection, not the server."""
    async with open_http_server(_echo) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"\x16\x03\x01 no http\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert await _post(f"http://127.0.0.1:{server.port}/", b"still here") == (200, b"still here")


async def test_a_handler_that_hangs_does_not_hold_the_server_open(caplog: pytest.LogCaptureFixture) -> None:
    """After a short grace the request is cancelled; the peer gets an error, not silence, and no traceback is logged."""
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with open_http_server(app, grace_s=0.05) as server:
        asked = asyncio.create_task(_post(f"http://127.0.0.1:{server.port}/", b""))
        await begun.wait()
    assert (await asked)[0] == 500
    assert caplog.records == []


async def test_an_occupied_port_is_named() -> None:
    """The lab reads which address is taken."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RigError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with open_http_server(_echo, port=port):
                pass


@pytest.mark.parametrize(
    "url",
    [
        "ftp://peer/x", "nonsense", "http://", "http://[::1", "http://127.0.0.1:1/x",
        "http://127.0.0.1:99999/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/",
    ],
)  # fmt: skip
async def test_what_cannot_be_reached_is_a_peer_error(url: str) -> None:
    """Whatever stands in a peer's URL."""
    with pytest.raises(PeerError):
        await _post(url, b"")


async def test_a_password_in_an_url_is_not_sent_and_not_told() -> None:
    """It would take the place of the peer's token in the Authorization header."""
    async with open_http_server(_echo) as server:
        with pytest.raises(PeerError) as refused:
            await _post(f"http://user:word@127.0.0.1:{server.port}/", b"")
    assert "word" not in str(refused.value)


async def test_a_silent_server_is_given_up() -> None:
    """The deadline counts from the start to the last byte."""
    async with await asyncio.start_server(_swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PeerError, match="no answer within"):
            await _post(f"http://127.0.0.1:{port}/", b"", timeout_s=0.05)


async def test_a_connection_that_breaks_is_told_in_words() -> None:
    """Its error has no text of its own."""
    async with await asyncio.start_server(_reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PeerError, match=r"/: ReadError$"):
            await _post(f"http://127.0.0.1:{port}/", b"")


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("host", "allowed", "called"),
    [("localhost", (), False), ("LOCALHOST", (), False), ("localhost", ("LocalHost",), True), ("127.0.0.1", (), True)],
)
async def test_a_name_that_leads_where_no_token_may_go_is_not_called(
    host: str, allowed: tuple[str, ...], called: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the address of the connection, before anything is sent, unless the name is allowed; an address its caller judges."""
    asked: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(dict(scope["headers"])[b"authorization"])
        await _echo(scope, receive, send)

    monkeypatch.setattr(ocpi_client, "is_off_limits", lambda host: host in ("127.0.0.1", "::1"))
    async with open_http_server(app) as server, open_transport(AddressBook(), allow_hosts=allowed) as transport:
        for _ in range(2):
            call = transport.request("POST", f"http://{host}:{server.port}/x", {"authorization": "Token x"}, b"x", 10)
            if called:
                assert (await call)[0] == 200
                continue
            with pytest.raises(PeerError, match=r"its host leads to 127\.0\.0\.1, .*; allow it by allow_hosts, --allow-host$"):
                await call
    assert asked == [b"Token x"] * 2 * called


async def test_a_logical_host_is_served_wherever_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address book is the bench's own word."""
    monkeypatch.setattr(ocpi_client, "is_off_limits", lambda host: True)
    addresses = AddressBook()
    async with open_http_server(_echo) as server:
        with addresses.entry("http://peer.bench", server):
            assert await _post("http://peer.bench/x", b"hello", addresses) == (200, b"hello")
