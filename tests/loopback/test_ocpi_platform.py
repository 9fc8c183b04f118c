"""The CPO's platform as a stranger, a newcomer and a registered party see it: raw requests, raw answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.adapters.http_server import MAX_BODY_BYTES, open_http_server
from bench.cso.ocpi.app import ocpi_api
from bench.errors import PeerError
from bench.wire.ocpi.transport import encode_token, routing
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig
from tests.support import MemoryJournal

pytestmark = pytest.mark.virtual

ROOT = "http://cso.bench/ocpi/2.2.1"
PROFILES = f"{ROOT}/chargingprofiles/S-1"
BODY = {"charging_profile": PROFILE, "response_url": "http://scsp.bench/ocpi/callbacks/1"}


@pytest.fixture
async def rig() -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered."""
    async with open_ocpi_rig(version="2.2.1") as opened:
        yield opened


@pytest.fixture
async def fresh() -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP before the handshake."""
    async with open_ocpi_rig(version="2.2.1", register=False) as opened:
        yield opened


async def _ask(
    rig: OcpiRig, method: str, url: str, body: Any = None, token: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Send a request with the registered token, or another; return status, envelope and headers."""
    registered = rig.cpo.platform.registry.platforms
    known = token if token is not None else registered[0].token_in
    sent = {"authorization": encode_token(known), "x-request-id": "r-1", "x-correlation-id": "c-1"}
    sent |= {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    status, given, text = await rig.transport.request(method, url, sent, content, 10)
    return status, json.loads(text), given


async def test_no_module_opens_to_a_stranger(fresh: OcpiRig) -> None:
    """transport, Authorization header: 401 with an envelope, whatever the path and the body."""
    for method, url in (("GET", "http://cso.bench/ocpi/versions"), ("PUT", PROFILES), ("GET", f"{ROOT}/nowhere")):
        status, envelope, headers = await _ask(fresh, method, url, b"{ no json", token="wrong")
        assert (status, envelope["status_code"], headers["x-request-id"]) == (401, 2000, "r-1")


async def test_token_a_opens_versions_and_credentials_alone(fresh: OcpiRig) -> None:
    """transport, Authorization header: nothing functional before the registration."""
    token = fresh.cpo.token_a
    assert (await _ask(fresh, "GET", "http://cso.bench/ocpi/versions", token=token))[0] == 200
    assert (await _ask(fresh, "GET", f"{ROOT}/credentials", token=token))[1]["data"]["token"] == token
    assert (await _ask(fresh, "PUT", PROFILES, BODY, token=token))[0] == 401
    for module in ("locations", "locations/test", "tariffs", "cdrs", "sessions?date_from=2026-01-01T00:00:00Z"):
        assert (await _ask(fresh, "GET", f"{ROOT}/{module}", token=token))[0] == 401, module


async def test_the_roles_are_the_right_way_round(rig: OcpiRig) -> None:
    """version information, Version details endpoint: RECEIVER of charging profiles, commands, tokens and hub client info is
    the CPO, and it sends sessions."""
    _, envelope, _ = await _ask(rig, "GET", ROOT)
    rows = {one["identifier"]: (one["role"], one["url"]) for one in envelope["data"]["endpoints"]}
    assert rows == {
        "credentials": ("SENDER", f"{ROOT}/credentials"),
        "locations": ("SENDER", f"{ROOT}/locations"),
        "tariffs": ("SENDER", f"{ROOT}/tariffs"),
        "sessions": ("SENDER", f"{ROOT}/sessions"),
        "cdrs": ("SENDER", f"{ROOT}/cdrs"),
        **{name: ("RECEIVER", f"{ROOT}/{name}") for name in ("chargingprofiles", "commands", "hubclientinfo", "tokens")},
    }


async def test_both_versions_are_offered_the_newest_first(fresh: OcpiRig) -> None:
    """Each with its own endpoints (version information endpoint)."""
    _, envelope, _ = await _ask(fresh, "GET", "http://cso.bench/ocpi/versions", token=fresh.cpo.token_a)
    assert [one["version"] for one in envelope["data"]] == ["2.3.0", "2.2.1"]
    for row in envelope["data"]:
        details = (await _ask(fresh, "GET", row["url"], token=fresh.cpo.token_a))[1]["data"]
        assert details["version"] == row["version"]
        assert all(one["url"].startswith(row["url"]) for one in details["endpoints"])


@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
async def test_a_platform_is_called_by_the_version_that_it_registered_in(version: str) -> None:
    """The endpoints kept are those of the version whose credentials endpoint took the POST."""
    async with open_ocpi_rig(version=version) as rig:
        (platform,) = rig.cpo.platform.registry.platforms
        assert platform.version == version
        assert platform.endpoints["chargingprofiles", "SENDER"] == f"http://scsp.bench/ocpi/{version}/chargingprofiles"


async def test_token_a_serves_once(rig: OcpiRig) -> None:
    """credentials, Registration: after the registration it is worth nothing."""
    assert (await _ask(rig, "GET", "http://cso.bench/ocpi/versions", token=rig.cpo.token_a))[0] == 401


async def test_who_is_registered_cannot_register_again(rig: OcpiRig) -> None:
    """credentials, POST: with the token of a registered platform 405."""
    status, envelope, _ = await _ask(rig, "POST", f"{ROOT}/credentials", rig.scsp.own_credentials())
    assert (status, envelope["status_code"]) == (405, 2000)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_who_is_not_registered_can_neither_renew_nor_leave(fresh: OcpiRig, method: str) -> None:
    """credentials, PUT and DELETE: with TOKEN_A 405."""
    body = fresh.scsp.own_credentials() if method == "PUT" else None
    assert (await _ask(fresh, method, f"{ROOT}/credentials", body, token=fresh.cpo.token_a))[0] == 405


async def test_renewing_gives_a_new_token_and_ends_the_old(rig: OcpiRig) -> None:
    """credentials, PUT: it rotates TOKEN_C; the platform stays the same one."""
    platform = rig.cpo.platform.registry.platforms[0]
    old = platform.token_in
    _, envelope, _ = await _ask(rig, "PUT", f"{ROOT}/credentials", rig.scsp.own_credentials())
    assert envelope["data"]["token"] == platform.token_in != old
    assert (await _ask(rig, "GET", ROOT, token=old))[0] == 401
    assert rig.cpo.platform.registry.platforms == [platform]


async def test_leaving_ends_the_token(rig: OcpiRig) -> None:
    """credentials, DELETE: it unregisters."""
    token = rig.cpo.platform.registry.platforms[0].token_in
    await rig.scsp.unregister()
    assert (await _ask(rig, "GET", ROOT, token=token))[0] == 401


async def test_a_party_can_be_registered_once(rig: OcpiRig) -> None:
    """credentials, Credentials object: the triple of role, country and party is unique: 2001."""
    token = rig.cpo.platform.registry.invite()
    status, envelope, _ = await _ask(rig, "POST", f"{ROOT}/credentials", rig.scsp.own_credentials(), token=token)
    assert (status, envelope["status_code"]) == (200, 2001)


def _details(url: str) -> dict[str, Any]:
    """Return version details whose one endpoint is at this URL."""
    return {"version": "2.2.1", "endpoints": [{"identifier": "sessions", "role": "RECEIVER", "url": url}]}


@pytest.mark.parametrize("url", ["http://odd.bench:99999/v", "http://user:secretword@odd.bench/v", "http://odd\n.bench/v"])
async def test_an_address_that_cannot_be_called_is_refused_and_no_password_is_kept(fresh: OcpiRig, url: str) -> None:
    """status codes: 3001, and the journal has the request without the password."""
    credentials = fresh.scsp.own_credentials() | {"url": url}
    status, envelope, _ = await _ask(fresh, "POST", f"{ROOT}/credentials", credentials, token=fresh.cpo.token_a)
    assert (status, envelope["status_code"]) == (200, 3001)
    assert isinstance(fresh.journal, MemoryJournal)
    requests = fresh.journal.of("ocpi.request")
    assert "odd" in requests[0]["body"]
    assert "secretword" not in str(fresh.journal.documents)


_ROWS = [{"version": "2.2.1", "url": "http://odd.bench/2.2.1"}]


@pytest.mark.parametrize(
    ("versions", "details", "code", "told"),
    [
        (None, None, 3001, "GET http://odd.bench/versions: HTTP 500"),
        ({"no": "list"}, None, 3001, "GET http://odd.bench/versions: data is no list"),
        ([{"version": "2.2.1"}], None, 3001, "GET http://odd.bench/versions: data.0.url: Field required"),
        ([{"version": "2.1.1", "url": "http://odd.bench/2.1.1"}], None, 3002, "these are the credentials of 2.2.1; offered: "),
        (_ROWS, {"version": "2.2.1", "endpoints": []}, 3003, "a platform with role SCSP needs "),
        (_ROWS, [], 3001, "GET http://odd.bench/2.2.1: data: Input"),
        ([{"version": "2.2.1", "url": "http://odd.bench:99999/2.2.1"}], None, 3001, "version 2.2.1: "),
        (_ROWS, _details("http://odd.bench:99999/sessions"), 3001, "endpoint sessions: "),
        (_ROWS, _details("http://user:word@odd.bench/sessions"), 3001, "endpoint sessions: "),
    ],
)
async def test_a_platform_that_cannot_be_used_is_told_why(
    fresh: OcpiRig, versions: Any, details: Any, code: int, told: str
) -> None:
    """status codes: 3001 its API cannot be used, 3002 no common version, 3003 an endpoint is missing; TOKEN_A stays good."""

    async def answer(request: Request) -> Response:
        data = versions if request.url.path == "/versions" else details
        envelope = {"data": data, "status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"}
        return JSONResponse(envelope, 200 if data is not None else 500)

    credentials = fresh.scsp.own_credentials() | {"url": "http://odd.bench/versions"}
    token = fresh.cpo.token_a
    async with open_http_server(Starlette(routes=[Route("/{path:path}", answer)])) as server:
        with fresh.addresses.entry("http://odd.bench", server):
            status, envelope, _ = await _ask(fresh, "POST", f"{ROOT}/credentials", credentials, token=token)
    assert (status, envelope["status_code"]) == (200, code)
    assert envelope["status_message"].startswith(told)
    await fresh.scsp.register(fresh.cpo.versions_url, token)


async def test_a_body_that_is_missing_is_told_so(fresh: OcpiRig) -> None:
    """status codes: 2001, in words that whoever forgot the body understands."""
    _, envelope, _ = await _ask(fresh, "POST", f"{ROOT}/credentials", token=fresh.cpo.token_a)
    assert (envelope["status_code"], envelope["status_message"]) == (2001, "the body is missing")


async def test_the_scsp_says_why_it_could_not_register(fresh: OcpiRig) -> None:
    """A wrong TOKEN_A is a PeerError, with the code."""
    with pytest.raises(PeerError, match=r"status_code 2000 \(the token is not known\)"):
        await fresh.scsp.register(fresh.cpo.versions_url, "wrong")


@pytest.mark.parametrize("body", [b"{ no json", b"[" * 100_000, b"\xff", b'{"a": \xe9}'])
async def test_what_is_no_json_is_an_error_of_http(rig: OcpiRig, body: bytes) -> None:
    """status codes: 400, with an envelope."""
    status, envelope, _ = await _ask(rig, "PUT", PROFILES, body)
    assert (status, envelope["status_code"]) == (400, 2000)


@pytest.mark.parametrize(
    "body",
    [
        {"charging_profile": PROFILE},
        {"response_url": BODY["response_url"]},
        BODY | {"charging_profile": PROFILE | {"charging_profile_period": []}},
        BODY | {"charging_profile": PROFILE | {"charging_profile_period": [{"start_period": 60, "limit": 1}]}},
        BODY | {"response_url": "http://elsewhere.bench/1"},
        BODY | {"response_url": "http://user:word@scsp.bench/1"},
        BODY | {"response_url": "http://scsp.bench:99999/1"},
        BODY | {"response_url": "http://scsp\t.bench/1"},
        BODY | {"response_url": "\ud800"},
        BODY | {"response_url": "http://scsp.bench/" + "x" * 255},
        [],
        None,
    ],
)
async def test_a_broken_object_is_2001_and_no_error_of_http(rig: OcpiRig, body: Any) -> None:
    """status codes: authenticated and parsed: HTTP 200, status_code 2001, no
    data. A foreign response_url would leak the token."""
    status, envelope, _ = await _ask(rig, "PUT", PROFILES, body)
    assert (status, envelope["status_code"], "data" in envelope) == (200, 2001, False)


@pytest.mark.parametrize("query", ["", "?duration=60", "?duration=0&response_url=http://scsp.bench/1", "?duration=x&response_url=http://scsp.bench/1"])
async def test_a_get_needs_duration_and_response_url(rig: OcpiRig, query: str) -> None:
    """mod_charging_profiles, Request Parameters: 2001 without them."""
    status, envelope, _ = await _ask(rig, "GET", PROFILES + query)
    assert (status, envelope["status_code"]) == (200, 2001)


async def test_a_response_url_that_was_cut_off_is_found(rig: OcpiRig) -> None:
    """An `&` that was not percent-encoded: 2001 that says so, instead of a call to half an address."""
    url = f"{PROFILES}?duration=60&response_url=http://scsp.bench/1?a=1&b=2"
    _, envelope, _ = await _ask(rig, "GET", url)
    assert envelope["status_code"] == 2001
    assert envelope["status_message"] == "response_url must be percent-encoded: b was cut off from it"
    assert rig.found("query_parameters")


async def test_both_forms_of_an_url_are_served(rig: OcpiRig) -> None:
    """With and without a slash at the end, and never a redirect."""
    for url in (ROOT, f"{ROOT}/"):
        assert (await _ask(rig, "GET", url))[0] == 200


async def test_a_body_without_a_content_type_is_read(rig: OcpiRig) -> None:
    """OCPI knows JSON alone, so that is what it is."""
    token = rig.cpo.platform.registry.platforms[0].token_in
    body = json.dumps(BODY).encode()
    _, _, text = await rig.transport.request("PUT", PROFILES, {"authorization": encode_token(token)}, body, 10)
    assert json.loads(text)["data"]["result"] == "UNKNOWN_SESSION"


async def test_a_body_of_another_type_is_refused(rig: OcpiRig) -> None:
    """2001, and the message says what it is about."""
    status, envelope, _ = await _ask(rig, "PUT", PROFILES, BODY, content_type="text/plain")
    assert (status, envelope["status_code"]) == (200, 2001)
    assert envelope["status_message"].startswith("the body: ")


async def test_a_body_that_is_too_long_is_refused_and_journalled(rig: OcpiRig) -> None:
    """413 with envelope and ids; request, response and the reason stand in the journal, the body does not."""
    parties = routing(rig.scsp.party, rig.cpo.platform.own)
    status, envelope, headers = await _ask(rig, "PUT", PROFILES, b"x" * (MAX_BODY_BYTES + 1), **parties)
    assert (status, envelope["status_code"], headers["x-request-id"]) == (413, 2000, "r-1")
    assert headers["ocpi-to-party-id"] == rig.scsp.party.party_id
    assert isinstance(rig.journal, MemoryJournal)
    request, response = rig.journal.of("ocpi.request")[-1], rig.journal.of("ocpi.response")[-1]
    assert (request["method"], request["body"], request["exchange"]) == ("PUT", "", response["exchange"])
    assert response["status"] == 413
    assert rig.found("body_too_long")[0].endswith(f"(content-length: {MAX_BODY_BYTES + 1})")


async def test_an_unknown_path_and_a_wrong_method_have_envelopes(rig: OcpiRig) -> None:
    """transport, Response format: 404 and 405 in the form of OCPI."""
    assert (await _ask(rig, "GET", f"{ROOT}/nowhere"))[:2][0] == 404
    status, envelope, _ = await _ask(rig, "POST", PROFILES, BODY)
    assert (status, envelope["status_code"]) == (405, 2000)


async def test_ids_come_back_and_the_parties_are_turned_round(rig: OcpiRig) -> None:
    """transport, Unique message IDs: each response echoes; configuration modules carry no routing headers."""
    parties = routing(rig.scsp.party, rig.cpo.platform.own)
    _, _, headers = await _ask(rig, "PUT", PROFILES, BODY, **parties)
    assert {name: value for name, value in headers.items() if name.startswith(("x-", "ocpi-"))} == {
        "x-request-id": "r-1", "x-correlation-id": "c-1", **routing(rig.cpo.platform.own, rig.scsp.party),
    }  # fmt: skip
    assert not any(name.startswith("ocpi-") for name in (await _ask(rig, "GET", ROOT))[2])


async def test_a_request_without_ids_is_served_and_noted(rig: OcpiRig) -> None:
    """transport, Unique message IDs: a break of the rules is a finding with its document, and refuses nothing."""
    token = rig.cpo.platform.registry.platforms[0].token_in
    status, _, _ = await rig.transport.request("GET", ROOT, {"authorization": encode_token(token)}, b"", 10)
    assert status == 200
    assert len(rig.found("id_missing")) == 2


async def test_another_receiver_is_not_served(rig: OcpiRig) -> None:
    """transport, Open Routing Request: the To headers name a party that is not here."""
    _, envelope, _ = await _ask(rig, "PUT", PROFILES, BODY, ocpi_to_country_code="NL", ocpi_to_party_id="ELS")
    assert (envelope["status_code"], envelope["status_message"]) == (2000, "NL-ELS is not served here, but NL-BEN")


async def test_charging_preferences_are_not_offered(rig: OcpiRig) -> None:
    """mod_sessions, ChargingPreferencesResponse: HTTP 404 with 2001 where the EVSE lacks the capability."""
    status, envelope, _ = await _ask(rig, "PUT", f"{ROOT}/sessions/S-1/charging_preferences", {"profile_type": "GREEN"})
    assert (status, envelope["status_code"]) == (404, 2001)


async def test_openapi_can_be_generated(rig: OcpiRig) -> None:
    """All routes are typed."""
    paths = ocpi_api(rig.cpo.platform).openapi()["paths"]
    assert sorted(paths["/ocpi/2.2.1/chargingprofiles/{session_id}"]) == ["delete", "get", "put"]


async def test_each_route_is_there_when_its_module_is_asked_for(rig: OcpiRig) -> None:
    """Routes are made by module, on demand: none of all those that there are is missing then."""
    for path in ocpi_api(rig.cpo.platform).openapi()["paths"]:
        status, _, _ = await _ask(rig, "OPTIONS", "http://cso.bench" + re.sub("[{}]", "", path))
        assert (path, status) == (path, 405)
