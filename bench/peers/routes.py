"""What a mock peer serves: versions, credentials, callbacks, and the modules of its role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_exchange import check_content_type, check_parties
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, SUCCESS, VERSIONS, decode_token, dump, echo, envelope

if TYPE_CHECKING:
    from bench.peers.peer import Peer


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in OCPI's terms."""

    data: Any = None
    code: int = SUCCESS
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request, Any], Awaitable[Reply]]
"""(request, JSON body) -> reply."""
Row = tuple[str, Handler, tuple[str, ...], bool]
"""Path, handler, methods, and whether the module is a functional one."""
OK: Final = Reply()
UNKNOWN: Final = Reply(code=CLIENT_ERROR, status=404)
NOT_ALLOWED: Final = Reply(code=CLIENT_ERROR, status=405)
_OWNED: Final = "{country}/{party}/{object_id}"


def is_functional(path: str) -> bool:
    """Say whether a path is of a functional module: deeper than /ocpi/VERSION, and not the credentials."""
    parts = path.strip("/").split("/")
    return len(parts) > 2 and parts[-1] not in ("versions", "credentials", *VERSIONS)


def peer_app(peer: Peer, extra: Iterable[Route] = ()) -> Starlette:
    """Return the application of a mock peer."""
    rows = list(_configuration(peer))
    for module, role in peer.MODULES:
        rows += _MODULES.get((module, role), _nothing)(peer)
    rows += peer.own_rows()
    return Starlette(routes=[*(route(peer, row) for row in rows), *extra])


def route(peer: Peer, row: Row, accepts: Callable[[str | None], bool] | None = None) -> Route:
    """Return a route that checks token, headers and JSON, and answers with an envelope; `accepts` tells whose token is right."""
    path, handler, methods, functional = row

    async def endpoint(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        echoed, where = echo(headers, peer.party, functional=functional), f"{request.method} {request.url.path}"
        token = decode_token(headers.get("authorization"))
        if not (accepts(token) if accepts is not None else token == peer.token_b):
            peer.find("wrong_token", f"{where}: not the token that we gave")
            return _response(peer, Reply(code=CLIENT_ERROR, status=401), echoed)
        content = await request.body()
        peer.found(checks.check_request_headers(headers, functional=functional, routed=peer.routed), where)
        peer.found(check_content_type(headers, content), where)
        peer.check_ids(headers, where)
        if functional and accepts is None:
            peer.found(check_parties(headers, peer.party, peer.registration.parties if peer.registration else ()), where)
        try:
            body = orjson.loads(content) if content else None
        except orjson.JSONDecodeError:
            peer.find("not_json", f"{where}: the body is not JSON")
            return _response(peer, Reply(code=CLIENT_ERROR, status=400), echoed)
        return _response(peer, await handler(request, body), echoed)

    return Route(path, endpoint, methods=list(methods))


def _response(peer: Peer, reply: Reply, echoed: Mapping[str, str]) -> Response:
    content = dump(envelope(peer.now(), reply.data, reply.code))
    return Response(content, reply.status, {**echoed, **reply.headers}, media_type="application/json")


def _configuration(peer: Peer) -> list[Row]:
    async def versions(request: Request, body: Any) -> Reply:
        return Reply([{"version": peer.version, "url": peer.root}])

    async def details(request: Request, body: Any) -> Reply:
        return Reply({"version": peer.version, "endpoints": peer.endpoints()})

    async def credentials(request: Request, body: Any) -> Reply:
        if request.method == "GET":
            return Reply(peer.own_credentials())
        if request.method == "DELETE" and peer.registration is not None:
            peer.registration = None
            peer.on_note("the CSO has ended the registration")
            return OK
        return NOT_ALLOWED  # it is the mock that registers and renews

    async def result(request: Request, body: Any) -> Reply:
        return OK if peer.on_result(request.path_params["response_id"], body) else UNKNOWN

    return [
        ("/ocpi/versions", versions, ("GET",), False),
        (f"/ocpi/{peer.version}", details, ("GET",), False),
        (f"/ocpi/{peer.version}/credentials", credentials, ("GET", "POST", "PUT", "DELETE"), False),
        ("/ocpi/callbacks/{response_id}", result, ("POST",), True),
    ]


def _nothing(peer: Peer) -> list[Row]:
    return []


def _owned(module: str, *methods: str) -> Callable[[Peer], list[Row]]:
    """Return the rows of a module whose objects the CSO owns: GET, PUT and PATCH (or DELETE) below country, party and id."""

    def rows(peer: Peer) -> list[Row]:
        async def handler(request: Request, body: Any) -> Reply:
            ids = tuple(request.path_params[name] for name in ("country", "party", "object_id"))
            book, object_id = peer.objects[module], peer.spelt(module, ids[2])
            if request.method == "GET":
                return Reply(book[object_id]) if object_id in book else UNKNOWN
            if request.method == "DELETE":
                peer.on_note(f"DELETE {module.removesuffix('s')} {object_id}")
                return OK if book.pop(object_id, None) is not None else UNKNOWN
            if not peer.take(module, ids, body, patch=request.method == "PATCH"):
                return UNKNOWN
            return OK if isinstance(body, dict) else Reply(code=INVALID)

        return [(f"/ocpi/{peer.version}/{module}/{_OWNED}", handler, methods, True)]

    return rows


def _locations(peer: Peer) -> list[Row]:
    async def part(request: Request, body: Any) -> Reply:
        names = ("country", "party", "object_id", "evse_uid", "connector_id")
        ids = tuple(request.path_params[name] for name in names if name in request.path_params)
        return OK if peer.take_part_of_location(ids, body, patch=request.method == "PATCH") else UNKNOWN

    path = f"/ocpi/{peer.version}/locations/{_OWNED}/{{evse_uid}}"
    return [
        *_owned("locations", "GET", "PUT", "PATCH")(peer),
        (path, part, ("PUT", "PATCH"), True), (f"{path}/{{connector_id}}", part, ("PUT", "PATCH"), True),
    ]  # fmt: skip


def _cdrs(peer: Peer) -> list[Row]:
    async def post(request: Request, body: Any) -> Reply:
        cdr_id = peer.take_cdr(body)
        if not cdr_id:
            return Reply(code=INVALID)
        return Reply(headers={"location": f"{peer.root}/cdrs/{cdr_id}"})

    async def get(request: Request, body: Any) -> Reply:
        cdr = peer.objects["cdrs"].get(peer.spelt("cdrs", request.path_params["object_id"]))
        return UNKNOWN if cdr is None else Reply(cdr)

    path = f"/ocpi/{peer.version}/cdrs"
    return [(path, post, ("POST",), True), (f"{path}/{{object_id}}", get, ("GET",), True)]


def _profiles(peer: Peer) -> list[Row]:
    async def push(request: Request, body: Any) -> Reply:
        peer.on_push(request.path_params["session_id"], body)
        return OK

    return [(f"/ocpi/{peer.version}/chargingprofiles/{{session_id}}", push, ("PUT",), True)]


_MODULES: Final[dict[tuple[str, str], Callable[[Peer], list[Row]]]] = {
    ("sessions", "RECEIVER"): _owned("sessions", "GET", "PUT", "PATCH"),
    ("tariffs", "RECEIVER"): _owned("tariffs", "GET", "PUT", "DELETE"),
    ("locations", "RECEIVER"): _locations,
    ("cdrs", "RECEIVER"): _cdrs,
    ("chargingprofiles", "SENDER"): _profiles,
}
"""The commands module as SENDER has no rows of its own: results come to the callbacks."""
