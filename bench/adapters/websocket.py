"""One WebSocket connection of a charging station, on the sans-I/O protocol of the `websockets` package.

A frame is handed on in the very callback that brings it, without a queue or a task between: on a bench that times a
station, its own delay counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from bench.errors import StationOfflineError

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
_SEND_EOF: Final = b""

Receive = Callable[[str | bytes], None]


class Host(Protocol):
    """What a connection belongs to."""

    def address_of(self, peer: tuple[str, int]) -> str:
        """Return the network address of whoever is connected, given address and port of the socket's other end."""
        ...

    def made(self, connection: WebSocketConnection) -> None:
        """The socket is ready, TLS included."""
        ...

    def answer(self, connection: WebSocketConnection, request: Request) -> Response:
        """Return the answer to an opening handshake; 101 opens the connection."""
        ...

    def opened(self, connection: WebSocketConnection) -> None:
        """The opening handshake ended well."""
        ...

    def failed(self, connection: WebSocketConnection, reason: str) -> None:
        """No opening handshake came: `reason` is empty after 10 s of silence."""
        ...

    def lost(self, connection: WebSocketConnection) -> None:
        """The connection is gone."""
        ...


class WebSocketConnection(asyncio.Protocol):
    """A StationLink; its opening handshake is answered by its host.

    Args:
        ping_interval_s: a connection on which nothing was heard for so long is pinged, and closed after twice the time;
            None never pings.
    """

    def __init__(self, protocol: ServerProtocol, host: Host, ping_interval_s: float | None) -> None:
        self.protocol = protocol
        self.request: Request | None = None
        self.peer = ""
        self._host, self._ping_interval_s = host, ping_interval_s
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._receive: Receive | None = None
        self._early: list[str | bytes] = []
        self._parts = bytearray()
        self._parts_opcode: Opcode | None = None
        self._error: Exception | None = None
        self._heard, self._reported = True, False
        self._timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    # the link ------------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send one frame without waiting. Raises StationOfflineError."""
        if self.protocol.state is not State.OPEN:
            raise StationOfflineError("the connection is closed")
        self.protocol.send_text(text.encode())
        self._flush()

    async def serve(self, receive: Receive) -> None:
        """Call `receive` with each frame until the connection ends; raise what it raised."""
        self._receive = receive
        early, self._early = self._early, []
        for message in early:
            self._deliver(message)
        await asyncio.shield(self._lost)
        if self._error is not None:
            raise self._error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; after 2 s also without the station's consent."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            self._flush()
        elif self.protocol.state is State.CONNECTING:
            self.abort()
        self._abort_later()
        await asyncio.shield(self._lost)

    def ended(self) -> tuple[int, str] | None:
        """Return code and reason of the side that closed first, or None while it is open."""
        protocol = self.protocol
        if not self._lost.done():
            return None
        close = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent or protocol.close_rcvd
        return (close.code, close.reason) if close else (1006, "")

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    # what asyncio calls --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready, TLS included."""
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self.peer = self._host.address_of(address) if address else ""
        self._timer = self._loop.call_later(OPEN_TIMEOUT_S, self._silent)
        self._host.made(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._heard = True
        protocol = self.protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        self._flush()
        for event in events:
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, Request):
                self._opening(event)

    def eof_received(self) -> None:
        """The station will send no more."""
        self.protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.protocol.receive_eof()
        self._set_timer(None)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self.request is None and not self._reported:
            self._host.failed(self, str(self.protocol.handshake_exc or "the connection was closed at once"))
        self._lost.set_result(None)
        self._host.lost(self)

    def pause_writing(self) -> None:
        """The station reads nothing: nothing is read from it either, so that no answers pile up."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    # inside --------------------------------------------------------------------------------------------------------

    def _opening(self, request: Request) -> None:
        self.request = request
        response = self._host.answer(self, request)
        self.protocol.send_response(response)
        self._set_timer(None)
        self._flush()
        if response.status_code == 101:
            if self._ping_interval_s is not None:
                self._set_timer(self._loop.call_later(self._ping_interval_s, self._keep_alive))
            self._host.opened(self)

    def _frame(self, frame: Frame) -> None:
        """Put fragments together and hand the message on."""
        opcode = frame.opcode
        if opcode is Opcode.CONT or (opcode in (Opcode.TEXT, Opcode.BINARY) and not frame.fin):
            self._parts_opcode = self._parts_opcode or opcode
            self._parts += frame.data
            if not frame.fin:
                return
            opcode, data = self._parts_opcode, bytes(self._parts)
            self._parts, self._parts_opcode = bytearray(), None
        elif opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            data = bytes(frame.data)
        else:
            return
        if opcode is Opcode.BINARY:
            self._deliver(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if self.protocol.state is State.OPEN:
                self.protocol.fail(1007, f"{error.reason} at position {error.start}")
                self._flush()
            return
        self._deliver(text)

    def _deliver(self, message: str | bytes) -> None:
        if self._receive is None:
            self._early.append(message)
            return
        if self._error is not None:
            return
        try:
            self._receive(message)
        except Exception as error:  # a defect of ours: raised again in serve()
            self._error = error
            self.abort()

    def _flush(self) -> None:
        """Write what the protocol wants to say; wait for the other side's close only so long."""
        writes = self.protocol.data_to_send()
        if writes and not self._transport.is_closing():
            ends = writes[-1] == _SEND_EOF
            self._transport.write(writes[0] if len(writes) == 1 else b"".join(writes))
            if ends and self._transport.can_write_eof():
                self._transport.write_eof()
            elif ends:
                self._transport.close()
        if self.protocol.state is not State.OPEN and self.protocol.close_expected():
            self._abort_later()

    def _abort_later(self) -> None:
        """End the connection after 2 s, whatever the station sends meanwhile."""
        self._set_timer(None)
        if self._abort_timer is None and not self._lost.done():
            self._abort_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def _silent(self) -> None:
        self._reported = True
        self._host.failed(self, "")
        self.abort()

    def _keep_alive(self) -> None:
        if not self._heard:
            self.protocol.fail(1011, "no answer to a ping")
            self._flush()
            return
        self._heard = False
        self.protocol.send_ping(b"")
        self._flush()
        self._set_timer(self._loop.call_later(self._ping_interval_s or 0, self._keep_alive))

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
