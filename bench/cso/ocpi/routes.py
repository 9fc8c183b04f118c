"""The routes of the configuration modules and of sessions: thin, everything is decided elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.paging import PageSince
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.reading import JsonRoute
from bench.cso.ocpi.registry import Caller, Party, Platform
from bench.wire.ocpi.credentials import Credentials
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, VERSIONS, Envelope


def caller_of(request: Request) -> Caller:
    """Return whose request this is; the gate has seen to it."""
    caller: Caller = request.state.caller
    return caller


def platform_of(request: Request) -> Platform:
    """Return the registered platform whose request this is. Raises OcpiError (401) where there is none."""
    platform = caller_of(request).platform
    if platform is None:
        raise OcpiError(CLIENT_ERROR, "not registered", 401)
    return platform


def versions_route(platform: CpoPlatform) -> APIRouter:
    """Return the list of versions."""
    router = APIRouter(route_class=JsonRoute, tags=["configuration"])

    @router.get("/ocpi/versions", response_model=Envelope)
    async def versions() -> Response:
        """List the versions."""
        return platform.answers.data([{"version": one, "url": platform.root(one)} for one in VERSIONS])

    return router


def configuration_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return version details and credentials of one version."""
    router, answers = APIRouter(route_class=JsonRoute, prefix=f"/ocpi/{version}", tags=["configuration"]), platform.answers

    @router.get("", response_model=Envelope)
    async def version_details() -> Response:
        """List the endpoints of this version."""
        return answers.data({"version": version, "endpoints": platform.endpoints(version)})

    @router.get("/credentials", response_model=Envelope)
    async def credentials(request: Request) -> Response:
        """Give the credentials that the caller uses."""
        return answers.data(platform.handshake.own_credentials(caller_of(request).token))

    @router.post("/credentials", response_model=Envelope)
    async def register(request: Request, body: Credentials) -> Response:
        """Register."""
        return answers.data(await platform.handshake.register(caller_of(request), body, version))

    @router.put("/credentials", response_model=Envelope)
    async def renew(request: Request, body: Credentials) -> Response:
        """Renew credentials and endpoints."""
        return answers.data(await platform.handshake.renew(caller_of(request), body, version))

    @router.delete("/credentials", response_model=Envelope)
    async def unregister(request: Request) -> Response:
        """End the registration."""
        platform.handshake.unregister(caller_of(request))
        return answers.data()

    return router


def session_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return the SENDER interface of sessions."""
    router, answers = APIRouter(route_class=JsonRoute, prefix=f"/ocpi/{version}", tags=["sessions"]), platform.answers

    @router.get("/sessions", response_model=Envelope)
    async def sessions(request: Request, page: PageSince) -> Response:
        """List the caller's sessions that were updated in an interval, page by page."""
        found = platform.sessions.listed(platform_of(request), page, version)
        return page.answer(answers, f"{platform.root(version)}/sessions", found)

    @router.put("/sessions/{session_id}/charging_preferences", response_model=Envelope)
    async def charging_preferences(request: Request, session_id: str, body: ChargingPreferences) -> Response:
        """Take what the driver prefers; the answer is a bare word."""
        return answers.data(platform.preferences.set(platform_of(request), session_id, body))

    return router


def party_of(request: Request) -> Party:
    """Return the party that asks: the one of the routing headers, or the platform's only one. Raises OcpiError (2001)."""
    party = platform_of(request).party(request.state.sender)
    if party is None:
        raise OcpiError(INVALID, "the OCPI-from headers name no party of the registered platform")
    return party
