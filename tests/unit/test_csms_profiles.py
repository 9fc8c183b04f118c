"""Intent and installed of charging profiles, kept apart, and what is told when they part."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.cso.csms import Csms
from bench.cso.profile_book import difference
from bench.domain.documents import Kind
from bench.errors import CallTimeoutError, UsageError
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal


@pytest.fixture
def csms(clock: FakeClock, journal: MemoryJournal) -> Csms:
    """Return a CSMS on test doubles."""
    return new_csms(clock, journal)


def profile(identity: int = 1, limit: float = 6, **more: Any) -> dict[str, Any]:
    """Return a TxDefaultProfile."""
    schedule = {"id": 1, "startSchedule": "2026-01-15T00:00:00Z", "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}  # fmt: skip
    return {"id": identity, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute", "chargingSchedule": [schedule], **more}  # fmt: skip


async def answer(station: MemoryLink, action: str, status: str) -> dict[str, Any]:
    """Answer the call that has to come and return its payload."""
    _, number, heard, payload = await station.hear()
    assert heard == action
    station.say(3, number, {"status": status})
    asked: dict[str, Any] = payload
    return asked


async def report(station: MemoryLink, *profiles: dict[str, Any], evse_id: int = 1) -> None:
    """Answer a read-back with these profiles."""
    asked = await answer(station, "GetChargingProfiles", "Accepted" if profiles else "NoProfiles")
    for index, one in enumerate(profiles):
        part = {"requestId": asked["requestId"], "chargingLimitSource": "CSO", "evseId": evse_id,
                "tbc": index + 1 < len(profiles), "chargingProfile": [one]}  # fmt: skip
        await station.ask("ReportChargingProfiles", part)


def findings(journal: MemoryJournal) -> list[tuple[str, str]]:
    """Return code and text of all findings."""
    return [(finding["code"], finding["text"]) for finding in journal.of(Kind.FINDING)]


async def test_a_profile_is_read_back_after_it_was_set(csms: Csms, journal: MemoryJournal) -> None:
    """6.0 for 6 and 3 phases for none are the same; nothing is told."""
    async with attached(csms) as station:
        setting = asyncio.create_task(csms.profiles.set("CS-1", 1, profile(), by="operator"))
        await answer(station, "SetChargingProfile", "Accepted")
        await report(station, profile(limit=6.0))
        assert await setting == {"status": "Accepted"}
    book = csms.profiles.book("CS-1")
    assert [(one.state, one.by) for one in book.intent.values()] == [("accepted", "operator")]
    assert [one.profile["id"] for one in book.installed or ()] == [1]
    assert findings(journal) == []


@pytest.mark.parametrize(
    ("status", "shown", "said"),
    [
        ("Accepted", [], "missing: profile 1 on EVSE 1"),
        ("Accepted", [profile(limit=7)], "chargingSchedulePeriod[0].limit: 7 for 6"),
        ("Accepted", [profile(), profile(5)], "unexpected: profile 5"),
        ("Rejected", [profile()], "which was refused"),
    ],
)
async def test_a_station_that_says_one_thing_and_reports_another(
    csms: Csms, journal: MemoryJournal, status: str, shown: list[dict[str, Any]], said: str
) -> None:
    """What was found at first is the station's own; after that each difference is told, once."""
    async with attached(csms) as station:
        if status == "Accepted":
            first = asyncio.create_task(csms.profiles.report("CS-1"))
            await report(station)
            await first
        setting = asyncio.create_task(csms.profiles.set("CS-1", 1, profile()))
        await answer(station, "SetChargingProfile", status)
        await report(station, *shown)
        await setting
        again = asyncio.create_task(csms.profiles.report("CS-1"))
        await report(station, *shown)
        await again
    assert [code for code, _ in findings(journal)] == ["intent_installed_differ"]
    assert said in findings(journal)[0][1]


@pytest.mark.virtual
@pytest.mark.parametrize("installed", [True, False])
async def test_a_time_out_is_unknown_until_the_read_back(csms: Csms, journal: MemoryJournal, installed: bool) -> None:
    """It is not a refusal: the profile may be there, and then it counts."""
    async with attached(csms) as station:
        setting = asyncio.create_task(csms.profiles.set("CS-1", 1, profile()))
        await station.hear()
        await asyncio.sleep(31)
        assert csms.profiles.book("CS-1").intent[1].state == "unknown"
        await report(station, *([profile()] if installed else []))
        with pytest.raises(CallTimeoutError, match="profile 1" if installed else "no profile"):
            await setting
    assert (1 in csms.profiles.book("CS-1").intent) == installed
    assert findings(journal) == []


async def test_profiles_are_sent_while_a_transaction_runs(csms: Csms) -> None:
    """K01.FR.01, FR.02, FR.08: at any time, a TxProfile for this transaction, and a default for those to come."""
    event = {"eventType": "Started", "timestamp": "2026-01-15T00:00:00Z", "triggerReason": "CablePluggedIn", "seqNo": 0,
             "transactionInfo": {"transactionId": "T"}, "evse": {"id": 1}}  # fmt: skip
    tx = profile(2, chargingProfilePurpose="TxProfile", transactionId="T")
    async with attached(csms) as station:
        await station.ask("TransactionEvent", event)
        for one in (tx, profile(1), {**tx, "stackLevel": 1}):
            setting = asyncio.create_task(csms.profiles.set("CS-1", 1, one, read_back=False))
            assert await answer(station, "SetChargingProfile", "Accepted") == {"evseId": 1, "chargingProfile": one}
            assert await setting == {"status": "Accepted"}
    assert {number: one.profile["chargingProfilePurpose"] for number, one in csms.profiles.book("CS-1").intent.items()} == {
        1: "TxDefaultProfile", 2: "TxProfile",
    }  # fmt: skip


@pytest.mark.parametrize("unit", [None, "W"])
async def test_the_composite_schedule_can_be_asked_for(csms: Csms, unit: str | None) -> None:
    """K08.FR.01: of the station (EVSE 0), for an hour, in W where that is wanted; the answer comes back as it is."""
    async with attached(csms) as station:
        asking = asyncio.create_task(csms.profiles.composite("CS-1", 0, 3600, unit))
        asked = await answer(station, "GetCompositeSchedule", "Rejected")
        assert asked == {"evseId": 0, "duration": 3600} | ({"chargingRateUnit": unit} if unit else {})
        assert await asking == {"status": "Rejected"}


async def test_cleared_profiles_are_no_longer_intended(csms: Csms, journal: MemoryJournal) -> None:
    """K10.FR.03: and one that stays nonetheless is told."""
    async with attached(csms) as station:
        setting = asyncio.create_task(csms.profiles.set("CS-1", 1, profile(), read_back=False))
        await answer(station, "SetChargingProfile", "Accepted")
        await setting
        clearing = asyncio.create_task(csms.profiles.clear("CS-1", criteria={"stackLevel": 0}))
        await answer(station, "ClearChargingProfile", "Accepted")
        await report(station, profile())
        await clearing
    assert csms.profiles.book("CS-1").intent == {}
    assert findings(journal)[0][0] == "intent_installed_differ"


async def test_rules_of_the_csms_are_kept_unless_it_is_deliberate(csms: Csms) -> None:
    """K09.FR.03, K10.FR.02, K10.FR.06, K05.FR.02."""
    profiles, token = csms.profiles, {"idToken": "TAG", "type": "Central"}
    external = {"chargingProfilePurpose": "ChargingStationExternalConstraints"}
    for wrong in (
        profiles.report("CS-1", ids=[1], stack_level=0), profiles.clear("CS-1"), profiles.clear("CS-1", criteria={}),
        profiles.clear("CS-1", criteria=external), profiles.clear("CS-1", profile_id=1, criteria={"stackLevel": 1}),
        profiles.request_start("CS-1", token, 1, profile()),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"K\d\d\.FR\.0\d"):
            await wrong


async def test_a_remote_start_is_bound_by_its_id(csms: Csms, journal: MemoryJournal) -> None:
    """K05.FR.01, F01: the TxProfile goes with the request; it belongs to, and ends with, the transaction with its id."""
    tx = profile(chargingProfilePurpose="TxProfile")
    event = {"timestamp": "2026-01-15T00:00:00Z", "triggerReason": "RemoteStart", "evse": {"id": 1}}
    async with attached(csms) as station:
        token = {"idToken": "TAG", "type": "Central"}
        starting = asyncio.create_task(csms.profiles.request_start("CS-1", token, 1, tx, read_back=False))
        asked = await answer(station, "RequestStartTransaction", "Accepted")
        remote, _ = await starting
        info = {"transactionId": "T", "remoteStartId": remote}
        assert (asked["remoteStartId"], asked["chargingProfile"]) == (remote, tx)
        await station.ask("TransactionEvent", {**event, "eventType": "Started", "seqNo": 0, "transactionInfo": info})
        assert csms.stations["CS-1"].remote_starts[remote].transaction_id == "T"
        assert csms.profiles.book("CS-1").intent[1].profile["transactionId"] == "T"
        await station.ask("TransactionEvent", {**event, "eventType": "Ended", "seqNo": 1, "transactionInfo": info})
    assert csms.profiles.book("CS-1").intent == {}
    assert findings(journal) == []


async def test_a_report_of_another_evse_is_told(csms: Csms, journal: MemoryJournal) -> None:
    """K09.FR.04; so is a profile that is reported twice."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.profiles.report("CS-1", evse_id=1))
        await report(station, profile(), profile(), evse_id=2)
        await reading
    assert [code for code, _ in findings(journal)] == ["report_not_asked_for", "report_repeated", "report_not_asked_for"]


async def test_the_end_of_a_transaction_is_followed_by_a_read_back_on_request(csms: Csms) -> None:
    """With `follow`, in the background; a boot does the same."""
    csms.profiles.follow = True
    async with attached(csms) as station:
        await station.ask("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}})
        await report(station)
    await csms.close()
    assert csms.profiles.book("CS-1").installed == ()


def test_meaning_is_compared_not_spelling() -> None:
    """Times in another notation are the same, another time is not."""
    assert difference({"validFrom": "2026-01-15T00:00:00Z"}, {"validFrom": "2026-01-15T01:00:00.000+01:00"}) == ""
    assert difference({"stackLevel": 1}, {"stackLevel": 2, "customData": {"vendorId": "v"}}) == "stackLevel: 2 for 1"


async def test_a_report_that_goes_on_for_ever_is_given_up(csms: Csms, clock: FakeClock) -> None:
    """A part that announces another each time keeps nobody waiting beyond twenty times the time of a call."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.installed_profiles("CS-1"))
        asked = await answer(station, "GetChargingProfiles", "Accepted")
        part = {"requestId": asked["requestId"], "chargingLimitSource": "CSO", "evseId": 1, "tbc": True}
        for number in range(25):
            clock.advance(csms.call_timeout_s - 1)
            await station.ask("ReportChargingProfiles", part | {"chargingProfile": [profile(number)]})
            await asyncio.sleep(0)
        with pytest.raises(CallTimeoutError, match="the last with tbc"):
            await asyncio.wait_for(reading, 1)
