"""Where the platform sends a peer's token: to the host of that peer's credentials, and to those of the rig file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bench.adapters.http_server import open_http_server
from bench.settings.ocpi import OcpiSettings
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, encode_token
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig, rig_settings

pytestmark = pytest.mark.virtual

OWN = "http://odd.bench"
MODULES = (("sessions", "RECEIVER"), ("chargingprofiles", "SENDER"))


@dataclass(slots=True)
class Platform:
    """A platform whose rows lead where a test wants, and whose hosts note who calls them."""

    version: str
    details: str = OWN
    endpoints: str = OWN
    redirect: str = ""
    """Where its versions are said to have moved."""
    asked: list[str] = field(default_factory=list, init=False)

    async def answer(self, request: Request) -> Response:
        """Give versions, version details, or an empty envelope."""
        self.asked.append(f"{request.method} {request.headers['host']}{request.url.path}")
        if request.url.path == "/versions" and self.redirect:
            return RedirectResponse(self.redirect)
        data: Any = None
        if request.url.path == "/versions":
            data = [{"version": self.version, "url": f"{self.details}/details"}]
        elif request.url.path == "/details":
            ends = [{"identifier": name, "role": role, "url": f"{self.endpoints}/{name}"} for name, role in MODULES]
            data = {"version": self.version, "endpoints": ends}
        return JSONResponse({"data": data, "status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"})


@asynccontextmanager
async def _open(version: str, *allowed: str, **platform: str) -> AsyncIterator[tuple[OcpiRig, Platform]]:
    """Open a CPO nobody is registered with, and a platform that is served at three hosts."""
    settings: RigSettings = rig_settings().model_copy(update={"ocpi": OcpiSettings(allow_hosts=allowed)})
    odd = Platform(version, **platform)
    app = Starlette(routes=[Route("/{path:path}", odd.answer, methods=["GET", "PUT", "POST"])])
    async with open_ocpi_rig(register=False, settings=settings, version=version) as rig, open_http_server(app) as server:
        with (
            rig.addresses.entry(OWN, server), rig.addresses.entry("http://elsewhere.bench", server),
            rig.addresses.entry("http://169.254.169.254", server),
        ):  # fmt: skip
            yield rig, odd


async def _send(rig: OcpiRig, version: str, path: str, method: str, token: str, body: Any) -> dict[str, Any]:
    headers = {"authorization": encode_token(token), "x-request-id": "r", "x-correlation-id": "c"}
    url = f"http://cso.bench/ocpi/{version}/{path}"
    _, _, text = await rig.transport.request(method, url, headers, orjson.dumps(body), 10)
    envelope: dict[str, Any] = orjson.loads(text)
    return envelope


async def _credentials(rig: OcpiRig, version: str, url: str = f"{OWN}/versions", token: str = "") -> dict[str, Any]:
    """Register, or renew where a token is given."""
    body = rig.scsp.own_credentials() | {"url": url}
    return await _send(rig, version, "credentials", "PUT" if token else "POST", token or rig.cpo.token_a, body)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", ["details", "endpoints"])
async def test_a_platform_is_registered_on_its_own_host_alone(version: str, part: str) -> None:
    """Status codes, 3001: the message and a finding name what leads elsewhere and where; nobody there hears of the token."""
    async with _open(version, **{part: "http://elsewhere.bench"}) as (rig, odd):
        told = await _credentials(rig, version)
        what = f"version {version}" if part == "details" else "endpoint sessions"
        message = f"{what}: elsewhere.bench is not the platform's host, odd.bench"
        assert (told["status_code"], told["status_message"]) == (3001, message)
        assert rig.found("address_refused") == [message.replace(":", " of NL-SCP:", 1)]
        assert [one for one in odd.asked if "elsewhere" in one] == []
        assert rig.cpo.platform.registry.platforms == []


async def test_an_allowed_host_may_serve_a_platforms_modules() -> None:
    """`allow_hosts`, in any case: versions, endpoints and what is pushed there."""
    async with _open("2.3.0", "Elsewhere.Bench", endpoints="http://elsewhere.bench") as (rig, odd):
        assert (await _credentials(rig, "2.3.0"))["status_code"] == 1000
        rig.stations.transaction("Started", wh=0)
        await asyncio.sleep(1)
        assert odd.asked[-1].startswith("PUT elsewhere.bench/sessions/")


@pytest.mark.parametrize(("allowed", "code"), [((), 3001), (("169.254.169.254",), 1000)], ids=["refused", "allowed"])
async def test_a_metadata_service_is_called_only_where_the_rig_file_names_it(allowed: tuple[str, ...], code: int) -> None:
    """A CSO in a cloud would hand out what it finds there."""
    host = "http://169.254.169.254"
    async with _open("2.3.0", *allowed, details=host, endpoints=host) as (rig, odd):
        assert (await _credentials(rig, "2.3.0", f"{host}/versions"))["status_code"] == code
        assert len(odd.asked) == 2 * len(allowed)


async def test_no_redirection_is_followed() -> None:
    """Transport knows none: 3001, and the other host hears nothing."""
    async with _open("2.3.0", redirect="http://elsewhere.bench/versions") as (rig, odd):
        assert (await _credentials(rig, "2.3.0"))["status_code"] == 3001
        assert odd.asked == ["GET odd.bench/versions"]


async def test_after_a_renewal_the_rule_holds_anew() -> None:
    """credentials, PUT: the new host is the platform's own, and the former one gets no response any more, not even of before."""
    host = "http://elsewhere.bench"
    async with _open("2.3.0") as (rig, odd):
        token = (await _credentials(rig, "2.3.0"))["data"]["token"]
        rig.stations.transaction("Started", wh=0)
        (session,) = (await _send(rig, "2.3.0", "sessions?date_from=2026-01-01T00:00:00Z", "GET", token, None))["data"]
        rig.stations.answers["SetChargingProfile"] = answer = asyncio.get_running_loop().create_future()
        path, body = f"chargingprofiles/{session['id']}", {"charging_profile": PROFILE, "response_url": f"{OWN}/results/1"}
        assert (await _send(rig, "2.3.0", path, "PUT", token, body))["data"]["result"] == "ACCEPTED"
        odd.details = odd.endpoints = host
        token = (await _credentials(rig, "2.3.0", f"{host}/versions", token))["data"]["token"]
        answer.set_result({"status": "Accepted"})
        await asyncio.sleep(1)
        assert [one for one in odd.asked if "results" in one] == []
        assert "odd.bench is not the platform's host, elsewhere.bench" in rig.found("result_not_delivered")[0]
        told = await _send(rig, "2.3.0", path, "PUT", token, body)
        assert (told["status_code"], told["status_message"]) == (
            2001, "response_url: odd.bench is not the platform's host, elsewhere.bench",
        )  # fmt: skip
