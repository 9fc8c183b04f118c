"""Lists that the CPO fetches: Tokens of eMSPs, and the clients of a hub (mod_tokens and mod_hub_client_info, Pull model)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.responses import Response

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.json_store import JsonStore
from bench.cso.ocpi import pulls
from bench.cso.ocpi.registry import Party
from bench.peers.msp import open_msp
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_emsp import URL, Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, rig_settings
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

DAY = 86_400


@pytest.fixture(params=VERSIONS)
async def emsp(request: pytest.FixtureRequest) -> AsyncIterator[Emsp]:
    """Return an eMSP that has just registered with a CPO."""
    async with open_ocpi_rig(version=request.param) as rig, open_emsp(rig, request.param) as opened:
        yield opened


def _settings(**ocpi: Any) -> RigSettings:
    return RigSettings.model_validate(rig_settings().model_dump(by_alias=True) | {"ocpi": ocpi})


def _page(*objects: Any, following: str = "", total: int | None = None) -> Response:
    """Return a page of a list, with a Link to what follows."""
    headers = {"x-total-count": str(len(objects) if total is None else total), "x-limit": "100"}
    headers |= {"link": f'<{URL}/tokens?{following}>; rel="next"'} if following else {}
    body = {"status_code": 1000, "data": objects, "timestamp": "2026-01-15T00:00:00Z"}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")


def _known(emsp: Emsp) -> dict[str, bool]:
    return {one.uid: one.valid for one in emsp.rig.cpo.platform.tokens.all()}


async def test_the_list_is_fetched_after_the_registration(emsp: Emsp) -> None:
    """Page by page, and not before the peer has heard that it is registered; a whitelisted one of it charges at once."""
    emsp.pages = [_page(token("A", whitelist="ALWAYS"), token("B"), following="offset=2", total=3), _page(token("C"), total=3)]
    await asyncio.sleep(1)
    assert emsp.listed == []
    await asyncio.sleep(10)
    assert (emsp.listed, _known(emsp)) == (["", "offset=2"], {"A": True, "B": True, "C": True})
    assert await emsp.rig.stations.present("A") == {"status": "Accepted"}
    assert emsp.asked == []


async def test_it_is_fetched_again_and_the_newer_word_counts(emsp: Emsp) -> None:
    """What was told meanwhile is not undone by a list that is behind."""
    told = token("A", valid=False, last_updated="2026-01-15T12:00:00Z")
    await emsp.tell(told)
    emsp.pages = [_page(token("A"), token("B"))]
    await asyncio.sleep(DAY)
    emsp.pages = [_page(token("A", last_updated="2026-01-16T00:00:00Z"), token("B", valid=False))]
    assert _known(emsp) == {"A": False, "B": True}
    await asyncio.sleep(10)
    assert _known(emsp) == {"A": True, "B": False}


async def test_of_several_parties_the_emsp_is_asked(emsp: Emsp) -> None:
    """It owns the Tokens, whichever party stands first."""
    emsp.platform.parties = (Party(PartyId("NL", "AAA"), "CPO"), *emsp.platform.parties)
    await asyncio.sleep(10)
    asked = [one for one in emsp.rig.journal.of("ocpi.request") if one["url"] == f"{URL}/tokens"]  # type: ignore[attr-defined]
    assert [one["headers"]["ocpi-to-party-id"] for one in asked] == ["EVL"]


async def test_a_list_that_fails_is_tried_again_the_next_time(emsp: Emsp) -> None:
    """A finding says why; what of it came before is kept."""
    emsp.pages = [_page(token("A"), following="offset=1", total=2), Response(status_code=404)]
    await asyncio.sleep(10)
    assert len(emsp.rig.found("tokens_not_pulled")) == 1
    emsp.pages = [_page(token("A"), token("B"))]
    await asyncio.sleep(DAY)
    assert _known(emsp) == {"A": True, "B": True}


async def test_what_is_wrong_in_a_list_is_found(emsp: Emsp) -> None:
    """Tokens of another eMSP, and objects that are none, are left out; the rest is taken, and stays out of the journal."""
    emsp.pages = [_page(token("A-CARD-0815"), token("B", party_id="ABC"), {"uid": "C"}, 7)]
    await asyncio.sleep(10)
    assert _known(emsp) == {"A-CARD-0815": True}
    assert (len(emsp.rig.found("tokens_of_others")), len(emsp.rig.found("tokens_unreadable"))) == (1, 2)
    emsp.rig.cpo.platform.findings.tell("words", "of A-CARD-0815")
    assert "A-CARD-0815" not in emsp.rig.found("words")[0]


async def test_a_page_of_nothing_that_can_be_read_is_told_in_few_words(emsp: Emsp) -> None:
    """A finding for each of what four megabytes can hold would stop everything else for seconds, and fill the disk."""
    emsp.pages = [_page(*[{}] * 500)]
    await asyncio.sleep(10)
    told = emsp.rig.found("tokens_unreadable")
    assert (len(told), told[-1]) == (11, "490 more objects of the page")


async def test_a_list_without_end_is_left(emsp: Emsp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer whose last page names a next one would be asked for ever."""
    monkeypatch.setattr(pulls, "MOST_PAGES", 3)
    emsp.pages = [_page(token(str(number)), following="offset=0", total=9) for number in range(9)]
    await asyncio.sleep(10)
    assert (len(emsp.listed), len(emsp.rig.found("tokens_not_pulled"))) == (3, 1)


async def test_a_list_that_ignores_the_offset_is_left(emsp: Emsp) -> None:
    """Each page is the first one, and names a next: ten thousand requests would show no more than two."""
    emsp.pages = [_page(token("A"), token("B"), following=f"offset={2 * number}", total=9) for number in range(1, 9)]
    await asyncio.sleep(10)
    assert (len(emsp.listed), _known(emsp)) == (2, {"A": True, "B": True})
    assert "the same page as the one before" in emsp.rig.found("tokens_not_pulled")[0]


async def test_who_has_left_is_not_asked(emsp: Emsp) -> None:
    """And nothing waits for the next time."""
    emsp.rig.cpo.platform.registry.remove(emsp.platform)
    await asyncio.sleep(DAY)
    assert emsp.listed == []
    assert not [one for one in asyncio.all_tasks() if "Pulls._follow" in repr(one)]


async def test_by_setting_nothing_is_fetched() -> None:
    """`pull_every_s = 0`."""
    async with open_ocpi_rig(settings=_settings(pull_every_s=0)) as rig, open_emsp(rig, VERSIONS[0]) as emsp:
        await asyncio.sleep(DAY)
        assert emsp.listed == []


async def test_after_a_restart_the_list_is_fetched(tmp_path: Path) -> None:
    """What was told while the CSO was away is not lost."""
    store = JsonStore(tmp_path / "ocpi.json")
    async with open_ocpi_rig(store=store) as rig, open_emsp(rig, VERSIONS[0]):
        pass
    async with open_ocpi_rig(store=store, register=False) as rig, open_emsp(rig, VERSIONS[0]) as emsp:
        rig.cpo.platform.registry.remove(emsp.platform)  # the one that was kept is left
        emsp.pages = [_page(token("A"))]
        await asyncio.sleep(10)
        assert (_known(emsp), len(emsp.listed)) == ({"A": True}, 1)


async def test_the_clients_of_a_hub_are_fetched(emsp: Emsp) -> None:
    """Its word counts as if it had told them; an older one than it has told does not."""
    emsp.platform.endpoints["hubclientinfo", "SENDER"] = f"{URL}/clientinfo"
    info = {"country_code": "NL", "party_id": "EVL", "role": "EMSP", "status": "OFFLINE", "last_updated": "2026-01-15T00:00:00Z"}
    emsp.pages = [_page(info, info | {"party_id": "OTH", "status": "CONNECTED"})]
    await asyncio.sleep(10)
    assert {one.party_id: one.status for one in emsp.platform.clients.values()} == {"EVL": "OFFLINE", "OTH": "CONNECTED"}
    assert len(emsp.listed) == 1  # who is offline is not asked for its Tokens
    emsp.pages = [_page(info | {"status": "CONNECTED", "last_updated": "2026-01-14T00:00:00Z"})]
    await asyncio.sleep(DAY)
    assert emsp.platform.clients[PartyId("NL", "EVL")].status == "OFFLINE"


async def test_a_list_of_many_clients_is_saved_once(emsp: Emsp) -> None:
    """A hub has hundreds, and each change of who is there is brought to the disk while nothing else goes on."""
    emsp.platform.endpoints["hubclientinfo", "SENDER"] = f"{URL}/clientinfo"
    emsp.platform.parties = (Party(PartyId("NL", "HUB"), "HUB"), *emsp.platform.parties)
    info = {"country_code": "DE", "role": "EMSP", "status": "CONNECTED", "last_updated": "2026-01-15T00:00:00Z"}
    emsp.pages = [_page(*(info | {"party_id": f"A{number}"} for number in range(10, 60)))]
    registry, saved = emsp.rig.cpo.platform.registry, 0

    def count() -> None:
        nonlocal saved
        saved += 1

    registry.changed = count
    await asyncio.sleep(10)
    assert (len(emsp.platform.clients), saved) == (50, 1)
    assert registry.has(PartyId("DE", "A59")) == emsp.platform.is_hub


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_mock_msp_is_content_with_how_it_is_asked(version: str) -> None:
    """Over several pages; neither side finds anything wrong."""
    async with (
        open_ocpi_rig(version=version) as rig,
        open_msp(LoopClock(EPOCH), SeededIds(2, "msp"), rig.addresses, version=version) as msp,
    ):
        for number in range(250):
            msp.add_token(f"CARD-{number}")
        await msp.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        await asyncio.sleep(60)
        assert len(rig.cpo.platform.tokens.all()) == 250
        assert (msp.findings, rig.journal.of("finding")) == ([], [])  # type: ignore[attr-defined]
