"""What holds for each request before any module sees it: tokens, ids, routing headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bench.cso.ocpi.answers import Answers
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Registry
from bench.cso.ocpi.request_limit import RequestLimit
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import CLIENT_ERROR, PartyId, decode_token, echo, receiver_of, sender_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """Answers 401 to a wrong token, echoes the ids, swaps the routing headers, and takes a trailing slash away.

    TOKEN_A opens the configuration modules alone. `request.state` gets `caller` and `sender` (a PartyId or None).
    """

    def __init__(
        self, app: App, own: PartyId, registry: Registry, answers: Answers, findings: Findings, limit: RequestLimit,
        open_paths: tuple[str, ...],
    ) -> None:  # fmt: skip
        self._limit = limit
        self._app, self._own, self._registry, self._answers, self._findings = app, own, registry, answers, findings
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = _path(scope)
        headers = _headers(scope)
        is_open = scope["path"] in self._open_paths
        functional = _is_functional(scope["path"], self._open_paths)
        state = scope.setdefault("state", {})
        caller = self._registry.caller(headers.get("authorization"))
        answering = _Echo(send, self._own, headers, functional)
        if caller is None or (not is_open and caller.platform is None):
            reason = "TOKEN_A opens versions and credentials only" if caller else _unknown(headers.get("authorization"))
            await self._answers.error(CLIENT_ERROR, reason, 401)(scope, receive, answering)
            return
        if caller.platform is not None and self._limit.passed(caller.platform):
            await self._too_many(scope["path"])(scope, receive, answering)
            return
        routed = caller.platform is None or caller.platform.routed
        found = checks.check_request_headers(headers, functional=functional, routed=routed)
        self._findings.add(found, f"{scope['method']} {scope['path']}", *_refs(scope))
        receiver = receiver_of(headers)
        if functional and receiver not in (None, self._own):
            await self._answers.error(CLIENT_ERROR, f"{receiver} is not served here, but {self._own}")(scope, receive, answering)
            return
        state["caller"], state["sender"] = caller, sender_of(headers)
        try:
            await self._app(scope, receive, answering)
        except Exception as error:
            if not answering.started:
                response = await self._answers.on_defect(Request(scope), error)
                await response(scope, receive, answering)
            raise

    def _too_many(self, path: str) -> Response:
        """Answer a request that is one too many: with HTTP 200, for OCPI has no HTTP status for it."""
        text = f"more than {self._limit.per_minute} requests in a minute"
        if "/chargingprofiles/" in path:
            return self._answers.data({"result": "TOO_OFTEN", "timeout": 0}, text)
        return self._answers.error(CLIENT_ERROR, text)


class TooLong:
    """Answers 413 in place of the platform, in the form of OCPI, and notes why the request has no body in the journal."""

    def __init__(self, own: PartyId, answers: Answers, findings: Findings, open_paths: tuple[str, ...]) -> None:
        self._own, self._answers, self._findings, self._open_paths = own, answers, findings, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        functional = _is_functional(_path(scope), self._open_paths)
        length = headers.get("content-length", "unknown")
        text = f"{scope['method']} {scope['path']}: refused unread, its body is too long (content-length: {length})"
        self._findings.tell("body_too_long", text, *_refs(scope))
        response = self._answers.error(CLIENT_ERROR, "the body is too long", 413)
        response.headers["connection"] = "close"
        await response(scope, receive, _Echo(send, self._own, headers, functional))


def _unknown(authorization: str | None) -> str:
    if decode_token(authorization) is None:
        return "Authorization must be 'Token', and the token in Base64"
    return "the token is not known"


def _path(scope: Scope) -> str:
    return scope["path"].rstrip("/") or "/"


def _is_functional(path: str, open_paths: tuple[str, ...]) -> bool:
    """Say whether a path is one of a functional module, whose messages carry routing headers; hubclientinfo is none either."""
    return path not in open_paths and "/hubclientinfo/" not in path


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _refs(scope: Scope) -> list[int]:
    """Return the request's document in the journal, where there is one."""
    state = scope.get("state", {})
    return [state["document"]] if "document" in state else []


class _Echo:
    """Adds the headers that each response owes to its request."""

    def __init__(self, send: Send, own: PartyId, headers: dict[str, str], functional: bool) -> None:
        self._send, self._own, self._asked, self._functional = send, own, headers, functional
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            echoed = echo(self._asked, self._own, functional=self._functional).items()
            owed = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in echoed]
            message = {**message, "headers": [*message.get("headers", []), *owed]}
        await self._send(message)
