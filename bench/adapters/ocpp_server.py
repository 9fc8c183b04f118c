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
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bench.adapters import door
from bench.adapters.interfaces import reachable_addresses
from bench.errors import RigError, StationOfflineError
from bench.ports import StationLink
from bench.settings.rig import RigSettings
from bench.wire.ocppj import SUBPROTOCOL

Attach = Callable[[str, StationLink, str], Awaitable[None]]
"""(station id, link, network address of the peer): serves the connection until it ends."""
KnockCallback = Callable[[str, str, str, str], None]
"""(station id or empty, network address, reason, remedy): someone was refused."""

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
PING_INTERVAL_S: Final = 20.0
SURVIVED: Final = 16
"""A frame up to this many times `max_frame_bytes` is refused and the connection survives; a larger one closes it."""
_TLS_HANDSHAKE: Final = b"\x16"

Stage = Literal["opening", "refused", "open"]

_log = logging.getLogger("bench.ocpp")
_log.addHandler(logging.NullHandler())


class WebSocketLink:
    """A StationLink on a WebSocket connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Send one frame. Raises StationOfflineError."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise StationOfflineError(f"the connection is closed: {error}") from error

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Yield frames until the connection ends."""
        try:
            while True:
                yield await self._connection.recv()
        except ConnectionClosed:
            return

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; after 2 s also without the station's consent."""
        await self._connection.close(code, reason)

    def ended(self) -> tuple[int, str] | None:
        """Return code and reason of the side that closed first, or None while it is open."""
        protocol = self._connection.protocol
        if protocol.state is not State.CLOSED:
            return None
        close = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent or protocol.close_rcvd
        return (close.code, close.reason) if close else (1006, "")


class OcppServer:
    """Accepts connections; `port` is the one that it listens on."""

    def __init__(
        self, settings: RigSettings, attach: Attach, knock: KnockCallback, virtual: bool, context: ssl.SSLContext | None
    ) -> None:
        self._csms, self._attach, self._knock = settings.csms, attach, knock
        self._stations = {one.id: one for one in settings.station}
        self._ping_interval_s = None if virtual else PING_INTERVAL_S
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._listener = _listen(self._csms.host, self._csms.port)
        self._doors: dict[asyncio.Task[None], None] = {}
        self._stages: dict[ServerConnection, Stage] = {}
        self._serving = True
        self.handler_tasks: set[asyncio.Task[None]] = set()  # filled by ServerConnection
        self.port: int = self._listener.getsockname()[1]

    def urls(self) -> list[str]:
        """Return the URL to type into a station, without its id, one per interface."""
        scheme = "ws" if self._context is None else "wss"
        hosts = (f"[{host}]" if ":" in host else host for host in reachable_addresses(self._csms.host))
        return [f"{scheme}://{host}:{self.port}/ocpp" for host in hosts]

    def is_serving(self) -> bool:
        """Tell `websockets` whether an opening handshake may still end well."""
        return self._serving

    async def accept(self) -> None:
        """Accept connections for ever."""
        while True:
            try:
                accepted, address = await self._loop.sock_accept(self._listener)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a frame waits for the last one's ACK
            except OSError as error:  # out of file descriptors, or the peer was gone at once
                _log.warning("accepting a connection failed: %s", error)
                await asyncio.sleep(1)
                continue
            task = self._loop.create_task(self._let_in(accepted, str(address[0])))
            self._doors[task] = None
            task.add_done_callback(self._door_done)

    def _door_done(self, task: asyncio.Task[None]) -> None:
        del self._doors[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("a connection was lost at the door", exc_info=error)

    async def _let_in(self, accepted: socket.socket, peer: str) -> None:
        """Look at the first byte, then hand the socket to a ServerConnection."""
        try:
            refusal = await self._look(accepted)
        except BaseException:
            accepted.close()
            raise
        if refusal is not None:
            self._knock("", peer, refusal.reason, refusal.remedy)
        if refusal is not None or not self._serving:
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

    def _connection(self) -> ServerConnection:
        """Return the protocol for one accepted socket; it starts `handler` as a task."""
        protocol = ServerProtocol(
            select_subprotocol=_select, max_size=SURVIVED * self._csms.max_frame_bytes, logger=_log
        )
        return ServerConnection(
            protocol,
            cast(Server, self),  # of a Server it uses handler, handler_tasks and is_serving
            ping_interval=self._ping_interval_s,
            close_timeout=CLOSE_TIMEOUT_S,
        )

    async def handler(self, connection: ServerConnection) -> None:
        """Serve one connection from its opening handshake to its end."""
        self._stages[connection] = "opening"
        try:
            await self._serve(connection)
        except Exception:
            _log.exception("a connection failed")
        finally:
            if connection.state is not State.CLOSED:
                await connection.close()
            connection.transport.abort()
            del self._stages[connection]
            task = asyncio.current_task()
            if task is not None:
                self.handler_tasks.discard(task)

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await connection.handshake(self._check)
        except TimeoutError:
            self._refuse(connection, "", door.SILENT)
            return
        request, response = connection.request, connection.response
        if request is None or response is None:
            self._refuse(connection, "", door.wrong_opening(str(connection.protocol.handshake_exc or "no request came")))
        elif response.status_code == 101:
            station_id = door.station_id_in(request.path) or ""
            if connection.subprotocol is None:
                self._refuse(connection, station_id, door.wrong_subprotocol(_offered(request)))
                await connection.close(1002, f"the bench speaks {SUBPROTOCOL}")
                return
            self._stages[connection] = "open"
            connection.start_keepalive()
            await self._attach(station_id, WebSocketLink(connection), _peer(connection))
        elif self._stages[connection] != "refused":
            text = (response.body or b"").decode(errors="replace").strip().replace("\n", " ")
            self._refuse(connection, "", door.wrong_opening(text or response.reason_phrase))

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse by path (404), id (404; Part 4, 3.2) or password (401), or go on with None."""
        station_id = door.station_id_in(request.path)
        station = self._stations.get(station_id or "")
        if station_id is None:
            refusal: door.Refusal | None = door.wrong_path(request.path)
        elif station is None:
            refusal = door.unknown_station(station_id, list(self._stations))
        elif self._csms.security_profile:
            refusal = door.check_password(station, request.headers.get_all("Authorization"))
        else:
            refusal = None
        if refusal is None:
            return None
        self._refuse(connection, station_id or "", refusal)
        response = connection.respond(refusal.status, f"{refusal.reason}\n{refusal.remedy}\n")
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
        return response

    def _refuse(self, connection: ServerConnection, station_id: str, refusal: door.Refusal) -> None:
        self._stages[connection] = "refused"
        self._knock(station_id, _peer(connection), refusal.reason, refusal.remedy)

    async def close(self) -> None:
        """Stop listening, close what is open with 1001, and wait for all tasks."""
        self._serving = False
        self._listener.close()
        for task in self._doors:
            task.cancel()
        await asyncio.gather(*self._doors, return_exceptions=True)
        for connection in [one for one, stage in self._stages.items() if stage != "open"]:
            connection.transport.abort()
        await asyncio.gather(*(one.close(1001) for one, stage in self._stages.items() if stage == "open"))
        if self.handler_tasks:
            await asyncio.wait(self.handler_tasks)


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
    accepting = asyncio.create_task(server.accept())
    try:
        yield server
    finally:
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


def _peer(connection: ServerConnection) -> str:
    address = connection.transport.get_extra_info("peername")
    return str(address[0]) if address else ""
