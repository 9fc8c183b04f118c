"""The routes of locations, tariffs and CDRs, SENDER interface: thin, everything is decided elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.paging import AnyPage
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.reading import JsonRoute
from bench.cso.ocpi.routes import platform_of
from bench.wire.ocpi.transport import UNKNOWN_LOCATION, Envelope


def site_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return the lists, and the Location by its parts."""
    router, answers = APIRouter(route_class=JsonRoute, prefix=f"/ocpi/{version}", tags=["site"]), platform.answers
    root = platform.root(version)

    @router.get("/locations", response_model=Envelope)
    async def locations(request: Request, page: AnyPage) -> Response:
        """List the locations: there is one."""
        whole = platform.locations.location(version)
        found = [whole] if page.covers(platform.locations.last_updated) else []
        return page.answer(answers, f"{root}/locations", found)

    @router.get("/locations/{location_id}", response_model=Envelope)
    @router.get("/locations/{location_id}/{evse_uid}", response_model=Envelope)
    @router.get("/locations/{location_id}/{evse_uid}/{connector_id}", response_model=Envelope)
    async def part(location_id: str, evse_uid: str = "", connector_id: str = "") -> Response:
        """Give a Location, an EVSE or a Connector."""
        found = platform.locations.part(version, location_id, evse_uid, connector_id)
        if found is None:
            name = "/".join(one for one in (location_id, evse_uid, connector_id) if one)
            raise OcpiError(UNKNOWN_LOCATION, f"nothing is known by {name}", 404)
        return answers.data(found)

    @router.get("/tariffs", response_model=Envelope)
    async def tariffs(page: AnyPage) -> Response:
        """List the tariffs."""
        return page.answer(answers, f"{root}/tariffs", platform.tariffs.listed(page, version))

    @router.get("/cdrs", response_model=Envelope)
    async def cdrs(request: Request, page: AnyPage) -> Response:
        """List the caller's CDRs."""
        return page.answer(answers, f"{root}/cdrs", platform.cdrs.listed(platform_of(request), page, version))

    return router
