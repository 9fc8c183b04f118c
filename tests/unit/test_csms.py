"""The CSMS on a link in memory: connections, answers, the journal, and what a broken station cannot do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from bench.cso.handlers import DECLINED
from bench.domain.documents import Kind
from bench.wire.ocppj import OcppSession
from bench.wire.schemas import check_payload, known_actions
from tests.stations import BOOT, MemoryLink, attached, new_csms, rig_settings
from tests.support import FakeClock, MemoryJournal

NOW = "2023-07-01T22:00:00Z"
STATUS = {"timestamp": NOW, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
TOKEN = {"idToken": "TAG-0815-4711", "type": "ISO14443"}
TIMED = {"timestamp": NOW, "sampledValue": [{"value": 1.0}]}
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "Authorize": {"idToken": TOKEN},
    "BootNotification": BOOT,
    "ClearedChargingLimit": {"chargingLimitSource": "EMS"},
    "DataTransfer": {"vendorId": "v"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Get15118EVCertificate": {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "x"},
    "GetCertificateStatus": {"ocspRequestData": {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b",
                                                 "serialNumber": "c", "responderURL": "d"}},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Idle"},
    "MeterValues": {"evseId": 1, "meterValue": [TIMED]},
    "NotifyChargingLimit": {"chargingLimit": {"chargingLimitSource": "EMS"}},
    "NotifyCustomerInformation": {"data": "x", "seqNo": 0, "generatedAt": NOW, "requestId": 1},
    "NotifyDisplayMessages": {"requestId": 1},
    "NotifyEVChargingNeeds": {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"}},
    "NotifyEVChargingSchedule": {"timeBase": NOW, "evseId": 1, "chargingSchedule": {
        "id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]}},
    "NotifyEvent": {"generatedAt": NOW, "seqNo": 0, "eventData": [
        {"eventId": 1, "timestamp": NOW, "trigger": "Alerting", "actualValue": "x", "component": {"name": "c"},
         "eventNotificationType": "HardWiredNotification", "variable": {"name": "v"}}]},
    "NotifyMonitoringReport": {"requestId": 1, "seqNo": 0, "generatedAt": NOW},
    "NotifyReport": {"requestId": 1, "generatedAt": NOW, "seqNo": 0},
    "PublishFirmwareStatusNotification": {"status": "Idle"},
    "ReportChargingProfiles": {"requestId": 1, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [
        {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
         "chargingSchedule": [{"id": 1, "chargingRateUnit": "A",
                               "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]}]}]},
    "ReservationStatusUpdate": {"reservationId": 1, "reservationUpdateStatus": "Expired"},
    "SecurityEventNotification": {"type": "StartupOfTheDevice", "timestamp": NOW},
    "SignCertificate": {"csr": "x"},
    "StatusNotification": STATUS,
    "TransactionEvent": {"eventType": "Started", "timestamp": NOW, "triggerReason": "CablePluggedIn", "seqNo": 0,
                         "transactionInfo": {"transactionId": "t"}},
}  # fmt: skip


@pytest.mark.parametrize("action", sorted(known_actions()))
async def test_every_known_call_gets_an_answer(action: str, clock: FakeClock, journal: MemoryJournal) -> None:
    """What a station may send is answered by the schema; what only a CSMS sends is NotSupported; others are findings."""
    async with attached(new_csms(clock, journal)) as station:
        answer = await station.ask(action, REQUESTS.get(action, {}))
    codes = [finding["code"] for finding in journal.of(Kind.FINDING)]
    if action not in REQUESTS:
        assert answer[2] in {"NotSupported", "OccurrenceConstraintViolation"}
        assert codes
    else:
        assert check_payload(action, True, answer) is None
        assert ("unhandled_action" in codes) == (action in DECLINED)


async def test_boot_gives_the_time_of_the_run(clock: FakeClock, journal: MemoryJournal) -> None:
    """B01: the station sets its clock by the answer, so virtual time reaches it too."""
    csms = new_csms(clock, journal)
    clock.advance(1.5)
    async with attached(csms) as station:
        answer = await station.ask("BootNotification", BOOT)
    assert answer == {"currentTime": "2026-01-15T00:00:01.500Z", "interval": 300, "status": "Accepted"}
    assert csms.stations["CS-1"].boot == BOOT
    assert csms.stations["CS-1"].booted == clock.now()


async def test_every_frame_is_in_the_journal_as_it_was(clock: FakeClock, journal: MemoryJournal) -> None:
    """Raw text, spaces included, in the order of the wire."""
    async with attached(new_csms(clock, journal)) as station:
        station.say('[2, "a" ,"StatusNotification",' + orjson.dumps(STATUS).decode() + " ]")
        await station.hear()
    frames = journal.of(Kind.OCPP_FRAME)
    assert [frame["dir"] for frame in frames] == ["in", "out"]
    assert frames[0]["raw"].startswith('[2, "a" ,"StatusNotification"')
    assert frames[1] == {"station": "CS-1", "dir": "out", "raw": '[3,"a",{}]'}


async def test_tokens_and_passwords_stay_out_of_the_journal(clock: FakeClock, journal: MemoryJournal) -> None:
    """A token is learned before the frame that brings it is written."""
    async with attached(new_csms(clock, journal)) as station:
        await station.ask("Authorize", {"idToken": TOKEN})
    assert "TAG-0815" not in str(journal.documents)


async def test_policy_decides_on_tokens(clock: FakeClock, journal: MemoryJournal) -> None:
    """A scenario may refuse a token; a transaction's token is asked for as well."""
    csms = new_csms(clock, journal, authorize=lambda station, token: "Blocked" if token == TOKEN else "Accepted")
    async with attached(csms) as station:
        assert await station.ask("Authorize", {"idToken": TOKEN}) == {"idTokenInfo": {"status": "Blocked"}}
        event = {**REQUESTS["TransactionEvent"], "idToken": {"idToken": "other", "type": "Central"}}
        assert await station.ask("TransactionEvent", event) == {"idTokenInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00\xff", "binary_frame"), ("nonsense", "invalid_json"), ("[]", "not_a_message"),
        ('[2,"a","Explode",{}]', "unknown_action"), ('[9,"a"]', "unknown_message_type"),
        ('[3,"a",{}]', "unknown_answer"), ('[2,"a","BootNotification",{}]', "invalid_request"),
        ('[2,"a","Heartbeat",{}' + " " * 3000 + "]", "oversized_frame"),
    ],
)  # fmt: skip
async def test_bad_frame_is_a_finding_and_the_connection_lives(
    frame: str | bytes, code: str, clock: FakeClock, journal: MemoryJournal
) -> None:
    """The finding points to the frame, which is in the journal whatever it was."""
    async with attached(new_csms(clock, journal, rig_settings(max_frame_bytes=2048))) as station:
        station.say(frame)
        if code != "unknown_answer":
            assert (await station.hear())[0] == 4
        assert "currentTime" in await station.ask("Heartbeat", {})
    finding = journal.of(Kind.FINDING)[0]
    assert finding["code"] == code
    assert journal.documents[finding["refs"][0]].kind == Kind.OCPP_FRAME


async def test_second_connection_supersedes_the_first(clock: FakeClock, journal: MemoryJournal) -> None:
    """A station that lost its network comes back before the old connection is known to be dead."""
    csms = new_csms(clock, journal)
    async with attached(csms) as first, attached(csms) as second:
        await asyncio.sleep(0)
        assert first.ended() == (1008, "superseded by a new connection")
        assert "currentTime" in await second.ask("Heartbeat", {})
        assert csms.stations["CS-1"].online
    assert not csms.stations["CS-1"].online
    assert "superseded" in [finding["code"] for finding in journal.of(Kind.FINDING)]
    assert [link["event"] for link in journal.of(Kind.STATION_LINK)] == ["connected", "connected", "closed", "closed"]
    await csms.close()


async def test_frames_of_a_superseded_connection_are_not_acted_on(clock: FakeClock, journal: MemoryJournal) -> None:
    """What still lies in the old connection's buffer must not change the state."""
    csms = new_csms(clock, journal)
    async with attached(csms) as first, attached(csms):
        first.say(2, "a", "BootNotification", BOOT)
        await asyncio.sleep(0)
    assert csms.stations["CS-1"].boot is None
    await csms.close()


async def test_refused_knock_is_remembered(clock: FakeClock, journal: MemoryJournal) -> None:
    """`bench stations` shows it, and the journal has it."""
    csms = new_csms(clock, journal)
    csms.knock("CS-9", "10.0.0.9", "station id 'CS-9' is not in the rig file", "add it")
    assert [(knock.station_id, knock.accepted, knock.remedy) for knock in csms.knocks] == [("CS-9", False, "add it")]
    assert journal.of(Kind.STATION_LINK)[0]["event"] == "refused"


async def test_a_peer_that_breaks_websocket_itself_is_a_finding(clock: FakeClock, journal: MemoryJournal) -> None:
    """1009: a frame so large that the connection had to be closed."""
    async with attached(new_csms(clock, journal)) as station:
        station.drop(1009, "too big")
    assert [finding["code"] for finding in journal.of(Kind.FINDING)] == ["websocket_violation"]


async def test_closing_says_going_away_to_all(clock: FakeClock, journal: MemoryJournal) -> None:
    """1001, and `attach` returns."""
    csms = new_csms(clock, journal, rig_settings("CS-1", "CS-2"))
    links = [MemoryLink(), MemoryLink()]
    serving = [asyncio.create_task(csms.attach(f"CS-{n}", link)) for n, link in enumerate(links, 1)]
    await asyncio.sleep(0)
    await csms.close()
    await asyncio.gather(*serving)
    assert [link.ended() for link in links] == [(1001, "the bench is closing")] * 2


async def test_listeners_hear_of_an_event_after_its_answer(clock: FakeClock, journal: MemoryJournal) -> None:
    """A listener that sends a call must not overtake the answer; an ended subscription is silent."""
    heard: list[tuple[str, int]] = []
    csms = new_csms(clock, journal)
    end = csms.subscribe(lambda event: heard.append((event["event"], len(journal.of(Kind.OCPP_FRAME)))))
    async with attached(csms) as station:
        await station.ask("BootNotification", BOOT)
        end()
        await station.ask("StatusNotification", STATUS)
    assert heard == [("connected", 0), ("boot", 2)]
    assert csms.stations["CS-1"].connectors == {(1, 1): "Occupied"}


@pytest.mark.virtual
async def test_waiting_ends_with_the_change_or_the_deadline(clock: FakeClock, journal: MemoryJournal) -> None:
    """Nobody polls: the predicate is looked at when something changed."""
    csms = new_csms(clock, journal)
    looked: list[bool] = []

    def occupied() -> bool:
        looked.append(csms.stations["CS-1"].connectors.get((1, 1)) == "Occupied")
        return looked[-1]

    async with attached(csms) as station:
        assert not await csms.wait_until(occupied, 3600)
        waiting = asyncio.create_task(csms.wait_until(occupied, 3600))
        await asyncio.sleep(1800)
        await station.ask("StatusNotification", STATUS)
        assert await waiting
    assert len(looked) <= 4


async def test_defect_in_reading_a_frame_costs_neither_frame_nor_connection(
    clock: FakeClock, journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The frame is journalled, the bench blamed, a CALL answered with InternalError, and the next one is served."""
    with monkeypatch.context() as patch:
        async with attached(new_csms(clock, journal)) as station:
            patch.setattr(OcppSession, "receive", lambda *_: 1 / 0)
            station.say(3, "b", {})
            station.say(2, "a", "Heartbeat", {})
            assert (await station.hear())[:3] == [4, "a", "InternalError"]
            patch.undo()
            assert "currentTime" in await station.ask("Heartbeat", {})
    frames = [frame["raw"] for frame in journal.of(Kind.OCPP_FRAME) if frame["dir"] == "in"]
    assert frames[:2] == ['[3,"b",{}]', '[2,"a","Heartbeat",{}]']
    defects = [(finding["source"], finding["code"]) for finding in journal.of(Kind.FINDING)]
    assert defects == [("bench", "bench_defect")] * 2
    assert "ZeroDivisionError" in caplog.text


async def test_defect_in_answering_a_call_costs_no_connection(clock: FakeClock, journal: MemoryJournal) -> None:
    """A policy that fails is the bench's fault, and the station hears so."""

    def fail(*_: object) -> str:
        raise ZeroDivisionError

    async with attached(new_csms(clock, journal, authorize=fail)) as station:
        assert (await station.ask("Authorize", {"idToken": TOKEN}))[2] == "InternalError"
        assert "currentTime" in await station.ask("Heartbeat", {})
    assert [(one["source"], one["code"]) for one in journal.of(Kind.FINDING)] == [("bench", "bench_defect")]


async def test_knocks_of_a_hostile_peer_are_bounded(clock: FakeClock, journal: MemoryJournal) -> None:
    """However many names somebody calls himself, the last thousand are remembered, each cut to 60 characters."""
    csms = new_csms(clock, journal)
    for number in range(1_100):
        csms.knock(f"{number:04d}" + "x" * 3_000, "10.0.0.9", "not in the rig file", "add it")
    assert len(csms.knocks) == 1_000
    assert {len(knock.station_id) for knock in csms.knocks} == {60}
    assert csms.knocks[0].station_id.startswith("0100")
