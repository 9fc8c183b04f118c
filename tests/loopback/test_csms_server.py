"""Charging stations at the door of the real WebSocket server: who gets in, and what is said of those who do not."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from bench.adapters.ocpp_server import OcppServer, open_ocpp_server
from bench.cso.csms import Csms
from bench.cso.knocks import Knock
from bench.domain.documents import Kind
from bench.errors import RigError, UsageError
from bench.settings.rig import RigSettings
from tests.stations import new_csms
from tests.support import FakeClock, MemoryJournal

OCPP = [Subprotocol("ocpp2.0.1")]
HEARTBEAT = '[2,"h1","Heartbeat",{}]'
Opened = tuple[OcppServer, Csms]
Open = Callable[..., AbstractAsyncContextManager[Opened]]


def rig(*station_ids: str, password: str | None = None, **csms: Any) -> RigSettings:
    """Return a rig with stations of one EVSE each."""
    stations = [{"id": one, "evse": [{"id": 1}], "password": password} for one in station_ids or ("CS-1", "CS|2")]
    return RigSettings.model_validate({"schema": 1, "name": "test", "csms": csms, "station": stations})


@pytest.fixture
def opened(clock: FakeClock, journal: MemoryJournal) -> Open:
    """Return a function that opens CSMS and server on a free port."""

    @asynccontextmanager
    async def open_it(settings: RigSettings | None = None) -> AsyncIterator[Opened]:
        settings = settings or rig()
        csms = new_csms(clock, journal, settings)
        async with open_ocpp_server(settings, csms.attach, csms.knock, virtual=False) as server:
            try:
                yield server, csms
            finally:
                await csms.close()

    return open_it


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def dial(server: OcppServer, path: str = "/ocpp/CS-1", **more: Any) -> ClientConnection:
    """Connect as a station does."""
    scheme = "wss" if "ssl" in more else "ws"
    more = {"subprotocols": OCPP, "compression": None, **more}
    return await connect(f"{scheme}://127.0.0.1:{server.port}{path}", **more)


async def refusal(csms: Csms) -> Knock:
    """Return the first refused knock, when it is there."""
    assert await csms.wait_until(lambda: any(not knock.accepted for knock in csms.knocks), 5)
    return next(knock for knock in csms.knocks if not knock.accepted)


async def refused_at(opened: Open, settings: RigSettings, path: str = "/ocpp/CS-1", **more: Any) -> tuple[int, Knock]:
    """Connect in vain; return the HTTP status and what was noted."""
    async with opened(settings) as (server, csms):
        with pytest.raises(InvalidStatus) as caught:
            await dial(server, path, **more)
        return caught.value.response.status_code, await refusal(csms)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority of this test run."""
    return trustme.CA()


@pytest.fixture
def tls_rig(authority: trustme.CA, tmp_path: Path) -> RigSettings:
    """Return a rig on security profile 2."""
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return rig(password="sesame-1234", security_profile=2, certificate=certificate, private_key=key)


@pytest.mark.parametrize("path", ["/ocpp/CS-1", "/CS-1", "/CS-1?x=1", "/ocpp/CS%7C2", "/CS%7C2"])
async def test_station_gets_in(opened: Open, path: str) -> None:
    """Both forms of the URL work, the id percent-encoded."""
    async with opened() as (server, csms):
        async with await dial(server, path) as station:
            assert station.subprotocol == "ocpp2.0.1"
            await station.send(HEARTBEAT)
            assert orjson.loads(await station.recv())[:2] == [3, "h1"]
        assert [(knock.station_id, knock.accepted) for knock in csms.knocks] == [("CS|2" if "2" in path else "CS-1", True)]


@pytest.mark.parametrize("path", ["/", "/ocpp", "/ocpp/", "/steve/ws/CS-1", "/ocpp/CS-1/"])
async def test_wrong_path(opened: Open, path: str) -> None:
    """404, and the remedy is the form of the URL."""
    status, knock = await refused_at(opened, rig(), path)
    assert status == 404
    assert "names no station" in knock.reason
    assert "/ocpp/" in knock.remedy


async def test_unknown_station(opened: Open, journal: MemoryJournal) -> None:
    """404 (Part 4, 3.2); the remedy names the stations of the rig file, and the journal has it all."""
    status, knock = await refused_at(opened, rig(), "/ocpp/CS-9")
    assert status == 404
    assert (knock.station_id, knock.peer) == ("CS-9", "127.0.0.1")
    assert "not in the rig file" in knock.reason
    assert "CS-1, CS|2" in knock.remedy
    assert journal.of(Kind.STATION_LINK)[0]["remedy"] == knock.remedy


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no password"),
        (basic("CS-1", "guess"), "wrong password"),
        (basic("CS-1", ""), "wrong password"),
        (basic("CS-2", "sesame-1234"), "user name"),
        ({"Authorization": "Bearer x"}, "not HTTP basic"),
        ({"Authorization": "Basic %%%"}, "not HTTP basic"),
    ],
)
async def test_missing_or_wrong_password(opened: Open, headers: dict[str, str], reason: str) -> None:
    """Security profile 1: 401, and no password in what is said about it."""
    settings = rig(password="sesame-1234", security_profile=1)
    status, knock = await refused_at(opened, settings, additional_headers=headers)
    assert status == 401
    assert reason in knock.reason
    assert "sesame" not in f"{knock}"
    assert "guess" not in f"{knock}"


async def test_right_password(opened: Open) -> None:
    """Security profile 1; also for an id with a character that URLs escape."""
    async with opened(rig(password="sésame:1234", security_profile=1)) as (server, csms):
        for path, user in (("/ocpp/CS-1", "CS-1"), ("/CS%7C2", "CS|2")):
            async with await dial(server, path, additional_headers=basic(user, "sésame:1234")):
                assert csms.stations[user].online


@pytest.mark.parametrize(
    ("offered", "reason"),
    [(["ocpp1.6"], "only ocpp1.6"), (["ocpp1.6", "ocpp2.1"], "only ocpp1.6, ocpp2.1"), (None, "no subprotocol")],
)
async def test_other_ocpp_version(opened: Open, offered: list[str] | None, reason: str) -> None:
    """Part 4, 3.2: the handshake ends well without the header, and the connection is closed at once."""
    async with opened() as (server, csms):
        station = await dial(server, subprotocols=offered and [Subprotocol(one) for one in offered])
        assert station.subprotocol is None
        with pytest.raises(ConnectionClosed):
            await station.recv()
        knock = await refusal(csms)
        assert knock.reason == f"offered {reason}"
        assert "2.0.1" in knock.remedy
        assert not csms.stations["CS-1"].online


async def test_version_is_chosen_among_several(opened: Open) -> None:
    """A station may offer more than one."""
    async with (
        opened() as (server, _),
        await dial(server, subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]) as station,
    ):
        assert station.subprotocol == "ocpp2.0.1"


async def test_tls_station_gets_in(opened: Open, tls_rig: RigSettings, authority: trustme.CA) -> None:
    """Security profile 2: TLS and a password."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    headers = basic("CS-1", "sesame-1234")
    async with (
        opened(tls_rig) as (server, _),
        await dial(server, ssl=context, additional_headers=headers) as station,
    ):
        assert server.urls() == [f"wss://127.0.0.1:{server.port}/ocpp"]
        await station.send(HEARTBEAT)
        assert orjson.loads(await station.recv())[:2] == [3, "h1"]


async def test_station_that_does_not_trust_the_certificate(opened: Open, tls_rig: RigSettings) -> None:
    """Its TLS alert is reported, with what to install on it."""

    def knock_in_vain(port: int) -> None:
        context = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname="127.0.0.1").close()

    async with opened(tls_rig) as (server, csms):
        await asyncio.to_thread(knock_in_vain, server.port)
        knock = await refusal(csms)
        assert "UNKNOWN_CA" in knock.reason
        assert "install the root" in knock.remedy


async def test_station_with_old_tls(opened: Open, tls_rig: RigSettings) -> None:
    """A hello that offers TLS 1.0 alone."""
    hello = bytes.fromhex("16030100310100002d0301" + "00" * 32 + "000006002f0035000a0100")
    async with opened(tls_rig) as (server, csms):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(hello)
        knock = await refusal(csms)
        await reader.read()
        writer.close()
        assert "UNSUPPORTED_PROTOCOL" in knock.reason
        assert "TLS 1.2" in knock.remedy


async def test_station_that_breaks_off_the_tls_handshake(opened: Open, tls_rig: RigSettings) -> None:
    """Some stations that do not trust the certificate send no alert; so does the TLS of asyncio."""
    async with opened(tls_rig) as (server, csms):
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial(server, ssl=ssl.create_default_context())
        knock = await refusal(csms)
        assert knock.reason == "the TLS handshake failed: the station closed the connection"
        assert "trusts csms.certificate" in knock.remedy


async def test_plain_text_on_the_tls_port(opened: Open, tls_rig: RigSettings) -> None:
    """A ws:// URL in the station, or security profile 1."""
    status, knock = await refused_at(opened, tls_rig)
    assert status == 400
    assert "plain text on the TLS port" in knock.reason
    assert "wss://" in knock.remedy


async def test_tls_on_the_plain_port(opened: Open) -> None:
    """A wss:// URL in the station."""
    async with opened() as (server, csms):
        with pytest.raises((ssl.SSLError, OSError)):
            await dial(server, ssl=ssl.create_default_context())
        knock = await refusal(csms)
        assert "TLS on the plain-text port" in knock.reason
        assert "ws://" in knock.remedy


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\n\r\n", "opened no WebSocket"),
        (b"\x00\x01\x02 nonsense\r\n\r\n", "opened no WebSocket"),
        (b"", "closed at once"),
    ],
)
async def test_someone_who_is_no_station(opened: Open, sent: bytes, reason: str) -> None:
    """A browser, a scanner, a health check: noted, and the server goes on."""
    async with opened() as (server, csms):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        writer.write_eof()
        assert reason in (await refusal(csms)).reason
        await reader.read()
        writer.close()
        async with await dial(server):
            assert csms.stations["CS-1"].online


@pytest.mark.virtual
async def test_someone_who_says_nothing(opened: Open) -> None:
    """After 10 s, also after half a request."""
    async with opened() as (server, csms):
        writers = [(await asyncio.open_connection("127.0.0.1", server.port))[1] for _ in range(2)]
        writers[0].write(b"GET /ocpp/CS-1 HTTP/1.1\r\n")
        assert await csms.wait_until(lambda: [knock.count for knock in csms.knocks] == [2], 15)
        assert csms.knocks[0].reason == "connected and sent nothing"
        for writer in writers:
            writer.close()


async def test_huge_frame_is_survived(opened: Open, journal: MemoryJournal) -> None:
    """Over max_frame_bytes: a CALLERROR and a finding, and the connection lives; the journal keeps its beginning."""
    async with opened(rig(max_frame_bytes=10_000)) as (server, _), await dial(server) as station:
        await station.send('[2,"a","DataTransfer",{"vendorId":"' + "v" * 100_000 + '"}]')
        assert orjson.loads(await station.recv())[:3] == [4, "-1", "RpcFrameworkError"]
        await station.send(HEARTBEAT)
        assert orjson.loads(await station.recv())[:2] == [3, "h1"]
    frame = journal.of(Kind.OCPP_FRAME)[0]
    assert (frame["truncated"], frame["length"]) == (True, 100_038)
    assert len(frame["raw"]) < 10_000


async def test_absurd_frame_ends_its_connection_only(opened: Open, journal: MemoryJournal) -> None:
    """Beyond what may be kept in memory the connection is closed with 1009; the others and the server go on."""
    async with opened(rig(max_frame_bytes=2_000)) as (server, csms), await dial(server, "/CS%7C2") as other:
        async with await dial(server) as station:
            await station.send("x" * 100_000)
            with pytest.raises(ConnectionClosed) as caught:
                await station.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
        assert await csms.wait_until(lambda: not csms.stations["CS-1"].online, 5)
        await other.send(HEARTBEAT)
        assert orjson.loads(await other.recv())[:2] == [3, "h1"]
    assert "websocket_violation" in [finding["code"] for finding in journal.of(Kind.FINDING)]


async def test_second_connection_of_a_station(opened: Open) -> None:
    """The first one is closed, the second one serves."""
    async with opened() as (server, csms), await dial(server) as first, await dial(server) as second:
        with pytest.raises(ConnectionClosed):
            await first.recv()
        await second.send(HEARTBEAT)
        assert orjson.loads(await second.recv())[:2] == [3, "h1"]
        assert csms.stations["CS-1"].connections == 2


async def test_many_stations_at_once(opened: Open) -> None:
    """Fifty stations boot, and each gets a call and gives its own answer."""
    names = [f"CS-{number:02}" for number in range(50)]

    async def live(server: OcppServer, name: str) -> None:
        async with await dial(server, f"/ocpp/{name}") as station:
            await station.send(HEARTBEAT)
            await station.recv()
            call = orjson.loads(await station.recv())
            await station.send(orjson.dumps([3, call[1], {"status": "Accepted", "data": name}]).decode())
            await station.wait_closed()

    async with opened(rig(*names)) as (server, csms):
        stations = [asyncio.create_task(live(server, name)) for name in names]
        assert await csms.wait_until(lambda: all(csms.stations[name].last_seen for name in names), 20)
        answers = await asyncio.gather(*(csms.call(name, "DataTransfer", {"vendorId": "b"}) for name in names))
        assert [answer["data"] for answer in answers] == names
        await csms.close()
        await asyncio.gather(*stations)


async def test_closing_ends_connections_in_every_stage(opened: Open) -> None:
    """An open one gets 1001; one that has not finished its handshake is not waited for."""
    async with opened() as (server, csms):
        station = await dial(server)
        half = [(await asyncio.open_connection("127.0.0.1", server.port)) for _ in range(2)]
        half[0][1].write(b"GET /ocpp/CS-1 HTTP/1.1\r\n")
        assert await csms.wait_until(lambda: csms.stations["CS-1"].online, 5)
    with pytest.raises(ConnectionClosed) as caught:
        await station.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    for _, writer in half:
        writer.close()


async def test_a_taken_port_is_told(opened: Open) -> None:
    """The message names address and port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RigError, match=f"127.0.0.1:{port}"):
            async with opened(rig(port=port)):
                pass


async def test_an_unusable_certificate_is_told(opened: Open, tmp_path: Path) -> None:
    """The message names key and file of the rig file."""
    settings = rig(password="x", security_profile=2, certificate=tmp_path / "no.pem", private_key=tmp_path / "no.key")
    with pytest.raises(UsageError, match=r"csms\.certificate = .*no\.pem"):
        async with opened(settings):
            pass
