"""The CSMS lints a charging profile before it sends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.cso.csms import Csms
from bench.cso.profile_gate import BROKEN, BROKEN_ON_PURPOSE, Rules
from bench.domain.documents import Kind
from bench.errors import ProfileRuleError, SchemaError
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal
from tests.support_lint import default, schedule, tx

BAD = default(schedule({"startPeriod": 5, "limit": 16}))


@pytest.fixture
def csms(clock: FakeClock, journal: MemoryJournal) -> Csms:
    """Return a CSMS on test doubles."""
    return new_csms(clock, journal)


async def send(csms: Csms, station: MemoryLink, profile: dict[str, Any], evse_id: int = 1, rules: Rules = "refuse") -> Any:
    """Send a profile, which the station accepts, and return it as the station heard it."""
    request = {"evseId": evse_id, "chargingProfile": profile}
    call = asyncio.create_task(csms.call("CS-1", "SetChargingProfile", request, rules=rules))
    _, message_id, _, payload = await station.hear()
    station.say(3, message_id, {"status": "Accepted"})
    assert await call == {"status": "Accepted"}
    return payload["chargingProfile"]


def findings(journal: MemoryJournal) -> list[tuple[str, str, str]]:
    """Return source, code and text of each finding."""
    return [(one["source"], one["code"], one["text"]) for one in journal.of(Kind.FINDING)]


async def test_sound_profile_is_sent_in_silence(csms: Csms, journal: MemoryJournal) -> None:
    """Nothing to tell."""
    async with attached(csms) as station:
        assert await send(csms, station, default()) == default()
        assert findings(journal) == []


async def test_own_error_is_not_sent(csms: Csms) -> None:
    """The error names the requirement, and the station hears nothing."""
    async with attached(csms) as station:
        with pytest.raises(ProfileRuleError, match=r"the first startPeriod is 5 \(K01\.FR\.31") as error:
            await csms.call("CS-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": BAD})
        assert error.value.requirements == ("K01.FR.31",)
        assert station.silent()


async def test_profile_of_a_remote_start_is_linted(csms: Csms) -> None:
    """K05.FR.02."""
    token = {"idToken": "0123456789", "type": "Central"}
    request = {"remoteStartId": 1, "idToken": token, "evseId": 1, "chargingProfile": default()}
    async with attached(csms):
        with pytest.raises(ProfileRuleError, match=r"K05\.FR\.02"):
            await csms.call("CS-1", "RequestStartTransaction", request)


async def test_broken_on_purpose_is_sent_and_written_down(csms: Csms, journal: MemoryJournal) -> None:
    """A negative test: the journal says what was broken."""
    async with attached(csms) as station:
        assert await send(csms, station, BAD, rules="deliberate") == BAD
        text = "SetChargingProfile: chargingSchedule[0]: the first startPeriod is 5 (K01.FR.31, owed by CSMS)"
        assert findings(journal) == [("bench", BROKEN_ON_PURPOSE, text)]


async def test_what_only_the_station_has_to_refuse_is_sent(csms: Csms, journal: MemoryJournal) -> None:
    """K01.FR.28 is the station's: whether it refuses is what a test wants to know."""
    async with attached(csms) as station:
        await send(csms, station, default(), evse_id=9)
        assert [(code, "K01.FR.28" in text) for _, code, text in findings(journal)] == [(BROKEN, True)]


async def test_capacity_is_told_and_sent(csms: Csms, journal: MemoryJournal) -> None:
    """The target file may be wrong about it."""
    async with attached(csms) as station:
        await send(csms, station, default(stackLevel=10))
        assert [(code, "ProfileStackLevel" in text) for _, code, text in findings(journal)] == [(BROKEN, True)]


async def test_schema_breach_stays_the_codec_s(csms: Csms) -> None:
    """One error for it, the one there always was."""
    async with attached(csms):
        with pytest.raises(SchemaError):
            await csms.call("CS-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx(id="ten")})


async def test_transactions_count_as_the_station_told_them(csms: Csms, journal: MemoryJournal) -> None:
    """A TxProfile for the running transaction is sound; for another it is K01.FR.33."""
    event = {
        "eventType": "Started", "timestamp": "2026-01-05T08:00:00Z", "triggerReason": "CablePluggedIn", "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-1"}, "evse": {"id": 1},
    }  # fmt: skip
    async with attached(csms) as station:
        await station.ask("TransactionEvent", event)
        await send(csms, station, tx())
        assert findings(journal) == []
        await send(csms, station, tx(transactionId="tx-2"))
        assert [(code, "K01.FR.33" in text) for _, code, text in findings(journal)] == [(BROKEN, True)]
