"""Calls from the CSMS to a station: deadlines, refusals, one at a time, and the report of installed profiles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import (
    CallRejectedError,
    CallTimeoutError,
    InvalidAnswerError,
    SchemaError,
    StationError,
    StationOfflineError,
)
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal

RESET = {"type": "Immediate"}


def findings(journal: MemoryJournal) -> list[str]:
    """Return the codes of all findings."""
    return [finding["code"] for finding in journal.of(Kind.FINDING)]


@pytest.fixture
def csms(clock: FakeClock, journal: MemoryJournal) -> Csms:
    """Return a CSMS on test doubles."""
    return new_csms(clock, journal)


async def test_call_returns_the_answer(csms: Csms) -> None:
    """The payload of the CALLRESULT."""
    async with attached(csms) as station:
        call = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        kind, message_id, action, payload = await station.hear()
        assert (kind, action, payload) == (2, "Reset", RESET)
        station.say(3, message_id, {"status": "Accepted"})
        assert await call == {"status": "Accepted"}


async def test_station_may_call_while_it_owes_an_answer(csms: Csms) -> None:
    """4.1.1: calls of both sides cross each other."""
    async with attached(csms) as station:
        call = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        message_id = (await station.hear())[1]
        assert "currentTime" in await station.ask("Heartbeat", {})
        station.say(3, message_id, {"status": "Accepted"})
        assert await call == {"status": "Accepted"}


async def test_calls_wait_for_one_another(csms: Csms) -> None:
    """One outstanding call per connection; the second one's frame follows the first one's answer."""
    async with attached(csms) as station:
        calls = [asyncio.create_task(csms.call("CS-1", "Reset", {"type": kind})) for kind in ("Immediate", "OnIdle")]
        heard = []
        for _ in calls:
            _, message_id, _, payload = await station.hear()
            assert station.silent()
            heard.append(payload["type"])
            station.say(3, message_id, {"status": "Accepted"})
        await asyncio.gather(*calls)
    assert heard == ["Immediate", "OnIdle"]


@pytest.mark.virtual
async def test_deadline_ends_a_call_and_its_late_answer_is_a_finding(csms: Csms, journal: MemoryJournal) -> None:
    """The outcome is unknown; the next call goes on, and the late answer does not end it."""
    async with attached(csms) as station:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(CallTimeoutError, match="Reset within 5 s"):
            await csms.call("CS-1", "Reset", RESET, timeout_s=5)
        assert asyncio.get_running_loop().time() - begin == pytest.approx(5)
        late = (await station.hear())[1]
        call = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        in_time = (await station.hear())[1]
        station.say(3, late, {"status": "Rejected"})
        station.say(3, in_time, {"status": "Accepted"})
        assert await call == {"status": "Accepted"}
    assert findings(journal) == ["late_answer"]


async def test_cancelled_call_leaves_the_line_free(csms: Csms) -> None:
    """Ctrl-C during a call must not block the safe state."""
    async with attached(csms) as station:
        first = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        await station.hear()
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        station.say(3, (await station.hear())[1], {"status": "Accepted"})
        assert await second == {"status": "Accepted"}


async def test_callerror_is_raised_and_not_implemented_is_a_finding(csms: Csms, journal: MemoryJournal) -> None:
    """A station that does not know the action goes on charging; the report tells it."""
    async with attached(csms) as station:
        call = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        station.say(4, (await station.hear())[1], "NotImplemented", "what?", {})
        with pytest.raises(CallRejectedError, match="CALLERROR NotImplemented: what"):
            await call
    assert findings(journal) == ["not_implemented"]


async def test_invalid_answer_is_not_handed_on(csms: Csms, journal: MemoryJournal) -> None:
    """A caller may rely on the schema, unless it asked for the raw answer."""
    async with attached(csms) as station:
        for check in (True, False):
            call = asyncio.create_task(csms.call("CS-1", "Reset", RESET, check=check))
            station.say(3, (await station.hear())[1], {"status": "Perhaps"})
            if check:
                with pytest.raises(InvalidAnswerError, match="status"):
                    await call
            else:
                assert await call == {"status": "Perhaps"}
    assert findings(journal) == ["invalid_result", "invalid_result"]


async def test_nothing_goes_to_a_station_that_is_not_there(csms: Csms) -> None:
    """Neither to one that never came nor to one that is unknown."""
    for station_id in ("CS-1", "CS-9"):
        with pytest.raises(StationOfflineError, match="not connected"):
            await csms.call(station_id, "Reset", RESET)


async def test_lost_connection_ends_the_call(csms: Csms) -> None:
    """At once, not at the deadline."""
    async with attached(csms) as station:
        call = asyncio.create_task(csms.call("CS-1", "Reset", RESET))
        await station.hear()
        station.drop()
        with pytest.raises(StationOfflineError, match="before the answer came"):
            await call


async def test_invalid_call_never_leaves(csms: Csms, journal: MemoryJournal) -> None:
    """Unless it is forced, for negative tests of a station."""
    async with attached(csms) as station:
        with pytest.raises(SchemaError):
            await csms.call("CS-1", "Reset", {"type": "Hard"})
        assert journal.of(Kind.OCPP_FRAME) == []
        forced = asyncio.create_task(csms.call("CS-1", "Reset", {"type": "Hard"}, check=False))
        station.say(4, (await station.hear())[1], "PropertyConstraintViolation", "", {})
        with pytest.raises(StationError):
            await forced


def part(request_id: int, profile_id: int, evse_id: int, tbc: bool) -> dict[str, Any]:
    """Return one ReportChargingProfilesRequest."""
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]}
    profile = {"id": profile_id, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
               "chargingProfileKind": "Absolute", "chargingSchedule": [schedule]}  # fmt: skip
    return {"requestId": request_id, "chargingLimitSource": "CSO", "evseId": evse_id, "tbc": tbc,
            "chargingProfile": [profile]}  # fmt: skip


async def asked(station: MemoryLink, status: str) -> int:
    """Answer a GetChargingProfiles and return its requestId."""
    _, message_id, action, payload = await station.hear()
    assert action == "GetChargingProfiles"
    station.say(3, message_id, {"status": status})
    request_id: int = payload["requestId"]
    return request_id


async def test_installed_profiles_come_in_parts(csms: Csms) -> None:
    """K09: all parts of one report, in order."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.installed_profiles("CS-1"))
        request_id = await asked(station, "Accepted")
        assert await station.ask("ReportChargingProfiles", part(request_id, 11, 0, True)) == {}
        assert await station.ask("ReportChargingProfiles", part(request_id, 12, 1, False)) == {}
        profiles = await reading
    assert [(one["evse_id"], one["profile"]["id"], one["source"]) for one in profiles] == [(0, 11, "CSO"), (1, 12, "CSO")]
    assert csms.stations["CS-1"].reports == {}


async def test_no_installed_profiles(csms: Csms) -> None:
    """NoProfiles is an answer, not an error."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.installed_profiles("CS-1", 1))
        await asked(station, "NoProfiles")
        assert await reading == []


@pytest.mark.virtual
async def test_incomplete_report_times_out(csms: Csms, journal: MemoryJournal) -> None:
    """And what comes later is a finding."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.installed_profiles("CS-1"))
        request_id = await asked(station, "Accepted")
        await station.ask("ReportChargingProfiles", part(request_id, 11, 0, True))
        with pytest.raises(CallTimeoutError, match="ReportChargingProfiles"):
            await reading
        await station.ask("ReportChargingProfiles", part(request_id, 12, 0, False))
    assert findings(journal) == ["unexpected_report"]
