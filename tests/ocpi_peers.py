"""A CSO by script, for tests of the mock peers: answers from a table, and sends whatever a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import open_http_server
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.peers.misbehave import Misbehaviour
from bench.peers.peer import Peer, open_peer
from bench.ports import OcpiTransport
from bench.wire.ocpi.transport import PartyId, dump, echo, encode_token, routing
from tests.support import EPOCH

CSO = PartyId("NL", "BEN")
BASE = "http://cso.bench"
STAMP = {"timestamp": "2026-01-15T00:00:00Z"}
MODULES = (
    ("credentials", "SENDER"), ("chargingprofiles", "RECEIVER"), ("commands", "RECEIVER"), ("tokens", "RECEIVER"),
    ("sessions", "SENDER"), ("tariffs", "SENDER"), ("locations", "SENDER"),
)  # fmt: skip
P = TypeVar("P", bound=Peer)


class ScriptedCso:
    """Answers `METHOD module` from `answers` (HTTP status, envelope), and lists from `lists`."""

    def __init__(self, version: str, transport: OcpiTransport) -> None:
        self.version, self._transport = version, transport
        accepted = (200, {"status_code": 1000, "data": {"result": "ACCEPTED", "timeout": 30}})
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {
            "PUT chargingprofiles": accepted, "GET chargingprofiles": accepted, "DELETE chargingprofiles": accepted,
            "POST commands": accepted, "PUT tokens": (201, {"status_code": 1000}), "PATCH tokens": (200, {"status_code": 1000}),
            "PUT sessions": (200, {"status_code": 1000, "data": "ACCEPTED"}), "DELETE credentials": (200, {"status_code": 1000}),
        }  # fmt: skip
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.modules = list(MODULES)
        """What the version details list: identifier and role."""
        self.details_at, self.modules_at = BASE, BASE
        """Where the details of the version and its modules are said to be."""
        self.echoes, self.counts = True, True
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        """Method, path with query, headers and body of each request of the peer."""
        self.peer_token, self.response_url, self._tokens, self._ids = "", "", 0, 0

    async def send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str | None] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Send the peer a request below its endpoints; return HTTP status, status_code and headers."""
        return await self.post(f"{self.peer_root}/{path}", body, headers, method)

    async def post(
        self, url: str, body: Any, headers: Mapping[str, str | None] | None = None, method: str = "POST"
    ) -> tuple[int, Any, dict[str, str]]:
        """Send a request to any URL; a header that is None is left out."""
        self._ids += 1
        given: dict[str, str | None] = {
            "authorization": encode_token(self.peer_token), "content-type": "application/json",
            "x-request-id": f"r-{self._ids}", "x-correlation-id": f"c-{self._ids}",
            **routing(CSO, self.peer_party), **(headers or {}),
        }  # fmt: skip
        sent = {name: value for name, value in given.items() if value is not None}
        status, answered, text = await self._transport.request(method, url, sent, dump(body), 60)
        raw = orjson.loads(text) if text.startswith(b"{") else {}
        return status, raw.get("status_code"), answered

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "PUT", "POST", "PATCH", "DELETE"])])

    async def _answer(self, request: Request) -> Response:
        parts = request.url.path.strip("/").split("/")
        body = orjson.loads(await request.body() or b"null")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.url.path + f"?{request.url.query}", headers, body))
        module = parts[2] if len(parts) > 2 else parts[1]
        status, raw = self._reply(request.method, module, body, request)
        owed = echo(headers, CSO, functional=module not in ("versions", "credentials", self.version)) if self.echoes else {}
        if module in self.lists and request.method == "GET":
            offset, limit = (int(request.query_params.get(name, default)) for name, default in (("offset", 0), ("limit", 50)))
            rows = self.lists[module]
            status, raw = 200, {"status_code": 1000, "data": rows[offset : offset + limit]}
            owed |= {"x-limit": "50"} | ({"x-total-count": str(len(rows))} if self.counts else {})
            if offset + limit < len(rows):
                owed["link"] = f'<{BASE}/ocpi/{self.version}/{module}?offset={offset + limit}&limit={limit}>; rel="next"'
        return Response(dump(raw | STAMP), status, owed, media_type="application/json")

    def _reply(self, method: str, module: str, body: Any, request: Request) -> tuple[int, dict[str, Any]]:
        if module == "versions":
            url = f"{self.details_at}/ocpi/{self.version}"
            return 200, {"status_code": 1000, "data": [{"version": self.version, "url": url}]}
        if module == self.version:
            root = f"{self.modules_at}/ocpi/{self.version}"
            rows = [{"identifier": name, "role": role, "url": f"{root}/{name}"} for name, role in self.modules]
            return 200, {"status_code": 1000, "data": {"version": self.version, "endpoints": rows}}
        if module == "credentials" and method in ("POST", "PUT"):
            role = body["roles"][0]
            self.peer_party, self.peer_token = PartyId(role["country_code"], role["party_id"]), body["token"]
            self.peer_root = body["url"].removesuffix("/versions") + f"/{self.version}"
            self._tokens += 1
            names = {"party_id": CSO.party_id, "country_code": CSO.country_code, "business_details": {"name": "scripted"}}
            token = f"token-c-{CSO}-{self._tokens}"
            return 200, {"status_code": 1000, "data": {"token": token, "url": BASE, "roles": [{"role": "CPO", **names}]}}
        told = body.get("response_url") if isinstance(body, dict) else request.query_params.get("response_url")
        self.response_url = told or self.response_url
        return self.answers.get(f"{method} {module}", (404, {"status_code": 2000}))


@asynccontextmanager
async def open_scripted(kind: type[P], version: str, habits: Misbehaviour | None = None) -> AsyncIterator[tuple[P, ScriptedCso]]:
    """Open a mock peer that is registered with a scripted CSO."""
    addresses = AddressBook()
    async with open_transport(addresses) as transport:
        cso = ScriptedCso(version, transport)
        opened = open_peer(kind, LoopClock(EPOCH), SeededIds(1, "peer"), addresses, version=version, habits=habits)
        async with open_http_server(cso.app()) as server, opened as peer:
            with addresses.entry(BASE, server):
                await peer.register(f"{BASE}/ocpi/versions", "token-a")
                yield peer, cso
