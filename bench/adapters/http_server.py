"""An HTTP server that does not tick: uvicorn, waiting for an event instead of waking ten times a second."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bench.errors import RigError, UsageError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 1_000_000
KEEP_ALIVE_S: Final = 75
REQUEST_S: Final = 30.0
"""How long a connection may take to bring a whole request, from its begin; then it is closed."""
GRACE_S: Final = 2.0
"""How long requests in progress may take to finish when the server closes."""
_TURNS: Final = 20
"""Turns of the loop that closed connections get to be gone."""


@dataclass(frozen=True, slots=True)
class HttpServer:
    """An open server."""

    host: str
    port: int


@asynccontextmanager
async def open_http_server(
    app: AsgiApp, host: str = "127.0.0.1", port: int = 0, *, max_body_bytes: int = MAX_BODY_BYTES, grace_s: float = GRACE_S,
    too_long: AsgiApp | None = None, certificate: Path | None = None, private_key: Path | None = None,
) -> AsyncIterator[HttpServer]:  # fmt: skip
    """Serve an ASGI application; port 0 takes a free one. A request with a longer body gets 413 and never reaches `app`.

    Args:
        too_long: gives that answer in place of a plain one; it sees the request without its body.
        certificate, private_key: PEM files of the server's chain and key; with them it speaks HTTPS.
    Raises: RigError where the address cannot be listened on, UsageError where the certificate cannot be used.
    """
    if certificate is not None:
        _check_certificate(certificate, private_key)
    sock = _listen(host, port)
    config = uvicorn.Config(
        _to_the_close(_BodyLimit(app, max_body_bytes, too_long or _refuse)),
        http=_Impatient, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False, date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, ssl_certfile=certificate, ssl_keyfile=private_key,
    )  # fmt: skip
    server = _Server(config, grace_s)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if serving.done():
            serving.result()
        yield HttpServer(host, sock.getsockname()[1])
    finally:
        server.stop.set()
        await serving
        sock.close()


class _Server(uvicorn.Server):
    """Runs until `stop`, touches no signals, and closes without polling."""

    def __init__(self, config: uvicorn.Config, grace_s: float) -> None:
        super().__init__(config)
        self._grace_s = grace_s
        self.ready, self.stop = asyncio.Event(), asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = list(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for _ in range(_TURNS):
            if not self.server_state.connections:
                break
            await asyncio.sleep(0)


class _Impatient(H11Protocol):
    """Closes a connection that does not bring its first request, or the rest of one, in time: each costs an open file."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waited_for(False)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def _watch(self) -> None:
        state = self.conn.their_state
        idle = state is h11.IDLE and self.cycle is not None and not self.conn.trailing_data[0]
        self._waited_for(state is h11.SEND_BODY or (state is h11.IDLE and not idle))

    def _waited_for(self, more: bool) -> None:
        if more and self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.close)
        elif not more and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _BodyLimit:
    """Reads the whole body, up to the limit, before the application sees the request."""

    def __init__(self, app: AsgiApp, max_bytes: int, too_long: AsgiApp) -> None:
        self._app, self._max_bytes, self._too_long = app, max_bytes, too_long

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        body = b"" if not announced.isdigit() or int(announced) <= self._max_bytes else None
        while body is not None:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                body = None
            elif not message.get("more_body", False):
                break
        if body is None:
            await self._too_long(scope, _replay(b"", receive), send)
            return
        await self._app(scope, _replay(body, receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what the server gives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await _say(send, 413, b"the body is too large")


def _to_the_close(app: AsgiApp) -> AsgiApp:
    """Return an application whose requests get 500 where the close of the server cuts them off: that is no error to log."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):  # the response has begun
                await _say(send, 500, b"the server closes")

    return served


async def _say(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _check_certificate(certificate: Path, private_key: Path | None) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{certificate}, {private_key}: no certificate that can be used: {error.strerror or error}") from None


def _listen(host: str, port: int) -> socket.socket:
    """Bind first, so that the port is known before anyone is told. The backlog is set when serving begins."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it a body waits 40 ms for an acknowledgement
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # `::` means IPv4 too, whatever the system's default
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise RigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock
