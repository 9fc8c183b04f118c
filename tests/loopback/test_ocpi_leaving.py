"""A party that leaves, or becomes another, leaves no limit behind (credentials)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bench.cso.ocpi.app import ocpi_app
from bench.cso.ocpi.gate import Message
from bench.errors import StationOfflineError
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual


@pytest.fixture(params=VERSIONS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered."""
    async with open_ocpi_rig(version=request.param) as opened:
        yield opened


async def test_a_party_that_becomes_another_takes_its_limits_back(rig: OcpiRig) -> None:
    """PUT of credentials with another role: the former party is not there any more, and neither is what it set."""
    session_id, _ = await rig.placed()
    rig.scsp.party = PartyId("NL", "NEW")
    await rig.scsp.renew()
    await asyncio.sleep(1)
    assert len(rig.stations.sent("ClearChargingProfile")) == 1
    record = rig.cpo.platform.sessions.find(session_id)
    assert record is not None
    assert (record.steering.claims, record.steering.watchers) == ({}, {})
    order = await rig.scsp.send_plan(session_id, PROFILE)
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}


async def test_what_an_absent_station_still_holds_is_cleared_when_it_is_back(rig: OcpiRig) -> None:
    """The party has left meanwhile; until then a finding says that its limit goes on."""
    await rig.placed()
    rig.stations.answers["ClearChargingProfile"] = StationOfflineError("CS-1 is not connected")
    rig.stations.tell("disconnected")
    await rig.scsp.unregister()
    await asyncio.sleep(1)
    assert len(rig.found("not_withdrawn")) == 1
    rig.stations.answers["ClearChargingProfile"] = {"status": "Accepted"}
    rig.stations.tell("connected")
    await asyncio.sleep(1)
    assert len(rig.stations.sent("ClearChargingProfile")) == 2
    assert rig.cpo.platform.sessions.running()[0].steering.claims == {}


async def test_a_session_that_is_over_leaves_nothing_at_the_relay(rig: OcpiRig) -> None:
    """Neither grows with the history what is looked through for each order; and no number is given twice."""
    for number in range(3):
        session_id = await rig.session(f"tx-{number}")
        order = await rig.scsp.send_plan(session_id, PROFILE)
        await rig.scsp.wait_result(order.response_id, 60)
        rig.stations.transaction("Ended", f"tx-{number}")
        await asyncio.sleep(60)
    assert rig.cpo.platform.relay.intents == {}
    assert len({one["chargingProfile"]["id"] for one in rig.stations.sent("SetChargingProfile")}) == 3


@pytest.mark.parametrize("whole", [True, False], ids=["past-routing", "through-routing"])
async def test_a_put_that_is_read_while_its_sender_leaves_is_refused(rig: OcpiRig, whole: bool) -> None:
    """Its token was good when the request began: nobody would take the limit back later."""
    session_id = await rig.session()
    (platform,) = rig.cpo.platform.registry.platforms
    body = json.dumps({"charging_profile": PROFILE, "response_url": "http://scsp.bench/ocpi/callbacks/1"}).encode()
    parts, answer = [body] if whole else [body[:9], body[9:]], list[Message]()

    async def receive() -> Message:
        rig.cpo.platform.registry.remove(platform)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        answer.append(message)

    scope = {
        "type": "http", "method": "PUT", "path": f"/ocpi/{platform.version}/chargingprofiles/{session_id}", "query_string": b"",
        "headers": [(b"authorization", encode_token(platform.token_in).encode()), (b"content-type", b"application/json")],
    }  # fmt: skip
    await ocpi_app(rig.cpo.platform)(scope, receive, send)
    await asyncio.sleep(60)
    assert answer[0]["status"] == 401
    assert rig.stations.sent("SetChargingProfile") == []


async def test_a_put_of_who_leaves_meanwhile_is_taken_back(rig: OcpiRig) -> None:
    """The station answers after the DELETE of the credentials: what it has accepted is cleared then."""
    session_id = await rig.session()
    late = rig.stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
    await rig.scsp.send_plan(session_id, PROFILE)
    await asyncio.sleep(1)
    await rig.scsp.unregister()
    late.set_result({"status": "Accepted"})
    await asyncio.sleep(1)
    assert len(rig.stations.sent("ClearChargingProfile")) == 1
    assert rig.cpo.platform.sessions.running()[0].steering.claims == {}


async def test_what_others_want_goes_on_when_a_party_leaves() -> None:
    """Of two limits the lowest held; then the other's is what the station gets, without a gap."""
    async with open_ocpi_rig(policy="minimum") as rig:
        session_id = await rig.session()
        lower = [{"start_period": 0, "limit": 8.0}]
        profile = ChargingProfile.model_validate(PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": 12.0}]})
        await rig.cpo.platform.arbiter.limit(session_id, "building", "BEMS", profile)
        order = await rig.scsp.send_plan(session_id, PROFILE | {"charging_profile_period": lower})
        await rig.scsp.wait_result(order.response_id, 60)
        await rig.scsp.unregister()
        await asyncio.sleep(1)
        sent = [one["chargingProfile"]["chargingSchedule"][0] for one in rig.stations.sent("SetChargingProfile")]
        assert [one["chargingSchedulePeriod"][0]["limit"] for one in sent] == [12.0, 8.0, 12.0]
        assert rig.stations.sent("ClearChargingProfile") == []
