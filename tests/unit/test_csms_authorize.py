"""An identification token that somebody outside decides on: only the answer to its own CALL waits for that."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from tests.stations import attached, new_csms
from tests.support import FakeClock, MemoryJournal

TOKEN = {"idToken": "TAG-0815-4711", "type": "ISO14443"}
STARTED = {
    "eventType": "Started", "timestamp": "2026-01-15T00:00:00Z", "triggerReason": "Authorized", "seqNo": 0,
    "transactionInfo": {"transactionId": "t"}, "idToken": TOKEN, "evse": {"id": 1},
}  # fmt: skip


class Authority:
    """Decides when the test says so."""

    def __init__(self, csms: Csms) -> None:
        self.decision = asyncio.get_running_loop().create_future()
        self.events: list[dict[str, Any]] = []
        csms.authorize_by(lambda station, token: self._ask)
        csms.subscribe(lambda event: self.events.append(dict(event)))

    async def _ask(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self.decision
        return answer

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [one for one in self.events if one["event"] == event]


async def test_other_frames_do_not_wait_for_a_decision(clock: FakeClock, journal: MemoryJournal) -> None:
    """The Heartbeat that follows an Authorize is answered before it; the journal has the frames as they went."""
    authority = Authority(csms := new_csms(clock, journal))
    async with attached(csms) as station:
        station.say(2, "a", "Authorize", {"idToken": TOKEN})
        station.say(2, "b", "Heartbeat", {})
        assert (await station.hear())[1] == "b"
        authority.decision.set_result({"status": "Blocked"})
        assert await station.hear() == [3, "a", {"idTokenInfo": {"status": "Blocked"}}]
    frames = [frame["dir"] for frame in journal.of(Kind.OCPP_FRAME)]
    assert frames == ["in", "in", "out", "out"]
    assert authority.told("authorize")[0]["status"] == "Blocked"


async def test_a_transaction_is_told_once_its_token_is_decided(clock: FakeClock, journal: MemoryJournal) -> None:
    """The transaction's state is known at once; listeners hear of it with what became of the token."""
    authority = Authority(csms := new_csms(clock, journal))
    async with attached(csms) as station:
        station.say(2, "a", "TransactionEvent", STARTED)
        assert await csms.wait_until(lambda: "t" in csms.stations["CS-1"].transactions, 1)
        assert authority.told("transaction") == []
        authority.decision.set_result({"status": "Accepted"})
        assert (await station.hear())[2] == {"idTokenInfo": {"status": "Accepted"}}
    assert [(one["phase"], one["id_status"]) for one in authority.told("transaction")] == [("Started", "Accepted")]


async def test_a_decision_after_the_end_of_the_connection_is_noted(clock: FakeClock, journal: MemoryJournal) -> None:
    """It cannot be sent any more; what happened is told all the same."""
    authority = Authority(csms := new_csms(clock, journal))
    async with attached(csms) as station:
        station.say(2, "a", "TransactionEvent", STARTED)
        await csms.wait_until(lambda: "t" in csms.stations["CS-1"].transactions, 1)
    authority.decision.set_result({"status": "Accepted"})
    assert await csms.wait_until(lambda: bool(authority.told("transaction")), 1)
    assert [one["code"] for one in journal.of(Kind.FINDING)] == ["answer_not_sent"]
    await csms.close()


async def test_a_decision_that_fails_is_the_benchs_fault(clock: FakeClock, journal: MemoryJournal) -> None:
    """The station gets InternalError, and the transaction is told with a token that is not accepted."""
    authority = Authority(csms := new_csms(clock, journal))
    authority.decision.set_exception(ZeroDivisionError())
    async with attached(csms) as station:
        assert (await station.ask("TransactionEvent", STARTED))[2] == "InternalError"
    assert [one["id_status"] for one in authority.told("transaction")] == ["Invalid"]
    assert [one["code"] for one in journal.of(Kind.FINDING)] == ["bench_defect"]


async def test_the_csms_closes_while_a_decision_is_due(clock: FakeClock, journal: MemoryJournal) -> None:
    """Whoever decides may never do so; nothing is left running."""
    Authority(csms := new_csms(clock, journal))
    async with attached(csms) as station:
        station.say(2, "a", "Authorize", {"idToken": TOKEN})
        station.say(2, "b", "Heartbeat", {})
        assert (await station.hear())[1] == "b"
        await csms.close()
    assert [frame["dir"] for frame in journal.of(Kind.OCPP_FRAME)] == ["in", "in", "out"]


async def test_a_token_is_decided_once_in_a_transaction(clock: FakeClock, journal: MemoryJournal) -> None:
    """Its end waits for nobody; another token, such as that of who stops it, is decided on."""
    authority = Authority(csms := new_csms(clock, journal))
    authority.decision.set_result({"status": "Accepted"})
    async with attached(csms) as station:
        await station.ask("TransactionEvent", STARTED)
        authority.decision = asyncio.get_running_loop().create_future()
        station.say(2, "y", "TransactionEvent", {**STARTED, "eventType": "Updated", "seqNo": 1})
        assert await csms.wait_until(lambda: len(authority.told("transaction")) == 2, 1)
        other = {"idToken": {"idToken": "another", "type": "ISO14443"}, "eventType": "Ended", "seqNo": 2}
        station.say(2, "z", "TransactionEvent", STARTED | other)
        assert await csms.wait_until(lambda: csms.stations["CS-1"].transactions["t"].ended is not None, 1)
        assert len(authority.told("transaction")) == 2
        await csms.close()
