"""The mock peers with the bench's own CSO: beside one with bad habits all others are served, and itself once its habit ends."""

from __future__ import annotations

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.errors import PeerError
from bench.peers.misbehave import Misbehaviour
from bench.peers.scsp import open_scsp
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_rig import open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "habits",
    [
        Misbehaviour(slow_s=20), Misbehaviour(unreachable=True), Misbehaviour(http_500=True), Misbehaviour(wrong_token=True),
        Misbehaviour(unencoded_query=True), Misbehaviour(duplicated_ids=True),
    ],
    ids=["slow", "unreachable", "http_500", "wrong_token", "unencoded_query", "duplicated_ids"],
)  # fmt: skip
async def test_a_bad_peer_disturbs_nobody_else(habits: Misbehaviour, version: str) -> None:
    """Session, profile, result and push of the sound peer come at once; the bad one is answered again once it behaves."""
    async with open_ocpi_rig(version=version) as rig:
        opened = open_scsp(
            LoopClock(EPOCH), SeededIds(1, "bad"), rig.addresses, base_url="http://bad.bench", party=PartyId("NL", "BAD"),
            version=version,
        )  # fmt: skip
        async with opened as bad:
            await bad.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
            for name in Misbehaviour.__slots__:
                setattr(bad.habits, name, getattr(habits, name))
            before = rig.scsp.now()
            session_id, word = await rig.placed()
            assert (word, len(rig.scsp.pushes)) == ("ACCEPTED", 1)
            assert (rig.scsp.now() - before).total_seconds() < 1
            await bad.get_active(session_id, 60)
            for name in Misbehaviour.__slots__:
                setattr(bad.habits, name, getattr(Misbehaviour(), name))
            await bad.wait_until(lambda: False, 100)
            order = await bad.get_active(session_id, 60)
            assert (await bad.wait_result(order.response_id, 60))["result"] == "ACCEPTED"
            assert rig.scsp.findings == []


async def test_an_unencoded_response_url_is_refused_not_cut() -> None:
    """mod_charging_profiles, GET: the rest of the URL would be lost, so 2001, and the peer is not accused for it."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        rig.scsp.habits.unencoded_query = True
        order = await rig.scsp.get_active(session_id, 60)
        assert (order.answer, rig.scsp.findings) == ({}, [])
        put = await rig.scsp.send_plan(session_id, {"charging_rate_unit": "A", "charging_profile_period": [
            {"start_period": 0, "limit": 10}]})  # fmt: skip
        assert (await rig.scsp.wait_result(put.response_id, 60))["result"] == "ACCEPTED"


async def test_a_peer_renews_its_credentials() -> None:
    """credentials, PUT: both new tokens work, the old ones do not."""
    async with open_ocpi_rig() as rig:
        old = rig.scsp.cso().token
        await rig.scsp.renew()
        assert rig.scsp.cso().token != old
        _, word = await rig.placed()
        assert word == "ACCEPTED"
        rig.scsp.cso().token = old
        with pytest.raises(PeerError, match="2000"):
            await rig.scsp.unregister()
        assert rig.scsp.findings == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_sessions_of_the_cso_are_fetched_and_checked(version: str) -> None:
    """mod_sessions, GET with date_from: several pages, each session as it was told, nothing to find."""
    async with open_ocpi_rig(version=version) as rig:
        for number in range(3):
            await rig.session(f"tx-{number}")
        listed = await rig.scsp.pull("sessions", date_from="2026-01-01T00:00:00Z", limit="2")
        assert {one["id"] for one in listed} == set(rig.scsp.sessions)
        assert rig.scsp.findings == []
