"""What is over, and what peers were not told yet, survives the CSO; and neither grows without bound.

Held are mod_sessions, mod_cdrs and the transport chapter, offline behaviour.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.json_store import JsonStore
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.cso.ocpi import outbox, sessions
from bench.errors import RigError
from bench.rig.cpo import Cpo, open_cpo
from bench.settings.ocpi_site import TariffSettings
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, encode_token
from tests.ocpi_emsp import token
from tests.ocpi_recorder import Recorder, open_recorder
from tests.ocpi_rig import STATION, ScriptedStations, rig_settings
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual

DAY: dict[str, Any] = {"id": "DAY", "elements": [{"price_components": [{"type": "ENERGY", "price": 0.25}]}]}


def _rig(tariff: dict[str, Any]) -> RigSettings:
    return RigSettings.model_validate({**rig_settings().model_dump(by_alias=True), "ocpi": {"tariff": [tariff]}})


class _Lives:
    """A station, and an eMSP that keeps what it is sent; both outlive the CSO, which is opened again and again on one store."""

    def __init__(self, path: Path, version: str, stack: AsyncExitStack) -> None:
        self.path, self.version, self._stack = path, version, stack
        self.clock, self.addresses = LoopClock(EPOCH), AddressBook()
        self.journal, self.stations = MemoryJournal(), ScriptedStations()
        self.settings = _rig(DAY)
        self.emsp: Recorder
        self._count = 0

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Cpo]:
        """Open the CSO; it is dropped at the end with whatever it was doing."""
        self._count += 1
        parts = self.clock, self.journal, SeededIds(self._count, "cpo"), self.stations, self.addresses
        async with open_cpo(self.settings, *parts, store=JsonStore(self.path)) as cpo:
            if self._count == 1:
                recorder = open_recorder(cpo.platform.registry, self.addresses, self.version)
                self.emsp = await self._stack.enter_async_context(recorder)
                self.emsp.headers["Location"] = "http://ben-emsp.bench/ocpi/cdrs/1"
            self.stations.tell("connected")
            yield cpo

    async def charge(self, transaction_id: str = "tx-1", minutes: int = 30) -> None:
        """Charge 2 kWh, and wait until it was told."""
        self.stations.transaction("Started", transaction_id, wh=1000, charging_state="Charging")
        await asyncio.sleep(minutes * 60)
        self.stations.transaction("Ended", transaction_id, wh=3000, charging_state="Idle")
        await asyncio.sleep(1)

    async def tell_token(self, uid: str, **fields: Any) -> int:
        """PUT a Token as the eMSP; return the status_code."""
        told = token(uid, party_id="BEN") | fields
        async with open_transport(self.addresses) as transport:
            authorization = {"authorization": encode_token(self.emsp.platform.token_in), "content-type": "application/json"}
            url = f"http://cso.bench/ocpi/{self.version}/tokens/NL/BEN/{uid}"
            _, _, text = await transport.request("PUT", url, authorization, json.dumps(told).encode(), 10)
        return int(json.loads(text)["status_code"])

    async def listed(self, path: str) -> list[dict[str, Any]]:
        """GET a list as the eMSP, page by page."""
        url, found = f"http://cso.bench/ocpi/{self.version}/{path}", []
        async with open_transport(self.addresses) as transport:
            while url:
                authorization = {"authorization": encode_token(self.emsp.platform.token_in)}
                _, headers, text = await transport.request("GET", url, authorization, b"", 10)
                found += json.loads(text)["data"]
                url = headers.get("link", "").partition(">")[0].removeprefix("<")
        return found

    def found(self, code: str) -> list[str]:
        """Return the findings of a code."""
        return [one["text"] for one in self.journal.of("finding") if one["code"] == code]


def _full_disk(*parts: object) -> None:
    raise RigError("No space left on device")


@pytest.fixture(params=VERSIONS)
async def lives(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[_Lives]:
    """Return what outlives the CSO, in each version."""
    async with AsyncExitStack() as stack:
        yield _Lives(tmp_path / "store.json", request.param, stack)


async def test_what_is_over_is_listed_after_a_restart(lives: _Lives) -> None:
    """Sessions and CDRs as they were, by date and page by page; also where the rig file has another tariff by then."""
    async with lives.life():
        for number in range(3):
            await lives.charge(f"tx-{number}")
        paths = [f"{module}?date_from={date}&limit=1" for module in ("sessions", "cdrs") for date in (
            "2026-01-15T00:00:00Z", "2026-01-15T00:31:00Z", "2026-01-15T02:00:00Z",
        )]  # fmt: skip
        before = [await lives.listed(path) for path in paths]
    assert [len(one) for one in before] == [3, 2, 0, 3, 2, 0]
    assert before[0][0]["status"] == "COMPLETED"
    lives.settings = _rig(DAY | {"currency": "SEK"})
    async with lives.life():
        assert [await lives.listed(path) for path in paths] == before


async def test_lists_are_in_the_same_order_after_a_restart(lives: _Lives) -> None:
    """In that of creation, whether sessions run or are over, also where two began at once: a reader of pages goes on there."""
    async with lives.life():
        for number in range(8):
            lives.stations.transaction("Started", f"tx-{number}", wh=1000)
        for number in (6, 1, 4, 3):
            await lives.charge(f"tx-{number}", minutes=1)
        paths = [f"{path}&limit=1" for path in (
            "sessions?date_from=2026-01-15T00:00:00Z", "sessions?date_from=2026-01-15T00:00:00Z&date_to=2026-01-15T00:03:00Z",
            "cdrs?date_from=2026-01-15T00:00:00Z",
        )]  # fmt: skip
        before = [[one["id"] for one in await lives.listed(path)] for path in paths]
    assert [len(one) for one in before] == [8, 6, 4]
    async with lives.life():
        assert [[one["id"] for one in await lives.listed(path)] for path in paths] == before


async def test_an_event_of_a_session_that_is_over_opens_none_after_a_restart(lives: _Lives) -> None:
    """A station tells its last event again where it missed the answer: it is billed once."""
    async with lives.life():
        await lives.charge()
    async with lives.life():
        lives.stations.transaction("Ended", wh=3000)
        await asyncio.sleep(1)
        assert len(await lives.listed("cdrs")) == 1
    assert len(lives.emsp.of("cdrs")) == 1


async def test_a_cdr_is_sent_until_the_peer_answers(lives: _Lives) -> None:
    """A minute later, then each time twice as long; once it was answered never again."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        lives.emsp.down = True
        lives.stations.transaction("Ended", wh=3000)
        await asyncio.sleep(190)
        assert len(lives.emsp.of("cdrs")) == 3
        lives.emsp.down = False
        await asyncio.sleep(86_400)
    assert len(lives.emsp.of("cdrs")) == 4
    assert len(lives.found("cdrs_not_delivered")) == 1


async def test_a_session_whose_row_cannot_be_written_is_kept_all_the_same(
    lives: _Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits in the document until its row can be written, over restarts too; its CDR is listed, and sent then."""
    async with lives.life():
        monkeypatch.setattr(JsonStore, "keep_rows", _full_disk)
        await lives.charge()
    assert lives.found("not_saved")
    async with lives.life():
        await asyncio.sleep(1)
        assert lives.emsp.of("cdrs") == []
        monkeypatch.undo()
    async with lives.life():
        await asyncio.sleep(1)
        assert [body for _, _, body in lives.emsp.of("cdrs")] == await lives.listed("cdrs")
    assert len(JsonStore(lives.path).load_rows("session")) == 1


async def test_no_cdr_is_told_that_a_full_disk_could_make_again(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never changes, and after a death the end may be told again, with other values: it is sent once there is room."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        for name in ("save", "keep_rows"):
            monkeypatch.setattr(JsonStore, name, _full_disk)
        lives.stations.transaction("Ended", wh=3000)
        await asyncio.sleep(600)
        assert lives.emsp.of("cdrs") == []
        monkeypatch.undo()
        await asyncio.sleep(60)
        assert len(lives.emsp.of("cdrs")) == 1


async def test_a_cdr_that_comes_twice_is_the_same(lives: _Lives) -> None:
    """The peer has taken it, and the process died before the answer: nobody here knows, so it comes again, letter by letter."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        held = lives.emsp.held = asyncio.Event()
        lives.stations.transaction("Ended", wh=3000)
        for _ in ("EVSE", "Session"):  # which are told before it
            await asyncio.sleep(1)
            former, held = held, asyncio.Event()
            lives.emsp.held = held
            former.set()
        await asyncio.sleep(1)
        assert len(lives.emsp.of("cdrs")) == 1
    held.set()
    lives.settings = _rig(DAY | {"currency": "SEK"})
    async with lives.life():
        await asyncio.sleep(3600)
    cdrs = lives.emsp.of("cdrs")
    assert (len(cdrs), cdrs[0]) == (2, cdrs[1])


async def test_cdrs_wait_behind_one_that_was_not_answered(lives: _Lives) -> None:
    """A peer that is away is tried with one of them, not with each; once it is back all come, each once."""
    async with lives.life():
        lives.emsp.down = True
        for number in range(3):
            await lives.charge(f"tx-{number}", minutes=0)
        assert len(lives.emsp.of("cdrs")) == 1
        lives.emsp.down = False
        await asyncio.sleep(600)
    sent = [cdr["id"] for _, _, cdr in lives.emsp.of("cdrs")[1:]]
    assert (len(sent), len({*sent})) == (3, 3)


async def test_a_cdr_that_nobody_took_is_sent_after_a_restart(lives: _Lives) -> None:
    """Once: a third life knows that it was taken."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        lives.emsp.down = True
        await lives.charge()
    lives.emsp.down = False
    lives.emsp.received.clear()
    async with lives.life():
        await asyncio.sleep(1)
    async with lives.life():
        await asyncio.sleep(86_400)
    ((method, _, cdr),) = lives.emsp.of("cdrs")
    assert (method, cdr["total_energy"]) == ("POST", 2.0)


async def test_what_waited_is_told_after_a_restart(lives: _Lives) -> None:
    """Of each object the whole, as it is by then, and once; what was on its way is not known to have come."""
    async with lives.life() as cpo:
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        lives.emsp.held = asyncio.Event()
        await lives.charge()
        lives.stations.tell("status", evse=1, connector=1, status="Faulted")
        cpo.platform.tariffs.put(TariffSettings.model_validate(DAY | {"id": "NIGHT"}))
        await asyncio.sleep(1)
    lives.emsp.held.set()
    await asyncio.sleep(1)
    lives.emsp.received.clear()
    async with lives.life():
        await asyncio.sleep(1)
    told = [(method, path.partition("/")[0], (body or {}).get("status", "")) for method, path, body in lives.emsp.received]
    assert sorted(told) == [
        ("DELETE", "tariffs", ""), ("POST", "cdrs", ""), ("PUT", "locations", "UNKNOWN"), ("PUT", "sessions", "COMPLETED"),
    ]  # fmt: skip
    lives.emsp.received.clear()
    async with lives.life():
        await asyncio.sleep(1)
    assert lives.emsp.received == []


async def test_a_death_between_the_two_files_loses_no_cdr(lives: _Lives) -> None:
    """The session was kept as over, and the state still has it as running: its end is told by the next life."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
        then = lives.path.read_bytes()
        lives.emsp.held = asyncio.Event()
        lives.stations.transaction("Ended", wh=3000)
    lives.path.write_bytes(then)
    lives.emsp.held.set()
    await asyncio.sleep(1)
    lives.emsp.received.clear()
    async with lives.life() as cpo:
        await asyncio.sleep(1)
        assert cpo.platform.sessions.running() == []
    assert [body["status"] for _, _, body in lives.emsp.of("sessions")] == ["COMPLETED"]
    assert len(lives.emsp.of("cdrs")) == 1


async def test_the_history_does_not_weigh_on_the_state(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is over is written once, to a row of its own; the state gets no longer by it."""
    async with lives.life():
        sizes = []
        for number in range(3):
            await lives.charge(f"tx-{number}")
            sizes.append(lives.path.stat().st_size)
        kept = list[Any]()
        monkeypatch.setattr(JsonStore, "keep_rows", lambda store, kind, rows: kept.append((kind, len(rows))))
        await lives.charge("tx-last")
    assert sizes == sizes[:1] * 3
    assert kept == [("session", 1)]


async def test_the_oldest_session_is_forgotten(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and disk hold the newest ones, and a finding names what is gone."""
    monkeypatch.setattr(sessions, "MOST_ENDED", 2)
    async with lives.life() as cpo:
        for number in range(4):
            await lives.charge(f"tx-{number}")
        assert cpo.platform.sessions.of(STATION, "tx-0") is None
        assert len(await lives.listed("cdrs")) == 2
    assert len(lives.found("session_forgotten")) == 2
    assert len(JsonStore(lives.path).load_rows("session")) == 2


async def test_a_token_is_kept_by_itself(lives: _Lives) -> None:
    """However many there are, one costs a row; what was answered is there after a death at once, the last word of each."""
    async with lives.life() as cpo:
        lives.stations.tell("status", evse=1, connector=1, status="Faulted")
        await asyncio.sleep(1)
        before = lives.path.stat()
        for uid, valid in (("A", True), ("B", True), ("A", False)):
            assert await lives.tell_token(uid, valid=valid) == 1000
        assert lives.path.stat() == before
        rows = JsonStore(lives.path).load_rows("token")
        assert [(one["uid"], one["valid"]) for one in rows.values()] == [("A", False), ("B", True)]
        told = cpo.platform.tokens.all()
    async with lives.life() as cpo:
        assert cpo.platform.tokens.all() == told


async def test_rows_are_there_without_the_file_beside_them(lives: _Lives) -> None:
    """Whoever removes the one has the other at once, not after another restart."""
    async with lives.life() as cpo:
        await lives.charge()
        await lives.tell_token("A")
        told, (session,) = cpo.platform.tokens.all(), await lives.listed("sessions?date_from=2026-01-15T00:00:00Z")
    lives.path.unlink()
    async with lives.life() as cpo:
        assert cpo.platform.tokens.all() == told
        assert cpo.platform.sessions.find(session["id"]) is not None


async def test_a_token_that_cannot_be_kept_is_refused(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its eMSP relies on what is answered; the finding says why."""
    async with lives.life() as cpo:
        monkeypatch.setattr(JsonStore, "keep_rows", _full_disk)
        assert await lives.tell_token("A") == 3000
        assert cpo.platform.tokens.all() == []
    assert lives.found("not_saved") == ["No space left on device"]


async def test_a_peer_that_hangs_costs_a_bounded_memory(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest message is dropped and named; the next one on the same object tells the whole of it."""
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    async with lives.life():
        lives.emsp.held = asyncio.Event()
        lives.stations.transaction("Started", "tx-other", evse=2, wh=0)
        await asyncio.sleep(1)
        for state in ("Charging", "SuspendedEV", "Charging", "SuspendedEV"):
            lives.stations.tell("status", evse=1, connector=1, status="Available" if state == "Charging" else "Faulted")
        assert len(lives.found("push_dropped")) == 2
        lives.emsp.held.set()
        await asyncio.sleep(1)
    assert [method for method, _, _ in lives.emsp.of("locations")] == ["PUT", "PATCH"]


async def test_after_a_message_that_was_lost_the_whole_is_told(lives: _Lives) -> None:
    """A PATCH adds periods: after one that got lost the next would leave a gap."""
    async with lives.life():
        lives.stations.transaction("Started", wh=1000, charging_state="Charging")
        await asyncio.sleep(900)
        lives.emsp.down = True
        lives.stations.transaction("Updated", wh=2000)
        await asyncio.sleep(900)
        lives.emsp.down = False
        lives.stations.transaction("Updated", wh=3000)
        await asyncio.sleep(1)
    method, _, session = lives.emsp.of("sessions")[-1]
    assert (method, len(session["charging_periods"])) == ("PUT", 2)
