"""Sessions, clause by clause: times, who authorized them, their list, and peers that were away (mod_sessions, transport)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.adapters.http_server import HttpServer
from tests.ocpi_emsp import URL, Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, with_location

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
VERSION = "2.2.1"
"""The text is the same in both, and so are the routes; the tests of each module run in both."""
SINCE = "date_from=2026-01-15T00:00:00Z"


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO whose station takes reservations."""
    settings = with_location(capabilities=["RESERVABLE"])
    async with open_ocpi_rig(version=VERSION, settings=settings) as rig, open_emsp(rig, VERSION) as opened:
        rig.stations.answers["ReserveNow"] = {"status": "Accepted"}
        yield opened


def _allowed(reference: str) -> dict[str, Any]:
    return {"allowed": "ALLOWED", "token": token(), "authorization_reference": reference}


async def _listed(emsp: Emsp, query: str) -> list[str]:
    """Return the ids of one page of the CPO's list."""
    _, envelope = await emsp.ask("GET", f"/sessions?{query}")
    return [one["id"] for one in envelope["data"]]


async def test_a_session_begins_when_it_becomes_active(emsp: Emsp) -> None:
    """mod_sessions, Session object, start_date_time: not when the cable was plugged in, but when the token was accepted."""
    await emsp.tell(token(whitelist="ALWAYS"))
    emsp.rig.stations.transaction("Started", id_token=None)
    await asyncio.sleep(120)
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Updated", id_token=UID)
    session = await emsp.session()
    assert (session["status"], session["start_date_time"]) == ("ACTIVE", "2026-01-15T00:02:00Z")


async def test_a_reference_once_given_stays(emsp: Emsp) -> None:
    """mod_sessions, Session object, auth_method and authorization_reference: reserved by command, charged by the whitelist; the
    last reference that the eMSP gave is that of the reservation."""
    await emsp.tell(token(whitelist="ALWAYS"))
    reservation = {"token": token(), "expiry_date": "2026-01-15T01:00:00Z", "reservation_id": "R", "location_id": "test"}
    await emsp.command("RESERVE_NOW", **reservation, evse_uid="CS-1-1", authorization_reference="ref-1")
    await emsp.result("RESERVE_NOW")
    assert (await emsp.session())["auth_method"] == "COMMAND"
    await asyncio.sleep(1200)
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    session = await emsp.session()
    assert (session["status"], session["auth_method"], session["authorization_reference"]) == ("ACTIVE", "WHITELIST", "ref-1")


async def test_a_later_reference_takes_the_place_of_the_first(emsp: Emsp) -> None:
    """mod_sessions, Session object, authorization_reference: the last one given counts, and the PATCH that follows tells it."""
    await emsp.tell(token())
    emsp.authorization = _allowed("ref-1")
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    assert (await emsp.session())["authorization_reference"] == "ref-1"
    await asyncio.sleep(600)
    emsp.authorization = _allowed("ref-2")
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Ended", id_token=UID, wh=100)
    session = await emsp.session()
    assert (session["status"], session["authorization_reference"]) == ("COMPLETED", "ref-2")


async def test_a_list_needs_date_from(emsp: Emsp) -> None:
    """mod_sessions, Sender Interface, GET: date_from is required, so 2001 without it; date_to is exclusive."""
    assert (await emsp.ask("GET", "/sessions"))[1]["status_code"] == 2001
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    assert len(await _listed(emsp, SINCE)) == 1
    assert await _listed(emsp, f"{SINCE}&date_to=2026-01-15T00:00:00Z") == []


async def test_a_session_that_changes_does_not_move_in_the_list(emsp: Emsp) -> None:
    """transport, Paginated Response: in the order of creation, so that who reads page by page misses none."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    for number in range(3):
        emsp.rig.stations.transaction("Started", f"tx-{number}", id_token=UID, wh=0)
        await asyncio.sleep(10)
    first = await _listed(emsp, f"{SINCE}&limit=1")
    emsp.rig.stations.transaction("Ended", "tx-0", id_token=UID, wh=500)
    rest = await _listed(emsp, f"{SINCE}&offset=1")
    assert len({*first, *rest}) == 3


async def test_who_was_away_fetches_what_he_missed(emsp: Emsp) -> None:
    """transport, Offline behaviour: a push that failed is not sent again once the peer is back; the list has the session."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    with emsp.rig.addresses.entry(URL, HttpServer("127.0.0.1", 1)):
        emsp.rig.stations.transaction("Started", id_token=UID, wh=0)
        await asyncio.sleep(60)
    await asyncio.sleep(600)
    assert emsp.sessions == {}
    assert len(emsp.rig.found("sessions_not_delivered")) == 1
    assert len(await _listed(emsp, SINCE)) == 1
