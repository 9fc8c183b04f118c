"""Transactions as the CSMS sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bench.cso import handlers
from bench.cso.csms import Csms
from bench.cso.station import StationState, learnable_tokens
from bench.domain.documents import Kind
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal


@dataclass
class Scene:
    """A connected station and what the CSMS knows and tells about it."""

    station: MemoryLink
    csms: Csms
    journal: MemoryJournal
    events: list[Any]

    @property
    def state(self) -> StationState:
        """What the CSMS knows."""
        return self.csms.stations["CS-1"]

    @property
    def findings(self) -> list[str]:
        """Codes of the findings so far."""
        return [finding["code"] for finding in self.journal.of(Kind.FINDING)]

    async def event(self, kind: str, seq_no: int, transaction_id: str = "T1", **more: Any) -> Any:
        """Let the station send a TransactionEvent."""
        info = {"transactionId": transaction_id, **more.pop("info", {})}
        request = {"eventType": kind, "timestamp": "2023-07-01T22:00:00Z", "triggerReason": "CablePluggedIn",
                   "seqNo": seq_no, "transactionInfo": info, **more}  # fmt: skip
        return await self.station.ask("TransactionEvent", request)


@pytest.fixture
async def scene(clock: FakeClock, journal: MemoryJournal) -> AsyncIterator[Scene]:
    """Return a connected station."""
    events: list[Any] = []
    csms = new_csms(clock, journal, listeners=[events.append])
    async with attached(csms) as station:
        yield Scene(station, csms, journal, events)


async def test_a_transaction_is_told_before_the_station_has_its_answer(scene: Scene) -> None:
    """A station that was answered never tells it again: who keeps sessions must have it on the disk by then."""
    silent: list[bool] = []
    scene.csms.subscribe(lambda event: silent.append(scene.station.silent()))
    for phase, seq_no in (("Started", 0), ("Ended", 1)):
        await scene.event(phase, seq_no, evse={"id": 1, "connectorId": 1}, idToken={"idToken": "TAG", "type": "ISO14443"})
    assert silent == [True, True]


async def test_a_station_is_answered_also_where_a_listener_fails(clock: FakeClock, journal: MemoryJournal) -> None:
    """Else it would send the same event again and again."""

    def fail(event: Mapping[str, Any]) -> None:
        if event["event"] == "transaction":
            raise ValueError("a defect of ours")

    with pytest.raises(ValueError, match="a defect of ours"):
        async with attached(new_csms(clock, journal, listeners=[fail])) as station:
            assert await Scene(station, new_csms(clock, journal), journal, []).event("Started", 0) == {}


async def test_transaction_from_start_to_end(scene: Scene, clock: FakeClock) -> None:
    """Token, charging state, meter values and both times are kept, and three events are told."""
    token = {"idToken": "TAG", "type": "ISO14443"}
    values = [{"timestamp": "2023-07-01T22:00:00Z", "sampledValue": [{"value": 11000.0}]}]
    await scene.event("Started", 0, evse={"id": 1, "connectorId": 1}, info={"chargingState": "EVConnected"})
    running = scene.state.active_transaction(1)
    assert running is not None
    clock.advance(60)
    await scene.event("Updated", 1, idToken=token, meterValue=values, info={"chargingState": "Charging"})
    assert (running.id_token, running.charging_state, running.meter_values) == ("TAG", "Charging", values)
    await scene.event("Ended", 2, info={"stoppedReason": "EVDisconnected"})
    assert running.ended is not None
    assert running.started is not None
    assert (running.ended - running.started).total_seconds() == 60
    assert scene.state.active_transaction(1) is None
    told = [(one["phase"], one["evse"], one["id_token"]) for one in scene.events if one["event"] == "transaction"]
    assert told == [("Started", 1, None), ("Updated", 1, "TAG"), ("Ended", 1, "TAG")]
    assert scene.findings == []


@pytest.mark.parametrize(
    ("numbers", "finding"),
    [
        ((0, 2), "transaction_seq_gap"),
        ((0, 1, 1), "transaction_seq_repeated"),
        ((0, 2, 1), "transaction_seq_order"),
    ],
)
async def test_sequence_numbers_are_watched(scene: Scene, numbers: tuple[int, ...], finding: str) -> None:
    """A lost, doubled or overtaken event is a finding; the event itself is still taken."""
    for number in numbers:
        await scene.event("Updated" if number else "Started", number, evse={"id": 1})
    assert finding in scene.findings
    assert scene.state.transactions["T1"].seq_numbers == list(numbers)


async def test_transaction_that_runs_already_is_taken_in(scene: Scene) -> None:
    """A bench that starts while a car is charging has not seen the start."""
    await scene.event("Updated", 41, evse={"id": 2})
    running = scene.state.active_transaction(2)
    assert running is not None
    assert running.started is None
    assert scene.findings == ["transaction_without_start"]


async def test_event_after_the_end_is_a_finding(scene: Scene) -> None:
    """So is a second start."""
    await scene.event("Started", 0, evse={"id": 1})
    await scene.event("Started", 1, evse={"id": 1})
    await scene.event("Ended", 2)
    await scene.event("Updated", 3)
    assert scene.findings == ["transaction_started_twice", "transaction_after_end"]


async def test_limits_of_others_are_told(scene: Scene) -> None:
    """K12, K13: an energy management system limits the station and lets go."""
    limit = {"chargingLimitSource": "EMS", "isGridCritical": True}
    await scene.station.ask("NotifyChargingLimit", {"chargingLimit": limit, "evseId": 1})
    await scene.station.ask("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})
    limits = [one for one in scene.events if one["event"] == "charging_limit"]
    assert [(one["phase"], one["evse"]) for one in limits] == [("Set", 1), ("Cleared", 1)]
    assert limits[0]["limit"] == limit


async def test_a_late_start_is_a_start(scene: Scene) -> None:
    """Events sent while offline come after those sent since: out of order is a finding, a second start it is not."""
    await scene.event("Updated", 1, evse={"id": 1, "connectorId": 1})
    await scene.event("Started", 0, evse={"id": 1, "connectorId": 1})
    running = scene.state.active_transaction(1)
    assert running is not None
    assert running.started is not None
    assert scene.findings == ["transaction_without_start", "transaction_seq_order"]


async def test_a_number_that_came_late_is_no_gap(scene: Scene) -> None:
    """0, 2, 1, 3: one gap is told, and closing it tells disorder; 3 follows 2 and is neither."""
    for number, kind in ((0, "Started"), (2, "Updated"), (1, "Updated"), (3, "Updated")):
        await scene.event(kind, number, evse={"id": 1, "connectorId": 1})
    assert scene.findings == ["transaction_seq_gap", "transaction_seq_order"]


async def test_a_leap_of_the_sequence_number_costs_nothing(scene: Scene) -> None:
    """A station may name any number: of two thousand million that are lacking the first ten are told."""
    await scene.event("Started", 0, evse={"id": 1})
    await scene.event("Updated", 2**31 - 1)
    assert scene.findings == ["transaction_seq_gap"]


@pytest.mark.parametrize(
    ("token", "learned"),
    [
        ("04A1B2C3", True), ("04-A1-B2-C3", True), ("12345678", True), ("04A1B2C", False), ("Accepted", False),
        ("NoAuthorization", False), ("2026-01-15", False), ("2026-01-15T00:00:00.5Z", False), ("T00:00:0", False),
    ],
)  # fmt: skip
def test_a_token_like_a_word_or_a_time_is_hidden_under_its_own_key_alone(token: str, learned: bool) -> None:
    """A station may send any text as idToken; what is learned is taken away wherever it stands in the journal."""
    payload = {"idToken": {"idToken": token, "type": "Central"}, "groupIdToken": {"idToken": token}}
    assert learnable_tokens(payload) == [token] * 2 * learned


async def test_the_oldest_transactions_that_have_ended_are_forgotten(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station may send any number; one finding says that it bites, and what runs stays."""
    monkeypatch.setattr(handlers, "MOST_TRANSACTIONS", 3)
    await scene.event("Started", 0, "running", evse={"id": 2, "connectorId": 1})
    for number in range(5):
        await scene.event("Started", 0, f"T{number}", evse={"id": 1, "connectorId": 1})
        await scene.event("Ended", 1, f"T{number}")
    assert [*scene.state.transactions] == ["running", "T3", "T4"]
    assert scene.findings == ["transactions_forgotten"]


async def test_of_too_many_that_run_at_once_the_last_are_not_known(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """None that runs is forgotten for them: they are answered, their tokens refused, and nobody is told of them."""
    monkeypatch.setattr(handlers, "MOST_TRANSACTIONS", 2)
    for name in ("T1", "T2"):
        await scene.event("Started", 0, name)
    token = {"idToken": "TAG", "type": "ISO14443"}
    assert await scene.event("Started", 0, "T3", idToken=token) == {"idTokenInfo": {"status": "Invalid"}}
    assert await scene.event("Updated", 1, "T3") == {}
    assert ([*scene.state.transactions], len(scene.events)) == (["T1", "T2"], 3)
    assert scene.findings == ["too_many_transactions"] * 2
    await scene.event("Ended", 1, "T1")
    await scene.event("Started", 0, "T4")
    assert [*scene.state.transactions] == ["T2", "T4"]


async def test_a_station_speaks_of_so_many_places(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connectors and EVSEs may have any number as their name: one more than is kept is answered, and not told."""
    monkeypatch.setattr(handlers, "MOST_PLACES", 2)
    told = len(scene.events)
    for number in (1, 2, 3, 1):
        status = {"timestamp": "2023-07-01T22:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": number}
        assert await scene.station.ask("StatusNotification", status) == {}
        values = [{"timestamp": "2023-07-01T22:00:00Z", "sampledValue": [{"value": 1.0}]}]
        assert await scene.station.ask("MeterValues", {"evseId": number, "meterValue": values}) == {}
    assert ([*scene.state.connectors], [*scene.state.meter_values]) == ([(1, 1), (1, 2)], [1, 2])
    assert (len(scene.events) - told, scene.findings) == (6, ["too_many_places"] * 2)
