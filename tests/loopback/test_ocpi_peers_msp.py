"""What the mock MSP does by itself: tokens, authorization, commands, preferences, and the SCSP behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.errors import PeerError
from bench.peers.misbehave import WRONG_TOKEN, Misbehaviour, misbehaviour
from bench.peers.msp import MockMsp, open_msp
from bench.peers.scsp import MockScsp, open_scsp
from bench.rig.cpo import open_cpo
from bench.wire.ocpi.transport import VERSIONS, PartyId, decode_token
from tests.ocpi_peers import ScriptedCso, open_scripted
from tests.ocpi_rig import PROFILE, ScriptedStations, rig_settings
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual
PLACE = {"location_id": "LOC-WEST", "evse_uids": ["CS-WEST-1"]}


@pytest.fixture(params=VERSIONS)
async def msp(request: pytest.FixtureRequest) -> AsyncIterator[tuple[MockMsp, ScriptedCso]]:
    """Return a mock MSP with one token, registered with a scripted CSO."""
    async with AsyncExitStack() as stack:
        peer, cso = await stack.enter_async_context(open_scripted(MockMsp, request.param))
        peer.add_token("04A1")
        yield peer, cso


async def test_tokens_are_told_and_changed(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_tokens, PUT and PATCH below country, party and uid, with the token's type."""
    peer, cso = msp
    assert (await peer.push_token("04A1")).status == 201
    assert (await peer.patch_token("04A1", valid=False)).ok
    (put, path, _, body), (patch, _, _, part) = cso.asked[-2:]
    assert (put, patch, body["valid"], sorted(part)) == ("PUT", "PATCH", True, ["last_updated", "valid"])
    assert path == f"/ocpi/{peer.version}/tokens/NL/MSP/04A1?type=RFID"
    assert peer.findings == []


async def test_a_token_that_the_cso_holds_otherwise_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_tokens, GET: what was PUT is what the CSO has."""
    peer, cso = msp
    cso.answers["GET tokens"] = (200, {"status_code": 1000, "data": peer.tokens["04A1"] | {"valid": False}})
    assert (await peer.read_token("04A1"))["valid"] is False
    assert [one.code for one in peer.findings] == ["token_differs"]
    cso.answers["GET tokens"] = (404, {"status_code": 2004})
    assert await peer.read_token("04A1") is None


async def test_a_token_is_authorized(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_tokens, real-time authorization: allowed at the place that was asked for."""
    peer, cso = msp
    assert (await cso.send("POST", "tokens/04A1/authorize", PLACE))[:2] == (200, 1000)
    assert peer.authorizations == [("04A1", PLACE)]
    assert peer.findings == []


async def test_an_unknown_token_is_404_and_2004(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_tokens: also one of another type."""
    _, cso = msp
    assert (await cso.send("POST", "tokens/0000/authorize", None))[:2] == (404, 2004)
    assert (await cso.send("POST", "tokens/04A1/authorize?type=APP_USER", None))[:2] == (404, 2004)


async def test_too_little_information_is_2002(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_tokens: where the location decides and none was named."""
    peer, cso = msp
    peer.needs_location.add("04A1")
    assert (await cso.send("POST", "tokens/04A1/authorize", None))[:2] == (200, 2002)
    assert (await cso.send("POST", "tokens/04A1/authorize", PLACE))[:2] == (200, 1000)


async def test_the_list_of_tokens_has_pages(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """Transport, Pagination, with the filters kept in the Link."""
    peer, cso = msp
    for number in range(3):
        peer.add_token(f"T-{number}")
    _, _, headers = await cso.send("GET", "tokens?offset=1&limit=2&date_from=2026-01-01T00:00:00Z", None)
    assert (headers["x-total-count"], headers["x-limit"]) == ("4", "50")
    assert headers["link"] == f'<{peer.root}/tokens?offset=3&limit=2&date_from=2026-01-01T00:00:00Z>; rel="next"'


async def test_a_command_has_an_answer_and_a_result(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_commands: the CommandResult comes to the response_url of that command."""
    peer, cso = msp
    order = await peer.start_session("04A1", "LOC-WEST", evse_uid="CS-WEST-1")
    assert cso.asked[-1][1] == f"/ocpi/{peer.version}/commands/START_SESSION?"
    assert cso.asked[-1][3]["token"]["uid"] == "04A1"
    await cso.post(cso.response_url, {"result": "EVSE_OCCUPIED"})
    assert await peer.wait_result(order.response_id, 60) == {"result": "EVSE_OCCUPIED"}
    assert peer.findings == []


async def test_a_wrong_command_result_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_commands: CommandResultType is another enum than CommandResponseType."""
    peer, cso = msp
    await peer.stop_session("S-1")
    await cso.post(cso.response_url, {"result": "UNKNOWN_SESSION"})
    assert [one.code for one in peer.findings] == ["command_result_value"]


async def test_preferences_are_set(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_sessions, charging preferences: `data` is the word itself."""
    peer, cso = msp
    assert await peer.set_preferences("S-1", {"profile_type": "GREEN"}) == "ACCEPTED"
    assert cso.asked[-1][1].startswith(f"/ocpi/{peer.version}/sessions/S-1/charging_preferences")
    assert peer.findings == []


async def test_an_unknown_answer_to_preferences_is_found(msp: tuple[MockMsp, ScriptedCso]) -> None:
    """mod_sessions, ChargingPreferencesResponse is an enum: an object in its place is a mistake."""
    peer, cso = msp
    cso.answers["PUT sessions"] = (200, {"status_code": 1000, "data": {"result": "ACCEPTED"}})
    await peer.set_preferences("S-1", {"profile_type": "FAST"})
    cso.answers["PUT sessions"] = (404, {"status_code": 2001})
    assert await peer.set_preferences("S-1", {"profile_type": "FAST"}) == ""
    assert [one.code for one in peer.findings] == ["preferences_answer"]


async def test_a_slow_peer_answers_late() -> None:
    """`slow`: only functional modules, so that it could register."""
    async with open_scripted(MockMsp, "2.3.0", misbehaviour(["slow"], 20)) as (peer, cso):
        before = peer.now()
        assert (await cso.send("GET", "tokens", None))[0] == 200
        assert (peer.now() - before).total_seconds() == 20


async def test_an_unreachable_peer_never_answers() -> None:
    """`unreachable`: the CSO gives up by its own deadline."""
    async with open_scripted(MockMsp, "2.3.0", misbehaviour(["unreachable"])) as (_, cso):
        with pytest.raises(PeerError, match="no answer within 60 s"):
            await cso.send("GET", "tokens", None)


async def test_a_broken_peer_answers_500() -> None:
    """`http_500`: without JSON."""
    async with open_scripted(MockMsp, "2.3.0", misbehaviour(["http_500"])) as (_, cso):
        assert (await cso.send("GET", "tokens", None))[:2] == (500, None)


@pytest.mark.parametrize("name", ["slow", "unreachable", "http_500"])
async def test_a_peer_that_cannot_hear_accuses_nobody(name: str) -> None:
    """A result that our own habit keeps away is no mistake of the CSO."""
    async with open_scripted(MockMsp, "2.3.0", misbehaviour([name])) as (peer, _):
        await peer.delete("S-1")
        await peer.wait_until(lambda: False, 100)
        assert peer.findings == []


async def test_bad_habits_of_requests() -> None:
    """`wrong_token`, `unencoded_query` and `duplicated_ids` show in what is sent."""
    habits = Misbehaviour(wrong_token=True, unencoded_query=True, duplicated_ids=True)
    async with open_scripted(MockMsp, "2.3.0", habits) as (peer, cso):
        await peer.delete("S-1")
        await peer.delete("S-2")
        (_, one, first, _), (_, other, second, _) = cso.asked[-2:]
        assert decode_token(first["authorization"]) == WRONG_TOKEN
        assert first["x-request-id"] == second["x-request-id"]
        assert parse_qs(urlsplit(one).query)["part"] == ["2"]
        assert urlsplit(one).query == urlsplit(other).query


async def test_a_forgiving_peer_takes_a_late_result() -> None:
    """`late_callback_ok`: no finding for it."""
    async with open_scripted(MockMsp, "2.3.0", Misbehaviour(late_callback_ok=True)) as (peer, cso):
        order = await peer.delete("S-1")
        await peer.wait_until(lambda: False, 100)
        await cso.post(cso.response_url, {"result": "ACCEPTED"})
        assert (order.result, peer.findings) == ({"result": "ACCEPTED"}, [])


@asynccontextmanager
async def _chain(version: str, *allowed: str, scsp_at: str = "") -> AsyncIterator[tuple[MockScsp, MockMsp, ScriptedStations]]:
    """Open station, CSO, MSP and the SCSP behind it, all registered.

    Args:
        allowed: other hosts that the MSP may call.
        scsp_at: where the SCSP says that its modules are.
    """
    addresses, stations, clock = AddressBook(), ScriptedStations(), LoopClock(EPOCH)
    own = PartyId("NL", "BEN")
    async with (
        open_scsp(clock, SeededIds(1, "scsp"), addresses, version=version) as scsp,
        open_msp(clock, SeededIds(1, "msp"), addresses, version=version, party=own, allow_hosts=allowed) as msp,
        open_cpo(rig_settings(), clock, MemoryJournal(), SeededIds(1, "cpo"), stations, addresses) as cpo,
    ):
        await msp.register(cpo.versions_url, cpo.token_a)
        rows = [one | {"url": one["url"].replace(scsp.LOGICAL_URL, scsp_at or scsp.LOGICAL_URL)} for one in scsp.endpoints()]
        scsp.endpoints = lambda: rows  # type: ignore[method-assign]
        await scsp.register(msp.proxy.versions_url, msp.proxy.open_door())
        yield scsp, msp, stations


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_profile_goes_through_the_msp_and_back(version: str) -> None:
    """mod_charging_profiles, Flow: topology SCSP, MSP, CSO: the station gets it; result, push and the session's end come back
    under the MSP's id."""
    async with _chain(version) as (scsp, msp, stations):
        stations.transaction("Started", wh=1000)
        session = await scsp.wait_session(lambda one: True, 10)
        theirs = next(iter(msp.sessions))
        assert session["id"] == msp.proxy.own_id(theirs) != theirs
        order = await scsp.send_plan(session["id"], PROFILE)
        assert (await scsp.wait_result(order.response_id, 60))["result"] == "ACCEPTED"
        sent = stations.sent("SetChargingProfile")[0]["chargingProfile"]["chargingSchedule"][0]
        assert [one["limit"] for one in sent["chargingSchedulePeriod"]] == [16.0, 6.0]
        assert await scsp.wait_until(lambda: bool(scsp.pushes), 10)
        assert scsp.pushes[0].session_id == session["id"]
        active = await scsp.get_active(session["id"], 600)
        assert (await scsp.wait_result(active.response_id, 60))["profile"]["charging_profile"]["charging_rate_unit"] == "A"
        cleared = await scsp.delete(session["id"])
        assert await scsp.wait_result(cleared.response_id, 60) == {"result": "ACCEPTED"}
        stations.transaction("Ended", wh=6000)
        assert await scsp.wait_until(lambda: scsp.sessions[session["id"]]["status"] == "COMPLETED", 10)
        assert (scsp.findings, msp.findings) == ([], [])


async def test_the_msp_does_not_know_the_ids_of_the_cso_from_the_scsp() -> None:
    """mod_charging_profiles, Flow: the SCSP must use the MSP's ids: the CSO's own one is unknown there."""
    async with _chain("2.2.1") as (scsp, msp, stations):
        stations.transaction("Started", wh=1000)
        await scsp.wait_session(lambda one: True, 10)
        order = await scsp.send_plan(next(iter(msp.sessions)), PROFILE)
        assert order.answer == {"result": "UNKNOWN_SESSION", "timeout": 0}
        assert stations.sent("SetChargingProfile") == []


async def test_a_stranger_has_no_door_at_the_msp() -> None:
    """Neither a guess nor the CSO's token opens it."""
    async with _chain("2.3.0") as (scsp, msp, _):
        for token in ("guess", msp.token_b):
            with pytest.raises(PeerError, match="status_code 2000"):
                await scsp.register(msp.proxy.versions_url, token)
        assert [one.code for one in msp.findings] == ["wrong_token"] * 2


async def test_an_scsp_behind_has_its_modules_on_its_own_host() -> None:
    """The rule of the bench's CSO holds at the MSP: 3001, and the reason is told; an allowed host is none of that."""
    away = "http://elsewhere.bench"
    with pytest.raises(PeerError, match="status_code 3001"):
        async with _chain("2.3.0", scsp_at=away):
            pass
    async with _chain("2.3.0", "elsewhere.bench", scsp_at=away) as (_, msp, _):
        assert msp.proxy.scsp is not None


async def test_a_result_goes_to_no_other_host_than_the_scsps(monkeypatch: pytest.MonkeyPatch) -> None:
    """response_url: 2001 before anything is sent to the CSO, and a finding with the reason."""
    async with _chain("2.3.0") as (scsp, msp, stations):
        stations.transaction("Started", wh=1000)
        session = await scsp.wait_session(lambda one: True, 10)
        monkeypatch.setattr(scsp, "_base_url", "http://elsewhere.bench")
        order = await scsp.send_plan(session["id"], PROFILE)
        assert order.answer == {}
        assert stations.sent("SetChargingProfile") == []
        (found,) = msp.findings
        assert (found.code, found.text) == (
            "address_refused", "response_url: elsewhere.bench is not the platform's host, scsp.bench; see --allow-host",
        )  # fmt: skip
