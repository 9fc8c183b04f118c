"""A whole day on the bench, written by hand: what a report and the judge get to see, without a bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from bench.domain.documents import Document, Kind
from bench.settings.base import load
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings
from tests.support import FakeClock, MemoryJournal

CONFIG: Final = Path(__file__).parents[1] / "config"
STATION: Final = "CS-EMU-1"
TRANSACTION: Final = "tx-0001"
PLUGGED_S, STARTED_S, PLANNED_S, UNPLUGGED_S, END_S = 600.0, 605.0, 610.0, 85_800.0, 86_400.0
PLAN_W: Final = {0: 0.0, 10: 4200.0, 11: 6900.0, 12: 10_000.0, 15: 4200.0, 16: 0.0}
"""The limit from each hour on."""
IGNORED_HOUR: Final = 15
VOLTAGE_V: Final = 230.0
OVER_OCPI: Final = {"scsp": "https://scsp.example", "cso": "https://cso.example"}


@dataclass(slots=True)
class Day:
    """Collects what happens at which second, then writes it down in order of time."""

    disobedient: bool = False
    """The station ignores the limit of 15:00."""
    additional_info: str = ""
    """Said by the station with each profile that it accepts."""
    state: str | None = "completed"
    """How the run ends; None where the journal just stops."""
    duration_s: float = END_S
    _entries: list[tuple[float, int, Callable[[], tuple[str, dict[str, Any]]]]] = field(default_factory=list)
    _messages: int = 0

    def documents(self) -> list[Document]:
        """Return the day's journal, written once and read anew each time, so that a test may change it."""
        whole = _written(self.disobedient, self.additional_info, self.state, self.duration_s)
        return [Document(seq, at, kind, orjson.loads(data)) for seq, at, kind, data in whole]

    def write(self) -> list[Document]:
        """Write the day's journal."""
        self._begin()
        self._messages_of_the_day()
        self._measurements()
        self._finish()
        scenario, _ = settings()
        assert scenario.start is not None
        clock = FakeClock(scenario.start)
        journal = MemoryJournal(clock)
        for at_s, _, make in sorted(self._entries, key=lambda one: one[:2]):
            if at_s <= self.duration_s:
                clock.elapsed_s = at_s
                journal.write(*make())
        return journal.documents

    def _add(self, at_s: float, kind: Kind, data: dict[str, Any]) -> None:
        self._entries.append((at_s, len(self._entries), lambda: (kind, data)))

    def _call(self, at_s: float, action: str, request: dict[str, Any], answer: dict[str, Any], *, sent: bool = False) -> None:
        self._messages += 1
        identity = f"m{self._messages:05d}"
        there, back = ("out", "in") if sent else ("in", "out")
        raw = [json.dumps(frame) for frame in ([2, identity, action, request], [3, identity, answer])]
        self._add(at_s, Kind.OCPP_FRAME, {"station": STATION, "dir": there, "raw": raw[0]})
        self._add(at_s + 0.02, Kind.OCPP_FRAME, {"station": STATION, "dir": back, "raw": raw[1]})

    def _http(self, at_s: float, method: str, path: str, body: Any, *, sender: str = "scsp") -> None:
        self._messages += 1
        receiver = "cso" if sender == "scsp" else "scsp"
        exchange = f"x{self._messages}"
        request = {"exchange": exchange, "from": sender, "to": receiver, "method": method, "url": OVER_OCPI[receiver] + path,
                   "headers": {}, "body": json.dumps(body)}  # fmt: skip
        answer = {"data": {"result": "ACCEPTED", "timeout": 30}, "status_code": 1000, "timestamp": stamp(at_s)}
        self._add(at_s, Kind.OCPI_REQUEST, request)
        self._add(at_s + 0.01, Kind.OCPI_RESPONSE,
                  {"exchange": exchange, "status": 200, "headers": {}, "body": json.dumps(answer)})  # fmt: skip

    def _step(self, number: int, at_s: float, name: str, lasts_s: float, **more: Any) -> None:
        self._add(at_s, Kind.STEP_START, {"step": number, "name": name, "at_s": at_s, **more})
        self._add(at_s + lasts_s, Kind.STEP_END, {"step": number, "name": name, "outcome": "done", "detail": ""})

    def _begin(self) -> None:
        scenario, rig = settings()
        document = scenario.as_document() | {"station": STATION}
        self._add(0, Kind.RUN_START, {"scenario": document, "rig": rig.model_dump(mode="json", by_alias=True), "seed": 1,
                                      "bench": "0.1.0", "mode": "virtual", "judged": True})  # fmt: skip
        for what in ("decision_rule", "settle_s", "w_limits", "proof"):
            self._add(0, Kind.SETTING, {"what": what, "value": document[what], "origin": "scenario"})
        self._add(0.1, Kind.STATION_LINK, {"station": STATION, "event": "connected", "reason": "", "remedy": ""})
        self._add(0.9, Kind.SAFE_STATE, {"station": STATION, "action": "arm", "ok": True,
                                         "read_back": {"contactor": True}, "stop": False})  # fmt: skip
        self._step(1, PLUGGED_S, "plug", 0.5, evse=1)
        self._step(2, STARTED_S, "authorise", 0.5, evse=1)
        self._step(3, PLANNED_S, "scsp_plan", 1.0, evse=1)
        self._step(4, 640, "composite", 0.5, evse=1)
        self._step(5, 43_200, "composite", 0.5, evse=1)
        self._step(6, UNPLUGGED_S, "unplug", 0.5, evse=1)

    def _messages_of_the_day(self) -> None:
        boot = {"reason": "PowerUp", "chargingStation": {"model": "Emu", "vendorName": "Example"}}
        self._call(0.5, "BootNotification", boot, {"status": "Accepted", "currentTime": stamp(0.5), "interval": 300})
        for number in range(1, int(END_S / 300)):
            self._call(300.0 * number, "Heartbeat", {}, {"currentTime": stamp(300.0 * number)})
        self._event(STARTED_S + 0.1, "Started", 0)
        for number, at_s in enumerate(range(900, int(UNPLUGGED_S), 300), 1):
            self._event(at_s + 0.2, "Updated", number)
        self._event(UNPLUGGED_S + 0.2, "Ended", 500)
        periods = [(hour * 3600, limit) for hour, limit in PLAN_W.items()]
        plan = {"start_date_time": stamp(0), "charging_rate_unit": "W", "min_charging_rate": 0,
                "charging_profile_period": [{"start_period": start, "limit": limit} for start, limit in periods]}  # fmt: skip
        body = {"charging_profile": plan, "response_url": "https://scsp.example/results/1"}
        self._http(PLANNED_S, "PUT", f"/ocpi/cpo/2.2.1/chargingprofiles/{TRANSACTION}", body)
        self._set_profile(PLANNED_S + 0.2, periods)
        self._http(PLANNED_S + 0.4, "POST", "/results/1", {"result": "ACCEPTED"}, sender="cso")
        self._composite(640.1, 640, 85_000)
        self._composite(43_200.1, 43_200, 36_000)
        text = "the station sent an unknown action 'X' that nobody knows"
        self._add(30, Kind.FINDING, {"source": "station", "code": "NotImplemented", "text": text, "refs": [2]})

    def _event(self, at_s: float, event: str, number: int) -> None:
        request: dict[str, Any] = {
            "eventType": event, "timestamp": stamp(int(at_s)), "triggerReason": "MeterValuePeriodic", "seqNo": number,
            "transactionInfo": {"transactionId": TRANSACTION}, "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": stamp(at_s), "sampledValue": [{"value": round(690 * self._drawn_a(at_s), 1)}]}],
        }  # fmt: skip
        self._call(at_s, "TransactionEvent", request, {})

    def _set_profile(self, at_s: float, periods: list[tuple[int, float]]) -> None:
        profile = {
            "id": 101, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
            "transactionId": TRANSACTION,
            "chargingSchedule": [{"id": 101, "startSchedule": stamp(0), "chargingRateUnit": "W",
                                  "chargingSchedulePeriod": [{"startPeriod": s, "limit": w} for s, w in periods]}],
        }  # fmt: skip
        info = {"reasonCode": "NoError", "additionalInfo": self.additional_info}
        accepted = {"status": "Accepted"} | ({"statusInfo": info} if self.additional_info else {})
        self._call(at_s, "SetChargingProfile", {"evseId": 1, "chargingProfile": profile}, accepted, sent=True)
        wanted = {"requestId": 1, "chargingProfile": {}}
        self._call(at_s + 0.1, "GetChargingProfiles", wanted, {"status": "Accepted"}, sent=True)
        report = {"requestId": 1, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [profile], "tbc": False}
        self._call(at_s + 0.2, "ReportChargingProfiles", report, {})

    def _composite(self, at_s: float, start_s: int, duration_s: int) -> None:
        edges = [start_s, *(hour * 3600 for hour in PLAN_W if start_s < hour * 3600 < start_s + duration_s)]
        schedule = {
            "evseId": 1, "duration": duration_s, "scheduleStart": stamp(start_s), "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": edge - start_s, "limit": planned_w(edge)} for edge in edges],
        }  # fmt: skip
        asked = {"duration": duration_s, "evseId": 1, "chargingRateUnit": "W"}
        self._call(at_s, "GetCompositeSchedule", asked, {"status": "Accepted", "schedule": schedule}, sent=True)

    def _offered_a(self, at_s: float) -> float:
        """Return what the station offers per phase, 2 s after each change of its limit."""
        if not STARTED_S <= at_s < UNPLUGGED_S:
            return 0.0
        if at_s < PLANNED_S + 2:
            return 16.0
        seen_s = max(PLANNED_S, at_s - 2)
        ignored = self.disobedient and IGNORED_HOUR * 3600 <= seen_s < (IGNORED_HOUR + 1) * 3600
        return (planned_w(IGNORED_HOUR * 3600 - 1) if ignored else planned_w(seen_s)) / VOLTAGE_V / 3

    def _drawn_a(self, at_s: float) -> float:
        """Return what the EV draws per phase, 2 s after the offer changed and a little below it."""
        return max(0.0, self._offered_a(max(0.0, at_s - 2)) - 0.05) if at_s < UNPLUGGED_S else 0.0

    def _measurements(self) -> None:
        seconds_of_the_day = {float(at_s) for at_s in range(2, int(END_S), 10)}
        for change_s in (PLANNED_S, *(hour * 3600.0 for hour in PLAN_W if hour)):
            seconds_of_the_day |= {change_s + offset for offset in range(-5, 61)}
        energy_wh, last_s, seen = 12_345.0, 0.0, (-1.0, "")
        for at_s in sorted(one for one in seconds_of_the_day if one <= self.duration_s):
            drawn = self._drawn_a(at_s)
            energy_wh += 3 * VOLTAGE_V * drawn * (at_s - last_s) / 3600
            last_s = at_s
            self._sample(at_s, drawn, energy_wh)
            offered = self._offered_a(at_s)
            plugged = PLUGGED_S <= at_s < UNPLUGGED_S
            pilot = (offered, "A" if not plugged else "C" if offered else "B")
            if pilot != seen:
                seen = pilot
                duty = round(offered / 0.6, 3) if offered else None
                self._add(at_s + 0.06, Kind.PILOT_SAMPLE, {"station": STATION, "evse": 1, "state": pilot[1], "duty_percent": duty,
                                                           "ev_wants_a": 16.0 if plugged else None})  # fmt: skip

    def _sample(self, at_s: float, drawn: float, energy_wh: float) -> None:
        self._add(at_s + 0.05, Kind.METER_SAMPLE, {
            "meter": "evse1", "requested": stamp(at_s), "received": stamp(at_s + 0.05), "voltage_v": [VOLTAGE_V] * 3,
            "current_a": [round(drawn + 0.01 * phase * bool(drawn), 3) for phase in (0, 1, 2)],
            "power_w": round(3 * VOLTAGE_V * drawn, 1), "phase_power_w": [round(VOLTAGE_V * drawn, 1)] * 3,
            "energy_import_wh": round(energy_wh, 2), "frequency_hz": 50.0, "registers": {"input:0x0000": "4366"}, "quality": "ok",
        })  # fmt: skip

    def _finish(self) -> None:
        if self.state is None:
            return
        end_s = self.duration_s
        for number, action in enumerate(("begin", "stop transactions", "open contactor", "power below 50 W")):
            self._add(end_s - 0.3 + number / 10, Kind.SAFE_STATE, {"station": STATION, "action": action, "ok": True,
                                                                   "read_back": {}, "stop": True})  # fmt: skip
        reason = "" if self.state == "completed" else "stopped by the operator"
        self._add(end_s, Kind.RUN_END, {"state": self.state, "reason": reason})


@cache
def _written(disobedient: bool, info: str, state: str | None, duration_s: float) -> list[tuple[int, datetime, str, bytes]]:
    written = Day(disobedient, info, state, duration_s).write()
    return [(one.seq, one.t, one.kind, orjson.dumps(one.data)) for one in written]


def settings() -> tuple[ScenarioSettings, RigSettings]:
    """Return the day-ahead scenario and the emulated rig as they ship."""
    scenario = load(ScenarioSettings, CONFIG / "scenarios" / "scsp-day-ahead.toml")
    return scenario, load(RigSettings, CONFIG / "rigs" / "emulated.toml")


def planned_w(at_s: float) -> float:
    """Return the plan's limit at a second of the day."""
    return next(limit for hour, limit in reversed(PLAN_W.items()) if hour * 3600 <= at_s)


def stamp(at_s: float) -> str:
    """Return a moment of the day as it stands in a message."""
    scenario, _ = _START
    assert scenario.start is not None
    return (scenario.start + timedelta(seconds=at_s)).isoformat().replace("+00:00", "Z")


_START: Final = settings()
