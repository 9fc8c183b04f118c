"""What a restoration owes where a station cannot list its profiles, or goes on charging."""

from __future__ import annotations

import asyncio
import re

import pytest

from bench.domain.documents import Kind
from bench.rig.restore import stopped_text
from bench.runs.restore import Restorer
from bench.runs.snapshot import FLOOR_PROFILE_ID, Snapshot
from bench.runs.transactions import END_S, stop_transactions
from tests.stations import attached, new_csms
from tests.support import FakeClock, MemoryJournal


@pytest.mark.parametrize(("keep_floor", "cleared"), [(True, [7]), (False, [7, FLOOR_PROFILE_ID])])
async def test_a_floor_that_stays_is_a_difference(
    clock: FakeClock, journal: MemoryJournal, keep_floor: bool, cleared: list[int]
) -> None:
    """Where the store cannot be read, the 0 A profile of an abort is still owed: `bench restore` has to find that."""
    csms = new_csms(clock, journal)
    async with attached(csms) as station:
        schedule = {"id": 1, "startSchedule": "2026-01-15T00:00:00Z", "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0.0}]}  # fmt: skip
        floor = {"id": FLOOR_PROFILE_ID, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
                 "chargingProfileKind": "Absolute", "chargingSchedule": [schedule]}  # fmt: skip
        setting = asyncio.create_task(csms.call("CS-1", "SetChargingProfile", {"evseId": 0, "chargingProfile": floor}))
        station.say(3, (await station.hear())[1], {"status": "Accepted"})
        await setting
        snapshot = Snapshot("CS-1", profiles=None, taken=True)
        restorer = Restorer(csms, clock, journal, snapshot, keep_floor=keep_floor, own_ids=[7])
        restoring = asyncio.create_task(restorer.restore(1))
        for identity in cleared:
            _, number, action, payload = await station.hear()
            assert (action, payload) == ("ClearChargingProfile", {"chargingProfileId": identity})
            station.say(3, number, {"status": "Accepted"})
        restored = await restoring
    assert restored.clean is not keep_floor
    await csms.close()


@pytest.mark.virtual
@pytest.mark.parametrize(("status", "going_on"), [("Accepted", ["T"]), ("Rejected", []), ("", ["T"])])
async def test_what_may_still_run_is_told(clock: FakeClock, journal: MemoryJournal, status: str, going_on: list[str]) -> None:
    """Accepted and then no end, or no answer: it may still run; Rejected: the station knows no such transaction."""
    csms = new_csms(clock, journal)
    async with attached(csms) as station:
        stopping = asyncio.create_task(stop_transactions(csms, "CS-1", ["T"]))
        _, number, action, _ = await station.hear()
        assert action == "RequestStopTransaction"
        if status:
            station.say(3, number, {"status": status})
        assert (await stopping).going_on == going_on
    await csms.close()


@pytest.mark.virtual
@pytest.mark.parametrize(("ends", "in_haste"), [(True, False), (False, False), (False, True)])
async def test_what_a_station_tells_of_itself_has_to_end(
    clock: FakeClock, journal: MemoryJournal, ends: bool, in_haste: bool
) -> None:
    """Rejected is not enough there; its end may come late, as after a time offline, and is not waited for in haste."""
    csms = new_csms(clock, journal)
    info = {"transactionInfo": {"transactionId": "T"}, "triggerReason": "Trigger"}
    event = {"timestamp": "2026-01-15T00:00:00Z", "seqNo": 1, **info}
    begin = asyncio.get_running_loop().time()
    async with attached(csms) as station:
        await station.ask("TransactionEvent", {**event, "eventType": "Updated"})
        stopping = asyncio.create_task(stop_transactions(csms, "CS-1", ["T"], in_haste=in_haste))
        station.say(3, (await station.hear())[1], {"status": "Rejected"})
        if ends:
            await asyncio.sleep(10)
            await station.ask("TransactionEvent", {**event, "eventType": "Ended", "seqNo": 2})
        assert (await stopping).going_on == ([] if ends else ["T"])
    assert asyncio.get_running_loop().time() - begin == pytest.approx(10 if ends else 0 if in_haste else END_S, abs=0.1)
    await csms.close()


async def test_a_password_that_a_station_tells_is_a_secret(clock: FakeClock, journal: MemoryJournal) -> None:
    """BasicAuthPassword is to be written only; what a station tells of it all the same is kept out of the evidence."""
    csms = new_csms(clock, journal)
    place = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    async with attached(csms) as station:
        keeping = asyncio.create_task(Snapshot("CS-1").keep_variable(csms, journal, place))
        _, number, _, _ = await station.hear()
        result = place | {"attributeStatus": "Accepted", "attributeValue": "hunter2hunter2hunter2"}
        station.say(3, number, {"getVariableResult": [result]})
        await keeping
    assert "hunter2hunter2hunter2" not in str(journal.of(Kind.SNAPSHOT))
    await csms.close()


@pytest.mark.parametrize(
    ("answer", "going_on", "told"),
    [
        ("Accepted", False, "stopped transaction T"),
        ("Rejected", False, "transaction T is over: the station knows none such any more"),
        ("Rejected", True, "transaction T may still run: the station said no to stopping it .*End it at the station"),
        ("Accepted", True, "transaction T may still run: the station said that it stops, and told no end.*restore again"),
        ("CS: no answer within 30 s", True, "transaction T may still run: .*got no answer: CS: no answer within 30 s"),
    ],
)
def test_what_the_station_answered_is_told_in_words(answer: str, going_on: bool, told: str) -> None:
    """`Rejected` alone means two things; the operator reads which, and what is to be done."""
    assert re.match(told, stopped_text("T", answer, going_on=going_on))
