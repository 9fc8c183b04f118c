"""The routes of charging profiles, RECEIVER interface: decide, begin, answer; the result waits for the answer.

A sound PUT does not go through FastAPI's routing, which was the longest part of its way through the bench.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.responses import Response

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.gate import App, Message, Receive, Scope, Send
from bench.cso.ocpi.orders import Decision, Requester
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.reading import JsonRoute
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.routes import party_of, platform_of
from bench.wire.ocpi.profiles import SetChargingProfile
from bench.wire.ocpi.transport import INVALID, VERSIONS, Envelope, load
from bench.wire.ocpi.types import Url

_PATH: Final = "/chargingprofiles/{session_id}"
_LANE: Final = re.compile(f"/ocpi/(?:{'|'.join(map(re.escape, VERSIONS))})/chargingprofiles/([^/]+)")
_LONGEST_S: Final = 366 * 86_400


class ProfileLane:
    """In front of FastAPI: takes the PUTs of charging profiles that can be read, and hands everything else on as it came."""

    def __init__(self, app: App, platform: CpoPlatform) -> None:
        self._app, self._platform = app, platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _LANE.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        request, message = Request(scope), await receive()
        wish = _wish(request.headers.get("content-type"), message)
        if wish is None:
            waiting = [message]

            async def replayed() -> Message:
                return waiting.pop() if waiting else await receive()

            await self._app(scope, replayed, send)
            return
        try:
            response = await _set_profile(self._platform, request, match[1], wish)
        except OcpiError as error:
            response = await self._platform.answers.on_ocpi_error(request, error)
        await response(scope, receive, send)


def profile_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return PUT, GET and DELETE of a session's charging profile."""
    router = APIRouter(route_class=JsonRoute, prefix=f"/ocpi/{version}", tags=["chargingprofiles"])
    orders = platform.orders

    @router.put(_PATH, response_model=Envelope)
    async def set_profile(request: Request, session_id: str, body: SetChargingProfile) -> Response:
        """Set the session's charging profile; it replaces the party's former one."""
        return await _set_profile(platform, request, session_id, body)

    @router.get(_PATH, response_model=Envelope)
    async def active_profile(
        request: Request,
        session_id: str,
        duration: Annotated[int, Query(gt=0, le=_LONGEST_S)],
        response_url: Annotated[Url, Query()],
    ) -> Response:
        """Ask what limits the session for the next `duration` seconds."""
        _whole(request, {"duration", "response_url"}, response_url, platform)
        requester = _requester(request, response_url)
        decision = orders.decide("GET", requester, session_id)
        return await _answer(platform, decision, lambda record, answered: orders.start_get(record, requester, duration, answered))

    @router.delete(_PATH, response_model=Envelope)
    async def clear_profile(request: Request, session_id: str, response_url: Annotated[Url, Query()]) -> Response:
        """Clear the charging profile that this party has set."""
        _whole(request, {"response_url"}, response_url, platform)
        requester = _requester(request, response_url)
        decision = orders.decide("DELETE", requester, session_id)
        return await _answer(platform, decision, lambda record, answered: orders.start_clear(record, requester, answered))

    return router


def _wish(content_type: str | None, message: Message) -> SetChargingProfile | None:
    """Return what a request wants, where its body came whole and is a sound SetChargingProfile."""
    if message.get("more_body") or content_type not in (None, "application/json"):
        return None
    try:
        return SetChargingProfile.model_validate(load(message.get("body", b"")))
    except (json.JSONDecodeError, ValidationError):
        return None


async def _set_profile(platform: CpoPlatform, request: Request, session_id: str, body: SetChargingProfile) -> Response:
    orders, requester, profile = platform.orders, _requester(request, body.response_url), body.charging_profile
    decision = orders.decide("PUT", requester, session_id, profile)
    return await _answer(platform, decision, lambda record, answered: orders.start_set(record, requester, profile, answered))


async def _answer(
    platform: CpoPlatform, decision: Decision, begin: Callable[[SessionRecord, asyncio.Event], None]
) -> Response:
    """Answer with the decision. What follows has begun by then, for a limit should not wait for words about it."""
    answered = asyncio.Event()
    if decision.record is not None:
        begin(decision.record, answered)
        await asyncio.sleep(0)  # the turn of the loop in which the order reaches its station

    async def after() -> None:
        answered.set()

    return platform.answers.data(decision.data, decision.message, BackgroundTask(after))


def _requester(request: Request, response_url: str) -> Requester:
    return Requester(platform_of(request), party_of(request), response_url)


def _whole(request: Request, known: set[str], response_url: str, platform: CpoPlatform) -> None:
    """Find a response_url whose own parameters were not percent-encoded: what follows its first `&` is lost."""
    left_over = [name for name in request.query_params if name not in known]
    if not left_over:
        return
    text = f"{request.method} with unknown query parameters {', '.join(left_over)}"
    platform.findings.tell("query_parameters", text)
    if "?" in response_url:
        raise OcpiError(INVALID, f"response_url must be percent-encoded: {', '.join(left_over)} was cut off from it")
