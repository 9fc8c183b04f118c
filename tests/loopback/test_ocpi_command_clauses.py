"""Commands and modules, clause by clause: reservations of two eMSPs, tokens of commands, and methods that there are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

from bench.cso.ocpi.registry import Party
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token, routing
from tests.ocpi_emsp import CPO, Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, with_location

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
VERSION = "2.3.0"
"""The text is the same in both, and so are the routes; the tests of each module run in both."""
RESERVE: dict[str, Any] = {
    "token": token(), "expiry_date": "2026-01-15T01:00:00Z", "reservation_id": "R-1", "location_id": "test", "evse_uid": "CS-1-1",
}  # fmt: skip
NOT_THERE = {
    "versions": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/credentials": ("PATCH",),
    "{version}/locations": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/locations/test": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/sessions": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/sessions/S-1/charging_preferences": ("GET", "POST", "PATCH", "DELETE"),
    "{version}/cdrs": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/tariffs": ("POST", "PUT", "PATCH", "DELETE"),
    "{version}/tokens/NL/EVL/0123-CARD": ("POST", "DELETE"),
    "{version}/commands/START_SESSION": ("GET", "PUT", "PATCH", "DELETE"),
    "{version}/chargingprofiles/S-1": ("POST", "PATCH"),
    "{version}/hubclientinfo/NL/EVL": ("POST", "PATCH", "DELETE"),
}
"""By path, the methods that the text calls n/a."""


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO whose station does what it is told."""
    settings = with_location(capabilities=["REMOTE_START_STOP_CAPABLE", "RESERVABLE", "UNLOCK_CAPABLE"])
    async with open_ocpi_rig(version=VERSION, settings=settings) as rig, open_emsp(rig, VERSION) as opened:
        for action in ("RequestStartTransaction", "ReserveNow", "CancelReservation"):
            rig.stations.answers[action] = {"status": "Accepted"}
        yield opened


async def _result(emsp: Emsp, name: str, **fields: Any) -> str:
    answer = await emsp.command(name, **fields)
    assert answer["data"]["result"] == "ACCEPTED", answer
    return str((await emsp.result(name))["result"])


async def test_a_method_that_a_module_does_not_have_is_405(emsp: Emsp) -> None:
    """transport, Request format: what a module calls n/a among its methods is refused by HTTP, in the form of OCPI."""
    headers = {"authorization": encode_token(emsp.platform.token_in), **routing(emsp.party, CPO)}
    for version, (path, methods) in product(VERSIONS, NOT_THERE.items()):
        url = f"http://cso.bench/ocpi/{path.replace('{version}', version)}"
        for method in methods:
            status, _, text = await emsp.rig.transport.request(method, url, headers, b"{}", 10)
            assert (status, b'"status_code":2000' in text) == (405, True), (method, path)


async def test_two_emsps_may_use_one_reservation_id(emsp: Emsp) -> None:
    """mod_commands, ReserveNow: numbers at the station are unique, and no eMSP replaces or cancels what another has reserved."""
    other = PartyId("NL", "OTH")
    emsp.platform.parties = (*emsp.platform.parties, Party(other, "EMSP"))
    await _result(emsp, "RESERVE_NOW", **RESERVE)
    emsp.party = other
    await emsp.command("CANCEL_RESERVATION", reservation_id="R-1")
    assert (await emsp.result("CANCEL_RESERVATION"))["result"] == "UNKNOWN_RESERVATION"
    await _result(emsp, "RESERVE_NOW", **{**RESERVE, "token": token(party_id="OTH")})
    assert [one["id"] for one in emsp.rig.stations.sent("ReserveNow")] == [1, 2]
    assert emsp.rig.stations.sent("CancelReservation") == []


async def test_a_reserved_token_is_not_asked_for(emsp: Emsp) -> None:
    """mod_commands, ReserveNow: no real-time authorization of an RFID token for 15 minutes, and never of an app's."""
    await _result(emsp, "RESERVE_NOW", **{**RESERVE, "token": token(valid=False)})
    await _result(emsp, "RESERVE_NOW", **{**RESERVE, "token": token("app", type="AD_HOC_USER"), "reservation_id": "R-2"})
    emsp.authorization = {"allowed": "BLOCKED", "token": token()}
    await asyncio.sleep(890)
    assert await emsp.rig.stations.present(UID) == {"status": "Accepted"}
    await asyncio.sleep(20)
    assert await emsp.rig.stations.present(UID) == {"status": "Blocked"}
    assert await emsp.rig.stations.present("app", "Central") == {"status": "Accepted"}
    assert len(emsp.asked) == 1


async def test_the_token_of_a_command_is_not_kept(emsp: Emsp) -> None:
    """mod_commands, StartSession and ReserveNow: a Token that came by a command alone is no Token of the tokens module."""
    await _result(emsp, "START_SESSION", token=token(), location_id="test")
    await _result(emsp, "RESERVE_NOW", **RESERVE)
    assert (await emsp.ask("GET", f"/tokens/NL/EVL/{UID}"))[0] == 404


async def test_a_command_with_unknown_words_is_understood(emsp: Emsp) -> None:
    """transport, Non-specified JSON fields; types, OpenEnum: an unknown type of Token and fields of nobody's start a session."""
    given = token(type="IRIS_SCAN", whitelist="SOMETIMES", colour="blue")
    assert await _result(emsp, "START_SESSION", token=given, location_id="test", mood="good") == "ACCEPTED"
    number = emsp.rig.stations.sent("RequestStartTransaction")[0]["remoteStartId"]
    emsp.rig.stations.transaction("Started", id_token=UID, remote_start_id=number)
    assert (await emsp.session())["cdr_token"]["type"] == "IRIS_SCAN"
