"""What a hub tells of its clients, and what the CPO makes of it (mod_hub_client_info)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.cso.ocpi.registry import Party
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
PATH = "/hubclientinfo/NL/EVL"


@pytest.fixture(params=VERSIONS)
async def emsp(request: pytest.FixtureRequest) -> AsyncIterator[Emsp]:
    """Return an eMSP behind a hub, whose token may charge."""
    async with open_ocpi_rig(version=request.param) as rig, open_emsp(rig, request.param) as opened:
        await opened.tell(token(whitelist="ALWAYS"))
        await rig.stations.present(UID)
        yield opened


def _info(status: str, **fields: Any) -> dict[str, Any]:
    told = {"party_id": "EVL", "country_code": "NL", "role": "EMSP", "status": status}
    return {**told, "last_updated": "2026-01-15T00:00:00Z", **fields}


async def test_client_info_is_given_back_as_it_was_put(emsp: Emsp) -> None:
    """PUT and GET: created, then replaced; unknown states and roles survive, and silence nobody."""
    given = _info("ASLEEP", role="WIZARD", colour="blue")
    assert (await emsp.ask("GET", PATH))[0] == 404
    assert [(await emsp.ask("PUT", PATH, given))[0] for _ in range(2)] == [201, 200]
    assert (await emsp.ask("GET", PATH.lower()))[1]["data"] == given
    emsp.rig.stations.transaction("Started", id_token=UID)
    assert (await emsp.session())["status"] == "ACTIVE"


async def test_url_and_object_name_the_same_party(emsp: Emsp) -> None:
    """transport, Client Owned Object Push: 2001 where they do not."""
    assert (await emsp.ask("PUT", PATH, _info("OFFLINE", party_id="ABC")))[1]["status_code"] == 2001


async def test_it_carries_no_routing_headers(emsp: Emsp) -> None:
    """hubclientinfo is a configuration module: without them a request is right, and the answer has none."""
    await emsp.ask("PUT", PATH, _info("CONNECTED"))
    assert emsp.rig.found("routing_headers") == []
    answer = emsp.rig.journal.of("ocpi.response")[-1]  # type: ignore[attr-defined]
    assert [name for name in answer["headers"] if name.startswith("ocpi-")] == []


async def test_who_is_no_hub_brings_nobody(emsp: Emsp) -> None:
    """Only a hub has clients: an eMSP that tells of another party would act for it from then on."""
    before = emsp.platform.parties
    assert (await emsp.ask("PUT", "/hubclientinfo/NL/ABC", _info("CONNECTED", party_id="ABC", role="SCSP")))[0] == 201
    assert emsp.platform.parties == before


@pytest.mark.parametrize("status", ["OFFLINE", "PLANNED", "SUSPENDED"])
async def test_nothing_is_pushed_to_an_absent_party_nor_kept_for_it(emsp: Emsp, status: str) -> None:
    """Another Party goes OFFLINE: do not queue Push messages; once it is back it hears of what happens from then on."""
    await emsp.ask("PUT", PATH, _info(status))
    emsp.rig.stations.transaction("Started", id_token=UID)
    await asyncio.sleep(1)
    assert (emsp.sessions, len(emsp.rig.scsp.sessions)) == ({}, 1)
    await emsp.ask("PUT", PATH, _info("CONNECTED"))
    await asyncio.sleep(1)
    assert emsp.sessions == {}
    emsp.rig.stations.transaction("Ended", id_token=UID)
    assert (await emsp.session())["status"] == "COMPLETED"


async def test_a_message_is_addressed_to_the_party_that_it_is_for(emsp: Emsp) -> None:
    """transport, Broadcast Push: of all parties behind a hub: the eMSP of the token, not the hub, nor the first one, nor
    another while it is absent."""
    other, hub = Party(PartyId("NL", "ABC"), "EMSP"), Party(PartyId("NL", "HUB"), "HUB")
    emsp.platform.parties = (hub, other, *emsp.platform.parties)
    emsp.rig.stations.transaction("Started", id_token=UID)
    await emsp.session()
    requests = emsp.rig.journal.of("ocpi.request")  # type: ignore[attr-defined]
    told = [one["headers"]["ocpi-to-party-id"] for one in requests if one["url"].startswith("http://emsp.bench/sessions")]
    assert told == ["EVL"]
    await emsp.ask("PUT", PATH, _info("OFFLINE"))
    emsp.rig.stations.transaction("Ended", id_token=UID)
    assert (await emsp.session())["status"] == "ACTIVE"


async def test_an_absent_emsp_is_not_asked(emsp: Emsp) -> None:
    """No requests can be sent: the whitelist decides as if it had not answered."""
    await emsp.tell(token("never"))
    await emsp.tell(token("offline", whitelist="ALLOWED_OFFLINE"))
    await emsp.ask("PUT", PATH, _info("OFFLINE"))
    assert await emsp.rig.stations.present("never") == {"status": "Invalid"}
    assert await emsp.rig.stations.present("offline") == {"status": "Accepted"}
    assert emsp.asked == []


async def test_a_word_on_the_party_of_another_platform_silences_nobody(emsp: Emsp) -> None:
    """A hub speaks of its own connections."""
    path = f"/hubclientinfo/NL/{emsp.rig.scsp.party.party_id}"
    await emsp.ask("PUT", path, _info("OFFLINE", party_id=emsp.rig.scsp.party.party_id, role="SCSP"))
    assert await emsp.rig.session()


async def test_who_is_behind_a_hub_of_2_2_1_is_known_by_its_word() -> None:
    """credentials, 2.2.1: a hub has itself as its one role; its clients come by hubclientinfo, and are served from then on."""
    async with open_ocpi_rig(version="2.2.1") as rig, open_emsp(rig, "2.2.1") as hub:
        hub.platform.parties = (Party(PartyId("NL", "HUB"), "HUB"),)
        given = token(whitelist="ALWAYS")
        assert (await hub.ask("PUT", f"/tokens/NL/EVL/{UID}", given))[0] == 404
        await hub.ask("PUT", PATH, _info("CONNECTED"))
        await hub.tell(given)
        await rig.stations.present(UID)
        rig.stations.transaction("Started", id_token=UID)
        session = await hub.session()
        assert session["cdr_token"]["party_id"] == "EVL"
        assert (await hub.command("STOP_SESSION", session_id="S-nowhere"))["data"]["result"] == "UNKNOWN_SESSION"


async def test_a_hub_takes_nobody_from_another_platform() -> None:
    """credentials, Credentials object, 2.2.1: a party that is registered by itself stays with its own platform; a platform
    that is no hub brings nobody."""
    async with open_ocpi_rig(version="2.2.1") as rig, open_emsp(rig, "2.2.1") as hub:
        scsp = rig.scsp.party
        await hub.ask("PUT", "/hubclientinfo/NL/NEW", _info("CONNECTED", party_id="NEW"))
        hub.platform.parties = (Party(PartyId("NL", "HUB"), "HUB"),)
        await hub.ask("PUT", f"/hubclientinfo/NL/{scsp.party_id}", _info("CONNECTED", party_id=scsp.party_id, role="SCSP"))
        assert [str(one.id) for one in hub.platform.parties] == ["NL-HUB"]
