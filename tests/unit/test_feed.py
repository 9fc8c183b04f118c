"""The MQTT feed as a fold over documents, without a broker."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from bench.domain.documents import Document, Kind
from bench.rig.files import find_rig
from bench.runs.feed import Feed, Message, level
from tests.support import EPOCH

SAMPLE = {"received": EPOCH, "quality": "ok", "power_w": 11040.0, "current_a": [16.0, 16.0, 16.0],
          "voltage_v": [230.0, 230.0, 230.0], "frequency_hz": 50.0, "energy_import_wh": 1234.0}  # fmt: skip


class Told:
    """A feed of a rig, and what it told."""

    def __init__(self, *stations: str, meter: str = "evse1", **more: Any) -> None:
        self.feed, self.seq, self.messages = Feed("lab", "run-1", **more), 0, list[Message]()
        rig = find_rig("emulated")[1].model_dump(mode="json", by_alias=True)
        if stations:
            rig["station"] = [rig["station"][0] | {"id": name} for name in stations]
        rig["meters"] = {meter: rig["meters"]["evse1"]}
        self.station = rig["station"][0]["id"]
        self.take(Kind.RUN_START, rig=rig, scenario={}, mode="virtual", seed=1, bench="1")

    def take(self, kind: Kind, at_s: float = 0, /, **data: Any) -> list[Message]:
        """Take one document; return what it told."""
        told = self.feed.take(Document(self.seq, at(at_s), kind, data))
        self.seq += 1
        self.messages += told
        return told

    def frame(self, at_s: float, incoming: bool, *frame: Any, station: str = "") -> list[Message]:
        """Take one OCPP frame."""
        text = json.dumps(frame)
        return self.take(Kind.OCPP_FRAME, at_s, station=station or self.station, dir="in" if incoming else "out", raw=text)

    def last(self, topic: str) -> dict[str, Any]:
        """Return the last payload of a topic, without what all have in common."""
        return [one.payload for one in self.messages if one.topic == f"hil/v1/lab/{topic}"][-1]

    def limit(self, *periods: tuple[int, float]) -> None:
        """Let the station accept a ChargingStationMaxProfile, in A from second 0."""
        schedule = {"id": 1, "chargingRateUnit": "A", "startSchedule": EPOCH.isoformat(),
                    "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods]}  # fmt: skip
        profile = {"id": 7, "stackLevel": 0, "chargingProfilePurpose": "ChargingStationMaxProfile",
                   "chargingProfileKind": "Absolute", "chargingSchedule": [schedule]}  # fmt: skip
        self.frame(1, False, 2, "p", "SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        self.frame(1, True, 3, "p", {"status": "Accepted"})


def at(second: float) -> datetime:
    """Return a moment of the story."""
    return EPOCH + timedelta(seconds=second)


def test_a_sample_is_one_message() -> None:
    """One message for each poll: values, quality, a count of its own and the number in the journal."""
    told = Told()
    for count in range(2):
        (message,) = told.take(Kind.METER_SAMPLE, 1, meter="evse1", **SAMPLE)
        assert (message.qos, message.retain) == (0, False)
        assert message.payload == {"seq": count, "document": 1 + count, "ts": EPOCH, "q": "ok", "P": 11040.0, "I": [16.0] * 3,
                                   "U": [230.0] * 3, "f": 50.0, "E": 1234.0}  # fmt: skip


def test_a_gap_has_no_values() -> None:
    """A gap is told as one, with its reason: never as zero."""
    told = Told()
    (message,) = told.take(Kind.METER_GAP, 3, meter="evse1", requested=EPOCH, reason="no answer")
    assert message.payload == {"seq": 0, "document": 1, "ts": at(3), "q": "gap", "reason": "no answer"}


def test_a_limit_is_told_when_it_changes() -> None:
    """Once, retained, in A and W with the profile it comes from, and no more until it changes."""
    told = Told()
    told.limit((0, 10.0))
    limit = told.last(f"evse/{told.station}/1/limit")
    assert (limit["amps"], limit["watts"], limit["profile_id"]) == (10.0, 6900.0, 7)
    assert not [one for one in told.take(Kind.METER_SAMPLE, 5, meter="evse1", **SAMPLE) if one.topic.endswith("/limit")]


def test_a_planned_limit_is_told_when_it_is_due() -> None:
    """Also where no document comes that could carry it."""
    told = Told()
    told.limit((0, 10.0), (60, 6.0))
    assert told.feed.due(at(59)) == []
    message = told.feed.due(at(60))[0]
    assert (message.payload["amps"], message.retain) == (6.0, True)


def test_stations_are_kept_apart() -> None:
    """What one says of its EVSE 1 is not told of the other's."""
    told = Told("A", "B")
    told.take(Kind.STATION_LINK, 1, station="B", event="connected")
    request = {"timestamp": EPOCH.isoformat(), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
    told.frame(2, True, 2, "s", "StatusNotification", request, station="B")
    told.frame(2, False, 3, "s", {}, station="B")
    assert (told.last("evse/B/1/state")["online"], told.last("evse/B/1/state")["connector"]) == (True, "Occupied")
    assert (told.last("evse/A/1/state")["online"], told.last("evse/A/1/state")["connector"]) == (None, None)


@pytest.mark.parametrize("name", ["a/b", "a+b", "a#b", "#", "", "ä/$", "a\0b"])
def test_odd_names_are_one_level(name: str) -> None:
    """A name cannot become a wildcard, another level, or no level at all."""
    told = Told(meter=name)
    (message,) = told.take(Kind.METER_GAP, 1, meter=name, reason="r")
    levels = message.topic.removeprefix("hil/v1/lab/").split("/")
    assert (levels[0], levels[2:]) == ("meter", ["sample"])
    assert levels[1]
    assert not {"+", "#", "\0"} & set(message.topic)


def test_distinct_names_stay_distinct() -> None:
    """Percent-encoding takes no two names for one."""
    assert len({level(name) for name in ("a/b", "a%2Fb", "a b", "a_b", "", "%")}) == 6


@pytest.mark.parametrize(
    "payload",
    [{}, {"transactionInfo": None}, {"transactionInfo": {"transactionId": []}, "eventType": 1, "evse": 3}, {"evseId": {}}],
)
@pytest.mark.parametrize("action", ["TransactionEvent", "StatusNotification", "NotifyChargingLimit", "ReportChargingProfiles"])
def test_a_hostile_frame_does_not_end_the_feed(action: str, payload: dict[str, Any]) -> None:
    """A frame that no schema allows is left out, and what comes after it is told."""
    told = Told()
    told.frame(1, True, 2, "x", action, payload)
    told.frame(1, False, 3, "x", {})
    told.limit((0, 8.0))
    assert told.last(f"evse/{told.station}/1/limit")["amps"] == 8.0


def test_the_session_says_how_the_run_ended() -> None:
    """Retained: first running, then completed, then its verdict; nothing of the former gets lost."""
    told = Told()
    assert told.last("session")["state"] == "running"
    told.take(Kind.RUN_END, 9, state="completed", reason="")
    assert told.last("session")["verdict"] is None
    told.take(Kind.VERDICT, 9, judge="1", run={"state": "completed", "verdict": "FAIL", "headline": "too much"})
    session, verdict = told.last("session"), told.last("verdict")
    assert (session["id"], session["state"], session["verdict"]) == ("run-1", "completed", "FAIL")
    assert (verdict["check"], verdict["verdict"], verdict["run"]) == (None, "FAIL", "run-1")
    assert [one.retain for one in told.messages if one.topic.endswith(("session", "verdict"))] == [True, True, True, False]


def test_home_assistant_gets_what_its_documentation_asks_for() -> None:
    """Each entity has an id of its own, a device, and a unit that its device class and state class allow."""
    told = Told(meter="a/b", home_assistant=True)
    found = [one for one in told.messages if one.topic.startswith("homeassistant/")]
    assert len({one.payload["unique_id"] for one in found}) == len(found) == 12
    kinds = {(one.payload["device_class"], one.payload["unit_of_measurement"], one.payload["state_class"]) for one in found}
    assert kinds == {("power", "W", "measurement"), ("current", "A", "measurement"), ("voltage", "V", "measurement"),
                     ("energy", "Wh", "total_increasing")}  # fmt: skip
    assert all(one.retain and one.topic.count("/") == 3 and one.payload["device"]["identifiers"] for one in found)
