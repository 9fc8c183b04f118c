"""Transactions of stations become OCPI sessions, and the SCSP hears of them (mod_sessions)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench.cso.ocpi.registry import Party, Platform
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token
from tests.ocpi_recorder import open_recorder
from tests.ocpi_rig import OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual


@pytest.fixture(params=VERSIONS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered."""
    async with open_ocpi_rig(version=request.param) as opened:
        yield opened


def _puts(rig: OcpiRig, method: str = "PUT") -> int:
    requests = rig.journal.of("ocpi.request")  # type: ignore[attr-defined]
    return sum(one["method"] == method and "/sessions/" in one["url"] for one in requests)


async def test_a_started_transaction_is_an_active_session(rig: OcpiRig) -> None:
    """Put to the SCSP under country, party and an id of its own."""
    session_id = await rig.session()
    session = rig.scsp.sessions[session_id]
    assert session_id != "tx-1"
    assert (session["status"], session["kwh"], session["evse_uid"]) == ("ACTIVE", 0.0, "CS-1-1")
    assert rig.scsp.findings == []


async def test_a_session_is_told_once_it_is_known_who_charges(rig: OcpiRig) -> None:
    """A Session needs a token: plugged in first, authorised later, told then."""
    rig.stations.transaction("Started", id_token=None)
    await asyncio.sleep(1)
    assert rig.scsp.sessions == {}
    rig.stations.transaction("Updated")
    session = await rig.scsp.wait_session(lambda one: True, 10)
    assert session["cdr_token"]["uid"] == "TOKEN-1"


async def test_a_transaction_of_before_the_bench_is_told_to_the_operator(rig: OcpiRig) -> None:
    """Its card was shown to another CSMS: no party hears of it, and a finding says why, once."""
    for _ in range(3):
        rig.stations.transaction("Updated", id_token=None)
    await asyncio.sleep(1)
    assert rig.scsp.sessions == {}
    told = "transaction tx-1 of CS-1 had begun before, and its card is not known: no party is told of it"
    assert rig.found("session_without_token") == [told]
    rig.stations.transaction("Started", "tx-2", id_token=None)
    assert len(rig.found("session_without_token")) == 1


async def test_energy_is_told_now_and_then_as_a_charging_period(rig: OcpiRig) -> None:
    """Not with each event: at most each 15 minutes, and the periods add up to the energy."""
    session_id = await rig.session()
    for step in range(1, 7):
        await asyncio.sleep(300)
        rig.stations.transaction("Updated", wh=1000 + step * 500)
    await asyncio.sleep(1)
    session = rig.scsp.sessions[session_id]
    assert _puts(rig, "PATCH") == 2
    assert session["kwh"] == 3.0
    assert [one["dimensions"][0]["volume"] for one in session["charging_periods"]] == [1.5, 1.5]


async def test_each_receiver_hears_at_the_cadence(rig: OcpiRig) -> None:
    """mod_sessions: SCSP and eMSP get the same messages, also where something is meant for one alone in between."""
    async with open_recorder(rig.cpo.platform.registry, rig.addresses) as emsp:
        session_id = await rig.session()
        record = rig.cpo.platform.sessions.find(session_id)
        assert record is not None
        for step in range(1, 7):
            await asyncio.sleep(300)
            record.preferences = ChargingPreferences(profile_type="GREEN")
            rig.cpo.platform.sessions.tell_preferences(record)  # for SCSPs
            rig.stations.transaction("Updated", wh=1000 + step * 500)
        await asyncio.sleep(1)
        told = [(method, len(body["charging_periods"])) for method, _, body in emsp.of("sessions")]
        assert told == [("PUT", 0), ("PATCH", 1), ("PATCH", 1)]
        assert len(rig.scsp.sessions[session_id]["charging_periods"]) == 2


async def test_energy_never_runs_backwards(rig: OcpiRig) -> None:
    """A register that jumps back, and readings that are nonsense, give no negative energy and break nothing."""
    session_id = await rig.session()
    odd = [{"sampledValue": [{"value": 5, "unitOfMeasure": {"unit": "Wh", "multiplier": 9999}}, {"value": 7, "phase": "L1"}]}]
    rig.stations.transaction("Updated", meter_value=odd)
    rig.stations.transaction("Ended", wh=10)
    assert await rig.scsp.wait_until(lambda: rig.scsp.sessions[session_id]["status"] == "COMPLETED", 10)
    assert rig.scsp.sessions[session_id]["kwh"] == 0.0


async def test_the_end_is_told_at_once(rig: OcpiRig) -> None:
    """COMPLETED with end and energy; nothing follows it."""
    session_id = await rig.session()
    await asyncio.sleep(60)
    rig.stations.transaction("Ended", wh=1250)
    rig.stations.transaction("Updated", wh=9999)
    await asyncio.sleep(1)
    session = rig.scsp.sessions[session_id]
    assert (session["status"], session["kwh"], session["end_date_time"]) == ("COMPLETED", 0.25, "2026-01-15T00:01:00Z")


async def test_a_peer_that_does_not_know_the_session_gets_the_whole_of_it(rig: OcpiRig) -> None:
    """A PATCH that fails is followed by a PUT."""
    session_id = await rig.session()
    del rig.scsp.sessions[session_id]
    rig.stations.transaction("Ended", wh=1250)
    assert await rig.scsp.wait_until(lambda: session_id in rig.scsp.sessions, 10)
    assert rig.scsp.sessions[session_id]["status"] == "COMPLETED"
    assert rig.scsp.findings == []


async def test_two_stations_may_use_one_transaction_id(rig: OcpiRig) -> None:
    """A transaction's id is unique at its station only."""
    first = await rig.session()
    rig.stations.transaction("Started", station="CS-2")
    second = await rig.scsp.wait_session(lambda one: one["id"] != first, 10)
    assert second["evse_uid"] == "CS-2-1"


async def test_a_transaction_without_an_evse_is_noted(rig: OcpiRig) -> None:
    """It cannot be a session, and that is said."""
    rig.stations.transaction("Updated", evse=None)
    assert len(rig.found("session_without_evse")) == 1


async def test_sessions_are_listed_page_by_page(rig: OcpiRig) -> None:
    """Oldest first; the link leads to the next page and keeps the filter; date_from is required."""
    for number in range(3):
        await rig.session(f"tx-{number}")
        await asyncio.sleep(60)
    token = rig.cpo.platform.registry.platforms[0].token_in
    url, seen = "http://cso.bench/ocpi/2.2.1/sessions?date_from=2026-01-15T00:01:00Z&limit=1", 0
    while url:
        _, headers, _ = await rig.transport.request("GET", url, {"authorization": encode_token(token)}, b"", 10)
        seen += 1
        assert (headers["x-total-count"], headers["x-limit"]) == ("2", "100")
        url = headers.get("link", "").partition(">")[0].removeprefix("<")
    assert seen == 2


async def test_a_party_sees_no_sessions_of_others(rig: OcpiRig) -> None:
    """An eMSP whose token it is not gets an empty list, as it is told nothing; the SCSP gets the session."""
    registry = rig.cpo.platform.registry
    party = Party(PartyId("NL", "EVL"), "EMSP")
    stranger = Platform("token-of-the-emsp", "token-to-the-emsp", "http://emsp.bench/", "2.2.1", (party,))
    registry.add(stranger, registry.invite("registration"))
    await rig.session()
    seen = []
    for token in (registry.platforms[0].token_in, stranger.token_in):
        url = "http://cso.bench/ocpi/2.2.1/sessions?date_from=2026-01-01T00:00:00Z"
        _, headers, body = await rig.transport.request("GET", url, {"authorization": encode_token(token)}, b"", 10)
        seen.append((headers["x-total-count"], b"TOKEN-1" in body))
    assert seen == [("1", True), ("0", False)]


async def test_an_unregistered_party_hears_no_more(rig: OcpiRig) -> None:
    """credentials, DELETE: all automated communication ends with the registration."""
    await rig.session()
    await rig.scsp.unregister()
    rig.stations.transaction("Ended")
    await asyncio.sleep(1)
    assert _puts(rig, "PATCH") == 0
