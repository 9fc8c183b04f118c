"""Responses of the OCPI platform: always an envelope, and an HTTP error only where HTTP itself failed."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bench.ports import Clock
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, SERVER_ERROR, SUCCESS, dump, envelope


class OcpiError(Exception):
    """A request that is answered with a status code and without data."""

    def __init__(self, code: int, message: str, http_status: int = 200) -> None:
        self.code, self.message, self.http_status = code, message, http_status
        super().__init__(message)


class Answers:
    """Builds responses with the time of the run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def data(self, data: Any = None, message: str = "", after: BackgroundTask | None = None) -> Response:
        """Answer 1000 with data; `after` runs when the response is on its way."""
        return self._response(200, SUCCESS, message, data, after)

    def created(self, new: bool) -> Response:
        """Answer a PUT: HTTP 201 where the object is new, else 200."""
        return self._response(201 if new else 200, SUCCESS, "")

    def error(self, code: int, message: str, http_status: int = 200) -> Response:
        """Answer with an error."""
        return self._response(http_status, code, message)

    def _response(
        self, http_status: int, code: int, message: str, data: Any = None, after: BackgroundTask | None = None
    ) -> Response:
        message = message.encode(errors="replace").decode()[:255]
        content = dump(envelope(self._clock.now(), data, code, message))
        return Response(content, http_status, media_type="application/json", background=after)

    async def on_ocpi_error(self, request: Request, error: Exception) -> Response:
        """Answer what a handler refused."""
        assert isinstance(error, OcpiError)
        return self.error(error.code, error.message, error.http_status)

    async def on_defect(self, request: Request, error: Exception) -> Response:
        """Answer where the bench itself failed."""
        return self.error(SERVER_ERROR, "the bench failed", 500)

    async def on_http_error(self, request: Request, error: Exception) -> Response:
        """Answer an unknown path (404), a wrong method (405) and the like."""
        assert isinstance(error, HTTPException)
        return self.error(CLIENT_ERROR, str(error.detail), error.status_code)

    async def on_invalid(self, request: Request, error: Exception) -> Response:
        """Answer an object that breaks its definition with HTTP 200 and 2001, and what is no JSON with 400."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return self.error(CLIENT_ERROR, "the body is not JSON", 400)
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        if first["type"] == "missing" and not place:
            return self.error(INVALID, "the body is missing")
        return self.error(INVALID, f"{place or 'the body'}: {first['msg'].removeprefix('Value error, ')}")
