"""A platform that keeps whatever it is sent, as raw JSON: the receiving end of the CPO's pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.wire.ocpi.transport import PartyId

MODULES = ("locations", "tariffs", "sessions", "cdrs")


@dataclass(slots=True)
class Recorder:
    """What came: (method, path below the version's root, body)."""

    platform: Platform
    received: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Added to each answer."""
    refuses: Callable[[str, str], bool] = lambda method, path: False
    """By method and path."""
    down: bool = False
    """A proxy in front of it answers in its place: that is no answer of OCPI's."""
    held: asyncio.Event | None = None
    """No answer comes before this is set."""

    def of(self, module: str) -> list[tuple[str, str, Any]]:
        """Return what came of one module."""
        return [one for one in self.received if one[1].startswith(module)]


@asynccontextmanager
async def open_recorder(
    registry: Registry, addresses: AddressBook, version: str = "2.3.0", role: str = "EMSP", party: str = "BEN"
) -> AsyncIterator[Recorder]:
    """Serve a recorder and enter it into the registry, as if it had registered."""
    base = f"http://{party.lower()}-{role.lower()}.bench"
    root = f"{base}/ocpi/{version}"
    endpoints = {(name, "RECEIVER"): f"{root}/{name}" for name in MODULES}
    own = (Party(PartyId("NL", party), role),)
    tokens = f"in-{party}-{role}-0123456789", f"out-{party}-{role}"
    recorder = Recorder(Platform(*tokens, f"{base}/ocpi/versions", version, own, endpoints))

    async def take(request: Request) -> Response:
        content = await request.body()
        path = request.url.path.removeprefix(f"/ocpi/{version}/")
        recorder.received.append((request.method, path, orjson.loads(content) if content else None))
        names = ("x-request-id", "x-correlation-id")
        if recorder.held is not None:
            await recorder.held.wait()
        if recorder.down:
            return Response("bad gateway", 502)
        echoed = {name: request.headers[name] for name in names}
        body = {"status_code": 2003 if recorder.refuses(request.method, path) else 1000, "timestamp": "2026-01-15T00:00:00Z"}
        return JSONResponse(body, headers=echoed | recorder.headers)

    app = Starlette(routes=[Route("/{path:path}", take, methods=["PUT", "PATCH", "POST", "DELETE"])])
    async with open_http_server(app) as server:
        with addresses.entry(base, server):
            registry.platforms.append(recorder.platform)
            yield recorder
