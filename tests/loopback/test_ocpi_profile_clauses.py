"""Charging profiles, clause by clause: each method's answers, and what tells the writer of a change (mod_charging_profiles)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from bench.cso.ocpi.registry import Party
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import COMPOSITE, PROFILE, OcpiRig, open_ocpi_rig, rig_settings

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
VERSION = "2.2.1"
"""The text is the same in both, and so are the routes; the tests of each module run in both."""
CALLBACK = "http://emsp.bench/callbacks/1"
LOWER = {"status": "Accepted", "schedule": COMPOSITE | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}}
METHODS = ("PUT", "GET", "DELETE")


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO."""
    async with open_ocpi_rig(version=VERSION) as rig, open_emsp(rig, VERSION) as opened:
        yield opened


@pytest.fixture
async def rig() -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered."""
    async with open_ocpi_rig() as opened:
        yield opened


async def _own(emsp: Emsp) -> str:
    """Start a session with a token of the eMSP; return its id."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    return str((await emsp.session())["id"])


async def _ask(emsp: Emsp, method: str, session_id: str) -> tuple[int, dict[str, Any]]:
    """Send a right request of each method; return HTTP status and envelope."""
    query = {"PUT": "", "GET": f"?duration=600&response_url={quote(CALLBACK)}", "DELETE": f"?response_url={quote(CALLBACK)}"}
    body = {"charging_profile": PROFILE, "response_url": CALLBACK} if method == "PUT" else None
    return await emsp.ask(method, f"/chargingprofiles/{session_id}{query[method]}", body)


async def _results(emsp: Emsp) -> list[dict[str, Any]]:
    """Return all results that came, once everything under way has."""
    await asyncio.sleep(60)
    return [emsp.results.get_nowait()[1] for _ in range(emsp.results.qsize())]


async def test_each_method_is_answered_and_has_one_result_of_its_kind(emsp: Emsp) -> None:
    """GET, PUT, DELETE, Response Data: ACCEPTED with the call's deadline and a margin; then one result each, with a profile that
    of the GET alone."""
    session_id, kinds = await _own(emsp), []
    for method in METHODS:
        assert (await _ask(emsp, method, session_id))[1]["data"] == {"result": "ACCEPTED", "timeout": 45}
        (result,) = await _results(emsp)
        kinds.append((method, result["result"], "profile" in result))
    assert kinds == [("PUT", "ACCEPTED", False), ("GET", "ACCEPTED", True), ("DELETE", "ACCEPTED", False)]


async def test_what_cannot_be_sent_is_answered_with_success_and_no_result(emsp: Emsp) -> None:
    """ChargingProfileResponseType, each method: UNKNOWN_SESSION, and REJECTED for one that is over; HTTP 200 and 1000, timeout 0,
    the reason in status_message, and no POST follows."""
    session_id = await _own(emsp)
    emsp.rig.stations.transaction("Ended", id_token=UID)
    for method in METHODS:
        for name, word in (("S-nowhere", "UNKNOWN_SESSION"), (session_id, "REJECTED")):
            status, envelope = await _ask(emsp, method, name)
            assert (status, envelope["status_code"]) == (200, 1000)
            assert envelope["data"] == {"result": word, "timeout": 0}
            assert envelope["status_message"]
    assert await _results(emsp) == []
    assert emsp.rig.stations.calls == []


async def test_a_party_without_a_contract_is_rejected(emsp: Emsp) -> None:
    """Module description: neither the owner of the token nor an SCSP, whatever its role is."""
    session_id = await _own(emsp)
    for role in ("NSP", "OTHER", "CPO", "WIZARD"):
        emsp.platform.parties = (Party(emsp.party, role),)
        assert (await _ask(emsp, "PUT", session_id))[1]["data"]["result"] == "REJECTED"
    assert emsp.rig.stations.calls == []


async def test_a_delete_needs_response_url_and_no_body(emsp: Emsp) -> None:
    """DELETE, Request Parameters: 2001 without it."""
    assert (await emsp.ask("DELETE", "/chargingprofiles/S-1"))[1]["status_code"] == 2001


@pytest.mark.parametrize(
    ("features", "unit"),
    [({"smart_charging": False}, "A"), ({"current_type": "DC", "rate_units": ["W"]}, "A")],
    ids=["smart charging is off", "a unit that cannot be converted"],
)
async def test_what_the_station_cannot_do_is_not_supported(features: dict[str, Any], unit: str) -> None:
    """ChargingProfileResponseType NOT_SUPPORTED, before any OCPP."""
    async with open_ocpi_rig(settings=rig_settings(**features)) as rig:
        order = await rig.scsp.send_plan(await rig.session(), PROFILE | {"charging_rate_unit": unit})
        assert order.answer == {"result": "NOT_SUPPORTED", "timeout": 0}
        assert rig.stations.calls == []


async def test_a_station_without_smart_charging_is_not_said_to_be_capable() -> None:
    """mod_locations, Capability CHARGING_PROFILE_CAPABLE: what the rig file says of the station counts for its EVSEs."""
    async with open_ocpi_rig(settings=rig_settings(smart_charging=False)) as rig:
        (location,) = await rig.scsp.pull("locations")
        assert "CHARGING_PROFILE_CAPABLE" not in location["evses"][0]["capabilities"]


async def test_a_refused_get_is_a_rejected_result(rig: OcpiRig) -> None:
    """ChargingProfileResultType: GetCompositeSchedule Rejected is REJECTED, and carries no profile."""
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Rejected"}
    order = await rig.scsp.get_active(await rig.session(), 600)
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}


async def test_a_get_is_asked_in_the_unit_of_the_last_put(rig: OcpiRig) -> None:
    """GET: the profile comes in the unit that the sender thinks in, and for the duration that it asked for."""
    session_id = await rig.session()
    for unit in ("W", "A"):
        order = await rig.scsp.send_plan(session_id, PROFILE | {"charging_rate_unit": unit})
        await rig.scsp.wait_result(order.response_id, 60)
        await rig.scsp.get_active(session_id, 7200)
        await asyncio.sleep(1)
        asked = rig.stations.sent("GetCompositeSchedule")[-1]
        assert asked == {"evseId": 1, "duration": 7200, "chargingRateUnit": unit}


async def test_a_push_looks_five_to_sixty_minutes_ahead(rig: OcpiRig) -> None:
    """Sender Interface, PUT: a useful length; a GET is there for more."""
    await rig.placed()
    assert 300 <= rig.stations.sent("GetCompositeSchedule")[-1]["duration"] <= 3600
    (push,) = rig.scsp.pushes
    assert 300 <= push.profile["charging_profile"]["duration"] <= 3600


async def test_whatever_shows_a_change_is_pushed(rig: OcpiRig) -> None:
    """Sender Interface, PUT: a limit set and cleared at the site, and a transaction that tells of another charging rate."""
    await rig.placed()
    upper = rig.stations.answers["GetCompositeSchedule"]
    for count, (answer, event) in enumerate(((LOWER, "Set"), (upper, "Cleared"), (LOWER, "rate")), start=2):
        rig.stations.answers["GetCompositeSchedule"] = answer
        if event == "rate":
            rig.stations.transaction("Updated", trigger="ChargingRateChanged")
        else:
            rig.stations.tell("charging_limit", phase=event, evse=1)
        await asyncio.sleep(1)
        assert len(rig.scsp.pushes) == count


async def test_a_station_that_comes_back_with_other_limits_is_told_of(rig: OcpiRig) -> None:
    """Sender Interface, PUT: what a station has lost or been given while it was away is a change too, also by a reboot."""
    await rig.placed()
    upper = rig.stations.answers["GetCompositeSchedule"]
    for count, answer, events in (
        (1, upper, ("disconnected", "connected")), (2, LOWER, ("disconnected", "connected")), (3, upper, ("boot",)),
    ):  # fmt: skip
        rig.stations.answers["GetCompositeSchedule"] = answer
        for event in events:
            rig.stations.tell(event)
        await asyncio.sleep(1)
        assert len(rig.scsp.pushes) == count


async def test_a_put_that_failed_earns_no_push(rig: OcpiRig) -> None:
    """Sender Interface, PUT: SHALL NOT for a session on which the sender's PUT never succeeded."""
    rig.stations.answers["SetChargingProfile"] = {"status": "Rejected"}
    order = await rig.scsp.send_plan(await rig.session(), PROFILE)
    await rig.scsp.wait_result(order.response_id, 60)
    rig.stations.tell("charging_limit", phase="Set", evse=1)
    await asyncio.sleep(1)
    assert rig.scsp.pushes == []
