"""Writes each OCPI exchange into the journal, once: as a server wrapped round an application, or round a transport."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bench.adapters.http_server import AsgiApp, Message, Receive, Scope, Send
from bench.domain.documents import Kind
from bench.errors import PeerError
from bench.ports import Journal, OcpiTransport
from bench.wire.ocpi.credentials import is_like_no_word
from bench.wire.ocpi.transport import decode_token, dump, load
from bench.wire.ocpi.url import hide_secrets, hide_token_uid

_SHOWN: Final = ("authorization", "x-request-id", "x-correlation-id")
_STRANGERS_BYTES: Final = 500
"""Of a request without a known token no more is kept: anybody can send any number of them."""
_READ_BYTES: Final = 10_000
"""A longer one of theirs is not even read: that takes its time."""
_CREDENTIALS: Final = re.compile(r"/credentials/?(?:$|\?)")
_TOKEN_LIKE: Final = re.compile(r"(?i)token|secret|passw|key|auth")

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
        """Know a token and keep it out of the journal: in headers and credentials, and everywhere if it is like no word."""
        if token and token not in self._tokens:
            self._tokens[token] = None
            if is_like_no_word(token):
                self._journal.secret(token)

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
        token = decode_token(headers.get("authorization")) or ""
        peer = self.name_of(token) or self._stranger(incoming, url)
        sender, receiver = (peer, self._own_name) if incoming else (self._own_name, peer)
        shown = hide_token_uid(hide_secrets(url))
        data = {"exchange": self._exchange, "from": sender, "to": receiver, "method": method, "url": shown}
        strange = incoming and token not in self._tokens
        if strange and len(body) > _READ_BYTES:
            body = f"({len(body)} bytes)".encode()
        elif strange or _CREDENTIALS.search(url):
            body = _without_tokens(body)
        if strange and len(body) > _STRANGERS_BYTES:
            body = body[:_STRANGERS_BYTES] + f"… ({len(body)} bytes)".encode()
        seq = self._journal.write(Kind.OCPI_REQUEST, data | self._content(headers, body))
        return self._exchange, seq

    def response(self, exchange: int, status: int, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Journal the response of an exchange with that URL."""
        if _CREDENTIALS.search(url):
            body = _without_tokens(body)
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
        """Return the header as it may be written: with a known token decoded, for the journal to replace, and no other one."""
        token = decode_token(authorization)
        return f"Token {token}" if token in self._tokens else f"(unknown, {len(authorization)} characters)"

    @staticmethod
    def _stranger(incoming: bool, url: str) -> str:
        return "unregistered" if incoming else (urlsplit(url).hostname or "unknown")

    async def _serve(self, app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body: bytes = message.get("body", b"")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        url = _url(scope, headers)
        exchange, seq = self.request(True, scope["method"], url, headers, body)
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
                self.response(exchange, held["status"], url, given, content)
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
        self._tap.response(exchange, status, url, given, content)
        return status, given, content


def _url(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the URL as the peer wrote it, by its Host header: a logical address stays one."""
    host = headers.get("host") or "unknown"
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    return f"{scope['scheme']}://{host}{path}{'?' if query else ''}{query}"


def _without_tokens(body: bytes) -> bytes:
    """Return a body without tokens, but for those that the journal replaces: under the key `token`, unless they are objects."""
    try:
        return dump(_shown(load(body))) if body else body
    except orjson.JSONDecodeError:
        return f"(no JSON, {len(body)} bytes)".encode()


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _hidden(name, one) if _TOKEN_LIKE.search(name) else _shown(one) for name, one in value.items()}


def _hidden(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {"(hidden)": len(value)}
    return value if name == "token" or value is None else "(hidden)"
