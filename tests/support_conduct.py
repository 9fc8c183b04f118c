"""A short run on the bench, written by hand document by document: what the judges of single requirements get to see."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.evidence import Judgement
from bench.domain.verdicts import CheckResult, Verdict
from bench.runs.judge import judge
from bench.settings.base import load
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings
from tests.support import EPOCH, FakeClock, MemoryJournal

CONFIG: Final = Path(__file__).parents[1] / "config"
STATION: Final = "CS-EMU-1"
SCENARIO: Final = load(ScenarioSettings, CONFIG / "scenarios" / "lowered-limit.toml")
RIG: Final = load(RigSettings, CONFIG / "rigs" / "emulated.toml")
Draw = Callable[[int], float | tuple[float, float, float]]


def stamp(second: float) -> str:
    """Return a second of the run as it stands in a message."""
    return (EPOCH + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def profile(
    identity: int = 1, purpose: str = "TxDefaultProfile", *, limit: float = 10, unit: str = "A", stack: int = 0, start: float = 0,
    periods: Sequence[dict[str, Any]] = (), duration: int | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return a ChargingProfileType, Absolute from a second of the run on."""
    schedule: dict[str, Any] = {
        "id": identity, "startSchedule": stamp(start), "chargingRateUnit": unit,
        "chargingSchedulePeriod": list(periods) or [{"startPeriod": 0, "limit": limit}],
    }  # fmt: skip
    if duration is not None:
        schedule["duration"] = duration
    return {
        "id": identity, "stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule], **more,
    }  # fmt: skip


def tx_profile(identity: int = 5, transaction: str = "tx-1", **more: Any) -> dict[str, Any]:
    """Return a TxProfile of a transaction."""
    return profile(identity, "TxProfile", transactionId=transaction, **more)


class Story:
    """What happens at which second; `at` moves time, each other call writes what happens then."""

    def __init__(self, *, must_show: Sequence[str] = (), checks: Sequence[str] = ("conduct",), **features: Any) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(self.clock)
        self._messages = 0
        self._energy: dict[str, float] = {}
        rig = RIG.model_dump(mode="json", by_alias=True)
        rig["station"][0]["features"] |= features
        scenario = SCENARIO.as_document() | {"station": STATION, "checks": list(checks), "must_show": list(must_show)}
        self.journal.write(Kind.RUN_START, {"scenario": scenario, "rig": rig, "seed": 1, "bench": "0", "mode": "virtual",
                                            "judged": True})  # fmt: skip
        self.link("connected")

    def at(self, second: float) -> Story:
        """Go to a second of the run."""
        assert second >= self.clock.elapsed_s
        self.clock.elapsed_s = second
        return self

    def link(self, event: str) -> None:
        """The station connects or goes away."""
        self.journal.write(Kind.STATION_LINK, {"station": STATION, "event": event, "reason": "", "remedy": ""})

    def act(self, action: str, **arguments: Any) -> None:
        """The rig does something."""
        self.journal.write(Kind.RIG_ACTION, {"station": STATION, "action": action, **arguments})

    def limit(self, limit: float | None, **more: Any) -> None:
        """An external system sets or releases a limit."""
        self.act("external_limit", limit=limit, **{"unit": "A", "source": "EMS", "periods": []} | more)

    def call(
        self, action: str, request: Any, answer: Any = None, *, told: bool = False, error: str = "", takes: float = 0
    ) -> None:
        """One call and its answer: sent by the CSMS, or told by the station."""
        self._messages += 1
        identity = f"m{self._messages:04d}"
        there, back = ("in", "out") if told else ("out", "in")
        result = [4, identity, error, "", {}] if error else [3, identity, {} if answer is None else answer]
        self._frame(there, [2, identity, action, request])
        self.clock.elapsed_s += takes
        self._frame(back, result)

    def _frame(self, direction: str, frame: Any) -> None:
        self.journal.write(Kind.OCPP_FRAME, {"station": STATION, "dir": direction, "raw": json.dumps(frame)})

    def set(self, raw: dict[str, Any], evse: int = 1, status: str = "Accepted", *, error: str = "") -> None:
        """The CSMS sets a profile."""
        self.call("SetChargingProfile", {"evseId": evse, "chargingProfile": raw}, {"status": status}, error=error)

    def clear(self, status: str = "Accepted", **request: Any) -> None:
        """The CSMS clears by `id`, or by criteria."""
        body = {"chargingProfileId": request["id"]} if "id" in request else {"chargingProfileCriteria": request}
        self.call("ClearChargingProfile", body, {"status": status})

    def read_back(
        self, *found: tuple[int, dict[str, Any]], source: str = "CSO", tbc: Sequence[bool] = (), answer_id: int | None = None,
        **asked: Any,
    ) -> None:  # fmt: skip
        """The CSMS asks for profiles; each of `found` is (evseId, profile) and comes in a report of its own."""
        self._messages += 1
        number = self._messages
        evse = {"evseId": asked.pop("evse")} if "evse" in asked else {}
        request = {"requestId": number, "chargingProfile": asked, **evse}
        self.call("GetChargingProfiles", request, {"status": "Accepted" if found else "NoProfiles"})
        for index, (evse_id, raw) in enumerate(found):
            external = raw["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
            more = tbc[index] if tbc else index + 1 < len(found)
            report = {"requestId": answer_id or number, "chargingLimitSource": "EMS" if external else source, "evseId": evse_id,
                      "chargingProfile": [raw], "tbc": more}  # fmt: skip
            self.call("ReportChargingProfiles", report, told=True)

    def composite(
        self, *periods: tuple[int, float], evse: int = 1, duration: int = 100, status: str = "Accepted", **more: Any
    ) -> None:
        """The CSMS asks for a composite schedule from now on and gets these (start, limit)."""
        unit = more.get("unit", "A")
        answer: dict[str, Any] = {"status": status}
        if status == "Accepted":
            answer["schedule"] = {
                "evseId": evse, "duration": duration, "scheduleStart": stamp(self.clock.elapsed_s), "chargingRateUnit": unit,
                "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
            }  # fmt: skip
        self.call("GetCompositeSchedule", {"evseId": evse, "duration": duration, "chargingRateUnit": unit}, answer)

    def transaction(self, event: str = "Started", evse: int = 1, identity: str = "tx-1", **more: Any) -> None:
        """The station tells of a transaction."""
        info = {"transactionId": identity} | {key: more.pop(key) for key in ("stoppedReason", "remoteStartId") if key in more}
        request = {"eventType": event, "timestamp": stamp(self.clock.elapsed_s), "triggerReason": "CablePluggedIn", "seqNo": 0,
                   "transactionInfo": info, "evse": {"id": evse, "connectorId": 1}, **more}  # fmt: skip
        self.call("TransactionEvent", request, told=True)

    def boot(self) -> None:
        """The station starts."""
        request = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        self.call("BootNotification", request, {"status": "Accepted", "currentTime": stamp(0), "interval": 300}, told=True)

    def draw(self, until: int, **evses: Draw) -> None:
        """Read the meters each second up to `until`: `evse1=lambda second: A per phase, or (L1, L2, L3)`."""
        for second in range(int(self.clock.elapsed_s) + 1, until + 1):
            self.at(second)
            for meter, draw in evses.items():
                drawn = draw(second)
                currents = drawn if isinstance(drawn, tuple) else (drawn,) * 3
                power = 230 * sum(currents)
                self._energy[meter] = self._energy.get(meter, 0.0) + power / 3600
                self.journal.write(Kind.METER_SAMPLE, {
                    "meter": meter, "requested": stamp(second), "received": stamp(second), "voltage_v": [230.0] * 3,
                    "current_a": list(currents), "power_w": power, "phase_power_w": [230 * one for one in currents],
                    "energy_import_wh": self._energy[meter], "frequency_hz": 50.0, "registers": {}, "quality": "ok",
                })  # fmt: skip

    def judgement(self, end: float = 0) -> Judgement:
        """End the run and judge it."""
        self.at(max(end, self.clock.elapsed_s + 1))
        self.journal.write(Kind.SAFE_STATE, {"station": STATION, "action": "begin", "ok": True, "read_back": {}, "stop": True})
        self.journal.write(Kind.RUN_END, {"state": "completed", "reason": ""})
        return judge(self.journal.documents)

    def check(self, name: str = "conduct", end: float = 0) -> CheckResult:
        """End the run and return what one check says."""
        return next(one for one in self.judgement(end).verdict.checks if one.check == name)

    def on(self, requirement: str, end: float = 0) -> list[Verdict]:
        """End the run and return each verdict on one requirement."""
        return [one.verdict for one in self.check(end=end).requirements if one.requirement == requirement]
