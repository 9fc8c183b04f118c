"""A limit on the spot keeps its place while it lasts, and reaches each session of its EVSE, also one that begins meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.cso.arbiter import Arbiter
from bench.wire.ocpi.profiles import ChargingProfile
from tests.ocpi_rig import PROFILE, STATION, OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual

EVSE = (STATION, 1)


def _limit(amperes: float, start: str = "2026-01-15T00:00:00Z", **more: Any) -> ChargingProfile:
    periods = [{"start_period": 0, "limit": amperes}]
    told = {"start_date_time": start, "charging_rate_unit": "A", "charging_profile_period": periods}
    return ChargingProfile.model_validate(told | more)


async def _ordered(rig: OcpiRig, session_id: str) -> str:
    """Let the SCSP set PROFILE; return how it was answered, or the word of its result where that was ACCEPTED."""
    order = await rig.scsp.send_plan(session_id, PROFILE)
    if order.answer["result"] != "ACCEPTED":
        return str(order.answer["result"])
    return str((await rig.scsp.wait_result(order.response_id, 60))["result"])


def _limits(rig: OcpiRig, transaction_id: str) -> list[float]:
    """Return the first limit of each profile that a transaction was given."""
    profiles = [one["chargingProfile"] for one in rig.stations.sent("SetChargingProfile")]
    schedules = [one["chargingSchedule"][0] for one in profiles if one["transactionId"] == transaction_id]
    return [one["chargingSchedulePeriod"][0]["limit"] for one in schedules]


def _answered_late(rig: OcpiRig, action: str) -> asyncio.Future[dict[str, Any]]:
    """Return what answers the next call of an action; calls after it are answered at once."""
    late = rig.stations.answers[action] = asyncio.get_running_loop().create_future()
    return late


async def test_a_limit_that_is_over_holds_its_place_no_more() -> None:
    """one_writer: refused while the DSO's limit lasts, ACCEPTED after it; the DSO's release of it then changes nothing."""
    async with open_ocpi_rig() as rig:
        session_id, arbiter = await rig.session(), rig.cpo.platform.arbiter
        assert (await arbiter.limit(EVSE, "DSO", "DSO", _limit(10, duration=600))).word == "ACCEPTED"
        assert await _ordered(rig, session_id) == "REJECTED"
        await asyncio.sleep(600)
        assert await _ordered(rig, session_id) == "ACCEPTED"
        assert (await arbiter.release(EVSE, "DSO")).word == "ACCEPTED"
        assert rig.stations.sent("ClearChargingProfile") == []
        assert _limits(rig, "tx-1") == [10.0, 16.0]


async def test_who_has_lost_its_place_does_not_take_it_back() -> None:
    """one_writer: the DSO's next limit comes after the SCSP's profile, as any other's."""
    async with open_ocpi_rig() as rig:
        session_id, arbiter = await rig.session(), rig.cpo.platform.arbiter
        await arbiter.limit(EVSE, "DSO", "DSO", _limit(10, duration=600))
        await asyncio.sleep(600)
        await _ordered(rig, session_id)
        assert (await arbiter.limit(EVSE, "DSO", "DSO", _limit(8))).word == "REJECTED"


async def test_who_has_lost_its_place_comes_last_where_nobody_charges() -> None:
    """one_writer: the BEMS has the place that the DSO has lost, also against the DSO's next limit."""
    async with open_ocpi_rig() as rig:
        arbiter = rig.cpo.platform.arbiter
        await arbiter.limit(EVSE, "DSO", "DSO", _limit(10, duration=600))
        await asyncio.sleep(600)
        await arbiter.limit(EVSE, "BEMS", "BEMS", _limit(8))
        await arbiter.limit(EVSE, "DSO", "DSO", _limit(9))
        await rig.session()
        await asyncio.sleep(1)
        assert _limits(rig, "tx-1") == [8.0]


async def test_who_follows_on_a_place_is_brought_to_the_session_that_runs() -> None:
    """one_writer: two limited while nobody charged; the second counts as soon as the first is over, and nobody has to say so."""
    async with open_ocpi_rig() as rig:
        arbiter = rig.cpo.platform.arbiter
        await arbiter.limit(EVSE, "DSO", "DSO", _limit(10, duration=600))
        await arbiter.limit(EVSE, "BEMS", "BEMS", _limit(8))
        await rig.session()
        await asyncio.sleep(599)
        assert _limits(rig, "tx-1") == [10.0]
        await asyncio.sleep(2)
        assert _limits(rig, "tx-1") == [10.0, 8.0]


async def test_a_limit_that_is_over_is_cleared_where_nothing_follows_it() -> None:
    """Its release reaches the station, whose clock may be behind."""
    async with open_ocpi_rig() as rig:
        await rig.session()
        await rig.cpo.platform.arbiter.limit(EVSE, "DSO", "DSO", _limit(10, duration=600))
        await asyncio.sleep(600)
        assert (await rig.cpo.platform.arbiter.release(EVSE, "DSO")).word == "ACCEPTED"
        assert len(rig.stations.sent("ClearChargingProfile")) == 1


async def test_a_limit_that_is_over_when_it_comes_is_refused() -> None:
    """Nothing of it is left to give to the session that runs."""
    async with open_ocpi_rig() as rig:
        await rig.session()
        outcome = await rig.cpo.platform.arbiter.limit(EVSE, "DSO", "DSO", _limit(10, "2026-01-14T00:00:00Z", duration=600))
        assert (outcome.word, outcome.reason) == ("REJECTED", "nothing of the schedule is left")


async def test_a_limit_that_has_not_begun_holds_its_place() -> None:
    """one_writer: who came first has it, whenever its limit begins."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        await rig.cpo.platform.arbiter.limit(EVSE, "DSO", "DSO", _limit(10, "2026-01-15T01:00:00Z", duration=600))
        assert await _ordered(rig, session_id) == "REJECTED"


async def test_a_partys_profile_that_is_over_holds_its_place() -> None:
    """one_writer: until its DELETE or the end of the session."""
    async with open_ocpi_rig() as rig:
        await rig.placed()
        await asyncio.sleep(3600)
        assert (await rig.cpo.platform.arbiter.limit(EVSE, "DSO", "DSO", _limit(8))).word == "REJECTED"


async def _while_limiting(rig: OcpiRig, arbiter: Arbiter, *phases: tuple[str, str]) -> str:
    """Limit the EVSE to 10 A, and let transaction events happen before the station has answered; return the word."""
    late = _answered_late(rig, "SetChargingProfile")
    limiting = asyncio.create_task(arbiter.limit(EVSE, "DSO", "DSO", _limit(10)))
    await asyncio.sleep(1)
    rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
    for phase, transaction_id in phases:
        rig.stations.transaction(phase, transaction_id)
    await asyncio.sleep(1)
    late.set_result({"status": "Accepted"} if ("Ended", "tx-1") not in phases else {"status": "Rejected"})
    word = (await limiting).word
    await asyncio.sleep(1)
    return word


async def test_a_session_that_begins_while_its_evse_is_limited_is_limited_once() -> None:
    """It began before the limit counted, and was not among the sessions that the limit found."""
    async with open_ocpi_rig(policy="minimum") as rig:
        await rig.session()
        assert await _while_limiting(rig, rig.cpo.platform.arbiter, ("Started", "tx-2")) == "ACCEPTED"
        assert (_limits(rig, "tx-1"), _limits(rig, "tx-2")) == ([10.0], [10.0])
        rig.stations.transaction("Started", "tx-3")
        await asyncio.sleep(1)
        assert _limits(rig, "tx-3") == [10.0]


async def test_a_session_that_follows_another_while_it_is_limited_is_limited() -> None:
    """The station refuses the limit of the transaction that has ended: that is no refusal of the EVSE's."""
    async with open_ocpi_rig(policy="minimum") as rig:
        await rig.session()
        assert await _while_limiting(rig, rig.cpo.platform.arbiter, ("Ended", "tx-1"), ("Started", "tx-2")) == "ACCEPTED"
        assert _limits(rig, "tx-2") == [10.0]


async def test_a_limit_stands_where_its_session_ends_meanwhile() -> None:
    """Nobody charges any more: it is kept for the sessions to come."""
    async with open_ocpi_rig(policy="minimum") as rig:
        await rig.session()
        assert await _while_limiting(rig, rig.cpo.platform.arbiter, ("Ended", "tx-1")) == "ACCEPTED"
        rig.stations.transaction("Started", "tx-2")
        await asyncio.sleep(1)
        assert _limits(rig, "tx-2") == [10.0]


async def test_a_session_that_begins_during_a_release_keeps_nothing_of_the_limit() -> None:
    """minimum: it opened with both limits; then the other one goes on alone, or none does."""
    for others in (0, 1):
        async with open_ocpi_rig(policy="minimum") as rig:
            arbiter = rig.cpo.platform.arbiter
            await rig.session()
            await arbiter.limit(EVSE, "DSO", "DSO", _limit(10))
            for _ in range(others):
                await arbiter.limit(EVSE, "BEMS", "BEMS", _limit(12))
            action = "SetChargingProfile" if others else "ClearChargingProfile"
            right, late = rig.stations.answers[action], _answered_late(rig, action)
            releasing = asyncio.create_task(arbiter.release(EVSE, "DSO"))
            await asyncio.sleep(1)
            rig.stations.answers[action] = right
            rig.stations.transaction("Started", "tx-2")
            await asyncio.sleep(1)
            late.set_result(right)
            assert (await releasing).word == "ACCEPTED"
            await asyncio.sleep(1)
            assert _limits(rig, "tx-2") == [10.0, 12.0][: others + 1]
            assert len(rig.stations.sent("ClearChargingProfile")) == (0 if others else 2)


async def test_a_release_takes_no_limit_that_was_set_meanwhile() -> None:
    """The session ended before the station had answered, so that the new limit had nothing to wait for: it was ACCEPTED."""
    async with open_ocpi_rig(policy="minimum") as rig:
        arbiter = rig.cpo.platform.arbiter
        await rig.session()
        await arbiter.limit(EVSE, "DSO", "DSO", _limit(10))
        late = _answered_late(rig, "ClearChargingProfile")
        releasing = asyncio.create_task(arbiter.release(EVSE, "DSO"))
        await asyncio.sleep(1)
        rig.stations.transaction("Ended")
        assert (await arbiter.limit(EVSE, "DSO", "DSO", _limit(8))).word == "ACCEPTED"
        late.set_result({"status": "Accepted"})
        assert (await releasing).word == "ACCEPTED"
        rig.stations.transaction("Started", "tx-2")
        await asyncio.sleep(1)
        assert _limits(rig, "tx-2") == [8.0]


async def test_a_session_that_was_limited_is_not_limited_again_by_its_first_event() -> None:
    """What a station tells late opens a session without asking for its limits; the limit comes, then an event in time."""
    async with open_ocpi_rig(policy="minimum") as rig:
        rig.stations.transaction("Started", offline=True)
        await rig.cpo.platform.arbiter.limit(EVSE, "DSO", "DSO", _limit(10))
        rig.stations.transaction("Updated")
        await asyncio.sleep(1)
        assert _limits(rig, "tx-1") == [10.0]
