"""Versions and credentials, clause by clause: what a platform gives, fetches and may bring (credentials, version information)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import open_http_server
from bench.adapters.ids import SeededIds
from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.registry import Party
from bench.errors import PeerError
from bench.peers.scsp import open_scsp
from bench.wire.ocpi.transport import SERVER_ERROR, encode_token
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
VERSION = "2.3.0"
"""What the versions hold apart is in test_ocpi_rules and test_ocpi_clients."""


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO."""
    async with open_ocpi_rig(version=VERSION) as rig, open_emsp(rig, VERSION) as opened:
        yield opened


async def test_one_of_two_registrations_at_once_has_the_party() -> None:
    """credentials, Roles: a party is registered by one platform, also where another one's endpoints are fetched meanwhile."""
    async with (
        open_ocpi_rig(register=False) as rig,
        open_scsp(LoopClock(EPOCH), SeededIds(2, "scsp"), rig.addresses, base_url="http://other.bench") as other,
    ):
        registry = rig.cpo.platform.registry
        both = (one.register(rig.cpo.versions_url, registry.invite()) for one in (rig.scsp, other))
        failed = [one for one in await asyncio.gather(*both, return_exceptions=True) if one is not None]
        assert "SCSP NL-SCP is registered already" in str(failed)
        assert (len(failed), len(registry.platforms)) == (1, 1)


async def test_a_renewal_that_cannot_be_kept_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """credentials, PUT: after a restart the old tokens would count again, so they count on; both sides go on as before."""

    def full_disk() -> None:
        raise OcpiError(SERVER_ERROR, "no space")

    async with open_ocpi_rig() as rig:
        (platform,) = rig.cpo.platform.registry.platforms
        before, ours = asdict(platform), rig.scsp.token_b
        monkeypatch.setattr(rig.cpo.platform.handshake, "keep", full_disk)
        with pytest.raises(PeerError, match="no space"):
            await rig.scsp.renew()
        assert (asdict(platform), rig.scsp.token_b) == (before, ours)
        assert (await rig.placed())[1] == "ACCEPTED"


class _Odd:
    """A platform that shows whatever endpoints a test wants."""

    def __init__(self, rig: OcpiRig) -> None:
        self.rig = rig
        self.modules: list[tuple[str, str]] = [("sessions", "RECEIVER"), ("chargingprofiles", "SENDER")]
        self.fetched: list[str] = []
        self.on_fetch: Callable[[], None] = lambda: None

    async def serve(self, request: Request) -> Response:
        """Answer GET of versions and details."""
        self.fetched.append(request.url.path)
        self.on_fetch()
        rows = [{"version": "2.2.1", "url": "http://odd.bench/2.2.1"}]
        ends = [{"identifier": name, "role": role, "url": f"http://odd.bench/2.2.1/{name}"} for name, role in self.modules]
        data = rows if request.url.path == "/versions" else {"version": "2.2.1", "endpoints": ends}
        return JSONResponse({"data": data, "status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"})

    async def credentials(self, method: str, own: str, *parties: tuple[str, str]) -> dict[str, Any]:
        """Send credentials with these roles and party ids; return the envelope."""
        names = {"business_details": {"name": "odd"}, "country_code": "NL"}
        roles = [{**names, "role": role, "party_id": party} for role, party in parties]
        body = {"token": "token-to-odd", "url": "http://odd.bench/versions", "roles": roles}
        headers = {"authorization": encode_token(own), "x-request-id": "r", "x-correlation-id": "c"}
        url = "http://cso.bench/ocpi/2.2.1/credentials"
        _, _, text = await self.rig.transport.request(method, url, headers, json.dumps(body).encode(), 10)
        envelope: dict[str, Any] = json.loads(text)
        return envelope


@pytest.fixture
async def odd() -> AsyncIterator[_Odd]:
    """Return a platform of 2.2.1 that is not registered yet."""
    async with open_ocpi_rig(version="2.2.1") as rig:
        platform = _Odd(rig)
        async with open_http_server(Starlette(routes=[Route("/{path:path}", platform.serve)])) as server:
            with rig.addresses.entry("http://odd.bench", server):
                yield platform


async def test_the_credentials_in_use_can_be_asked_for(emsp: Emsp) -> None:
    """credentials, GET: the token that the caller uses, the URL of the versions, and the CPO with its business details."""
    status, envelope = await emsp.ask("GET", "/credentials")
    assert (status, envelope["data"]) == (200, {
        "token": "token-to-the-cpo", "url": "http://cso.bench/ocpi/versions",
        "roles": [{
            "role": "CPO", "country_code": "NL", "party_id": "BEN", "business_details": {"name": "charge point bench"},
        }],
    })  # fmt: skip


async def test_a_hub_may_ask_at_any_time_whether_the_platform_is_alive(emsp: Emsp) -> None:
    """mod_hub_client_info, Still alive check: GET of the versions with the token of a registered platform, at any time."""
    headers = {"authorization": encode_token(emsp.platform.token_in)}
    for _ in range(3):
        status, _, _ = await emsp.rig.transport.request("GET", "http://cso.bench/ocpi/versions", headers, b"", 10)
        assert status == 200
    assert len(emsp.rig.cpo.platform.registry.platforms) == 2


async def test_a_request_without_a_token_is_refused(emsp: Emsp) -> None:
    """transport, Authorization header: missing, of another scheme, or not in Base64: HTTP 401, and what it has to be."""
    for headers in ({}, {"authorization": "Bearer dG9rZW4="}, {"authorization": f"Token {emsp.platform.token_in}"}):
        status, _, text = await emsp.rig.transport.request("GET", "http://cso.bench/ocpi/versions", headers, b"", 10)
        assert (status, json.loads(text)["status_message"]) == (401, "Authorization must be 'Token', and the token in Base64")


async def test_a_renewal_fetches_the_endpoints_again(odd: _Odd) -> None:
    """credentials, PUT: versions and details are read anew although the version is the same, and what is new there is used."""
    registry = odd.rig.cpo.platform.registry
    own = (await odd.credentials("POST", registry.invite(), ("SCSP", "ODD")))["data"]["token"]
    odd.modules += [("locations", "RECEIVER"), ("nlodd-coffee", "SENDER")]
    assert (await odd.credentials("PUT", own, ("SCSP", "ODD")))["status_code"] == 1000
    assert odd.fetched == ["/versions", "/2.2.1"] * 2
    assert registry.platforms[-1].endpoints["locations", "RECEIVER"] == "http://odd.bench/2.2.1/locations"
    assert ("nlodd-coffee", "SENDER") in registry.platforms[-1].endpoints, "a custom module is nobody's mistake"


async def test_who_leaves_while_its_credentials_are_renewed_has_left(odd: _Odd) -> None:
    """credentials, PUT: 405 where the registration ended meanwhile, and no token that opens nothing."""
    registry = odd.rig.cpo.platform.registry
    own = (await odd.credentials("POST", registry.invite(), ("SCSP", "ODD")))["data"]["token"]
    odd.on_fetch = lambda: registry.remove(registry.platforms[-1])
    answer = await odd.credentials("PUT", own, ("SCSP", "ODD"))
    assert (answer["status_code"], answer.get("data")) == (2000, None)


async def test_the_role_of_anothers_credentials_endpoint_means_nothing(odd: _Odd) -> None:
    """version information, Endpoint: credentials have the same role on both sides; RECEIVER there is as good as SENDER."""
    odd.modules.append(("credentials", "RECEIVER"))
    token_a = odd.rig.cpo.platform.registry.invite()
    assert (await odd.credentials("POST", token_a, ("SCSP", "ODD")))["status_code"] == 1000


@pytest.mark.parametrize(
    ("parties", "code"),
    [
        ((("SCSP", "ONE"), ("SCSP", "TWO")), 1000),
        ((("SCSP", "ONE"), ("EMSP", "ONE")), 1000),
        ((("SCSP", "ONE"), ("SCSP", "one")), 2001),
        ((), 2001),
    ],
    ids=["one role for two parties", "two roles of one party", "the same twice", "none"],
)
async def test_each_role_and_party_of_a_platform_is_there_once(odd: _Odd, parties: Any, code: int) -> None:
    """credentials, Credentials object: roles is + and each triple of role, party and country is there once."""
    token_a = odd.rig.cpo.platform.registry.invite()
    assert (await odd.credentials("POST", token_a, *parties))["status_code"] == code


@pytest.mark.parametrize("first", ["CPO", "SCSP"])
async def test_a_party_may_have_several_roles(emsp: Emsp, first: str) -> None:
    """credentials, Credentials object: a party that is also an eMSP has the rights of one, whatever role stands first."""
    emsp.platform.parties = (Party(emsp.party, first), *emsp.platform.parties)
    emsp.rig.stations.answers["RequestStartTransaction"] = {"status": "Accepted"}
    answer = await emsp.command("START_SESSION", token=token(), location_id="test")
    assert answer["data"]["result"] == "ACCEPTED"
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    session = await emsp.session()
    body = {"charging_profile": PROFILE, "response_url": "http://emsp.bench/callbacks/1"}
    assert (await emsp.ask("PUT", f"/chargingprofiles/{session['id']}", body))[1]["data"]["result"] == "ACCEPTED"


async def test_a_platform_with_one_party_needs_no_from_headers(emsp: Emsp) -> None:
    """transport, Message Routing Headers: between two platforms of one party each they may be left out, whatever its roles."""
    emsp.platform.parties = (Party(emsp.party, "SCSP"), *emsp.platform.parties)
    url = f"http://cso.bench/ocpi/{emsp.version}/chargingprofiles/S-1?response_url=http://emsp.bench/callbacks/1"
    _, _, text = await emsp.rig.transport.request("DELETE", url, {"authorization": encode_token(emsp.platform.token_in)}, b"", 10)
    assert json.loads(text)["data"]["result"] == "UNKNOWN_SESSION"
