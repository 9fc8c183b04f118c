"""The routes of commands, RECEIVER interface: decide, answer, then begin."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.reading import JsonRoute
from bench.cso.ocpi.routes import party_of, platform_of
from bench.wire.ocpi.commands import CancelReservation, Command, ReserveNow, StartSession, StopSession, UnlockConnector
from bench.wire.ocpi.transport import Envelope


def command_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return POST of each command."""
    router = APIRouter(route_class=JsonRoute, prefix=f"/ocpi/{version}/commands", tags=["commands"])
    commands = platform.commands

    def answer(request: Request, command: Command) -> Response:
        """Answer with the decision; what follows begins when the answer is on its way."""
        caller, party = platform_of(request), party_of(request).id
        decision = commands.decide(caller, party, command)

        async def after() -> None:
            if decision.work is not None:
                commands.start(caller, party, command, decision.work)

        return platform.answers.data(decision.data, decision.message, BackgroundTask(after))

    @router.post("/START_SESSION", response_model=Envelope)
    async def start_session(request: Request, body: StartSession) -> Response:
        """Start a transaction for a token of the eMSP."""
        return answer(request, body)

    @router.post("/STOP_SESSION", response_model=Envelope)
    async def stop_session(request: Request, body: StopSession) -> Response:
        """Stop a session of the eMSP's customer."""
        return answer(request, body)

    @router.post("/RESERVE_NOW", response_model=Envelope)
    async def reserve_now(request: Request, body: ReserveNow) -> Response:
        """Reserve an EVSE for a token of the eMSP."""
        return answer(request, body)

    @router.post("/CANCEL_RESERVATION", response_model=Envelope)
    async def cancel_reservation(request: Request, body: CancelReservation) -> Response:
        """Cancel a reservation of the eMSP."""
        return answer(request, body)

    @router.post("/UNLOCK_CONNECTOR", response_model=Envelope)
    async def unlock_connector(request: Request, body: UnlockConnector) -> Response:
        """Unlock a connector: for help desks."""
        return answer(request, body)

    @router.post("/{command}", response_model=Envelope)
    async def other(request: Request, command: str, body: Command) -> Response:
        """Refuse a command that is none of the five: the list is open."""
        return answer(request, body)

    return router
