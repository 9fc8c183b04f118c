"""What the CPO answers to orders on charging profiles, at once and afterwards (mod_charging_profiles)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import HttpServer
from bench.adapters.ids import SeededIds
from bench.errors import CallRejectedError, CallTimeoutError, StationOfflineError
from bench.peers.scsp import open_scsp
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_rig import COMPOSITE, PROFILE, STATION, OcpiRig, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual


@pytest.fixture(params=VERSIONS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered."""
    async with open_ocpi_rig(version=request.param) as opened:
        yield opened


async def _result(rig: OcpiRig, session_id: str, profile: dict[str, Any] = PROFILE) -> tuple[str, str | None]:
    """Send a profile; return the word of the answer and of the result, None where no result is due."""
    order = await rig.scsp.send_plan(session_id, profile)
    if order.answer["result"] != "ACCEPTED":
        return order.answer["result"], None
    return "ACCEPTED", (await rig.scsp.wait_result(order.response_id, 60))["result"]


async def test_an_unknown_session_is_named_so(rig: OcpiRig) -> None:
    """UNKNOWN_SESSION with timeout 0, and no result follows."""
    order = await rig.scsp.send_plan("S-nowhere", PROFILE)
    assert order.answer == {"result": "UNKNOWN_SESSION", "timeout": 0}


async def test_a_session_is_found_whatever_the_case_of_its_id(rig: OcpiRig) -> None:
    """types, CiString: session ids are CiStrings."""
    session_id = await rig.session()
    assert await _result(rig, session_id.upper()) == ("ACCEPTED", "ACCEPTED")


async def test_a_completed_session_is_rejected(rig: OcpiRig) -> None:
    """Known, but over: REJECTED."""
    session_id = await rig.session()
    rig.stations.transaction("Ended")
    assert await _result(rig, session_id) == ("REJECTED", None)


async def test_an_offline_station_is_rejected_until_it_is_back(rig: OcpiRig) -> None:
    """Nothing is queued for an absent station."""
    session_id = await rig.session()
    rig.stations.tell("disconnected")
    assert await _result(rig, session_id) == ("REJECTED", None)
    rig.stations.tell("connected")
    assert await _result(rig, session_id) == ("ACCEPTED", "ACCEPTED")


@pytest.mark.parametrize(
    "failure",
    [
        CallTimeoutError("no answer"),
        StationOfflineError("gone"),
        CallRejectedError("SetChargingProfile", "InternalError", ""),
        {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidStackLevel"}},
    ],
    ids=["timeout", "offline", "callerror", "rejected"],
)
async def test_a_failure_at_the_station_is_a_rejected_result(rig: OcpiRig, failure: object) -> None:
    """The answer was ACCEPTED (understood and forwarded); the result tells the failure, the journal why."""
    rig.stations.answers["SetChargingProfile"] = failure
    assert await _result(rig, await rig.session()) == ("ACCEPTED", "REJECTED")
    assert len(rig.found("profile_order")) == 1
    assert rig.scsp.pushes == []


async def test_the_second_put_replaces_the_first(rig: OcpiRig) -> None:
    """One id and one level per session and writer (K01.FR.05, FR.39), for this transaction only (K02.FR.01, FR.03)."""
    session_id = await rig.session()
    await _result(rig, session_id)
    await _result(rig, session_id, PROFILE | {"duration": 1800})
    first, second = (call["chargingProfile"] for call in rig.stations.sent("SetChargingProfile"))
    assert (first["id"], first["stackLevel"]) == (second["id"], second["stackLevel"])
    assert {one["chargingProfilePurpose"] for one in (first, second)} == {"TxProfile"}
    assert first["transactionId"] == second["transactionId"]
    assert second["chargingSchedule"][0]["duration"] == 1800


async def test_the_result_of_a_silent_station_comes_within_the_promised_time(rig: OcpiRig) -> None:
    """REJECTED before the timeout of the answer has passed, never a late success."""
    silent = rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
    order = await rig.scsp.send_plan(await rig.session(), PROFILE)
    asked = asyncio.get_running_loop().time()
    result = await rig.scsp.wait_result(order.response_id, 3600)
    assert result == {"result": "REJECTED"}
    assert asyncio.get_running_loop().time() - asked < order.answer["timeout"]
    assert silent.cancelled()


async def test_a_pending_result_is_rejected_when_the_session_ends(rig: OcpiRig) -> None:
    """The station never answers, the transaction ends: the sender hears at once."""
    rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
    order = await rig.scsp.send_plan(await rig.session(), PROFILE)
    asked = asyncio.get_running_loop().time()
    rig.stations.transaction("Ended")
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
    assert asyncio.get_running_loop().time() == asked


async def test_what_waits_for_its_turn_is_not_sent_once_the_session_has_ended(rig: OcpiRig) -> None:
    """Two orders at a station that never answers: the transaction ends, both are REJECTED, and the second one never left."""
    rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
    session_id = await rig.session()
    orders = [await rig.scsp.send_plan(session_id, PROFILE) for _ in range(2)]
    rig.stations.transaction("Ended")
    for order in orders:
        assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
    assert len(rig.stations.sent("SetChargingProfile")) == 1


async def test_an_answer_in_the_moment_of_the_end_is_either_of_both(rig: OcpiRig) -> None:
    """The station answers as its transaction ends: one result, and no failure of the bench."""
    answer = rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
    order = await rig.scsp.send_plan(await rig.session(), PROFILE)
    answer.set_result({"status": "Accepted"})
    rig.stations.transaction("Ended")
    assert await rig.scsp.wait_result(order.response_id, 60) in ({"result": "ACCEPTED"}, {"result": "REJECTED"})


async def test_deleting_twice_is_unknown_the_second_time(rig: OcpiRig) -> None:
    """The profile is cleared by its id, and the station's Unknown becomes OCPI's UNKNOWN."""
    session_id, _ = await rig.placed()
    first = await rig.scsp.delete(session_id)
    assert await rig.scsp.wait_result(first.response_id, 60) == {"result": "ACCEPTED"}
    rig.stations.answers["ClearChargingProfile"] = {"status": "Unknown"}
    second = await rig.scsp.delete(session_id)
    assert await rig.scsp.wait_result(second.response_id, 60) == {"result": "UNKNOWN"}
    profile_id = rig.stations.sent("SetChargingProfile")[0]["chargingProfile"]["id"]
    assert rig.stations.sent("ClearChargingProfile") == [{"chargingProfileId": profile_id}] * 2


async def test_deleting_without_a_profile_asks_no_station(rig: OcpiRig) -> None:
    """A party that never set one has nothing to clear: UNKNOWN, without OCPP."""
    order = await rig.scsp.delete(await rig.session())
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "UNKNOWN"}
    assert rig.stations.calls == []


async def test_a_get_needs_no_profile_of_ones_own(rig: OcpiRig) -> None:
    """The active profile comes with the result, start in both places."""
    order = await rig.scsp.get_active(await rig.session(), 600)
    result = await rig.scsp.wait_result(order.response_id, 60)
    assert result["profile"]["start_date_time"] == result["profile"]["charging_profile"]["start_date_time"]
    assert rig.stations.sent("GetCompositeSchedule")[0]["duration"] == 600


async def test_a_station_without_a_schedule_is_unknown_to_a_get(rig: OcpiRig) -> None:
    """Accepted without a schedule: no profile matches the request."""
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted"}
    order = await rig.scsp.get_active(await rig.session(), 600)
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "UNKNOWN"}


async def test_a_second_party_cannot_take_a_session_over(rig: OcpiRig) -> None:
    """One writer per session, until its DELETE."""
    session_id, _ = await rig.placed()
    clock, other_party = LoopClock(EPOCH), PartyId("NL", "OTH")
    host = "http://other.bench"
    async with open_scsp(clock, SeededIds(2, "other"), rig.addresses, base_url=host, party=other_party) as other:
        await other.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        assert (await other.send_plan(session_id, PROFILE)).answer["result"] == "REJECTED"
        assert (await other.delete(session_id)).answer["result"] == "REJECTED"
        cleared = await rig.scsp.delete(session_id)
        await rig.scsp.wait_result(cleared.response_id, 60)
        order = await other.send_plan(session_id, PROFILE)
        assert await other.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
        ids = [one["chargingProfile"]["id"] for one in rig.stations.sent("SetChargingProfile")]
        assert ids[0] != ids[1]


async def test_a_party_that_left_steers_no_more(rig: OcpiRig) -> None:
    """What it set is cleared at once, and its sessions are free for the next party."""
    session_id, _ = await rig.placed()
    await rig.scsp.unregister()
    await asyncio.sleep(1)
    (placed,) = rig.stations.sent("SetChargingProfile")
    assert rig.stations.sent("ClearChargingProfile") == [{"chargingProfileId": placed["chargingProfile"]["id"]}]
    other_party, host = PartyId("NL", "OTH"), "http://other.bench"
    async with open_scsp(LoopClock(EPOCH), SeededIds(2, "other"), rig.addresses, base_url=host, party=other_party) as other:
        await other.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        order = await other.send_plan(session_id, PROFILE)
        assert await other.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    assert len(rig.stations.sent("ClearChargingProfile")) == 1


async def test_a_silent_station_does_not_outlive_the_platform() -> None:
    """Closing with an order in the air leaves nothing running."""
    async with open_ocpi_rig() as rig:
        silent = rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
        await rig.scsp.send_plan(await rig.session(), PROFILE)
        await asyncio.sleep(1)
    assert silent.cancelled()


async def test_an_absurd_limit_breaks_nothing(rig: OcpiRig) -> None:
    """A limit is a maximum; one beyond all measure is handed on as it is."""
    periods = [{"start_period": 0, "limit": 1e300}]
    assert await _result(rig, await rig.session(), PROFILE | {"charging_profile_period": periods}) == ("ACCEPTED", "ACCEPTED")


async def test_a_rate_limit_answers_too_often() -> None:
    """TOO_OFTEN is OCPI's only rate limit; off unless asked for."""
    async with open_ocpi_rig(shortest_s={"PUT": 10}) as rig:
        session_id = await rig.session()
        assert await _result(rig, session_id) == ("ACCEPTED", "ACCEPTED")
        assert await _result(rig, session_id) == ("TOO_OFTEN", None)
        await asyncio.sleep(10)
        assert await _result(rig, session_id) == ("ACCEPTED", "ACCEPTED")


@pytest.mark.parametrize("event", [{"evse": None}, {"evse": 1}], ids=["station", "evse"])
async def test_a_changed_limit_is_pushed_to_the_writer(rig: OcpiRig, event: dict[str, Any]) -> None:
    """NotifyChargingLimit of the EVSE, or of the whole station: a push, but only where the limits really changed."""
    await rig.placed()
    rig.stations.tell("charging_limit", phase="Set", **event)
    await asyncio.sleep(1)
    assert len(rig.scsp.pushes) == 1
    lower = COMPOSITE | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": lower}
    rig.stations.tell("charging_limit", phase="Set", **event)
    assert await rig.scsp.wait_until(lambda: len(rig.scsp.pushes) == 2, 10)
    assert rig.scsp.pushes[1].profile["charging_profile"]["charging_profile_period"] == [{"start_period": 0, "limit": 8.0}]


async def test_without_any_limit_the_maximum_is_pushed(rig: OcpiRig) -> None:
    """Accepted without a schedule after a DELETE: the EVSE's own maximum, not an empty list."""
    session_id, _ = await rig.placed()
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted"}
    order = await rig.scsp.delete(session_id)
    await rig.scsp.wait_result(order.response_id, 60)
    assert await rig.scsp.wait_until(lambda: len(rig.scsp.pushes) == 2, 10)
    assert rig.scsp.pushes[1].profile["charging_profile"]["charging_profile_period"] == [{"start_period": 0, "limit": 16.0}]


async def test_nothing_is_pushed_to_a_party_that_never_succeeded(rig: OcpiRig) -> None:
    """The duty to push begins with the first successful PUT."""
    await rig.session()
    rig.stations.tell("charging_limit", phase="Set", evse=1)
    await asyncio.sleep(1)
    assert rig.scsp.pushes == []
    assert rig.stations.calls == []


async def test_a_dead_response_url_neither_blocks_nor_is_tried_again(rig: OcpiRig) -> None:
    """One POST, one finding; the next order works."""
    session_id = await rig.session()
    with rig.addresses.entry("http://scsp.bench", HttpServer("127.0.0.1", 1)):
        order = await rig.scsp.send_plan(session_id, PROFILE)
        await asyncio.sleep(60)
    assert order.result is None
    assert len(rig.found("result_not_delivered")) == 1


async def test_an_ended_session_gets_no_push(rig: OcpiRig) -> None:
    """No pushes once the session is not ACTIVE any more."""
    await rig.placed()
    rig.stations.transaction("Ended")
    rig.stations.tell("charging_limit", phase="Cleared", evse=1)
    await asyncio.sleep(1)
    assert len(rig.scsp.pushes) == 1
    assert STATION not in rig.found("push_without_profile")
