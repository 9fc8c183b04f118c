"""An eMSP for tests of the CPO: it says what a test wants, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.adapters.http_server import open_http_server
from bench.cso.ocpi.registry import Party, Platform
from bench.wire.ocpi.transport import PartyId, encode_token, routing
from tests.ocpi_rig import OcpiRig

URL = "http://emsp.bench"
PARTY = PartyId("NL", "EVL")
CPO = PartyId("NL", "BEN")


def token(uid: str = "0123-CARD", **fields: Any) -> dict[str, Any]:
    """Return a Token of this eMSP."""
    return {
        "country_code": "NL", "party_id": "EVL", "uid": uid, "type": "RFID", "contract_id": "NL-EVL-C1", "issuer": "EVL",
        "valid": True, "whitelist": "NEVER", "last_updated": "2026-01-15T00:00:00Z", **fields,
    }  # fmt: skip


class Emsp:
    """One registered platform with one party of role EMSP."""

    def __init__(self, rig: OcpiRig, version: str, party: PartyId = PARTY) -> None:
        self.rig, self.version, self.party = rig, version, party
        endpoints = {("tokens", "SENDER"): f"{URL}/tokens", ("sessions", "RECEIVER"): f"{URL}/sessions"}
        self.platform = Platform(
            "token-to-the-cpo", "token-to-the-emsp", f"{URL}/versions", version, (Party(party, "EMSP"),), endpoints
        )
        self.authorization: Any = None
        """What is answered to a real-time authorization: data, an HTTP status, or a future that never comes."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Path with query, and body, of each real-time authorization."""
        self.listed: list[str] = []
        """The query of each GET of its list of Tokens."""
        self.pages: list[Response] = []
        """What they are answered with; then by an empty list."""
        self.sessions: dict[str, dict[str, Any]] = {}
        self.results: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        """Path and body of each result."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Send a request to the CPO; return HTTP status and envelope."""
        headers = {"authorization": encode_token("token-to-the-cpo"), "x-request-id": "r", "x-correlation-id": "c"}
        headers |= {} if "/hubclientinfo/" in path else routing(self.party, CPO)
        url, content = f"http://cso.bench/ocpi/{self.version}{path}", b"" if body is None else orjson.dumps(body)
        status, _, answer = await self.rig.transport.request(method, url, headers, content, 10)
        return status, orjson.loads(answer)

    async def tell(self, given: Mapping[str, Any]) -> int:
        """PUT a Token; return the HTTP status."""
        path = f"/tokens/{given['country_code']}/{given['party_id']}/{given['uid']}?type={given['type']}"
        status, answer = await self.ask("PUT", path, given)
        assert answer["status_code"] == 1000, answer
        return status

    async def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Send a command; return the envelope of the answer."""
        body = {"response_url": f"{URL}/callbacks/{name}", **fields}
        return (await self.ask("POST", f"/commands/{name}", body))[1]

    async def result(self, name: str) -> dict[str, Any]:
        """Return the result of a command as soon as it comes."""
        path, body = await asyncio.wait_for(self.results.get(), 120)
        assert path == f"/callbacks/{name}"
        return body

    async def session(self) -> dict[str, Any]:
        """Return the only session that was told, once what is under way has come."""
        await asyncio.sleep(1)
        (session,) = self.sessions.values()
        return session

    async def serve(self, request: Request) -> Response:
        """Take a request of the CPO."""
        body, path = orjson.loads(await request.body() or b"null"), request.url.path
        if path.endswith("/authorize"):
            self.asked.append((f"{path}?{request.url.query}", body))
            if isinstance(self.authorization, int):
                return self._response(self.authorization, {"status_code": 2000})
            data = await self.authorization if isinstance(self.authorization, asyncio.Future) else self.authorization
            if isinstance(data, dict) and "status_code" in data:
                return self._response(200, data)
            return self._response(200, {"status_code": 1000, "data": data})
        if request.method == "GET":
            self.listed.append(str(request.url.query))
            return self.pages.pop(0) if self.pages else self._response(200, {"status_code": 1000, "data": []})
        if path.startswith("/callbacks/"):
            self.results.put_nowait((path, body))
        else:
            known = self.sessions.setdefault(path, {})
            self.sessions[path] = {**known, **body} if request.method == "PATCH" else body
        return self._response(200, {"status_code": 1000})

    @staticmethod
    def _response(status: int, envelope: dict[str, Any]) -> Response:
        content = orjson.dumps(envelope | {"timestamp": "2026-01-15T00:00:00Z"})
        return Response(content, status, media_type="application/json")


@asynccontextmanager
async def open_emsp(rig: OcpiRig, version: str, party: PartyId = PARTY) -> AsyncIterator[Emsp]:
    """Serve an eMSP that is registered with the rig's CPO."""
    emsp, registry = Emsp(rig, version, party), rig.cpo.platform.registry
    app = Starlette(routes=[Route("/{path:path}", emsp.serve, methods=["GET", "PUT", "PATCH", "POST"])])
    registry.add(emsp.platform, registry.invite())
    async with open_http_server(app, "127.0.0.1", 0) as server:
        with rig.addresses.entry(URL, server):
            yield emsp
