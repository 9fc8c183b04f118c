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
    _loaded: Any = None

    async def json(self) -> Any:
        if self._loaded is None:
            self._loaded = load(await self.body())
        return self._loaded


class JsonRoute(APIRoute):
    """A route whose body is read by `load`: Python's own reader takes NaN, half of a surrogate pair and numbers of any size."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request: 2001 for what Python's reader alone can read; what nobody can is refused by HTTP."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request = _JsonRequest(request.scope, request.receive)
            if await request.body():
                try:
                    await request.json()
                except json.JSONDecodeError:
                    if _is_readable(await request.body()):
                        raise OcpiError(INVALID, "the body holds what cannot be written as JSON again") from None
            return await handler(request)

        return handle


def _is_readable(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
