"""What a peer may send to wear the platform down: endless, huge or packed requests and responses. Others are served meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import suppress

import orjson
import pytest

from bench.adapters.http_server import REQUEST_S, Message, Receive, Scope, Send, open_http_server
from bench.adapters.ocpi_client import MAX_RESPONSE_BYTES, AddressBook, open_transport
from bench.errors import PeerError
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"Content-Length: 1\r\n\r\nx"


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request's body."""
    message: Message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(message["body"]))]})
    await send({"type": "http.response.body", "body": message["body"]})


async def _trickle(writer: asyncio.StreamWriter) -> None:
    """Send a byte a second, for ever."""
    with suppress(ConnectionError):
        while True:
            await asyncio.sleep(1)
            writer.write(b"x")
            await writer.drain()


@pytest.mark.parametrize(
    "begin",
    [b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n", WHOLE + HEAD,
     WHOLE + HEAD + b"Content-Length: 1000\r\n\r\n"],
    ids=["nothing", "head", "body", "chunk", "second-head", "second-body"],
)  # fmt: skip
async def test_a_request_that_never_ends_is_given_up(begin: bytes) -> None:
    """transport: however steadily its bytes drop in: the connection is closed, and its file with it."""
    async with open_http_server(_echo) as server:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(begin)
        trickle = asyncio.create_task(_trickle(writer))
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10 * REQUEST_S)
        trickle.cancel()
        assert asyncio.get_running_loop().time() - began <= REQUEST_S + 2
        writer.close()


async def test_a_silent_connection_is_given_up() -> None:
    """Nothing was asked, so nobody is waited for."""
    async with open_http_server(_echo) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        assert await asyncio.wait_for(reader.read(), REQUEST_S + 2) == b""
        writer.close()


async def test_a_handler_may_take_longer_than_its_request() -> None:
    """The bound is for what comes in; what is done with it has bounds of its own."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(2 * REQUEST_S)
        await _echo(scope, receive, send)

    async with open_http_server(slow) as server, open_transport(AddressBook()) as transport:
        for _ in range(2):
            _, _, body = await transport.request("POST", f"http://127.0.0.1:{server.port}/", {}, b"x", 3 * REQUEST_S)
            assert body == b"x"
            await asyncio.sleep(1.5 * REQUEST_S)


async def _raw(rig: OcpiRig, headers: bytes, body: bytes) -> tuple[int, bytes]:
    """Send a PUT of a profile as the registered SCSP, byte by byte as it stands here; return the response."""
    token = encode_token(rig.cpo.platform.registry.platforms[0].token_in).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.cpo.port)
    head = b"PUT /ocpi/2.3.0/chargingprofiles/S-1 HTTP/1.1\r\nHost: cso.bench\r\nConnection: close\r\nAuthorization: " + token
    writer.write(head + b"\r\n" + headers + b"\r\n" + body)
    answer = b""
    with suppress(ConnectionError):
        while part := await reader.read(100_000):
            answer += part
    writer.close()
    return int(answer.split()[1]) if answer else 0, answer.partition(b"\r\n\r\n")[2]


def _chunked(body: bytes) -> tuple[bytes, bytes]:
    return b"Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _counted(body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length: %d\r\n" % len(body), body


@pytest.mark.parametrize("framed", [_counted, _chunked])
async def test_a_longer_body_than_the_bound_is_413(framed: object) -> None:
    """transport: with a length and without, in the form of OCPI, and the next request is served."""
    assert callable(framed)
    async with open_ocpi_rig() as rig:
        status, body = await _raw(rig, *framed(b" " * 1_000_001))
        assert (status, orjson.loads(body)["status_code"]) == (413, 2000)
        assert (await rig.placed())[1] == "ACCEPTED"


async def test_a_packed_request_is_no_json() -> None:
    """transport: nothing is unpacked, so that nothing small becomes large."""
    async with open_ocpi_rig() as rig:
        head, body = _counted(gzip.compress(b" " * 10_000_000))
        assert (await _raw(rig, head + b"Content-Encoding: gzip\r\n", body))[0] == 400


@pytest.mark.parametrize("deep", [b"[" * 400_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000], ids=["open", "closed"])
async def test_json_that_nests_without_end_is_refused(deep: bytes) -> None:
    """transport: answered as what is no JSON, or what could not be written again; no stack runs over."""
    async with open_ocpi_rig() as rig:
        status, body = await _raw(rig, *_counted(deep))
        assert status in (200, 400)
        assert orjson.loads(body)["status_code"] in (2000, 2001)


async def test_headers_of_ten_megabytes_are_refused() -> None:
    """transport: refused at the first kilobytes that are too many; others are served meanwhile."""
    async with open_ocpi_rig() as rig:
        flood = asyncio.create_task(_raw(rig, b"X-Long: " + b"x" * 10_000_000 + b"\r\n", b""))
        assert (await rig.placed())[1] == "ACCEPTED"
        assert (await flood)[0] in (0, 400)


@pytest.mark.parametrize(("layers", "why"), [(1, "longer than"), (2, "gzip, gzip is not understood")])
async def test_a_packed_response_is_unpacked_up_to_the_bound(layers: int, why: str) -> None:
    """A few bytes that stand for gigabytes cost no more than a response that is too long; layer upon layer is not unpacked."""
    body = gzip.compress(b" " * (MAX_RESPONSE_BYTES + 1))
    if layers == 2:
        body = gzip.compress(body)

    async def packed(scope: Scope, receive: Receive, send: Send) -> None:
        encoding = b", ".join([b"gzip"] * layers)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-encoding", encoding)]})
        await send({"type": "http.response.body", "body": body})

    async with open_http_server(packed) as server, open_transport(AddressBook()) as transport:
        with pytest.raises(PeerError, match=why):
            await transport.request("GET", f"http://127.0.0.1:{server.port}/", {}, b"", 10)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0)), ("deflate", zlib.compress(b"{}")), ("identity", b"{}"),
        ("GZIP", gzip.compress(b"{}", mtime=0)),
    ],
    ids=["gzip", "deflate", "identity", "upper case"],
)
async def test_a_small_packed_response_is_read(encoding: str, body: bytes) -> None:
    """Servers before a peer may pack what they hand on."""

    async def packed(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-encoding", encoding.encode())]})
        await send({"type": "http.response.body", "body": body})

    async with open_http_server(packed) as server, open_transport(AddressBook()) as transport:
        assert (await transport.request("GET", f"http://127.0.0.1:{server.port}/", {}, b"", 10))[2] == b"{}"
