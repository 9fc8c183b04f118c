"""The application of the OCPI platform: the gate, the lane of charging profiles, and FastAPI for everything else.

Gate and lane stand outside FastAPI, whose own layers each relayed profile would have to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.command_routes import command_routes
from bench.cso.ocpi.gate import App, Gate, Receive, Scope, Send, TooLong
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.profile_routes import ProfileLane, profile_routes
from bench.cso.ocpi.receiver_routes import client_routes, token_routes
from bench.cso.ocpi.routes import configuration_routes, session_routes, versions_route
from bench.cso.ocpi.site_routes import site_routes
from bench.wire.ocpi.transport import VERSIONS

_OPEN_PATHS: Final = ("/ocpi/versions", *(f"/ocpi/{one}{path}" for one in VERSIONS for path in ("", "/credentials")))
"""Of the configuration modules."""
Routes = Callable[[CpoPlatform, str], APIRouter]
"""Makes the routes of some modules in one version."""
_MODULES: Final[dict[Routes, tuple[str, ...]]] = {
    configuration_routes: ("", "credentials"), profile_routes: ("chargingprofiles",), session_routes: ("sessions",),
    site_routes: ("locations", "tariffs", "cdrs"), token_routes: ("tokens",), command_routes: ("commands",),
    client_routes: ("hubclientinfo",),
}  # fmt: skip
"""`""` are the version details."""
_ROUTES: Final = {name: routes for routes, names in _MODULES.items() for name in names}


def ocpi_app(platform: CpoPlatform) -> App:
    """Return the application as it is served."""
    return Gate(
        ProfileLane(_OnDemand(platform), platform), own=platform.own, registry=platform.registry, answers=platform.answers,
        findings=platform.findings, limit=platform.limit, open_paths=_OPEN_PATHS,
    )  # fmt: skip


class _OnDemand:
    """The modules, the routes of each made when it is first asked for: to make all takes longer than to open all else."""

    def __init__(self, platform: CpoPlatform) -> None:
        self._platform, self._api = platform, ocpi_api(platform, ())
        self._made: set[tuple[str, Routes]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, _, version, module, *_ = f"{scope.get('path', '')}///".split("/")
        routes = _ROUTES.get(module)
        if version in VERSIONS and routes is not None and (version, routes) not in self._made:
            self._made.add((version, routes))
            self._api.include_router(routes(self._platform, version))
        await self._api(scope, receive, send)


def ocpi_api(platform: CpoPlatform, modules: Iterable[Routes] = _MODULES) -> FastAPI:
    """Return the modules of role CPO, in each version; they expect to stand behind the gate."""
    app = FastAPI(
        title="charge point bench, OCPI", version=VERSIONS[0],
        redirect_slashes=False, docs_url=None, redoc_url=None, openapi_url=None, strict_content_type=False,
    )  # fmt: skip
    app.include_router(versions_route(platform))
    for version in VERSIONS:
        for routes in modules:
            app.include_router(routes(platform, version))
    answers = platform.answers
    app.add_exception_handler(OcpiError, answers.on_ocpi_error)
    app.add_exception_handler(RequestValidationError, answers.on_invalid)
    app.add_exception_handler(HTTPException, answers.on_http_error)
    app.add_exception_handler(Exception, answers.on_defect)
    return app


def too_long_app(platform: CpoPlatform) -> TooLong:
    """Return what answers a request whose body is too long for the application."""
    return TooLong(platform.own, platform.answers, platform.findings, _OPEN_PATHS)
