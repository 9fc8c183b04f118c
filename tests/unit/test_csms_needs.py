"""ISO 15118 as the CSMS plays it: needs, profile, the EV's schedule, renegotiation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bench.cso.charging_needs import NeedsPolicy
from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import UsageError
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal

NOW = "2026-01-15T00:00:00Z"
AC = {"energyAmount": 13_800, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}
NEEDS: dict[str, Any] = {"evseId": 1, "chargingNeeds": {
    "requestedEnergyTransfer": "AC_three_phase", "departureTime": "2026-01-15T02:00:00Z",
    "acChargingParameters": AC}}  # fmt: skip


@pytest.fixture
async def csms(clock: FakeClock, journal: MemoryJournal) -> AsyncIterator[Csms]:
    """Return a CSMS that sends profiles without reading back."""
    made = new_csms(clock, journal, needs=NeedsPolicy(read_back=False))
    yield made
    await made.close()


async def start(station: MemoryLink) -> None:
    """Begin transaction T on EVSE 1."""
    event = {"eventType": "Started", "timestamp": NOW, "triggerReason": "CablePluggedIn", "seqNo": 0,
             "transactionInfo": {"transactionId": "T"}, "evse": {"id": 1}}  # fmt: skip
    await station.ask("TransactionEvent", event)


async def profile(station: MemoryLink, status: str = "Accepted") -> dict[str, Any]:
    """Answer the SetChargingProfile that has to come and return its profile."""
    _, number, action, payload = await station.hear()
    assert action == "SetChargingProfile"
    station.say(3, number, {"status": status})
    sent: dict[str, Any] = payload["chargingProfile"]
    return sent


def codes(journal: MemoryJournal) -> list[str]:
    """Return the codes of all findings."""
    return [finding["code"] for finding in journal.of(Kind.FINDING)]


def ev(limit: float, schedule_id: int = 1) -> dict[str, Any]:
    """Return a NotifyEVChargingScheduleRequest of one period."""
    periods = [{"startPeriod": 0, "limit": limit}]
    return {"timeBase": NOW, "evseId": 1, "chargingSchedule": {
        "id": schedule_id, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}}  # fmt: skip


async def test_accepted_needs_are_followed_by_a_profile(csms: Csms, journal: MemoryJournal) -> None:
    """K15.FR.02, FR.03, FR.07, FR.11, FR.18: the answer first, then one schedule of 10 A (13.8 kWh in 2 h on 3 x 230 V)."""
    async with attached(csms) as station:
        await start(station)
        assert await station.ask("NotifyEVChargingNeeds", NEEDS) == {"status": "Accepted"}
        sent = await profile(station)
        (schedule,) = sent["chargingSchedule"]
        assert (sent["transactionId"], schedule["chargingSchedulePeriod"][0]["limit"]) == ("T", 10.0)
        assert await station.ask("NotifyEVChargingSchedule", ev(10)) == {"status": "Accepted"}
    assert codes(journal) == []


async def test_an_ev_that_leaves_the_limits_is_rejected_and_renegotiated(csms: Csms, journal: MemoryJournal) -> None:
    """K15.FR.12, FR.13: three times, then the CSMS gives up; a new profile has the same id."""
    async with attached(csms) as station:
        await start(station)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        first = await profile(station)
        for _ in range(3):
            assert (await station.ask("NotifyEVChargingSchedule", ev(11)))["status"] == "Rejected"
            assert (await profile(station))["id"] == first["id"]
        assert (await station.ask("NotifyEVChargingSchedule", ev(11)))["status"] == "Rejected"
        await asyncio.sleep(0)
        assert station.silent()
    assert codes(journal).count("ev_schedule_outside") == 4
    assert codes(journal)[-1] == "renegotiation_given_up"


@pytest.mark.virtual
async def test_processing_sends_the_profile_later(csms: Csms) -> None:
    """K15.FR.05: the station need not wait; newer needs take the place of those that wait."""
    csms.needs.policy = NeedsPolicy("Processing", delay_s=90, schedules=3, read_back=False)
    async with attached(csms) as station:
        await start(station)
        assert await station.ask("NotifyEVChargingNeeds", NEEDS) == {"status": "Processing"}
        await asyncio.sleep(80)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        await asyncio.sleep(80)
        assert station.silent()
        assert len((await profile(station))["chargingSchedule"]) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evseId": 2}, "no transaction"), ({"evseId": 99}, "not part of this rig"), ({"evseId": 0}, "not part of this rig"),
        ({"chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"}}, "neither"),
        ({"chargingNeeds": {**NEEDS["chargingNeeds"], "acChargingParameters": {**AC, "energyAmount": -5}}}, "-5"),
    ],
)  # fmt: skip
async def test_needs_that_cannot_be_met_are_rejected(
    csms: Csms, journal: MemoryJournal, change: dict[str, Any], said: str
) -> None:
    """K15.FR.04: a valid answer and a finding that says why."""
    async with attached(csms) as station:
        await start(station)
        assert (await station.ask("NotifyEVChargingNeeds", {**NEEDS, **change}))["status"] == "Rejected"
        await asyncio.sleep(0)
        assert station.silent()
    assert said in journal.of(Kind.FINDING)[0]["text"]


async def test_the_csms_renegotiates(csms: Csms, journal: MemoryJournal) -> None:
    """K16.FR.12: needs that come nonetheless get a profile again, and a finding."""
    async with attached(csms) as station:
        with pytest.raises(UsageError, match="no transaction"):
            await csms.needs.renegotiate("CS-1", 1)
        await start(station)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        sent = await profile(station)
        again = asyncio.create_task(csms.needs.renegotiate("CS-1", 1, sent))
        await profile(station)
        assert await again == {"status": "Accepted"}
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        await profile(station)
    assert codes(journal) == ["needs_during_renegotiation"]


async def test_a_schedule_without_a_profile_is_rejected(csms: Csms, journal: MemoryJournal) -> None:
    """There is nothing that it could be compared with."""
    async with attached(csms) as station:
        assert (await station.ask("NotifyEVChargingSchedule", ev(6)))["status"] == "Rejected"
    assert codes(journal) == ["ev_schedule_unexpected"]


async def test_a_schedule_is_accepted_where_the_csms_gave_none(csms: Csms, journal: MemoryJournal) -> None:
    """Needs that were rejected, or told to nobody: there is no limit of the CSMS that the EV could leave (TC_K_54_CS)."""
    csms.needs.policy = NeedsPolicy("Rejected")
    async with attached(csms) as station:
        await start(station)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        assert (await station.ask("NotifyEVChargingSchedule", ev(16)))["status"] == "Accepted"
    assert csms.needs.heard("CS-1", 1, "NotifyEVChargingSchedule")[0] == 1
    assert codes(journal) == []


async def test_a_refused_profile_is_a_finding(csms: Csms, journal: MemoryJournal) -> None:
    """And what was agreed before still stands."""
    async with attached(csms) as station:
        await start(station)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        await profile(station, "Rejected")
        await asyncio.sleep(0)
        await station.ask("Heartbeat", {})
    assert codes(journal) == ["needs_profile_refused"]


async def test_closing_ends_what_is_under_way(csms: Csms) -> None:
    """A station that never answers its profile leaves no task behind."""
    async with attached(csms) as station:
        await start(station)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        await station.hear()
        await csms.close()


async def agreed(station: MemoryLink) -> dict[str, Any]:
    """Begin a transaction, tell the needs, agree on 10 A, and return the profile."""
    await start(station)
    await station.ask("NotifyEVChargingNeeds", NEEDS)
    sent = await profile(station)
    assert await station.ask("NotifyEVChargingSchedule", ev(10)) == {"status": "Accepted"}
    return sent


def with_tuples(most: int) -> dict[str, Any]:
    """Return needs of an EV that takes so many periods in a schedule."""
    return {**NEEDS, "maxScheduleTuples": most}


@pytest.mark.parametrize(("most", "periods"), [(1, [1]), (2, [1, 2, 2])])
async def test_new_needs_of_the_ev_are_met_by_a_new_profile(
    csms: Csms, journal: MemoryJournal, most: int, periods: list[int]
) -> None:
    """K17.FR.02, FR.03, FR.07, FR.08: Accepted, and at once up to three schedules of no more periods than the EV takes."""
    csms.needs.policy = NeedsPolicy(schedules=3, read_back=False)
    async with attached(csms) as station:
        first = await agreed(station)
        assert await station.ask("NotifyEVChargingNeeds", with_tuples(most)) == {"status": "Accepted"}
        sent = await profile(station)
    assert (sent["id"], sent["transactionId"]) == (first["id"], "T")
    assert [len(one["chargingSchedulePeriod"]) for one in sent["chargingSchedule"]] == periods
    assert codes(journal) == []


@pytest.mark.virtual
@pytest.mark.parametrize(("delay_s", "found"), [(59, []), (61, ["needs_profile_late"])])
async def test_a_profile_for_new_needs_has_a_minute(
    csms: Csms, clock: FakeClock, journal: MemoryJournal, delay_s: float, found: list[str]
) -> None:
    """K17.FR.08: 59 s are in time, 61 s are told."""
    async with attached(csms) as station:
        await agreed(station)
        csms.needs.policy = NeedsPolicy(delay_s=delay_s, read_back=False)
        await station.ask("NotifyEVChargingNeeds", NEEDS)
        clock.advance(delay_s)
        await asyncio.sleep(delay_s + 0.5)
        await profile(station)
    assert codes(journal) == found


@pytest.mark.virtual
@pytest.mark.parametrize(("status", "profiles"), [("Rejected", 0), ("Processing", 1)])
async def test_new_needs_may_wait_or_be_refused(csms: Csms, status: Any, profiles: int) -> None:
    """K17.FR.04, FR.05: no profile follows a refusal; one follows later where the CSMS is still at it."""
    async with attached(csms) as station:
        await agreed(station)
        csms.needs.policy = NeedsPolicy(status, delay_s=90, read_back=False)
        assert await station.ask("NotifyEVChargingNeeds", NEEDS) == {"status": status}
        await asyncio.sleep(80)
        assert station.silent()
        await asyncio.sleep(20)
        assert station.silent() == (not profiles)
        if profiles:
            await profile(station)


@pytest.mark.parametrize("by", ["CSMS", "EV"])
async def test_after_a_renegotiation_the_schedule_of_the_ev_is_judged_again(csms: Csms, by: str) -> None:
    """K16.FR.06 to FR.08, K17.FR.11 to FR.13: 11 A of 10 is Rejected and negotiated once more; 10 A is Accepted."""
    async with attached(csms) as station:
        first = await agreed(station)
        if by == "EV":
            await station.ask("NotifyEVChargingNeeds", NEEDS)
        else:
            asking = asyncio.create_task(csms.needs.renegotiate("CS-1", 1))
        await profile(station)
        if by == "CSMS":
            await asking
        assert (await station.ask("NotifyEVChargingSchedule", ev(11)))["status"] == "Rejected"
        assert (await profile(station))["id"] == first["id"]
        assert await station.ask("NotifyEVChargingSchedule", ev(10)) == {"status": "Accepted"}
        await asyncio.sleep(0)
        assert station.silent()


async def test_needs_are_met_in_the_time_that_the_station_is_served(csms: Csms) -> None:
    """A station whose clock was shifted by a day tells a departure, and gets a schedule, in that time."""
    csms.shift_clock("CS-1", timedelta(days=1))
    async with attached(csms) as station:
        await start(station)
        late = {"evseId": 1, "chargingNeeds": NEEDS["chargingNeeds"] | {"departureTime": "2026-01-16T02:00:00Z"}}
        assert (await station.ask("NotifyEVChargingNeeds", late)) == {"status": "Accepted"}
        schedule = (await profile(station))["chargingSchedule"][0]
        assert (schedule["startSchedule"], schedule["duration"]) == ("2026-01-16T00:00:00Z", 7200)
