"""The control port of the standalone emulator: HTTP and JSON on one address, one station behind it.

POST `/plug`, `/unplug` {evse_id}; `/authorise` {evse_id, id_token}; `/demand` {evse_id, amperes}; `/vehicle` {evse_id, settings};
`/reference_load` {evse_id, amperes}; `/power_cycle` {}; `/cut_network` {seconds}; `/contactor` {closed}; `/supply` {volts};
`/external_limit` {limit, unit, source, periods}; `/renegotiate` {evse_id, needs}; `/seed_fault` {id, params}. GET
`/look?evse_id=1`, `/state`,
`/faults`. Bad input is answered with 400 and {"error"}, an unknown path with 404, a body over MAX_BODY bytes with 413, a POST
with an Origin header, which browsers put into each of theirs, with 403: no page in somebody's browser acts here.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from firmware_sim.control import StationControl
from firmware_sim.faults import describe_faults

MAX_BODY: Final = 65_536
Action = Callable[..., Awaitable[None]]


def control_app(control: StationControl) -> Starlette:
    """Return the application for one station."""
    actions: Mapping[str, Action] = {
        "plug": control.plug,
        "unplug": control.unplug,
        "authorise": control.authorise,
        "demand": control.demand,
        "vehicle": control.vehicle,
        "reference_load": control.reference_load,
        "power_cycle": control.power_cycle,
        "cut_network": control.cut_network,
        "contactor": control.contactor,
        "supply": control.supply,
        "external_limit": lambda limit, unit, source, periods: control.external_limit(
            limit, unit, source=source, periods=periods
        ),
        "renegotiate": control.renegotiate,
        "seed_fault": lambda id, params: control.seed_fault(id, params),  # noqa: A006  the names on the wire
    }

    async def look(request: Request) -> JSONResponse:
        text = request.query_params.get("evse_id", "")
        if not text.isdecimal():
            raise ValueError(f"evse_id = {text!r}: must be the number of an EVSE")
        return JSONResponse(await control.look(int(text)))

    async def state(_: Request) -> JSONResponse:
        return JSONResponse(control.state())

    async def faults(_: Request) -> JSONResponse:
        return JSONResponse(describe_faults())

    routes = [Route(f"/{name}", _post(name, action), methods=["POST"]) for name, action in actions.items()]
    routes += [Route("/look", look), Route("/state", state), Route("/faults", faults)]
    return Starlette(routes=routes, exception_handlers={ValueError: _bad_input, HTTPException: _http_error})


def _post(name: str, action: Action) -> Callable[[Request], Awaitable[JSONResponse]]:
    wanted = list(inspect.signature(action).parameters)

    async def answer(request: Request) -> JSONResponse:
        if "origin" in request.headers:
            raise HTTPException(403, "a page in a browser cannot act here")
        arguments = await _body(request)
        if sorted(arguments) != sorted(wanted):
            raise ValueError(f"{name}: wants exactly {', '.join(wanted) or 'nothing'}; got {', '.join(arguments) or 'nothing'}")
        await action(**arguments)
        return JSONResponse({"ok": True})

    return answer


async def _body(request: Request) -> dict[str, Any]:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
    try:
        content = json.loads(raw or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004  bad input, whatever its type
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


async def _bad_input(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 400)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


class _Server(uvicorn.Server):
    """Waits for an event instead of waking up ten times a second, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until `over` is set."""
        await self.on_tick(0)
        await self.over.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


def _listener(host: str, port: int) -> socket.socket:
    """Return a listening socket made for TCP by name: only on such a one asyncio sends small answers without delay."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise OSError(f"the control port cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


@asynccontextmanager
async def open_control(control: StationControl, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve the control port and yield its number (`port` 0: a free one). Raises OSError when it is taken."""
    config = uvicorn.Config(
        control_app(control), log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    listener = _listener(host, port)
    number: int = listener.getsockname()[1]
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield number
    finally:
        server.over.set()
        await serving
