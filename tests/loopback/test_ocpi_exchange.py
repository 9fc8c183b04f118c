"""The whole OCPI story on real sockets, in virtual time: one process, both ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock, VirtualLoop
from bench.adapters.journal import open_journal
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import PROFILE, open_ocpi_rig
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual


@pytest.mark.every_loop
async def test_a_profile_goes_all_the_way_and_back() -> None:
    """Handshake, session, PUT, result, push, GET, DELETE, end: each step works, and neither side finds fault."""
    async with open_ocpi_rig() as rig:
        session_id, word = await rig.placed()
        assert word == "ACCEPTED"
        assert rig.scsp.pushes[0].profile["charging_profile"]["charging_profile_period"] == PROFILE["charging_profile_period"]
        active = await rig.scsp.get_active(session_id, 3600)
        assert (await rig.scsp.wait_result(active.response_id, 60))["profile"]["charging_profile"]["duration"] == 3600
        cleared = await rig.scsp.delete(session_id)
        assert (await rig.scsp.wait_result(cleared.response_id, 60)) == {"result": "ACCEPTED"}
        rig.stations.transaction("Ended", wh=6000)
        assert await rig.scsp.wait_until(lambda: rig.scsp.sessions[session_id]["status"] == "COMPLETED", 10)
        assert rig.scsp.sessions[session_id]["kwh"] == 5.0
        assert rig.scsp.findings == []
        assert isinstance(rig.journal, MemoryJournal)
        assert rig.journal.of("finding") == []


async def test_an_idle_hour_costs_next_to_nothing() -> None:
    """Nothing ticks: an hour without traffic passes in a handful of loop iterations."""
    async with open_ocpi_rig() as rig:
        await rig.placed()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        before = loop.iterations
        await asyncio.sleep(3600)
        assert loop.iterations - before < 20


async def test_a_kept_connection_that_the_server_dropped_is_replaced() -> None:
    """After hours of silence the next request works."""
    async with open_ocpi_rig() as rig:
        session_id, _ = await rig.placed()
        for _ in range(2):
            await asyncio.sleep(3600)
            order = await rig.scsp.get_active(session_id, 60)
            assert (await rig.scsp.wait_result(order.response_id, 60))["result"] == "ACCEPTED"


def _tell_the_story(path: Path) -> tuple[bytes, list[str]]:
    """Return the journal of a small run, and all tokens that were in use."""
    tokens: list[str] = []

    async def story() -> None:
        clock = LoopClock(EPOCH)
        with open_journal(path, clock, b"key") as journal:
            async with open_ocpi_rig(journal, clock) as rig:
                session_id, _ = await rig.placed()
                registered = rig.cpo.platform.registry.platforms[0]
                tokens.extend([rig.cpo.token_a, registered.token_in, registered.token_out])
                await asyncio.sleep(1200)
                order = await rig.scsp.delete(session_id)
                await rig.scsp.wait_result(order.response_id, 60)
                rig.stations.transaction("Ended", wh=6000)
                await rig.scsp.wait_until(lambda: rig.scsp.sessions[session_id]["status"] == "COMPLETED", 10)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())
    return path.read_bytes(), tokens


def test_two_runs_tell_the_same_story_byte_for_byte(tmp_path: Path) -> None:
    """Same seed, other ports: the journals are identical, and no port is in them."""
    (first, _), (second, _) = _tell_the_story(tmp_path / "1.jsonl"), _tell_the_story(tmp_path / "2.jsonl")
    assert first == second
    assert first.count(b"ocpi.request") == first.count(b"ocpi.response") >= 12
    assert b"127.0.0.1" not in first


def test_no_token_reaches_the_evidence(tmp_path: Path) -> None:
    """transport, Authorization header: neither as it is nor in Base64, in headers or in bodies."""
    journal, tokens = _tell_the_story(tmp_path / "1.jsonl")
    for token in tokens:
        assert token.encode() not in journal
        assert encode_token(token).removeprefix("Token ").encode() not in journal


async def test_each_exchange_is_journalled_once() -> None:
    """Whatever is sent or received at the CSO has one request and one response, between named parties."""
    async with open_ocpi_rig() as rig:
        await rig.placed()
        await asyncio.sleep(1)
        assert isinstance(rig.journal, MemoryJournal)
        asked, answered = rig.journal.of("ocpi.request"), rig.journal.of("ocpi.response")
        assert [one["exchange"] for one in asked] == list(range(1, len(asked) + 1))
        assert sorted(one["exchange"] for one in answered) == [one["exchange"] for one in asked]
        put = next(one for one in asked if "chargingprofiles" in one["url"])
        assert (put["from"], put["to"], put["method"]) == ("NL-SCP", "NL-BEN", "PUT")
        assert put["url"].startswith("http://cso.bench/ocpi/2.3.0/chargingprofiles/S-")
        assert put["headers"]["authorization"] == "Token hmac:secret"


async def test_a_limit_leaves_before_its_answer_and_the_result_after_it() -> None:
    """The station does not wait for words about its limit; the answer comes before the result (mod_charging_profiles)."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        journal, seen = rig.journal, list[int]()
        assert isinstance(journal, MemoryJournal)
        call = rig.stations.call

        async def noting(*args: Any, **options: Any) -> dict[str, Any]:
            seen.append(len(journal.of("ocpi.response")))
            return await call(*args, **options)

        rig.stations.call = noting  # type: ignore[method-assign]
        order = await rig.scsp.send_plan(session_id, PROFILE)
        await rig.scsp.wait_result(order.response_id, 60)
        await asyncio.sleep(1)
        told = [one["exchange"] for one in journal.of("ocpi.response")]
        requests = {one["exchange"]: one for one in journal.of("ocpi.request")}
        put = next(one for one in requests.values() if one["method"] == "PUT" and "chargingprofiles" in one["url"])
        result = next(one for one in requests.values() if one["method"] == "POST" and "callbacks" in one["url"])
        assert seen[0] == told.index(put["exchange"])
        assert told.index(put["exchange"]) < told.index(result["exchange"])
