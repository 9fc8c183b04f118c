"""What the lab is told while a run goes on: a fold over the documents of its journal, to messages of the MQTT feed.

Raw frames, tokens and bodies are never told. docs/how-to/publish-by-mqtt.md describes topics and payloads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from bench.domain.documents import Document, Kind
from bench.domain.exchange import Call, Pairing
from bench.domain.oracle import Supply
from bench.domain.quantities import moment, seconds
from bench.domain.uncertainty import certificate_number
from bench.runs.facts import readings
from bench.runs.live import LiveLimits

ROOT: Final = "hil/v1"
UNITS: Final = {"P": "W", "I": "A", "U": "V", "f": "Hz", "E": "Wh"}
_EVENTS: Final = {
    Kind.STATION_LINK: ("station", "event", "reason"),
    Kind.STEP_START: ("step", "name"),
    Kind.STEP_END: ("step", "name", "outcome", "detail"),
    Kind.RIG_ACTION: ("station", "action", "evse_id"),
    Kind.LINK_FAULT: ("station", "mode", "seconds"),
    Kind.FINDING: ("source", "code", "text"),
    Kind.SAFE_STATE: ("station", "action", "ok", "stop"),
    Kind.RESTORED: ("station", "clean"),
}
"""What of a document is told as an event."""
_UNREADABLE: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What a station's frame raises that is not what the schema says."""
_IDENTITY: Final = ("model", "serial_number", "certificate", "accuracy")


class Message(NamedTuple):
    """One message of the feed."""

    topic: str
    payload: dict[str, Any]
    qos: int = 1
    retain: bool = False


def level(name: str) -> str:
    """Return a name as one level of a topic: what MQTT gives a meaning to is percent-encoded."""
    return quote(name, safe=":*|@=,() ") or "%"


def base_topic(bench: str) -> str:
    """Return what all topics of a bench begin with."""
    return f"{ROOT}/{level(bench)}"


class _Now:
    """The time of the document that is folded."""

    def __init__(self) -> None:
        self.at = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return seconds(self.at)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("whoever watches does not wait")


class _Evse:
    """State and limit of one EVSE."""

    def __init__(self, topic: str, station: str, number: int, limits: LiveLimits, supply: Supply) -> None:
        self.topic, self.station, self.number, self.limits, self.supply = topic, station, number, limits, supply
        self.state: dict[str, Any] = {
            "online": None, "connector": None, "transaction": None, "charging": None, "pilot": None, "duty_percent": None,
        }  # fmt: skip
        self._told: dict[str, object] = {}

    def changed(self, now: datetime) -> Iterator[Message]:
        """Yield state and limit where they are not what was told last."""
        for name, value in (("state", self.state), ("limit", self._limit())):
            if self._told.get(name) != value:
                self._told[name] = dict(value)
                payload = {"ts": now, "station": self.station, "evse": self.number, **value}
                yield Message(f"{self.topic}/{name}", payload, retain=True)

    def _limit(self) -> dict[str, Any]:
        holds, since = self.limits.limit, self.limits.limit_since
        if holds is None:
            return dict.fromkeys(("amps", "watts", "unit", "source", "profile_id", "valid_from"))
        return {
            "amps": round(holds.limit_a, 3), "watts": round(holds.watts(self.supply), 1), "unit": holds.unit,
            "source": "profile", "profile_id": holds.profile_id, "valid_from": None if since is None else moment(since),
        }  # fmt: skip


class Feed:
    """Folds the documents of one journal, each in order, into messages."""

    def __init__(self, bench: str, run: str, *, home_assistant: bool = False) -> None:
        self.base, self._bench, self._home_assistant = base_topic(bench), bench, home_assistant
        self._run: dict[str, Any] = {"id": run}
        self._now, self._pairing = _Now(), Pairing()
        self._evses: list[_Evse] = []
        self._counts: dict[str, int] = {}
        self._meta: dict[str, dict[str, Any]] = {}

    def take(self, document: Document) -> list[Message]:
        """Take one document; return what it gives to tell."""
        self._now.at = document.t
        for evse in self._evses:
            with suppress(*_UNREADABLE):
                evse.limits(document.kind, document.data)
        return [*self._of(document), *self.due(document.t)]

    def due(self, now: datetime) -> list[Message]:
        """Return states and limits that are not what was told last, also where a planned change has become due."""
        self._now.at = now
        return [message for evse in self._evses for message in evse.changed(now)]

    def _of(self, document: Document) -> Iterator[Message]:
        kind, data, ts = document.kind, document.data, document.t
        told: dict[str, Any]
        match kind:
            case Kind.RUN_START:
                yield from self._begin(data, ts)
            case Kind.RUN_END:
                yield self._session(ts, state=data["state"], reason=data["reason"])
            case Kind.METER_SAMPLE | Kind.METER_GAP:
                yield self._sample(document)
            case Kind.METER_IDENTITY if data["meter"] in self._meta:
                told = {name: data[name] for name in _IDENTITY if name in data}
                yield self._meta_of(data["meter"], **told)
            case Kind.VERDICT:
                yield from self._verdict(data, ts)
            case Kind.OCPP_FRAME:
                self._frame(data)
            case Kind.PILOT_SAMPLE | Kind.STATION_LINK:
                self._seen(kind, data)
        if kind in _EVENTS:
            told = {name: data[name] for name in _EVENTS[Kind(kind)] if name in data}
            yield Message(f"{self.base}/event", {"ts": ts, "document": document.seq, "kind": kind, **told})

    def _begin(self, data: Mapping[str, Any], ts: datetime) -> Iterator[Message]:
        rig, scenario = data["rig"], data["scenario"]
        digest = hashlib.sha256(orjson.dumps(rig, option=orjson.OPT_SORT_KEYS)).hexdigest()
        duts = [scenario["station"]] if scenario.get("station") else [one["id"] for one in rig["station"]]
        yield self._session(
            ts, state="running", began=ts, scenario=scenario.get("name", ""), title=scenario.get("title", ""), dut=duts,
            mode=data["mode"], seed=data["seed"], bench=data["bench"], rig=rig["name"], config_sha=digest,
            verdict=None, headline="",
        )  # fmt: skip
        for station in rig["station"]:
            features = station["features"]
            supply = Supply(features["nominal_voltage_v"], features["supply_phases"])
            for evse in station["evse"]:
                topic = f"{self.base}/evse/{level(station['id'])}/{evse['id']}"
                limits = LiveLimits(self._now, station["id"], evse["id"], supply, readings(features))
                self._evses.append(_Evse(topic, station["id"], evse["id"], limits, supply))
        wired = {evse["meter"]: {"station": station["id"], "evse": evse["id"], "phases": evse["phases"]}
                 for station in rig["station"] for evse in station["evse"] if evse.get("meter")}  # fmt: skip
        for name, meter in rig["meters"].items():
            accuracy = meter.get("accuracy") or {}
            yield self._meta_of(
                name, model=str(meter.get("register_map", "")).rpartition("/")[2].removesuffix(".toml") or meter["kind"],
                kind=meter["kind"], units=UNITS, accuracy=accuracy or None, certificate=certificate_number(meter),
                serial_number=meter.get("serial_number", ""), wired=wired.get(name),
            )  # fmt: skip
        if self._home_assistant:
            yield from _discovery(self._bench, self.base, list(rig["meters"]), [(one.station, one.number) for one in self._evses])

    def _session(self, ts: datetime, **changes: Any) -> Message:
        self._run |= changes
        return Message(f"{self.base}/session", {"ts": ts, **self._run}, retain=True)

    def _meta_of(self, meter: str, **changes: Any) -> Message:
        self._meta[meter] = self._meta.get(meter, {}) | changes
        return Message(f"{self.base}/meter/{level(meter)}/meta", dict(self._meta[meter]), retain=True)

    def _sample(self, document: Document) -> Message:
        data, meter = document.data, document.data["meter"]
        count = self._counts[meter] = self._counts.get(meter, -1) + 1
        if document.kind == Kind.METER_GAP:
            told = {"ts": document.t, "q": "gap", "reason": data["reason"]}
        else:
            told = {"ts": data["received"], "q": data["quality"], "P": data["power_w"], "I": data["current_a"],
                    "U": data["voltage_v"], "f": data["frequency_hz"], "E": data["energy_import_wh"]}  # fmt: skip
        payload = {"seq": count, "document": document.seq, **told}
        return Message(f"{self.base}/meter/{level(meter)}/sample", payload, qos=0)

    def _verdict(self, data: Mapping[str, Any], ts: datetime) -> Iterator[Message]:
        if "run" in data:
            told = {"check": None, **data["run"]}
            yield self._session(ts, verdict=told["verdict"], headline=told["headline"])
        else:
            check = orjson.loads(orjson.dumps(data["check"]))
            told = {name: check[name] for name in ("check", "title", "verdict", "reasons", "blamed", "requirement")}
        yield Message(f"{self.base}/verdict", {"ts": ts, "run": self._run["id"], **told})

    def _frame(self, data: Mapping[str, Any]) -> None:
        call = self._pairing.frame(data["station"], data["dir"] == "in", data["raw"], 0.0, 0)
        self._pairing.calls.clear()
        if call is not None and call.from_station and call.response is not None:
            with suppress(*_UNREADABLE):
                self._told_by_station(call)

    def _told_by_station(self, call: Call) -> None:
        request = call.request
        for evse in self._evses:
            if evse.station != call.station:
                continue
            if call.action == "StatusNotification" and request["evseId"] == evse.number:
                evse.state["connector"] = request["connectorStatus"]
            if call.action == "TransactionEvent":
                about = request["transactionInfo"]
                identity, ended = about["transactionId"], request["eventType"] == "Ended"
                if request.get("evse", {}).get("id") == evse.number or evse.state["transaction"] == identity:
                    evse.state["transaction"] = None if ended else identity
                    evse.state["charging"] = None if ended else about.get("chargingState", evse.state["charging"])

    def _seen(self, kind: str, data: Mapping[str, Any]) -> None:
        for evse in self._evses:
            if evse.station == data["station"] and kind == Kind.STATION_LINK and data["event"] in ("connected", "closed"):
                evse.state["online"] = data["event"] == "connected"
            elif evse.station == data["station"] and evse.number == data.get("evse"):
                evse.state |= {"pilot": data["state"], "duty_percent": data["duty_percent"]}


_SENSORS: Final = (
    ("power", "Power", "P", "W", "power", "measurement"),
    *((f"current_l{n + 1}", f"Current L{n + 1}", f"I[{n}]", "A", "current", "measurement") for n in range(3)),
    *((f"voltage_l{n + 1}", f"Voltage L{n + 1}", f"U[{n}]", "V", "voltage", "measurement") for n in range(3)),
    ("energy", "Energy", "E", "Wh", "energy", "total_increasing"),
)
_LIMITS: Final = (
    ("limit_current", "Limit per phase", "amps", "A", "current", "measurement"),
    ("limit_power", "Limit", "watts", "W", "power", "measurement"),
)


def _discovery(bench: str, base: str, meters: list[str], evses: list[tuple[str, int]]) -> Iterator[Message]:
    """Yield the discovery messages of Home Assistant: one device for the bench, an entity for each quantity."""
    device = {"identifiers": [f"charge-point-bench-{bench}"], "name": bench, "model": "charge point bench"}
    things = [(meter, f"{base}/meter/{level(meter)}/sample", _SENSORS) for meter in meters]
    things += [(f"{station} EVSE {evse}", f"{base}/evse/{level(station)}/{evse}/limit", _LIMITS) for station, evse in evses]
    for thing, topic, sensors in things:
        for key, name, path, unit, device_class, state_class in sensors:
            unique = _plain(f"{bench}_{thing}_{key}")
            value = f"value_json.{path}"
            first = value.partition("[")[0]
            yield Message(f"homeassistant/sensor/{unique}/config", {
                "name": f"{thing} {name}", "unique_id": unique, "state_topic": topic,
                "value_template": f"{{{{ {value} if {first} is defined else none }}}}",
                "unit_of_measurement": unit, "device_class": device_class, "state_class": state_class,
                "availability_topic": f"{base}/status", "device": device,
            }, retain=True)  # fmt: skip


def _plain(name: str) -> str:
    """Return a name in the characters that Home Assistant takes, distinct for distinct names."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "_-") else "_" for one in name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
