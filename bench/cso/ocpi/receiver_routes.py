"""The routes of what others own and push to the CPO: tokens of eMSPs, and client info of hubs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.reading import JsonRoute
from bench.cso.ocpi.routes import platform_of
from bench.cso.ocpi.tokens import TokenKey
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.tokens import RFID, Token
from bench.wire.ocpi.transport import Envelope, PartyId


async def _token_key(country: str, party: str, uid: str, kind: Annotated[str, Query(alias="type")] = RFID) -> TokenKey:
    return TokenKey.of(PartyId.of(country, party), uid, kind)


Key = Annotated[TokenKey, Depends(_token_key)]


def token_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return the RECEIVER interface of tokens."""
    prefix, answers = f"/ocpi/{version}/tokens/{{country}}/{{party}}", platform.answers
    router = APIRouter(route_class=JsonRoute, prefix=prefix, tags=["tokens"])

    @router.get("/{uid}", response_model=Envelope)
    async def token(request: Request, key: Key) -> Response:
        """Give a Token as it is stored."""
        return answers.data(platform.tokens.get(platform_of(request), key).plain())

    @router.put("/{uid}", response_model=Envelope)
    async def put_token(request: Request, key: Key, body: Token) -> Response:
        """Take a new or changed Token."""
        return answers.created(platform.tokens.put(platform_of(request), key, body))

    @router.patch("/{uid}", response_model=Envelope)
    async def patch_token(request: Request, key: Key, body: dict[str, Any]) -> Response:
        """Take some fields of a Token."""
        platform.tokens.patch(platform_of(request), key, body)
        return answers.data()

    return router


def client_routes(platform: CpoPlatform, version: str) -> APIRouter:
    """Return the RECEIVER interface of hubclientinfo."""
    prefix, answers = f"/ocpi/{version}/hubclientinfo", platform.answers
    router = APIRouter(route_class=JsonRoute, prefix=prefix, tags=["hubclientinfo"])

    @router.get("/{country}/{party}", response_model=Envelope)
    async def client(request: Request, country: str, party: str) -> Response:
        """Give what the calling hub has told of a party."""
        return answers.data(platform.clients.get(platform_of(request), PartyId.of(country, party)).plain())

    @router.put("/{country}/{party}", response_model=Envelope)
    async def put_client(request: Request, country: str, party: str, body: ClientInfo) -> Response:
        """Take the state of a party's connection."""
        return answers.created(platform.clients.put(platform_of(request), PartyId.of(country, party), body))

    return router
