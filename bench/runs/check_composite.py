"""Does the station report what follows from its profiles? Installed against reported."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.quantities import clock_text, parse_time
from bench.domain.timeline import Timeline, Window
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict, worst
from bench.runs.expected import limits_ahead

_ROUNDING: Final = 0.1
"""One decimal is all that OCPP carries: a limit may be rounded down by so much."""
_EQUAL: Final = 1e-4
"""Stations compute in 32-bit floats."""
_BOUNDARY_S: Final = 1.0
_CLOCK_S: Final = 5.0
"""How far a station's clock may be from the bench's before its schedule counts as one of another time."""
_CONVERTED_W: Final = 100.0
"""0.1 A rounded down on three phases at nominal voltage is 69 W; up to 1 V of another nominal voltage is the rest."""


def judge_composite(facts: RunFacts, evse: EvseFacts) -> CheckResult:
    """Judge each composite schedule that the station reported for an EVSE against the oracle (K08.FR.02)."""
    title = f"{evse.name} reports the composite schedule that follows from its profiles"
    asked = [
        call
        for call in facts.calls
        if call.station == evse.station and not call.from_station and call.action == "GetCompositeSchedule"
        and call.request["evseId"] == evse.evse_id
    ]  # fmt: skip
    if not asked:
        return CheckResult("composite", title, Verdict.INCONCLUSIVE, ("no composite schedule was asked for",))
    results = [(call, *_composite(facts, evse, call)) for call in asked]
    verdict = worst(result for _, result, _ in results)
    reasons = tuple(
        f"asked at {clock_text(call.asked)}: {reason}" for call, result, reason in results if result is not Verdict.PASS
    )
    failed = verdict is Verdict.FAIL
    return CheckResult(
        "composite", title, verdict, reasons or (f"{len(results)} of {len(results)} composite schedules as expected",),
        (Layer.STATION,) if failed else (), FaultClass.REPORT_ONLY if failed else None, "K08.FR.02",
        "installed/reported" if failed else "", tuple(ref for call, _, _ in results for ref in call.refs),
    )  # fmt: skip


def _composite(facts: RunFacts, evse: EvseFacts, call: Call) -> tuple[Verdict, str]:
    if call.answered is None:
        return Verdict.INCONCLUSIVE, "no answer"
    if call.error:
        return Verdict.FAIL, f"refused with CALLERROR {call.error}"
    if call.invalid:
        return Verdict.FAIL, f"the answer breaks its schema: {call.invalid}"
    if call.status != "Accepted" or not call.response or "schedule" not in call.response:
        return Verdict.FAIL, f"answered {call.status or 'without status'}, without a schedule"
    schedule = call.response["schedule"]
    unit = schedule["chargingRateUnit"]
    if call.request.get("chargingRateUnit", unit) != unit:
        return Verdict.FAIL, f"in {unit}, asked in {call.request['chargingRateUnit']}"
    try:
        start = parse_time(schedule["scheduleStart"]) - facts.clock_offset(evse.station)
    except ValueError:
        return Verdict.FAIL, f"scheduleStart {schedule['scheduleStart']!r} is no date-time"
    if not call.asked - _CLOCK_S <= start <= call.answered + _CLOCK_S:
        return Verdict.FAIL, f"starts at {schedule['scheduleStart']}, not when it was asked"
    if abs(schedule["duration"] - call.request["duration"]) > _BOUNDARY_S:
        return Verdict.FAIL, f"lasts {schedule['duration']} s, asked for {call.request['duration']} s"
    starts = [one["startPeriod"] for one in schedule["chargingSchedulePeriod"]]
    if starts[0] != 0 or starts != sorted(set(starts)):
        return Verdict.FAIL, f"its periods start at {starts}: they have to ascend from 0"
    end = start + schedule["duration"]
    expected = limits_ahead(facts, evse, call, Window(start, end))
    reported = Timeline([(start + one["startPeriod"], float(one["limit"])) for one in schedule["chargingSchedulePeriod"]], end)
    return _compare_composite(expected, reported, unit, evse.supply)


def _compare_composite(
    expected: Timeline[ExpectedLimit | None], reported: Timeline[float], unit: str, supply: Supply
) -> tuple[Verdict, str]:
    """Compare in the middle of each span that is longer than the clock resolution of one second."""
    edges: Sequence[float] = [*sorted({*expected.starts, *reported.starts}), min(expected.end, reported.end)]
    for start, end in pairwise(edges):
        if end - start <= _BOUNDARY_S:
            continue
        middle = (start + end) / 2
        if middle < reported.start:
            return Verdict.FAIL, f"says nothing before {clock_text(reported.start)}"
        limit, got = expected.at(middle), reported.at(middle)
        if limit is None:
            continue  # nothing installed limits here: what the station adds is its own limit
        wanted = limit.limit_a if unit == "A" else limit.watts(supply)
        below = _ROUNDING if unit == limit.unit or unit == "A" else _CONVERTED_W
        if not wanted * (1 - _EQUAL) - below - 1e-9 <= got <= wanted * (1 + _EQUAL) + 1e-9:
            return Verdict.FAIL, f"from {clock_text(start)} it says {got:g} {unit} where {wanted:g} {unit} is due"
    return Verdict.PASS, ""
