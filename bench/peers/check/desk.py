"""Where a CSO's requests arrive during a check: each is noted as it came; results are taken here, the rest by the mock peer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bench.adapters.http_server import AsgiApp, Message, Receive, Scope, Send
from bench.peers.books import SHOWN_IN
from bench.peers.peer import Peer
from bench.ports import Clock
from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_exchange import check_content_type, check_parties
from bench.wire.ocpi.transport import CLIENT_ERROR, SUCCESS, decode_token, dump, echo, envelope

RESULTS: Final = "/ocpi/results/"
"""Below it each order has a path of its own."""
SLOW_S: Final = 20.0
CROSSING_S: Final = 5.0
"""So long a request to the endpoints of before may be under way when the CSO answers a change of version."""


@dataclass(slots=True)
class Received:
    """One request of the CSO."""

    at: datetime
    method: str
    target: str
    """Path and query as they came."""
    headers: Mapping[str, str]
    body: Any
    """Decoded JSON; None where there is none."""
    document: int | None
    """Its number in the journal."""
    status: int = 0
    """What we answered; 0: not yet, or never."""

    @property
    def path(self) -> str:
        """Return the path without the query."""
        return urlsplit(self.target).path


@dataclass(slots=True)
class Desk:
    """An ASGI application. `serve` says which mock peer stands behind it."""

    clock: Clock
    received: list[Received] = field(default_factory=list)
    habits: dict[str, str] = field(default_factory=dict)
    """slow, error or silent, by the path of a response_url that was given out; empty: answered as it should be."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the check ends: nobody is kept waiting any more."""
    _now: tuple[Peer, AsgiApp] | None = None
    _before: tuple[Peer, AsgiApp] | None = None
    _old: frozenset[str] = frozenset()
    """Paths of the response_urls that were given out for the peer of before."""
    _moved_at: datetime | None = None

    def serve(self, peer: Peer, app: AsgiApp) -> None:
        """From now on let this peer answer, another version's; what still comes for the one of before is not noted any more."""
        self._now, self._before, self._old, self._moved_at = (peer, app), self._now, frozenset(self.habits), None
        self.received.clear()

    def moved(self) -> None:
        """The CSO has taken the credentials of the peer that answers now."""
        self._moved_at = self._moved_at or self.clock.now()

    def _is_old(self, path: str) -> bool:
        """Say whether a request is rightly for the peer of before: to its endpoints until the CSO knows the new ones."""
        if self._before is None or path in self._old:
            return self._before is not None
        knows = self._moved_at is not None and (self.clock.now() - self._moved_at).total_seconds() > CROSSING_S
        return not knows and path.startswith(f"/ocpi/{self._before[0].version}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note a request, and answer it; what is found in it is found in its document."""
        content, query = (await receive()).get("body", b""), scope["query_string"].decode("latin-1")
        target = scope.get("raw_path", scope["path"].encode()).decode("latin-1") + (f"?{query}" if query else "")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        noted = Received(
            self.clock.now(), scope["method"], target, headers, _decoded(content), scope.get("state", {}).get("document")
        )
        served = self._before if self._is_old(noted.path) else self._now
        assert served is not None
        peer, app = served
        if served is self._now:
            self.received.append(noted)
        SHOWN_IN.set(noted.document)  # for this request alone: each is served in a context of its own

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted.status = message["status"]
            await send(message)

        if noted.path.startswith(RESULTS):
            peer.changed()
            await self._result(peer, noted, content, receive, answering)
            return
        waiting: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await app(scope, replayed, answering)
        peer.changed()

    async def _held(self, until: Coroutine[Any, Any, None]) -> None:
        """Keep the CSO waiting, but not longer than the check lasts."""
        waits = [asyncio.create_task(until), asyncio.create_task(self._closed())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _closed(self) -> None:
        await self.over.wait()

    async def _result(self, peer: Peer, noted: Received, content: bytes, receive: Receive, send: Send) -> None:
        """Take a result, with the habit that was ordered for its address."""
        where, habit = f"{noted.method} {noted.path}", self.habits.get(noted.path)
        parties = peer.registration.parties if peer.registration else ()
        right = decode_token(noted.headers.get("authorization")) == peer.token_b
        if not right:
            peer.find("wrong_token", f"{where}: not the token that we gave")
        peer.found(checks.check_request_headers(noted.headers, functional=True, routed=peer.routed), where)
        peer.found(check_content_type(noted.headers, content), where)
        peer.found(check_parties(noted.headers, peer.party, parties), where)
        peer.check_ids(noted.headers, where)
        if habit == "slow":
            await self._held(self.clock.sleep(SLOW_S))
        if habit == "silent":
            await self._held(_gone(receive))
            if not self.over.is_set():
                return
        status = 500 if habit == "error" else 401 if not right else 404 if habit is None else 200
        body = b"broken" if habit == "error" else dump(envelope(peer.now(), code=SUCCESS if status == 200 else CLIENT_ERROR))
        kind = "text/plain" if habit == "error" else "application/json"
        given = {"content-type": kind, "content-length": str(len(body)), **echo(noted.headers, peer.party, functional=True)}
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})


async def _gone(receive: Receive) -> None:
    """Return when the CSO has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _decoded(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None
