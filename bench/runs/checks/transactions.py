"""Are the station's TransactionEvents complete, in order, and told once?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bench.domain.evidence import RunFacts
from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.station_times import outage_of, stamp_of

NOTICE_S: Final = 30.0
"""A station may take so long to see that its connection is gone."""
_MOST_TOLD: Final = 8


@dataclass(slots=True)
class _Findings:
    wrong: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    warnings: list[Warn] = field(default_factory=list)

    def fail(self, text: str, *calls: Call) -> None:
        self.wrong.append((text, tuple(ref for call in calls for ref in call.refs)))

    def warn(self, code: str, text: str, *calls: Call) -> None:
        self.warnings.append(Warn(code, text, (Layer.STATION,), tuple(ref for call in calls for ref in call.refs)))


def judge_transactions(case: Case) -> CheckResult:
    """Judge each transaction of the station by the TransactionEvents that came.

    A message that comes again as it was is no defect: the station may not have seen the answer. Nor is another order: seqNo is
    there to restore it. Numbers that are missing from an outage may be Updated events that were dropped for want of memory
    (E04.FR.07). An outage at the end of the run leaves open what still waits. Source: OCPP 2.0.1 Part 2, E01 to E04, E12.
    """
    title = f"{case.evse.station} tells each transaction completely, in order and once"
    by_transaction: dict[str, list[Call]] = {}
    for call in case.scene.calls:
        if call.from_station and call.action == "TransactionEvent" and not call.error and _readable(call):
            by_transaction.setdefault(call.request["transactionInfo"]["transactionId"], []).append(call)
    if not by_transaction:
        return CheckResult("transactions", title, Verdict.INCONCLUSIVE, ("there was no transaction",))
    found = _Findings()
    told = 0
    for identity, calls in by_transaction.items():
        events = list(_once(identity, calls, found))
        told += len(events)
        _numbers(case.facts, identity, events, found)
        _ends(identity, events, found)
        _offline(case.facts, identity, events, found)
    warnings = tuple(found.warnings)
    if not found.wrong:
        text = f"{told} events of {len(by_transaction)} transactions, complete, in order and once"
        return CheckResult("transactions", title, Verdict.PASS, (text,), requirement="E01.FR.07", warnings=warnings)
    return CheckResult(
        "transactions", title, Verdict.FAIL, tuple(text for text, _ in found.wrong[:_MOST_TOLD]), (Layer.STATION,),
        FaultClass.PROTOCOL, "E01.FR.07", "reported/physical",
        tuple(dict.fromkeys(ref for _, refs in found.wrong for ref in refs)), warnings=warnings,
    )  # fmt: skip


def _readable(call: Call) -> bool:
    request = call.request
    return isinstance(request.get("seqNo"), int) and isinstance(request.get("transactionInfo"), dict) and bool(
        request["transactionInfo"].get("transactionId")
    )


def _once(identity: str, calls: Sequence[Call], found: _Findings) -> Iterator[Call]:
    """Yield each event once; a second one of the same number must be the same message."""
    known: dict[int, Call] = {}
    for call in calls:
        number = call.request["seqNo"]
        earlier = known.setdefault(number, call)
        if earlier is call:
            yield call
        elif earlier.request != call.request:
            kinds = f"{earlier.request['eventType']} and {call.request['eventType']}"
            found.fail(f"transaction {identity}: seqNo {number} is told twice, with other content ({kinds})", earlier, call)


def _numbers(facts: RunFacts, identity: str, events: Sequence[Call], found: _Findings) -> None:
    for before, after in pairwise(events):
        if after.request["seqNo"] < before.request["seqNo"]:
            text = f"transaction {identity}: seqNo {after.request['seqNo']} comes after {before.request['seqNo']}"
            found.warn("out-of-order", text, before, after)
    ordered = sorted(events, key=lambda one: one.request["seqNo"])
    for before, after in pairwise(ordered):
        lower, higher = before.request["seqNo"], after.request["seqNo"]
        if higher - lower == 1:
            continue
        missing = f"seqNo {lower + 1}" + (f" to {higher - 1}" if higher - lower > 2 else "")
        text = f"transaction {identity}: {missing} never came"
        first, last = min(before.asked, after.asked), max(before.asked, after.asked)
        away = any(start <= last and end >= first for start, end in facts.offline(before.station))
        if away or before.request.get("offline") or after.request.get("offline"):
            found.warn("dropped-offline", f"{text}; it may have been dropped while the station was offline", before, after)
        else:
            found.fail(text, before, after)
    if ordered[0].request["seqNo"] != 0 and ordered[0].request["eventType"] == "Started":
        found.warn("seqno-start", f"transaction {identity}: seqNo begins at {ordered[0].request['seqNo']}, not at 0", ordered[0])


def _ends(identity: str, events: Sequence[Call], found: _Findings) -> None:
    """Started and Ended come once, first and last; a transaction from before the run has no Started in it."""
    ordered = sorted(events, key=lambda one: one.request["seqNo"])
    started = [one for one in ordered if one.request["eventType"] == "Started"]
    ended = [one for one in ordered if one.request["eventType"] == "Ended"]
    for name, several in (("Started", started), ("Ended", ended)):
        if len(several) > 1:
            numbers = " and ".join(str(one.request["seqNo"]) for one in several)
            found.fail(f"transaction {identity}: {name} is told {len(several)} times, with seqNo {numbers}", *several)
    if (started and ordered[0] is not started[0]) or (not started and ordered[0].request["seqNo"] == 0):
        found.fail(f"transaction {identity}: its first event is {ordered[0].request['eventType']}, not Started", ordered[0])
    if ended and ordered[-1].request["eventType"] != "Ended":
        kind = ordered[-1].request["eventType"]
        found.fail(f"transaction {identity}: {kind} follows its Ended", ended[0], ordered[-1])


def _offline(facts: RunFacts, identity: str, events: Sequence[Call], found: _Findings) -> None:
    """What happened while the connection was down says so (E04.FR.03, E12.FR.02): once the station can have seen that it was."""
    unsaid = []
    for one in events:
        stamp = stamp_of(one.request["timestamp"])
        if stamp is None or not stamp[1] or one.request.get("offline"):
            continue
        told = stamp[0] - facts.clock_offset(one.station)
        outage = outage_of(facts, one.station, told, one.asked)
        if outage is not None and outage[0] + NOTICE_S < told < outage[1] - 1:
            unsaid.append(one)
    if unsaid:
        at = clock_text((stamp_of(unsaid[0].request["timestamp"]) or (0.0, True))[0])
        text = f"transaction {identity}: {len(unsaid)} events from an outage, the first of {at}, do not say offline"
        found.fail(text, *unsaid)
