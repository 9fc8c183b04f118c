"""How the body of a request is read: what could not be written again is refused before anyone keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from bench.cso.ocpi.answers import OcpiError
from bench.wire.ocpi.transport import INVALID, load


class _JsonRequest(Request):
    async def json(self) -> Any:
        return load(await self.body())


class JsonRoute(APIRoute):
    """A route whose body is read by `load`: Python's own reader takes NaN, half of a surrogate pair and numbers of any size."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request: 2001 for what Python's reader alone can read; what nobody can is refused by HTTP."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request = _JsonRequest(request.scope, request.receive)
            body = await request.body()
            if body and not _is_kept(body) and _is_readable(body):
                raise OcpiError(INVALID, "the body holds what cannot be written as JSON again")
            return await handler(request)

        return handle


def _is_kept(body: bytes) -> bool:
    try:
        load(body)
    except json.JSONDecodeError:
        return False
    return True


def _is_readable(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
