"""Writes each OCPI exchange into the journal, once: as a server wrapped round an application, or round a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bench.adapters.http_server import AsgiApp, Message, Receive, Scope, Send
from bench.domain.documents import Kind
from bench.errors import PeerError
from bench.ports import Journal, OcpiTransport
from bench.wire.ocpi.transport import decode_token, encode_token
from bench.wire.ocpi.url import hide_secrets, hide_token_uid

_SHOWN: Final = ("authorization", "x-request-id", "x-correlation-id")
_SHORTEST_SECRET: Final = 8
"""A shorter token cannot be replaced wherever it stands without spoiling the evidence; it is hidden in the headers."""
_STRANGERS_BYTES: Final = 500
"""Of a request without a known token no more is kept: anybody can send any number of them."""

NameOf = Callable[[str], str]


class OcpiTap:
    """Journals what passes, with one number per exchange.

    Args:
        own_name: what the journal calls this side.
        name_of: gives the name of whoever a token belongs to, or an empty text.
    """

    def __init__(self, journal: Journal, own_name: str) -> None:
        self._journal, self._own_name = journal, own_name
        self._exchange = 0
        self._tokens: dict[str, None] = {}
        self.name_of: NameOf = lambda token: ""

    def learn(self, token: str) -> None:
        """Keep a token out of the journal, as it is and in Base64."""
        if len(token) >= _SHORTEST_SECRET and token not in self._tokens:
            self._tokens[token] = None
            self._journal.secret(token)
            self._journal.secret(encode_token(token).removeprefix("Token "))

    def server(self, app: AsgiApp) -> AsgiApp:
        """Return an application that journals each request and response; the request's document number is in its state."""

        async def tapped(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(app, scope, receive, send)

        return tapped

    def client(self, transport: OcpiTransport, documents: dict[str, int] | None = None) -> OcpiTransport:
        """Return a transport that journals each request and response.

        Args: documents: filled with the number of each request's document, by its X-Request-ID.
        """
        return _TappedTransport(self, transport, documents)

    def request(self, incoming: bool, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, int]:
        """Journal a request; return the exchange's number and the document's."""
        self._exchange += 1
        peer = self.name_of(decode_token(headers.get("authorization")) or "") or self._stranger(incoming, url)
        sender, receiver = (peer, self._own_name) if incoming else (self._own_name, peer)
        shown = hide_token_uid(hide_secrets(url))
        data = {"exchange": self._exchange, "from": sender, "to": receiver, "method": method, "url": shown}
        if incoming and len(body) > _STRANGERS_BYTES and decode_token(headers.get("authorization")) not in self._tokens:
            body = body[:_STRANGERS_BYTES] + f"… ({len(body)} bytes)".encode()
        seq = self._journal.write(Kind.OCPI_REQUEST, data | self._content(headers, body))
        return self._exchange, seq

    def response(self, exchange: int, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Journal the response of an exchange."""
        data = {"exchange": exchange, "status": status}
        self._journal.write(Kind.OCPI_RESPONSE, data | self._content(headers, body))

    def failed(self, exchange: int, reason: str) -> None:
        """Journal that no response came: an exchange without one must be explained."""
        data = {"source": "ocpi", "code": "no_response", "text": f"exchange {exchange}: {hide_secrets(reason)}", "refs": []}
        self._journal.write(Kind.FINDING, data)

    def _content(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        shown = {
            name: self._safe(value) if name == "authorization" else value
            for name, value in sorted(headers.items())
            if name in _SHOWN or name.startswith("ocpi-")
        }
        return {"headers": shown, "body": hide_secrets(body.decode(errors="backslashreplace"))}

    def _safe(self, authorization: str) -> str:
        """Return the header as it may be written: a known token is replaced by the journal, any other one here."""
        return authorization if decode_token(authorization) in self._tokens else f"(unknown, {len(authorization)} characters)"

    @staticmethod
    def _stranger(incoming: bool, url: str) -> str:
        return "unregistered" if incoming else (urlsplit(url).hostname or "unknown")

    async def _serve(self, app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body: bytes = message.get("body", b"")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        exchange, seq = self.request(True, scope["method"], _url(scope, headers), headers, body)
        scope.setdefault("state", {})["document"] = seq
        waiting: list[Message] = [message]
        held: Message = {}

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        async def noted(answer: Message) -> None:
            """Hold the head back until the body is there, so that the journal has the response before the peer has it."""
            if answer["type"] == "http.response.start":
                held.update(answer)
                held["content"] = b""
                return
            held["content"] += answer.get("body", b"")
            if not answer.get("more_body", False):
                content = held.pop("content")
                given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in held.get("headers", [])}
                self.response(exchange, held["status"], given, content)
                await send(held)
                await send({"type": "http.response.body", "body": content})

        await app(scope, replayed, noted)


class _TappedTransport:
    """A transport whose exchanges are journalled."""

    def __init__(self, tap: OcpiTap, inner: OcpiTransport, documents: dict[str, int] | None) -> None:
        self._tap, self._inner, self._documents = tap, inner, documents

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; see `bench.ports.OcpiTransport`."""
        lower = {name.lower(): value for name, value in headers.items()}
        exchange, document = self._tap.request(False, method, url, lower, body)
        if self._documents is not None:
            self._documents[lower.get("x-request-id", "")] = document
        try:
            status, given, content = await self._inner.request(method, url, headers, body, timeout_s)
        except PeerError as error:
            self._tap.failed(exchange, str(error))
            raise
        except asyncio.CancelledError:
            self._tap.failed(exchange, "the bench closed before the response came")
            raise
        self._tap.response(exchange, status, given, content)
        return status, given, content


def _url(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the URL as the peer wrote it, by its Host header: a logical address stays one."""
    host = headers.get("host") or "unknown"
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    return f"{scope['scheme']}://{host}{path}{'?' if query else ''}{query}"
