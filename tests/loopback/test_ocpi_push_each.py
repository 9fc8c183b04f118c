"""Pushes to several parties of one session (mod_charging_profiles, Flow): each hears of each change, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import HttpServer
from bench.adapters.ids import SeededIds
from bench.peers.scsp import MockScsp, open_scsp
from bench.wire.ocpi.transport import PartyId
from tests.ocpi_rig import COMPOSITE, PROFILE, OcpiRig, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

URL = "http://two.bench"


async def _set(peer: MockScsp, session_id: str) -> None:
    order = await peer.send_plan(session_id, PROFILE)
    assert await peer.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    await asyncio.sleep(1)


def _limited(rig: OcpiRig, amperes: float) -> None:
    """Let the station tell a limit of its own."""
    periods = [{"startPeriod": 0, "limit": amperes}]
    schedule = COMPOSITE | {"chargingSchedulePeriod": periods}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": schedule}
    rig.stations.tell("charging_limit", phase="Set", evse=1)


def _told(peer: MockScsp) -> list[Any]:
    return [one.profile["charging_profile"]["charging_profile_period"][0]["limit"] for one in peer.pushes]


async def test_a_push_that_fails_is_told_again_to_that_party_alone() -> None:
    """The next occasion is another's or the station's: who was told already hears nothing twice."""
    async with (
        open_ocpi_rig(policy="minimum") as rig,
        open_scsp(LoopClock(EPOCH), SeededIds(2, "two"), rig.addresses, base_url=URL, party=PartyId("NL", "TWO")) as two,
    ):
        await two.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        session_id = await rig.session()
        for peer in (rig.scsp, two):
            await _set(peer, session_id)
        with rig.addresses.entry(URL, HttpServer("127.0.0.1", 1)):
            _limited(rig, 8)
            await asyncio.sleep(60)
        assert len(rig.found("push_not_delivered")) == 1
        for _ in range(2):
            _limited(rig, 8)
            await asyncio.sleep(1)
        assert (_told(rig.scsp), _told(two)) == ([16.0, 8.0], [16.0, 8.0])


async def test_who_comes_back_is_told_as_anybody_new() -> None:
    """What a party was told before it unregistered counts for nothing."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        for _ in range(2):
            await _set(rig.scsp, session_id)
            await rig.scsp.unregister()
            await rig.scsp.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        assert _told(rig.scsp) == [16.0, 16.0]
