"""What the mock SCSP serves: versions, credentials, sessions (RECEIVER), charging profiles (SENDER) and callbacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.peers.scsp_inbox import Inbox
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import CLIENT_ERROR, SUCCESS, decode_token, dump, echo, envelope

Handler = Callable[[Request, Any], "tuple[int, int, Any]"]
"""(request, JSON body) -> (HTTP status, status_code, data)."""
_OK: Final = (200, SUCCESS, None)
_UNKNOWN: Final = (404, CLIENT_ERROR, None)
_NOT_ALLOWED: Final = (405, CLIENT_ERROR, None)


def scsp_app(scsp: Inbox) -> Starlette:
    """Return the application of a mock SCSP."""

    def versions(request: Request, body: Any) -> tuple[int, int, Any]:
        return 200, SUCCESS, [{"version": scsp.version, "url": scsp.root}]

    def details(request: Request, body: Any) -> tuple[int, int, Any]:
        return 200, SUCCESS, {"version": scsp.version, "endpoints": scsp.endpoints()}

    def credentials(request: Request, body: Any) -> tuple[int, int, Any]:
        if request.method == "GET":
            return 200, SUCCESS, scsp.own_credentials()
        if request.method == "DELETE":
            scsp.on_unregister()
            return _OK
        return _NOT_ALLOWED  # it is the SCSP that registers and renews

    def session(request: Request, body: Any) -> tuple[int, int, Any]:
        session_id = request.path_params["session_id"]
        if request.method == "GET":
            known = scsp.sessions.get(session_id)
            return (200, SUCCESS, known) if known is not None else _UNKNOWN
        return _OK if scsp.on_session(session_id, body, patch=request.method == "PATCH") else _UNKNOWN

    def push(request: Request, body: Any) -> tuple[int, int, Any]:
        scsp.on_push(request.path_params["session_id"], body)
        return _OK

    def result(request: Request, body: Any) -> tuple[int, int, Any]:
        return _OK if scsp.on_result(request.path_params["response_id"], body) else _UNKNOWN

    root = f"/ocpi/{scsp.version}"
    routes = (
        ("/ocpi/versions", versions, ["GET"], False),
        (root, details, ["GET"], False),
        (f"{root}/credentials", credentials, ["GET", "POST", "PUT", "DELETE"], False),
        (f"{root}/sessions/{{country}}/{{party}}/{{session_id}}", session, ["GET", "PUT", "PATCH"], True),
        (f"{root}/chargingprofiles/{{session_id}}", push, ["PUT"], True),
        ("/ocpi/callbacks/{response_id}", result, ["POST"], True),
    )
    return Starlette(
        routes=[
            Route(path, _answering(scsp, handler, functional), methods=methods) for path, handler, methods, functional in routes
        ]
    )


def _answering(scsp: Inbox, handler: Handler, functional: bool) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that checks token, headers and JSON, and answers with an envelope."""

    async def endpoint(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        echoed, where = echo(headers, scsp.party, functional=functional), f"{request.method} {request.url.path}"
        if decode_token(headers.get("authorization")) != scsp.token_b:
            scsp.findings.append(checks.Finding("wrong_token", f"{where}: not the token that we gave"))
            return _response(scsp, 401, CLIENT_ERROR, None, echoed)
        scsp.findings += checks.check_request_headers(headers, functional=functional)
        content = await request.body()
        try:
            body = orjson.loads(content) if content else None
        except orjson.JSONDecodeError:
            scsp.findings.append(checks.Finding("not_json", f"{where}: the body is not JSON"))
            return _response(scsp, 400, CLIENT_ERROR, None, echoed)
        status, code, data = handler(request, body)
        return _response(scsp, status, code, data, echoed)

    return endpoint


def _response(scsp: Inbox, status: int, code: int, data: Any, headers: dict[str, str]) -> Response:
    content = dump(envelope(scsp.now(), data, code))
    return Response(content, status, headers, media_type="application/json")
