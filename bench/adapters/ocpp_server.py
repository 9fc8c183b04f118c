"""The WebSocket server to which charging stations connect, on the `websockets` package.

Each connection is looked at before it is accepted: the first byte tells TLS from plain text, so that a station with the
wrong scheme, a TLS alert, a wrong path, id, password or OCPP version is told apart and reported with a remedy.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bench.adapters import door
from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.interfaces import reachable_addresses
from bench.adapters.link_relay import LinkRelay, open_link_relay
from bench.adapters.websocket import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, WebSocketConnection
from bench.errors import RigError
from bench.ports import StationLink
from bench.settings.rig import RigSettings
from bench.wire.ocppj import SUBPROTOCOL

Attach = Callable[[str, StationLink, str], Awaitable[None]]
"""(station id, link, network address of the peer): serves the connection until it ends."""
KnockCallback = Callable[[str, str, str, str], None]
"""(station id or empty, network address, reason, remedy): someone was refused."""

PING_INTERVAL_S: Final = 20.0
SURVIVED: Final = 16
"""A frame up to this many times `max_frame_bytes` is refused and the connection survives; a larger one closes it."""
_TLS_HANDSHAKE: Final = b"\x16"

_log = logging.getLogger("bench.ocpp")
_log.addHandler(logging.NullHandler())


class OcppServer:
    """Accepts connections; `port` is the one that stations connect to, `link` the relay before it where the rig has one."""

    def __init__(
        self, settings: RigSettings, attach: Attach, knock: KnockCallback, virtual: bool, context: ssl.SSLContext | None
    ) -> None:
        self._csms, self._attach, self._knock = settings.csms, attach, knock
        self._stations = {one.id: one for one in settings.station}
        self._ping_interval_s = None if virtual else PING_INTERVAL_S
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.link: LinkRelay | None = None
        self._listener = self._outer = _listen(self._csms.host, self._csms.port)
        self._doors: dict[asyncio.Task[None], None] = {}
        self._connections: dict[WebSocketConnection, None] = {}
        self._serving: dict[asyncio.Task[None], None] = {}
        self.port: int = self._outer.getsockname()[1]

    def move_behind(self) -> tuple[socket.socket, tuple[str, int]]:
        """Listen on a free port of this computer instead; return the socket that stations connect to, and where it leads."""
        self._listener = _listen("127.0.0.1", 0)
        return self._outer, self._listener.getsockname()

    def address_of(self, peer: tuple[str, int]) -> str:
        """Return the network address of a station, also of one that comes through the relay."""
        behind = self.link.peer_of(peer[1]) if self.link is not None else None
        return behind or str(peer[0])

    def urls(self) -> list[str]:
        """Return the URL to type into a station, without its id, one per interface."""
        scheme = "ws" if self._context is None else "wss"
        hosts = (f"[{host}]" if ":" in host else host for host in reachable_addresses(self._csms.host))
        return [f"{scheme}://{host}:{self.port}/ocpp" for host in hosts]

    async def accept(self) -> None:
        """Accept connections for ever."""
        while True:
            try:
                accepted, address = await self._loop.sock_accept(self._listener)
            except OSError as error:  # out of file descriptors, or the peer was gone at once
                _log.warning("accepting a connection failed: %s", error)
                await asyncio.sleep(1)
                continue
            task = self._loop.create_task(self._let_in(accepted, self.address_of(address)))
            self._doors[task] = None
            task.add_done_callback(self._door_done)

    def _door_done(self, task: asyncio.Task[None]) -> None:
        del self._doors[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("a connection was lost at the door", exc_info=error)

    async def _let_in(self, accepted: socket.socket, peer: str) -> None:
        """Look at the first byte, then hand the socket to a WebSocketConnection."""
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a frame waits for the last one's ACK
            refusal = await self._look(accepted)
        except BaseException:
            accepted.close()
            raise
        if refusal is not None:
            self._knock("", peer, refusal.reason, refusal.remedy)
            accepted.close()
            return
        tls = {"ssl_handshake_timeout": OPEN_TIMEOUT_S, "ssl_shutdown_timeout": CLOSE_TIMEOUT_S} if self._context else {}
        try:
            await self._loop.connect_accepted_socket(self._connection, accepted, ssl=self._context, **tls)
        except OSError as error:
            refusal = door.tls_refusal(error)
            self._knock("", peer, refusal.reason, refusal.remedy)

    async def _look(self, accepted: socket.socket) -> door.Refusal | None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                first = await _first_byte(accepted)
        except TimeoutError:
            return door.SILENT
        except OSError as error:
            return door.wrong_opening(str(error))
        if not first:
            return door.wrong_opening("the connection was closed at once")
        if (first == _TLS_HANDSHAKE) == (self._context is not None):
            return None
        if self._context is None:
            return door.TLS_ON_PLAIN
        await self._loop.sock_sendall(accepted, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks TLS.\n")
        return door.PLAIN_ON_TLS

    def _connection(self) -> WebSocketConnection:
        """Return the protocol for one accepted socket."""
        protocol = ServerProtocol(
            select_subprotocol=_select, max_size=SURVIVED * self._csms.max_frame_bytes, logger=_log
        )
        return WebSocketConnection(protocol, self, self._ping_interval_s)

    # what a connection calls ---------------------------------------------------------------------------------------

    def made(self, connection: WebSocketConnection) -> None:
        """Remember a connection."""
        self._connections[connection] = None

    def answer(self, connection: WebSocketConnection, request: Request) -> Response:
        """Refuse by path (404), id (404; Part 4, 3.2) or password (401), or accept with 101 what is a WebSocket."""
        station_id = door.station_id_in(request.path)
        refusal = self._refusal(station_id, request)
        if refusal is not None:
            self._refuse(connection, station_id or "", refusal)
            response = connection.protocol.reject(refusal.status, f"{refusal.reason}\n{refusal.remedy}\n")
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
            return response
        response = connection.protocol.accept(request)
        if response.status_code != 101:
            text = (response.body or b"").decode(errors="replace").strip().replace("\n", " ")
            self._refuse(connection, "", door.wrong_opening(text or response.reason_phrase))
        return response

    def _refusal(self, station_id: str | None, request: Request) -> door.Refusal | None:
        if station_id is None:
            return door.wrong_path(request.path)
        station = self._stations.get(station_id)
        if station is None:
            return door.unknown_station(station_id, list(self._stations))
        if self._csms.security_profile:
            return door.check_password(station, request.headers.get_all("Authorization"))
        return None

    def opened(self, connection: WebSocketConnection) -> None:
        """Serve a connection, or close it at once where no subprotocol was agreed upon (Part 4, 3.2)."""
        task = self._loop.create_task(self._serve(connection))
        self._serving[task] = None
        task.add_done_callback(self._served)

    async def _serve(self, connection: WebSocketConnection) -> None:
        request = connection.request
        assert request is not None
        station_id = door.station_id_in(request.path) or ""
        if connection.protocol.subprotocol is None:
            self._refuse(connection, station_id, door.wrong_subprotocol(_offered(request)))
            await connection.close(1002, f"the bench speaks {SUBPROTOCOL}")
            return
        try:
            await self._attach(station_id, connection, connection.peer)
        finally:
            connection.abort()

    def _served(self, task: asyncio.Task[None]) -> None:
        del self._serving[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("a connection failed", exc_info=error)

    def failed(self, connection: WebSocketConnection, reason: str) -> None:
        """Report someone who opened no WebSocket."""
        self._refuse(connection, "", door.wrong_opening(reason) if reason else door.SILENT)

    def lost(self, connection: WebSocketConnection) -> None:
        """Forget a connection."""
        del self._connections[connection]

    def _refuse(self, connection: WebSocketConnection, station_id: str, refusal: door.Refusal) -> None:
        self._knock(station_id, connection.peer, refusal.reason, refusal.remedy)

    async def close(self) -> None:
        """Stop listening, close what is open with 1001, and wait for all tasks."""
        self._listener.close()
        for task in self._doors:
            task.cancel()
        await asyncio.gather(*self._doors, return_exceptions=True)
        await asyncio.gather(*(connection.close(1001, "the bench is closing") for connection in list(self._connections)))
        if self._serving:
            await asyncio.wait(list(self._serving))


@asynccontextmanager
async def open_ocpp_server(
    settings: RigSettings, attach: Attach, knock: KnockCallback, *, virtual: bool, folder: Path = Path()
) -> AsyncIterator[OcppServer]:
    """Listen for charging stations as the rig file says.

    Args:
        attach: serves one accepted connection until it ends (`Csms.attach`).
        knock: is told of everyone who was refused (`Csms.knock`).
        virtual: the loop's time is virtual: no WebSocket pings.
        folder: where the rig file lies; certificate and key are relative to it.
    Raises: RigError where the port is taken, UsageError where certificate or key cannot be used.
    """
    server = OcppServer(settings, attach, knock, virtual, door.tls_context(settings.csms, folder))
    async with AsyncExitStack() as stack:
        if settings.link is not None:
            outer, inner = server.move_behind()
            server.link = await stack.enter_async_context(open_link_relay(outer, inner, LoopClock(wall_now())))
        accepting = asyncio.create_task(server.accept())
        try:
            yield server
        finally:
            if server.link is not None:
                server.link.restore()
            accepting.cancel()
            await asyncio.wait([accepting])
            await server.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise RigError(f"the CSMS cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


async def _first_byte(accepted: socket.socket) -> bytes:
    """Return the first byte without taking it away; empty where the connection ended."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def wake() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(accepted, wake)
    try:
        await readable
    finally:
        loop.remove_reader(accepted)
    return accepted.recv(1, socket.MSG_PEEK)


def _select(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Agree to OCPP 2.0.1 or to nothing: then the handshake ends well and the connection is closed (Part 4, 3.2)."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _offered(request: Request) -> list[str]:
    values = request.headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip()[:40] for value in values for name in value.split(",")][:10]
