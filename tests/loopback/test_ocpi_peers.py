"""The mock peers find what a CSO gets wrong: raw requests come to them, as from a CSO of somebody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.peers.msp import MockMsp
from bench.peers.scsp import MockScsp
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_peers import CSO, ScriptedCso, open_scripted

pytestmark = pytest.mark.virtual
FIXTURES = Path(__file__).parents[2] / "fixtures/ocpi"


@pytest.fixture(params=VERSIONS)
async def msp(request: pytest.FixtureRequest) -> AsyncIterator[tuple[MockMsp, ScriptedCso]]:
    """Return a mock MSP that is registered with a scripted CSO."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_scripted(MockMsp, request.param))


@pytest.fixture(params=VERSIONS)
async def scsp(request: pytest.FixtureRequest) -> AsyncIterator[tuple[MockScsp, ScriptedCso]]:
    """Return a mock SCSP that is registered with a scripted CSO."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_scripted(MockScsp, request.param))


def _fixture(version: str, name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((FIXTURES / version / f"{name}.json").read_text())
    return raw


def _codes(peer: MockScsp | MockMsp) -> list[str]:
    return [one.code for one in peer.findings]


async def test_an_object_told_in_another_case_is_the_same_object(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """types, CiString: a session that is listed as s-1001 and pushed as S-1001 is one, followed once."""
    peer, cso = msp
    session = _fixture(peer.version, "session")
    told: list[str] = []
    peer.on_told.append(lambda module, object_id, raw, patch: told.append(object_id))
    cso.lists["sessions"] = [session | {"id": session["id"].lower()}]
    await peer.pull("sessions")
    await cso.send("PUT", f"sessions/NL/BEN/{session['id']}", session)
    assert told == [session["id"].lower()] * 2
    assert list(peer.sessions) == [session["id"].lower()]
    assert await cso.send("PATCH", "sessions/NL/BEN/S-1001", _fixture(peer.version, "session_patch"))
    assert len(peer.sessions["s-1001"]["charging_periods"]) == 3
    assert peer.findings == []
    assert (await cso.send("GET", "sessions/NL/BEN/S-1001", None))[1] == 1000


async def test_a_faultless_cso_is_left_alone(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Location, tariff, session, its PATCH, CDR: all taken, kept as they came, and no finding."""
    peer, cso = msp
    for module, name in (("locations", "location"), ("tariffs", "tariff"), ("sessions", "session")):
        raw = _fixture(peer.version, name)
        assert (await cso.send("PUT", f"{module}/NL/BEN/{raw['id']}", raw))[:2] == (200, 1000)
        assert peer.objects[module][raw["id"]] == raw
    patch = _fixture(peer.version, "session_patch")
    assert (await cso.send("PATCH", "sessions/NL/BEN/S-1001", patch))[:2] == (200, 1000)
    assert len(peer.sessions["S-1001"]["charging_periods"]) == 3
    status, code, headers = await cso.send("POST", "cdrs", _fixture(peer.version, "cdr"))
    assert (status, code) == (200, 1000)
    assert headers["location"].endswith("/cdrs/CDR-1001")
    assert peer.findings == []


async def test_parts_of_a_location_are_put_in_their_place(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_locations, PUT and PATCH of EVSE and connector."""
    peer, cso = msp
    raw = _fixture(peer.version, "location")
    await cso.send("PUT", f"locations/NL/BEN/{raw['id']}", raw)
    at = "2026-02-03T09:00:00Z"
    url = "locations/NL/BEN/LOC-WEST/CS-WEST-1"
    assert (await cso.send("PATCH", url, {"status": "AVAILABLE", "last_updated": at}))[:2] == (200, 1000)
    assert (await cso.send("PATCH", f"{url}/1", {"max_amperage": 16, "last_updated": at}))[:2] == (200, 1000)
    evse = peer.objects["locations"]["LOC-WEST"]["evses"][0]
    assert (evse["status"], evse["connectors"][0]["max_amperage"], evse["connectors"][0]["max_voltage"]) == ("AVAILABLE", 16, 230)
    assert peer.findings == []
    assert (await cso.send("PATCH", "locations/NL/BEN/LOC-WEST/NOWHERE", {"last_updated": at}))[0] == 404


async def test_unknown_fields_and_values_survive(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport, 2.3.0: what the text does not know is kept."""
    peer, cso = msp
    raw = _fixture(peer.version, "location") | {"flux": [1], "facilities": ["SPACE_PORT"]}
    assert (await cso.send("PUT", f"locations/NL/BEN/{raw['id']}", raw))[:2] == (200, 1000)
    assert peer.objects["locations"]["LOC-WEST"] == raw


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-request-id": None}, "id_missing"),
        ({"ocpi-from-party-id": None}, "routing_headers"),
        ({"ocpi-to-party-id": "XYZ"}, "wrong_receiver"),
        ({"ocpi-from-party-id": "XYZ"}, "wrong_sender"),
        ({"content-type": "text/plain"}, "content_type"),
    ],
)
async def test_a_wrong_header_is_found(msp: tuple[MockMsp, ScriptedCso], headers: dict[str, str | None], code: str) -> None:
    """Transport: ids, routing and content type of a request."""
    peer, cso = msp
    await cso.send("PUT", "tariffs/NL/BEN/TF-DAY", _fixture(peer.version, "tariff"), headers)
    assert _codes(peer) == [code]


async def test_the_wrong_token_is_refused(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport: 401, and nothing is taken."""
    peer, cso = msp
    token = {"authorization": "Token bm90LWl0"}
    assert (await cso.send("PUT", "tariffs/NL/BEN/TF-DAY", _fixture(peer.version, "tariff"), token))[0] == 401
    assert (peer.objects["tariffs"], _codes(peer)) == ({}, ["wrong_token"])


async def test_a_request_id_that_comes_twice_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport, Unique message IDs."""
    peer, cso = msp
    for _ in range(2):
        await cso.send("PUT", "tariffs/NL/BEN/TF-DAY", _fixture(peer.version, "tariff"), {"x-request-id": "always"})
    assert _codes(peer) == ["id_repeated"]


async def test_an_object_of_somebody_else_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport, Client Owned Object Push: the owner is a party of the platform."""
    peer, cso = msp
    await cso.send("PUT", "tariffs/DE/ABC/TF-DAY", _fixture(peer.version, "tariff") | {"country_code": "DE", "party_id": "ABC"})
    assert _codes(peer) == ["wrong_owner"]


async def test_a_patch_of_something_unknown_is_refused(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport, PATCH: the CSO learns by the 404 that it has to PUT."""
    peer, cso = msp
    assert (await cso.send("PATCH", "sessions/NL/BEN/S-1001", _fixture(peer.version, "session_patch")))[0] == 404


async def test_a_cdr_that_disagrees_with_its_session_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_cdrs: a CDR comes once, and bills what the session used; a session that is not over yet may still grow."""
    peer, cso = msp
    session = _fixture(peer.version, "session")
    await cso.send("PUT", "sessions/NL/BEN/S-1001", session)
    await cso.send("POST", "cdrs", _fixture(peer.version, "cdr"))
    assert peer.findings == []
    ended = {"status": "COMPLETED", "end_date_time": "2026-02-03T08:00:00Z"}
    await cso.send("PUT", "sessions/NL/BEN/S-1001", session | ended)
    await cso.send("POST", "cdrs", _fixture(peer.version, "cdr"))
    assert _codes(peer) == ["cdr_twice", "cdr_session"]


@pytest.mark.parametrize(
    "raw",
    [
        None, [], "x", 7, {}, {"id": {}, "evses": 1, "charging_periods": "x", "kwh": [], "session_id": {}, "last_updated": 1},
        {"id": "X", "evses": [1, {"connectors": 2}], "charging_periods": [None], "total_energy": 1e300, "kwh": 1e300},
        {"result": {}, "profile": [], "charging_profile": {"charging_profile_period": [{"limit": "x", "start_period": None}]}},
    ],
)  # fmt: skip
async def test_nothing_that_a_cso_sends_breaks_a_mock(msp: tuple[MockMsp, ScriptedCso], raw: Any) -> None:
    """status codes: whatever JSON comes, to each route, twice: findings, and never HTTP 500."""
    peer, cso = msp
    await peer.delete("S-1")
    owned = [f"{module}/NL/BEN/X" for module in ("sessions", "tariffs", "locations")]
    for path in (*owned, "locations/NL/BEN/X/E", "locations/NL/BEN/X/E/1", "chargingprofiles/X"):
        for method in ("PUT", "PATCH", "PUT") if path[0] in "sl" else ("PUT", "PUT"):
            assert (await cso.send(method, path, raw))[0] < 500
    assert (await cso.send("POST", "cdrs", raw))[0] < 500
    assert (await cso.send("POST", "tokens/T/authorize", raw))[0] < 500
    assert (await cso.post(cso.response_url, raw))[0] < 500
    assert peer.findings


async def test_an_answer_of_the_wrong_kind_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Status codes: an authenticated, parsed request gets no HTTP error for its content; headers are echoed, routing turned."""
    peer, cso = msp
    peer.cso().parties *= 2  # routing headers are due where one side has several parties
    cso.answers["PUT chargingprofiles"] = (422, {"status_code": 2001})
    await peer.send_plan("S-1", _fixture(peer.version, "set_charging_profile")["charging_profile"])
    assert _codes(peer) == ["http_status"]
    cso.echoes = False
    cso.answers["PUT chargingprofiles"] = (200, {"status_code": 1000, "data": {"result": "ACCEPTED"}})
    await peer.send_plan("S-1", _fixture(peer.version, "set_charging_profile")["charging_profile"])
    assert _codes(peer)[1:] == ["id_not_echoed"] * 2 + ["routing_not_swapped"] * 4 + ["timeout"]


async def test_an_accepted_order_without_a_result_is_found(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """mod_charging_profiles: what is ACCEPTED has its result within the timeout."""
    peer, _ = scsp
    await peer.get_active("S-1", 60)
    assert not await peer.wait_until(lambda: bool(peer.findings), 30)
    assert await peer.wait_until(lambda: False, 5) is False
    assert [one.text for one in peer.findings] == ["GET on session S-1: ACCEPTED, but no result within 30 s"]


async def test_a_late_result_is_found(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """mod_charging_profiles: after the timeout the sender assumes that nothing was sent."""
    peer, cso = scsp
    order = await peer.delete("S-1")
    await peer.wait_until(lambda: False, 40)
    assert (await cso.post(cso.response_url, {"result": "ACCEPTED"}))[:2] == (200, 1000)
    assert _codes(peer) == ["no_result", "result_late"]
    assert order.result == {"result": "ACCEPTED"}


async def test_results_that_nobody_waits_for_are_found(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """mod_charging_profiles, Receiver Interface, Response Data: each response_url is used once, and only after ACCEPTED."""
    peer, cso = scsp
    await peer.delete("S-1")
    for _ in range(2):
        await cso.post(cso.response_url, {"result": "ACCEPTED"})
    assert (await cso.post(cso.response_url + "0", {"result": "ACCEPTED"}))[0] == 404
    assert _codes(peer) == ["result_twice", "result_unknown"]
    cso.answers["DELETE chargingprofiles"] = (200, {"status_code": 1000, "data": {"result": "REJECTED", "timeout": 0}})
    await peer.delete("S-1")
    await cso.post(cso.response_url, {"result": "REJECTED"})
    assert _codes(peer)[2:] == ["result_unasked"]


async def test_an_active_profile_that_is_missing_is_found(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """mod_charging_profiles, ActiveChargingProfileResult: with ACCEPTED comes the profile."""
    peer, cso = scsp
    await peer.get_active("S-1", 60)
    await cso.post(cso.response_url, {"result": "ACCEPTED"})
    await peer.delete("S-1")
    await cso.post(cso.response_url, {"result": "ACCEPTED"})
    assert _codes(peer) == ["result_profile"]


async def test_a_push_that_is_not_due_is_found(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """mod_charging_profiles: only a sender whose PUT succeeded on that session hears of changes."""
    peer, cso = scsp
    await cso.send("PUT", "sessions/NL/BEN/S-1001", _fixture(peer.version, "session"))
    active = _fixture(peer.version, "active_charging_profile")
    await cso.send("PUT", "chargingprofiles/S-1001", active)
    assert _codes(peer) == ["push_unasked"]
    await peer.send_plan("S-1001", active["charging_profile"])
    await cso.send("PUT", "chargingprofiles/S-1001", active)
    assert _codes(peer) == ["push_unasked"]


async def test_a_list_is_fetched_page_by_page(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """Transport, Pagination: all pages are followed, a missing header is found."""
    peer, cso = scsp
    tariff = _fixture(peer.version, "tariff")
    cso.lists["tariffs"] = [tariff | {"id": f"TF-{number}"} for number in range(5)]
    assert [one["id"] for one in await peer.pull("tariffs", limit="2")] == [f"TF-{number}" for number in range(5)]
    assert peer.findings == []
    cso.counts = False
    await peer.pull("tariffs")
    assert _codes(peer) == ["page_header"]


async def test_new_credentials_take_the_place_of_the_old(scsp: tuple[MockScsp, ScriptedCso]) -> None:
    """credentials, PUT and DELETE."""
    peer, _ = scsp
    before = peer.token_b
    await peer.renew()
    assert peer.token_b != before
    assert peer.cso().token == f"token-c-{CSO}-2"
    await peer.unregister()
    assert not peer.registered
