"""Does the state that the station reports fit the measured power? Reported against physical."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.checks.meter_values import CHARGING_W, shared

FAIL_S: Final = 60.0
WARN_S: Final = 15.0
"""A state that is late by less is no finding."""
_IDLE: Final = ("Available", "Unavailable")


@dataclass(frozen=True, slots=True)
class _State:
    """What the station says of an EVSE from one message to the next."""

    call: Call
    name: str
    start: float
    end: float


def judge_status(case: Case) -> CheckResult:
    """Judge the charging state and the connector's status by the reference meter's power.

    Charging without power is right where the EV does not want any. A state without charging under power for up to a minute is
    late: a finding. Where the pilot offers nothing, the state is right, and the power is another's fault. While nobody hears
    the station, it says nothing. Source: OCPP 2.0.1 Part 2, ChargingStateEnumType.
    """
    title = f"The state that {case.evse.name} reports fits its power"
    states = [one for one in _states(case) if one.name != "Charging"]
    if not any(True for _ in _states(case)):
        return CheckResult("status", title, Verdict.INCONCLUSIVE, ("the station reported no state",))
    if shared(case.facts, case.evse) or not any(one.power_w is not None for one in case.evse.samples):
        return CheckResult("status", title, Verdict.INCONCLUSIVE, ("no meter measures the power of this EVSE alone",))
    runs = [(state, *run) for state in states for run in _under_power(case.evse, state, case.rule.longest_gap_s)]
    late = [(state, first, last) for state, first, last in runs if last.received - first.received > WARN_S]
    long = [one for one in late if one[2].received - one[1].received > FAIL_S]
    texts = [
        f"{state.name} is reported from {clock_text(first.received)} to {clock_text(last.received)} while "
        f"{max(first.power_w or 0, last.power_w or 0) / 1000:.2f} kW flow"
        for state, first, last in late
    ]
    if long:
        return CheckResult(
            "status", title, Verdict.FAIL, tuple(texts), (Layer.STATION,), FaultClass.REPORT_ONLY, "",
            "reported/physical", tuple(ref for state, first, last in long for ref in (state.call.asked_seq, first.seq, last.seq)),
        )  # fmt: skip
    warnings = tuple(
        Warn("late-state", text, (Layer.STATION,), (state.call.asked_seq, first.seq))
        for text, (state, first, _) in zip(texts, late, strict=True)
    )
    return CheckResult("status", title, Verdict.PASS, ("each reported state fits the measured power",), warnings=warnings)


def _states(case: Case) -> Iterator[_State]:
    """Yield the states that were told when they began; what comes after an outage may be old."""
    states: list[tuple[Call, str, str]] = []
    for call in case.scene.calls:
        if not call.from_station or call.response is None:
            continue
        request = call.request
        if call.action == "TransactionEvent" and _of(case.evse, request["transactionInfo"]["transactionId"]):
            state = request["transactionInfo"].get("chargingState")
            if request["eventType"] == "Ended":
                states.append((call, "", "transaction"))
            elif state:
                states.append((call, state, "transaction"))
        elif call.action == "StatusNotification" and request["evseId"] == case.evse.evse_id:
            status = request["connectorStatus"]
            states.append((call, status if status in _IDLE else "", "connector"))
    outages = case.facts.offline(case.evse.station)
    for kind in ("transaction", "connector"):
        told = [(call, name) for call, name, of in states if of == kind and not call.request.get("offline")]
        for (name, _), group in groupby(told, lambda one: (one[1], sum(start < one[0].asked for start, _ in outages))):
            calls = [call for call, _ in group]
            after = [call.asked for call, _ in told if call.asked_seq > calls[-1].asked_seq]
            ends = [after[0] if after else case.facts.end, *(start for start, _ in outages if start >= calls[-1].asked)]
            if name:
                yield _State(calls[0], name, calls[0].asked, min(ends))


def _of(evse: EvseFacts, identity: str) -> bool:
    return any(span.transaction.id == identity for span in evse.transactions)


def _under_power(evse: EvseFacts, state: _State, longest_gap_s: float) -> Iterator[tuple[Sample, Sample]]:
    """Yield first and last reading of each span under power in which the pilot, where it was seen, offered current."""
    looks = [one.at for one in evse.pilot]
    run: list[Sample] = []
    for sample in evse.samples:
        if not state.start < sample.requested < state.end:
            continue
        pilot = evse.pilot[bisect_right(looks, sample.requested) - 1] if looks and looks[0] <= sample.requested else None
        flows = sample.power_w is not None and sample.power_w > CHARGING_W and (pilot is None or pilot.offered_a > 0)
        if run and (not flows or sample.received - run[-1].received > longest_gap_s):
            yield run[0], run[-1]
            run = []
        if flows:
            run.append(sample)
    if run:
        yield run[0], run[-1]
