"""Reservations by command (mod_commands): own numbers, and a session from RESERVATION to ACTIVE or COMPLETED (mod_sessions)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.cso.ocpi import reservations
from bench.errors import CallRejectedError
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, with_location

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
RESERVE: dict[str, Any] = {
    "token": token(), "expiry_date": "2026-01-15T01:00:00Z", "reservation_id": "R-abc", "location_id": "test",
    "evse_uid": "CS-1-1", "authorization_reference": "ref-3",
}  # fmt: skip


@pytest.fixture(params=VERSIONS)
async def emsp(request: pytest.FixtureRequest) -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO whose station takes reservations."""
    settings = with_location(capabilities=["RESERVABLE"])
    async with open_ocpi_rig(version=request.param, settings=settings) as rig, open_emsp(rig, request.param) as opened:
        rig.stations.answers |= {"ReserveNow": {"status": "Accepted"}, "CancelReservation": {"status": "Accepted"}}
        yield opened


async def _reserved(emsp: Emsp, **fields: Any) -> str:
    answer = await emsp.command("RESERVE_NOW", **{**RESERVE, **fields})
    if answer["data"]["result"] != "ACCEPTED":
        return str(answer["data"]["result"])
    return str((await emsp.result("RESERVE_NOW"))["result"])


async def _canceled(emsp: Emsp, reservation_id: str = "R-abc") -> str:
    await emsp.command("CANCEL_RESERVATION", reservation_id=reservation_id)
    return str((await emsp.result("CANCEL_RESERVATION"))["result"])


def _waiting() -> int:
    """Return how many expiries are waited for."""
    return sum("Reservations._expire" in repr(one) for one in asyncio.all_tasks())


async def test_the_station_gets_a_number_of_our_own(emsp: Emsp) -> None:
    """ReserveNow: the eMSP's reservation_id SHALL NOT be sent to the station."""
    assert await _reserved(emsp) == "ACCEPTED"
    assert emsp.rig.stations.sent("ReserveNow") == [
        {"id": 1, "expiryDateTime": "2026-01-15T01:00:00Z", "idToken": {"idToken": UID, "type": "ISO14443"}, "evseId": 1}
    ]


async def test_a_reservation_is_a_session(emsp: Emsp) -> None:
    """mod_sessions, Reservation: a new Session with status RESERVATION, told to its eMSP."""
    await _reserved(emsp)
    session = await emsp.session()
    assert (session["status"], session["auth_method"], session["evse_uid"]) == ("RESERVATION", "COMMAND", "CS-1-1")
    assert (session["cdr_token"]["uid"], session["authorization_reference"], session["kwh"]) == (UID, "ref-3", 0)
    assert emsp.rig.scsp.findings == []


async def test_an_evse_may_be_left_to_the_station(emsp: Emsp) -> None:
    """Session.evse_uid and connector_id are #NA while no EVSE is assigned."""
    await _reserved(emsp, evse_uid=None)
    assert "evseId" not in emsp.rig.stations.sent("ReserveNow")[0]
    session = await emsp.session()
    assert (session["evse_uid"], session["connector_id"]) == ("#NA", "#NA")
    emsp.rig.stations.transaction("Started", id_token=UID)
    assert (await emsp.session())["evse_uid"] == "CS-1-1"


async def test_charging_with_the_same_token_makes_it_active(emsp: Emsp) -> None:
    """The Session stays the same; its start is that of charging, and another token leaves it alone."""
    await _reserved(emsp)
    before = await emsp.session()
    await asyncio.sleep(600)
    emsp.rig.stations.transaction("Started", "tx-2", id_token="somebody")
    emsp.rig.stations.transaction("Ended", "tx-2", id_token="somebody")
    assert (await emsp.session())["status"] == "RESERVATION"
    emsp.rig.stations.transaction("Started", id_token=UID, wh=1000)
    session = await emsp.session()
    assert (session["id"], session["status"]) == (before["id"], "ACTIVE")
    assert session["start_date_time"] > before["start_date_time"]
    await asyncio.sleep(7200)  # past its expiry
    emsp.rig.stations.transaction("Ended", id_token=UID, wh=3000)
    session = await emsp.session()
    assert (session["status"], session["kwh"]) == ("COMPLETED", 2.0)


async def test_a_cable_before_the_card_makes_no_second_session(emsp: Emsp) -> None:
    """The transaction that began without a token becomes the reservation's own once the token is there."""
    await _reserved(emsp)
    emsp.rig.stations.transaction("Started", id_token=None, wh=1000)
    emsp.rig.stations.transaction("Updated", id_token=UID, wh=1000)
    emsp.rig.stations.transaction("Ended", id_token=UID, wh=1500)
    session = await emsp.session()
    assert (session["status"], session["kwh"]) == ("COMPLETED", 0.5)
    assert emsp.rig.cpo.platform.sessions.running() == []


async def test_an_unused_reservation_ends_with_its_expiry(emsp: Emsp) -> None:
    """mod_sessions, Reservation: without charging the Session becomes COMPLETED."""
    await _reserved(emsp)
    await asyncio.sleep(3590)
    assert (await emsp.session())["status"] == "RESERVATION"
    await asyncio.sleep(60)
    session = await emsp.session()
    assert (session["status"], session["end_date_time"]) == ("COMPLETED", "2026-01-15T01:00:00Z")


async def test_the_same_id_replaces_a_reservation(emsp: Emsp) -> None:
    """ReserveNow: same Location and reservation_id; the number, the Session and nothing of the old expiry stay."""
    await _reserved(emsp)
    assert await _reserved(emsp, reservation_id="r-ABC", expiry_date="2026-01-15T03:00:00Z") == "ACCEPTED"
    assert [one["id"] for one in emsp.rig.stations.sent("ReserveNow")] == [1, 1]
    await asyncio.sleep(7200)
    assert (await emsp.session())["status"] == "RESERVATION"


async def test_a_reservation_is_canceled(emsp: Emsp) -> None:
    """CancelReservation, by the number that the station knows; the Session is COMPLETED, and a second time it is unknown."""
    await _reserved(emsp)
    assert await _canceled(emsp) == "ACCEPTED"
    assert emsp.rig.stations.sent("CancelReservation") == [{"reservationId": 1}]
    assert (await emsp.session())["status"] == "COMPLETED"
    assert await _canceled(emsp) == "UNKNOWN_RESERVATION"


async def test_a_reservation_that_the_station_has_lost_is_over(emsp: Emsp) -> None:
    """UNKNOWN_RESERVATION: the station does not know it any more, so it stands no longer."""
    await _reserved(emsp)
    emsp.rig.stations.answers["CancelReservation"] = {"status": "Rejected"}
    assert await _canceled(emsp) == "UNKNOWN_RESERVATION"
    assert (await emsp.session())["status"] == "COMPLETED"


async def test_a_removed_reservation_is_told_at_the_url_of_its_order(emsp: Emsp) -> None:
    """CANCELED_RESERVATION; one that the station lets expire is not told so."""
    await _reserved(emsp)
    update = {"reservationId": 1, "reservationUpdateStatus": "Removed"}
    emsp.rig.stations.tell("reservation", payload={**update, "reservationId": 7})
    emsp.rig.stations.tell("reservation", payload=update)
    assert await emsp.result("RESERVE_NOW") == {"result": "CANCELED_RESERVATION"}
    assert (await emsp.session())["status"] == "COMPLETED"
    await _reserved(emsp, reservation_id="another")
    emsp.rig.stations.tell("reservation", payload={"reservationId": 2, "reservationUpdateStatus": "Expired"})
    await asyncio.sleep(1)
    assert emsp.results.empty()


@pytest.mark.parametrize(
    ("answer", "due"),
    [
        ({"status": "Occupied"}, "EVSE_OCCUPIED"), ({"status": "Faulted"}, "EVSE_INOPERATIVE"),
        ({"status": "Unavailable"}, "EVSE_INOPERATIVE"), ({"status": "Rejected"}, "REJECTED"),
        (CallRejectedError("ReserveNow", "NotImplemented", ""), "NOT_SUPPORTED"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
async def test_a_refused_reservation_is_no_session(emsp: Emsp, answer: Any, due: str) -> None:
    """CommandResultType by the words of ReserveNow's answer."""
    emsp.rig.stations.answers["ReserveNow"] = answer
    assert await _reserved(emsp) == due
    await asyncio.sleep(1)
    assert emsp.sessions == {}


async def test_a_reservation_in_the_past_is_rejected(emsp: Emsp) -> None:
    """It would end before it began."""
    assert await _reserved(emsp, expiry_date="2026-01-14T00:00:00Z") == "REJECTED"


async def test_a_reservation_is_not_steered(emsp: Emsp) -> None:
    """mod_charging_profiles, ChargingProfileResponseType: profiles act on ACTIVE sessions alone."""
    await _reserved(emsp)
    session = await emsp.session()
    url = f"/chargingprofiles/{session['id']}?response_url=http://emsp.bench/callbacks/1"
    assert (await emsp.ask("DELETE", url))[1]["data"]["result"] == "REJECTED"


async def test_one_reservation_too_many_is_rejected(emsp: Emsp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that stand go on, and may be replaced; once one of them is over there is room again."""
    monkeypatch.setattr(reservations, "MOST_RESERVATIONS", 2)
    assert [await _reserved(emsp, reservation_id=one) for one in ("one", "two", "three", "two")] == [
        "ACCEPTED", "ACCEPTED", "REJECTED", "ACCEPTED",
    ]  # fmt: skip
    assert len(emsp.rig.found("too_many_reservations")) == 1
    await _canceled(emsp, "one")
    assert await _reserved(emsp, reservation_id="three") == "ACCEPTED"


async def test_a_reservation_that_is_replaced_for_ever_costs_nothing(emsp: Emsp) -> None:
    """Nothing waits for the expiry of those before, nor for that of one that is over."""
    for number in range(20):
        await _reserved(emsp, expiry_date=f"2026-01-15T01:{number:02}:00Z")
    assert _waiting() == 1
    await _canceled(emsp)
    await asyncio.sleep(1)
    assert _waiting() == 0


async def test_the_same_id_at_another_station_frees_the_first() -> None:
    """ReserveNow: it replaces the reservation of that Location, at whichever of its stations."""
    stations = [{"id": one, "evse": [{"id": 1}]} for one in ("CS-1", "CS-2")]
    location = {"capabilities": ["RESERVABLE"]}
    rig_file = {"schema": 1, "name": "test", "station": stations, "ocpi": {"location": location}}
    async with open_ocpi_rig(settings=RigSettings.model_validate(rig_file)) as rig, open_emsp(rig, VERSIONS[0]) as emsp:
        rig.stations.answers |= {"ReserveNow": {"status": "Accepted"}, "CancelReservation": {"status": "Accepted"}}
        for uid in ("CS-1-1", "CS-2-1"):
            assert await _reserved(emsp, evse_uid=uid) == "ACCEPTED"
        assert rig.stations.sent("CancelReservation") == [{"reservationId": 1}]
        await asyncio.sleep(1)
        assert sorted((one["evse_uid"], one["status"]) for one in emsp.sessions.values()) == [
            ("CS-1-1", "COMPLETED"), ("CS-2-1", "RESERVATION"),
        ]  # fmt: skip
