"""A journal folded into what the judge needs: nothing else reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from bench.domain.documents import STATION_CLOCK, Document, Kind
from bench.domain.evidence import (
    EvseFacts,
    Finding,
    LinkChange,
    RigAction,
    RunFacts,
    TransactionSpan,
    Wanted,
)
from bench.domain.exchange import Call, paired_calls, paired_http
from bench.domain.oracle import OracleOptions, Supply, Transaction, options_of
from bench.domain.quantities import moment, seconds, time_or
from bench.domain.uncertainty import accuracy_of
from bench.domain.verdicts import RunState
from bench.errors import EvidenceError
from bench.runs.measurements import fold_measurements
from bench.wire.schemas import check_payload, known_actions

_CLOSED: Final = ("Charging", "SuspendedEV", "SuspendedEVSE")
"""Charging states in which an EV is connected and authorised: the power path is closed (K01.FR.42)."""

_LONGEST_WAIT_S: Final = 1500.0
_LONGEST_OUTAGE_S: Final = 7 * 86_400.0
_AHEAD_S: Final = 60.0
"""A clock that is further ahead than this, or lies longer behind than an event may have waited, is not used to align."""


def facts_of(documents: Sequence[Document]) -> RunFacts:
    """Fold a journal up to the safe state that ends the run. Raises EvidenceError where it does not begin as a run does."""
    if not documents or documents[0].kind != Kind.RUN_START:
        raise EvidenceError("the journal does not begin with a run.start document")
    begin = documents[0]
    if not begin.data["judged"]:
        raise EvidenceError(
            "the journal is of 'bench serve', which judges nothing, or of 'bench ocpi check', whose report.html stands beside it"
        )
    rig, scenario = begin.data["rig"], begin.data["scenario"]
    stops = (index for index, one in enumerate(documents) if one.kind == Kind.SAFE_STATE and one.data["stop"])
    until = next(stops, len(documents))
    tried = documents[:until]
    told = [one for one in tried if one.kind != Kind.METER_SAMPLE]
    last = documents[min(until, len(documents) - 1)]
    on = moment(seconds(begin.t)).date()
    facts = RunFacts(
        scenario, rig, begin.data["seed"], seconds(begin.t), seconds(last.t), None, "",
        [_checked(call) for call in paired_calls(told) if _judgeable(call)], paired_http(told),
        [one for station in rig["station"] for one in _evses(station, rig, on)],
    )  # fmt: skip
    for document in told:
        if document.kind == Kind.SETTING and document.data["what"] == STATION_CLOCK:
            for one in facts.evses:
                if one.station == document.data["value"]["station"]:
                    one.clock_offset_s = document.data["value"]["offset_s"]
    facts.supplies.update(_supplies(rig, on))
    fold_measurements(tried, facts)
    _fold_circumstances(told, facts)
    _fold_transactions(facts)
    facts.job = begin.data.get("job")
    for document in documents:
        data = document.data
        if document.kind == Kind.PROOF:
            facts.proofs[data["meter"]] = (document.seq, data)
        elif document.kind == Kind.METER_IDENTITY:
            facts.identities[data["meter"]] = (document.seq, data)
        elif document.kind == Kind.RUN_END:
            facts.state, facts.end_reason = RunState(data["state"]), data["reason"]
        elif document.kind == Kind.STEP_END and data.get("refused"):
            facts.refused.append((data["refused"], document.seq))
        elif document.kind == Kind.STEP_END:
            facts.not_applicable = data.get("not_applicable", facts.not_applicable)
        elif document.kind == Kind.RESTORED:
            facts.not_as_found += data["differences"]
    return facts


def _judgeable(call: Call) -> bool:
    """Say whether a call can be judged: one that was broken on purpose so far that its profile is no object cannot."""
    return call.from_station or isinstance(call.request.get("chargingProfile", {}), dict)


def _checked(call: Call) -> Call:
    """Return a call without its answer where a station's answer breaks the schema: no check could rely on its fields."""
    if call.from_station or call.response is None or call.action not in known_actions():
        return call
    violation = check_payload(call.action, True, call.response)
    if violation is not None and not violation.tolerable:
        call.response, call.invalid = None, str(violation)
    return call


def _evses(station: dict[str, Any], rig: dict[str, Any], on: date) -> Iterable[EvseFacts]:
    features = station["features"]
    for evse in station["evse"]:
        meter = rig["meters"].get(evse["meter"])
        accuracy = {**(meter["accuracy"] or {}), "certified": meter.get("certificate")} if meter else None
        yield EvseFacts(
            station=station["id"],
            evse_id=evse["id"],
            meter=evse["meter"],
            phases=tuple(evse["phases"]),
            supply=Supply(features["nominal_voltage_v"], features["supply_phases"]),
            product_tolerance_a=features["product_tolerance_a"],
            current=accuracy_of(accuracy, "current", "a", on),
            power=accuracy_of(accuracy, "power", "w", on),
            latency_s=tuple(meter["latency_s"]) if meter else (0.0, 0.0),
            current_type=features.get("current_type", "AC"),
            max_current_a=evse.get("max_current_a", 0.0),
            options=readings(features),
            side=meter.get("side", "AC") if meter else "AC",
            efficiency=tuple((one[0], one[1]) for one in station.get("efficiency", ())),
            efficiency_uncertainty_percent=station.get("efficiency_uncertainty_percent", 0.0),
        )


def _supplies(rig: dict[str, Any], on: date) -> Iterable[tuple[str, EvseFacts]]:
    """Yield what is known of the meter in the supply of each station that has one."""
    for name, meter in rig["meters"].items():
        if meter.get("role") == "supply":
            station = next(one for one in rig["station"] if one["id"] == (meter["station"] or rig["station"][0]["id"]))
            whole = {"id": 0, "meter": name, "phases": [1, 2, 3]}
            yield from ((station["id"], one) for one in _evses({**station, "evse": [whole]}, rig, on))


def readings(features: Mapping[str, Any]) -> OracleOptions:
    """Return how a station reads the specification; journals of older runs say nothing of it."""
    named = {name: features.get(name) for name in ("local_limit", "relative_anchor", "default_taken_over")}
    return options_of(features.get("preset", ""), **named)


def _fold_circumstances(documents: Iterable[Document], facts: RunFacts) -> None:
    for document in documents:
        data, at, seq = document.data, seconds(document.t), document.seq
        if document.kind == Kind.RIG_ACTION:
            arguments = {key: value for key, value in data.items() if key not in ("station", "action")}
            facts.actions.append(RigAction(at, seq, data["station"], data["action"], arguments))
        elif document.kind == Kind.LINK_FAULT:
            facts.disturbed.append(at)
        elif document.kind == Kind.INTENT:
            facts.intents.append(Wanted(at, seq, data["station"], data))
        elif document.kind == Kind.STATION_LINK and data["event"] in ("connected", "closed"):
            facts.links.append(LinkChange(at, seq, data["station"], data["event"] == "connected"))
        elif document.kind == Kind.FINDING:
            facts.findings.append(Finding(at, seq, data["source"], data["code"], data["text"]))


def with_power_path(transaction: Transaction, request: Mapping[str, Any], otherwise: float) -> Transaction:
    """Return a transaction that knows when its power path closed, once a TransactionEvent says that energy can flow.

    Args: otherwise: the moment that counts where the event's timestamp is none or cannot be so, in the station's time.
    """
    if transaction.power_path_closed is not None or request["transactionInfo"].get("chargingState") not in _CLOSED:
        return transaction
    return replace(transaction, power_path_closed=_believed(request, otherwise))


def _believed(request: Mapping[str, Any], otherwise: float) -> float:
    """Return an event's timestamp, in the station's time, or another moment where it is none or a wrong clock's.

    An event may have waited for its message; one that is older than half an hour says that it was offline.
    """
    told = time_or(request["timestamp"], otherwise)
    oldest = _LONGEST_OUTAGE_S if request.get("offline") else _LONGEST_WAIT_S
    return told if otherwise - oldest < told < otherwise + _AHEAD_S else otherwise


def _begun_offline(facts: RunFacts, call: Call) -> float:
    """Return when a transaction began that was told afterwards: by the station's clock, within the time it was offline."""
    said = time_or(call.request["timestamp"], call.asked) - facts.clock_offset(call.station)
    gone = max((start for start, _ in facts.offline(call.station) if start <= call.asked), default=call.asked)
    return min(max(said, gone), call.asked)


def _fold_transactions(facts: RunFacts) -> None:
    for call in facts.calls:
        if not call.from_station or call.action != "TransactionEvent" or call.response is None:
            continue  # without a CALLRESULT it was no valid event
        request = call.request
        identity = request["transactionInfo"]["transactionId"]
        spans = [span for evse in facts.evses if evse.station == call.station for span in evse.transactions]
        span = next((one for one in spans if one.transaction.id == identity), None)
        if span is None and "evse" in request:
            evse = facts.evse(call.station, request["evse"]["id"])
            if evse is not None:
                remote = request["transactionInfo"].get("remoteStartId")
                begun = _begun_offline(facts, call) if request.get("offline", False) else call.asked
                anchor = _believed(request, begun + facts.clock_offset(call.station))
                span = TransactionSpan(Transaction(identity, anchor), begun, call.asked_seq, remote_start_id=remote)
                evse.transactions.append(span)
        if span is not None:
            offset = facts.clock_offset(call.station)
            span.transaction = with_power_path(span.transaction, request, call.asked + offset)
        if span is not None and request["eventType"] == "Ended" and span.ended is None:
            span.ended, span.ended_seq = _happened(facts, call), call.asked_seq


def _happened(facts: RunFacts, call: Call) -> float:
    """Return when a TransactionEvent came; where it was queued offline, when it happened, as the station tells.

    What it tells counts only inside a span in which it had no connection.
    """
    if call.request.get("offline"):
        told = time_or(call.request["timestamp"], call.asked) - facts.clock_offset(call.station)
        if any(start <= told < end <= call.asked for start, end in facts.offline(call.station)):
            return told
    return call.asked
