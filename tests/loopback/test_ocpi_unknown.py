"""The station did not answer in time: nobody knows what it holds, so what counts is brought to it again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.json_store import JsonStore
from bench.adapters.ocpi_client import AddressBook
from bench.cso.arbitration import Policy
from bench.errors import CallRejectedError, CallTimeoutError
from bench.peers.scsp import open_scsp
from bench.rig.cpo import open_cpo
from bench.wire.ocpi.profiles import ChargingProfile
from tests.ocpi_rig import PROFILE, STATION, OcpiRig, ScriptedStations, open_ocpi_rig, rig_settings
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual


def _flat(limit: float) -> dict[str, Any]:
    return PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": limit}]}


def _limits(stations: ScriptedStations) -> list[float]:
    sent = [one["chargingProfile"]["chargingSchedule"][0] for one in stations.sent("SetChargingProfile")]
    return [one["chargingSchedulePeriod"][0]["limit"] for one in sent]


async def _put(rig: OcpiRig, session_id: str, limit: float) -> Any:
    order = await rig.scsp.send_plan(session_id, _flat(limit))
    return (await rig.scsp.wait_result(order.response_id, 60))["result"]


@pytest.mark.parametrize(("policy", "limits"), [("one_writer", [6.0, 16.0, 6.0]), ("minimum", [10.0, 6.0, 10.0, 6.0])])
async def test_a_higher_limit_without_an_answer_is_taken_back(policy: Policy, limits: list[float]) -> None:
    """Its writer was told REJECTED and so counts on the former 6 A, which the station may have lost."""
    async with open_ocpi_rig(policy=policy) as rig:
        session_id = await rig.session()
        if policy == "minimum":
            await rig.cpo.platform.arbiter.limit(session_id, "site", "BEMS", ChargingProfile.model_validate(_flat(10.0)))
        assert await _put(rig, session_id, 6.0) == "ACCEPTED"
        rig.stations.answers["SetChargingProfile"] = CallTimeoutError("no answer")
        assert await _put(rig, session_id, 16.0) == "REJECTED"
        rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
        await asyncio.sleep(120)
        tried = _limits(rig.stations)
        assert (tried[: len(limits) - 1], set(tried[len(limits) - 1 :])) == (limits[:-1], {6.0})


async def test_a_delete_without_an_answer_leaves_the_profile_in_force() -> None:
    """REJECTED: the party's limit still counts, and the station may have cleared it."""
    async with open_ocpi_rig() as rig:
        session_id, _ = await rig.placed()
        rig.stations.answers["ClearChargingProfile"] = CallTimeoutError("no answer")
        order = await rig.scsp.delete(session_id)
        assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
        await asyncio.sleep(120)
        assert _limits(rig.stations) == [16.0, 16.0]


async def test_a_refusal_is_an_answer() -> None:
    """After a CALLERROR the station holds what it held: nothing is sent again."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        assert await _put(rig, session_id, 6.0) == "ACCEPTED"
        rig.stations.answers["SetChargingProfile"] = CallRejectedError("SetChargingProfile", "InternalError", "no")
        assert await _put(rig, session_id, 16.0) == "REJECTED"
        await asyncio.sleep(120)
        assert _limits(rig.stations) == [6.0, 16.0]


async def test_a_restart_brings_back_what_counts(tmp_path: Path) -> None:
    """Killed while a PUT is in the air, and the station stays away: the writer is told REJECTED, and its 6 A return."""
    store = JsonStore(tmp_path / "ocpi.json")
    async with AsyncExitStack() as stack:
        clock, addresses = LoopClock(EPOCH), AddressBook()
        scsp = await stack.enter_async_context(open_scsp(clock, SeededIds(1, "scsp"), addresses))
        stations, settings, journal = ScriptedStations(), rig_settings(), MemoryJournal()
        async with open_cpo(settings, clock, journal, SeededIds(1, "cpo"), stations, addresses, store=store) as cpo:
            await scsp.register(cpo.versions_url, cpo.token_a)
            stations.transaction("Started", wh=1000)
            session_id = (await scsp.wait_session(lambda one: True, 10))["id"]
            order = await scsp.send_plan(session_id, _flat(6.0))
            assert await scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
            stations.answers["SetChargingProfile"] = asyncio.get_running_loop().create_future()
            order = await scsp.send_plan(session_id, _flat(16.0))
            stations.transaction("Updated", wh=1100)  # with which the state is saved
        stations.answers["SetChargingProfile"] = {"status": "Accepted"}
        stations.calls.clear()
        async with open_cpo(settings, clock, journal, SeededIds(2, "cpo"), stations, addresses, store=store):
            assert await scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
            await asyncio.sleep(120)
    assert set(_limits(stations)) == {6.0}


async def test_a_limit_on_an_evse_outlives_a_restart(tmp_path: Path) -> None:
    """The DSO's 8 A rule the PUT of 14 A that comes in the new life."""
    store = JsonStore(tmp_path / "ocpi.json")
    async with AsyncExitStack() as stack:
        clock, addresses = LoopClock(EPOCH), AddressBook()
        scsp = await stack.enter_async_context(open_scsp(clock, SeededIds(1, "scsp"), addresses))
        stations, parts = ScriptedStations(), (rig_settings(), clock, MemoryJournal())
        async with open_cpo(*parts, SeededIds(1, "cpo"), stations, addresses, store=store, policy="minimum") as cpo:
            await scsp.register(cpo.versions_url, cpo.token_a)
            await cpo.platform.arbiter.limit((STATION, 1), "grid", "DSO", ChargingProfile.model_validate(_flat(8.0)))
        async with open_cpo(*parts, SeededIds(2, "cpo"), stations, addresses, store=store, policy="minimum"):
            stations.transaction("Started", wh=1000)
            session_id = (await scsp.wait_session(lambda one: True, 10))["id"]
            order = await scsp.send_plan(session_id, _flat(14.0))
            assert await scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    assert set(_limits(stations)) == {8.0}
