"""A restart of the CSO loses no promise (mod_charging_profiles, mod_commands): between ACCEPTED and the result it is killed."""

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
from bench.adapters.ocpi_client import AddressBook
from bench.cso.ocpi.registry import Party
from bench.errors import PeerError, RigError, UsageError
from bench.peers.msp import open_msp
from bench.peers.scsp import MockScsp, open_scsp
from bench.rig.cpo import Cpo, open_cpo
from bench.rig.ocpi import commands_of
from bench.settings.rig import RigSettings
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_rig import PROFILE, STATION, ScriptedStations, rig_settings
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual


class _Lives:
    """An SCSP and a station that outlive the CSO, which is opened again and again on one store."""

    def __init__(self, scsp: MockScsp, addresses: AddressBook, clock: LoopClock, path: Path) -> None:
        self.scsp, self.path = scsp, path
        self.stations = ScriptedStations()
        self.settings = rig_settings()
        self.journal = MemoryJournal()
        self._addresses, self._clock, self._lives = addresses, clock, 0

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Cpo]:
        """Open the CSO; it is dropped at the end with whatever it was doing."""
        self._lives += 1
        ids, store = SeededIds(self._lives, "cpo"), JsonStore(self.path)
        parts = self._clock, self.journal, ids, self.stations, self._addresses
        async with open_cpo(self.settings, *parts, store=store) as cpo:
            yield cpo

    async def begin(self, cpo: Cpo) -> str:
        """Register, and start a session."""
        await self.scsp.register(cpo.versions_url, cpo.token_a)
        self.stations.transaction("Started", wh=1000)
        return str((await self.scsp.wait_session(lambda one: True, 10))["id"])

    def found(self, code: str) -> list[str]:
        """Return the findings of a code."""
        return [one["text"] for one in self.journal.of("finding") if one["code"] == code]

    def lose_the_answers(self, *actions: str) -> None:
        """Let the station take these calls, and never answer."""
        for action in actions:
            self.stations.answers[action] = asyncio.get_running_loop().create_future()

    def find_the_answers(self) -> None:
        """Let the station answer again."""
        self.stations.answers |= {"SetChargingProfile": {"status": "Accepted"}, "ClearChargingProfile": {"status": "Accepted"}}

    def show_what_was_sent(self) -> None:
        """Let the station show the profile that came last."""
        self.stations.installed = [self.stations.sent("SetChargingProfile")[-1]["chargingProfile"]]


def _full_disk(*parts: object) -> None:
    raise RigError("No space left on device")


@pytest.fixture(params=VERSIONS)
async def lives(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[_Lives]:
    """Return what outlives the CSO, in each version."""
    async with AsyncExitStack() as stack:
        clock, addresses = LoopClock(EPOCH), AddressBook()
        scsp = await stack.enter_async_context(open_scsp(clock, SeededIds(1, "scsp"), addresses, version=request.param))
        yield _Lives(scsp, addresses, clock, tmp_path / "store.json")


async def test_registrations_and_sessions_survive(lives: _Lives) -> None:
    """The old tokens open the new life, the session's id is that of its transaction, and its profile keeps its number."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await lives.scsp.wait_result(order.response_id, 60)
    async with lives.life() as cpo:
        lives.stations.tell("connected")
        record = cpo.platform.sessions.of(STATION, "tx-1")
        assert record is not None
        assert record.session_id == session_id
        order = await lives.scsp.send_plan(session_id, PROFILE | {"duration": 600})
        assert await lives.scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    assert len({one["chargingProfile"]["id"] for one in lives.stations.sent("SetChargingProfile")}) == 1


async def test_a_used_up_token_invites_nobody_after_a_restart(lives: _Lives) -> None:
    """credentials, Registration: also where the rig file names it: TOKEN_A serves once."""
    ocpi = {"token_a": "a-token-of-the-rig-file"}
    lives.settings = RigSettings.model_validate({**lives.settings.model_dump(by_alias=True), "ocpi": ocpi})
    async with lives.life() as cpo:
        await lives.begin(cpo)
    async with lives.life() as cpo:
        assert "a-token-of-the-rig-file" not in cpo.platform.registry.invitations
        assert cpo.token_a in cpo.platform.registry.invitations


async def test_an_invitation_survives(lives: _Lives) -> None:
    """`bench invite` has printed it: who was given it can register after a restart."""
    async with lives.life() as cpo:
        token = (await commands_of(cpo)["invite"]({}))["result"]
    async with lives.life() as cpo:
        assert token in cpo.platform.registry.invitations


async def test_an_invitation_that_cannot_be_kept_is_not_given(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk full: who asks is told, and nobody can register by what was never given."""
    async with lives.life() as cpo:
        before = list(cpo.platform.registry.invitations)
        monkeypatch.setattr(JsonStore, "save", _full_disk)
        with pytest.raises(RigError, match="No space left"):
            await commands_of(cpo)["invite"]({})
        assert cpo.platform.registry.invitations == before
        monkeypatch.undo()


async def test_a_limit_on_the_spot_that_cannot_be_kept_counts_and_says_so(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """To refuse it would leave the power higher; after a restart it would be higher again, and nobody know why."""
    async with lives.life() as cpo:
        monkeypatch.setattr(JsonStore, "save", _full_disk)
        wanted = {"station": STATION, "evse": 1, "by": "DSO", "profile": PROFILE}
        told = (await commands_of(cpo)["limit"](wanted))["result"]
        monkeypatch.undo()
    assert told == {"word": "ACCEPTED", "reason": "it counts, but a restart forgets it: No space left on device"}


async def test_a_registration_that_cannot_be_kept_is_refused(lives: _Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that was taken would be a stranger after a restart; it is told, and its invitation serves once there is room."""
    async with lives.life() as cpo:
        with monkeypatch.context() as full:
            full.setattr(JsonStore, "save", _full_disk)
            with pytest.raises(PeerError, match="the registration cannot be kept"):
                await lives.begin(cpo)
        assert (cpo.platform.registry.platforms, cpo.platform.registry.spent) == ([], [])
        await lives.begin(cpo)


@pytest.mark.parametrize(("shown", "word"), [(True, "ACCEPTED"), (False, "REJECTED")])
async def test_an_open_promise_is_answered_as_the_station_shows_it(lives: _Lives, shown: bool, word: str) -> None:
    """GetChargingProfiles decides: ACCEPTED is told only where it is true, and that party then rules the session."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        lives.lose_the_answers("SetChargingProfile")
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await asyncio.sleep(1)
    lives.find_the_answers()
    if shown:
        lives.show_what_was_sent()
    async with lives.life() as cpo:
        lives.stations.tell("connected")
        assert await lives.scsp.wait_result(order.response_id, 10) == {"result": word}
        assert bool(cpo.platform.sessions.running()[0].steering.watchers) is shown
        await asyncio.sleep(600)
    assert lives.scsp.findings == []


async def test_a_station_that_stays_away_leaves_a_promise_rejected_in_time(lives: _Lives) -> None:
    """Nothing shows that the profile is installed, and the result comes before the timeout."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        lives.lose_the_answers("SetChargingProfile")
        asked = asyncio.get_running_loop().time()
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await asyncio.sleep(10)
    async with lives.life():
        assert await lives.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
        assert asyncio.get_running_loop().time() - asked < order.answer["timeout"]


async def test_after_the_promised_time_nothing_is_told(lives: _Lives) -> None:
    """No late success, and no late failure: the sender has taken the order for lost."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        lives.lose_the_answers("SetChargingProfile")
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await asyncio.sleep(1)
    lives.show_what_was_sent()
    await asyncio.sleep(order.answer["timeout"])
    async with lives.life():
        lives.stations.tell("connected")
        await asyncio.sleep(600)
    assert order.result is None
    assert len(lives.found("promise_lapsed")) == 1


@pytest.mark.parametrize(("cleared", "word"), [(True, "ACCEPTED"), (False, "REJECTED")])
async def test_an_open_delete_is_answered_as_the_station_shows_it(lives: _Lives, cleared: bool, word: str) -> None:
    """Gone is gone; what is still there was not cleared."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await lives.scsp.wait_result(order.response_id, 60)
        lives.lose_the_answers("ClearChargingProfile")
        order = await lives.scsp.delete(session_id)
        await asyncio.sleep(1)
    lives.find_the_answers()
    if not cleared:
        lives.show_what_was_sent()
    async with lives.life():
        lives.stations.tell("connected")
        assert await lives.scsp.wait_result(order.response_id, 10) == {"result": word}


async def test_a_get_in_the_air_is_rejected(lives: _Lives) -> None:
    """The active profile of then is worth nothing now."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        lives.lose_the_answers("GetCompositeSchedule")
        order = await lives.scsp.get_active(session_id, 600)
        await asyncio.sleep(1)
    async with lives.life():
        assert await lives.scsp.wait_result(order.response_id, 10) == {"result": "REJECTED"}


async def test_the_writer_still_holds_the_session(lives: _Lives) -> None:
    """Who came first is known after the restart, and so is what it may clear."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await lives.scsp.wait_result(order.response_id, 60)
    async with lives.life() as cpo:
        record = cpo.platform.sessions.running()[0]
        assert cpo.platform.arbiter.refusal(record, "NL-OTH", "SCSP") == "NL-SCP steers this session (policy one_writer)"
        lives.stations.tell("connected")
        order = await lives.scsp.delete(session_id)
        assert await lives.scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}


async def test_windows_go_on_after_a_restart(lives: _Lives) -> None:
    """A schedule longer than the station's memory: its next part comes as soon as the station is there again."""
    lives.settings = rig_settings(periods_per_schedule=2)
    periods: list[dict[str, Any]] = [{"start_period": index * 900, "limit": 16.0 - index} for index in range(4)]
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        order = await lives.scsp.send_plan(session_id, PROFILE | {"charging_profile_period": periods})
        await lives.scsp.wait_result(order.response_id, 60)
    await asyncio.sleep(1000)
    async with lives.life():
        lives.stations.tell("connected")
        await asyncio.sleep(1)
        schedule = lives.stations.sent("SetChargingProfile")[-1]["chargingProfile"]["chargingSchedule"][0]
        assert [one["limit"] for one in schedule["chargingSchedulePeriod"]] == [15.0, 13.0]


async def test_a_limit_on_its_way_arrives_after_a_restart(lives: _Lives) -> None:
    """A DSO limits an EVSE where a session then begins; killed before the station answers, the bench brings it again, once."""
    profile = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 6.0}]}
    async with lives.life() as cpo:
        await cpo.platform.arbiter.limit((STATION, 1), "DSO", "DSO", ChargingProfile.model_validate(profile))
        lives.lose_the_answers("SetChargingProfile")
        lives.stations.transaction("Started", wh=1000)
        await asyncio.sleep(1)
    lives.find_the_answers()
    lives.stations.calls.clear()
    async with lives.life():
        for _ in range(2):
            lives.stations.tell("disconnected")
            lives.stations.tell("connected")
            await asyncio.sleep(1)
        (sent,) = lives.stations.sent("SetChargingProfile")
    assert sent["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 6.0}]


async def test_the_file_is_its_owners_alone_and_there_before_the_answer(lives: _Lives) -> None:
    """It holds tokens; and at the moment of the synchronous ACCEPTED the promise stands in it."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        lives.lose_the_answers("SetChargingProfile")
        order = await lives.scsp.send_plan(session_id, PROFILE)
        saved = JsonStore(lives.path).load()
    assert saved is not None
    assert [one["response_url"].rpartition("/")[2] for one in saved["promises"]] == [order.response_id]
    assert lives.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in lives.path.parent.iterdir()] == ["store.json"]


async def test_a_promise_that_cannot_be_kept_is_not_given(lives: _Lives) -> None:
    """The disk is gone: no ACCEPTED (3000), no result, no place held; the station is left alone."""
    async with lives.life() as cpo:
        session_id = await lives.begin(cpo)
        (lives.path.parent / "store.json.tmp").mkdir()
        order = await lives.scsp.send_plan(session_id, PROFILE)
        await asyncio.sleep(60)
        assert cpo.platform.sessions.running()[0].steering.claims == {}
    assert (order.answer.get("result"), order.result) == (None, None)
    assert lives.stations.calls == []
    assert lives.found("not_saved")


async def test_a_file_that_is_no_store_is_named(lives: _Lives) -> None:
    """Whoever named a wrong file is told which, before anything is served."""
    lives.path.write_text("[]")
    with pytest.raises(UsageError, match=r"store\.json: this is no store"):
        async with lives.life():
            pass


@pytest.mark.parametrize("kind", ["token", "session", "document"])
async def test_a_store_of_something_else_is_named_without_what_stands_in_it(lives: _Lives, kind: str) -> None:
    """It is JSON, and says that it is a store: such as one of another version. Its values may be tokens."""
    if kind == "document":
        lives.path.write_text('{"schema": 1, "platforms": [{"token_in": "s3cret-token-0123456789"}]}')
    else:
        JsonStore(lives.path).keep_rows(kind, {"one": {"uid": "s3cret-token-0123456789"}})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"store\.json: its content is none .* name another file or remove it") as error:
        async with lives.life():
            pass
    assert "s3cret" not in str(error.value)


async def test_a_store_of_an_earlier_version_is_named(lives: _Lives) -> None:
    """It had Tokens in the document, and what is over elsewhere: the next writing would take both away without a word."""
    async with lives.life() as cpo:
        await lives.begin(cpo)
    lives.path.write_text(json.dumps(json.loads(lives.path.read_text()) | {"tokens": []}))
    with pytest.raises(UsageError, match=r"store\.json: an earlier version has written it"):
        async with lives.life():
            pass


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_command_is_answered_after_a_restart(tmp_path: Path, version: str) -> None:
    """Whether the station obeyed cannot be read back: FAILED is told, where nothing was told before."""
    clock, addresses = LoopClock(EPOCH), AddressBook()
    async with (
        open_scsp(clock, SeededIds(1, "scsp"), addresses) as scsp,
        open_msp(clock, SeededIds(1, "msp"), addresses, version=version) as msp,
    ):
        lives = _Lives(scsp, addresses, clock, tmp_path / "store.json")
        msp.add_token("0123-CARD")
        async with lives.life() as cpo:
            await msp.register(cpo.versions_url, cpo.token_a)
            lives.lose_the_answers("RequestStartTransaction")
            order = await msp.start_session("0123-CARD", "test", evse_uid="CS-1-1")
            assert order.answer["result"] == "ACCEPTED"
        assert order.result is None
        async with lives.life():
            assert (await msp.wait_result(order.response_id, 60))["result"] == "FAILED"


@pytest.mark.parametrize("version", VERSIONS)
async def test_whose_session_it_is_survives(tmp_path: Path, version: str) -> None:
    """The Token that an eMSP has told, and the session that it may steer because of it."""
    clock, addresses = LoopClock(EPOCH), AddressBook()
    async with (
        open_scsp(clock, SeededIds(1, "scsp"), addresses) as scsp,
        open_msp(clock, SeededIds(1, "msp"), addresses, version=version) as msp,
    ):
        lives = _Lives(scsp, addresses, clock, tmp_path / "store.json")
        msp.add_token("0123-CARD")
        async with lives.life() as cpo:
            await msp.register(cpo.versions_url, cpo.token_a)
            await msp.push_token("0123-CARD")
            assert cpo.platform.authorization.decide(STATION, {"idToken": "0123-CARD", "type": "ISO14443"}) == "Accepted"
            lives.stations.transaction("Started", wh=1000, id_token="0123-CARD")
            session = await msp.wait_session(lambda one: True, 10)
        async with lives.life() as cpo:
            lives.stations.tell("connected")
            assert [one.uid for one in cpo.platform.tokens.all()] == ["0123-CARD"]
            order = await msp.send_plan(session["id"], PROFILE)
            assert await msp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}


async def test_what_a_driver_prefers_and_who_is_absent_survives(lives: _Lives) -> None:
    """Preferences were ACCEPTED, and a hub tells only what changes: neither is said a second time."""
    lives.settings = RigSettings.model_validate({**lives.settings.model_dump(by_alias=True), "ocpi": {"preferences": {}}})
    async with lives.life() as cpo:
        await lives.begin(cpo)
        (platform,), (record,) = cpo.platform.registry.platforms, cpo.platform.sessions.running()
        platform.parties = (*platform.parties, Party(PartyId("NL", "BEN"), "EMSP"))
        wanted = ChargingPreferences(profile_type="GREEN", energy_need=12.5)
        assert cpo.platform.preferences.set(platform, record.session_id, wanted) == "ACCEPTED"
        told = {"country_code": "NL", "party_id": "ABC", "role": "EMSP", "status": "OFFLINE"}
        told["last_updated"] = "2026-01-15T00:00:00Z"
        cpo.platform.clients.put(platform, PartyId("NL", "ABC"), ClientInfo.model_validate(told))
    async with lives.life() as cpo:
        assert cpo.platform.sessions.running()[0].preferences == wanted
        (platform,) = cpo.platform.registry.platforms
        assert platform.unreachable == {PartyId("NL", "ABC")}
        assert cpo.platform.clients.get(platform, PartyId("NL", "ABC")).plain() == told
