"""Does the station report what follows from its profiles? Installed against reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, Limits, RunFacts
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.quantities import clock_text, parse_time
from bench.domain.timeline import Timeline, Window
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict, worst
from bench.runs.ev_plan import planned
from bench.runs.expected import StoreChange, limits_ahead

_ROUNDING: Final = 0.1
"""One decimal is all that OCPP carries: a limit may be rounded down by so much."""
_EQUAL: Final = 1e-4
"""Stations compute in 32-bit floats."""
_BOUNDARY_S: Final = 1.0
MOMENT_S: Final = 3.0
"""What is asked for a shorter time says what holds now: it is compared with what is due in so many seconds from then."""
_CLOCK_S: Final = 5.0
"""How far a station's clock may be from the bench's before its schedule counts as one of another time."""
_CONVERTED_W: Final = 100.0
"""0.1 A rounded down on three phases at nominal voltage is 69 W; up to 1 V of another nominal voltage is the rest."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A composite schedule as a station told it, in its unit."""

    unit: str
    limits: Timeline[float]


@dataclass(frozen=True, slots=True)
class Deviation:
    """Where a reported schedule says otherwise than what is due; in the schedule's unit."""

    at: float
    said: float | None
    due: float

    @property
    def above(self) -> bool:
        """Say whether more was reported than any of the merged schedules allows (K08.FR.04)."""
        return self.said is not None and self.said > self.due

    def text(self, unit: str) -> str:
        """Return it in words."""
        if self.said is None:
            return f"says nothing at {clock_text(self.at)}"
        return f"from {clock_text(self.at)} it says {self.said:g} {unit} where {self.due:g} {unit} is due"


def judge_composite(facts: RunFacts, evse: EvseFacts, history: Sequence[StoreChange]) -> CheckResult:
    """Judge each composite schedule that the station reported for an EVSE against the oracle (K08.FR.02).

    What an ISO 15118 EV means to take may stand in place of what it is allowed (K15.FR.14).
    What is asked for in a unit that the station does not take has no schedule for an answer (K08.FR.07): it is left out.
    """
    title = f"{evse.name} reports the composite schedule that follows from its profiles"
    units = facts.features(evse.station)["rate_units"]
    asked = [
        call
        for call in facts.calls
        if call.station == evse.station and not call.from_station and call.action == "GetCompositeSchedule"
        and call.request.get("evseId") == evse.evse_id and call.request.get("chargingRateUnit", units[0]) in units
    ]  # fmt: skip
    if not asked:
        return CheckResult("composite", title, Verdict.INCONCLUSIVE, ("no composite schedule was asked for",))
    results = [(call, *_composite(facts, evse, call, history)) for call in asked]
    verdict = worst(result for _, result, _ in results)
    reasons = tuple(
        f"asked at {clock_text(call.asked)}: {reason}" for call, result, reason in results if result is not Verdict.PASS
    )
    failed = verdict is Verdict.FAIL
    broken = any(isinstance(reported_schedule(call, evse.clock_offset_s), str) for call in asked if call.answered is not None)
    return CheckResult(
        "composite", title, verdict, reasons or (f"{len(results)} of {len(results)} composite schedules as expected",),
        (Layer.STATION,) if failed else (),
        (FaultClass.PROTOCOL if broken else FaultClass.REPORT_ONLY) if failed else None, "K08.FR.02",
        "installed/reported" if failed else "", tuple(ref for call, _, _ in results for ref in call.refs),
    )  # fmt: skip


def _composite(facts: RunFacts, evse: EvseFacts, call: Call, history: Sequence[StoreChange]) -> tuple[Verdict, str]:
    if call.answered is None:
        return Verdict.INCONCLUSIVE, "no answer"
    reported = reported_schedule(call, evse.clock_offset_s)
    if isinstance(reported, str):
        return Verdict.FAIL, reported
    expected = limits_ahead(evse, call, Window(reported.limits.start, reported.limits.end), history)
    if call.request["duration"] < MOMENT_S:
        return _moment(evse, reported, expected, call.request["duration"])
    wrong = first_deviation(expected, reported, evse.supply, own_a=own_limit_a(evse))
    lowered = planned(facts, evse, call, expected) if wrong is not None else None
    if lowered is not None and first_deviation(lowered, reported, evse.supply, own_a=own_limit_a(evse)) is None:
        return Verdict.PASS, ""
    return (Verdict.PASS, "") if wrong is None else (Verdict.FAIL, wrong.text(reported.unit))


def _moment(evse: EvseFacts, reported: Reported, expected: Limits, duration_s: int) -> tuple[Verdict, str]:
    """Compare what a schedule for a moment says with each limit that may hold then, the clock's second of doubt included."""
    start, end = reported.limits.start, reported.limits.end
    wrong = None
    for limit in expected.between(start, start + duration_s + _BOUNDARY_S):
        held = Timeline[ExpectedLimit | None]([(start, limit)], end)
        wrong = first_deviation(held, reported, evse.supply, own_a=own_limit_a(evse))
        if wrong is None:
            break
    return (Verdict.PASS, "") if wrong is None else (Verdict.FAIL, f"over {duration_s} s: {wrong.text(reported.unit)}")


def reported_schedule(call: Call, clock_offset_s: float) -> Reported | str:
    """Return the schedule of an answered GetCompositeSchedule in the bench's time, or what is wrong with the answer.

    Args: clock_offset_s: how far the station's time was put ahead of the bench's.
    """
    if call.error:
        return f"refused with CALLERROR {call.error}"
    if call.invalid:
        return f"the answer breaks its schema: {call.invalid}"
    if call.answered is None or call.status != "Accepted" or not call.response or "schedule" not in call.response:
        return f"answered {call.status or 'without status'}, without a schedule"
    schedule = call.response["schedule"]
    unit = schedule["chargingRateUnit"]
    if call.request.get("chargingRateUnit", unit) != unit:
        return f"in {unit}, asked in {call.request['chargingRateUnit']}"
    try:
        start = parse_time(schedule["scheduleStart"]) - clock_offset_s
    except ValueError:
        return f"scheduleStart {schedule['scheduleStart']!r} is no date-time"
    if not call.asked - _CLOCK_S <= start <= call.answered + _CLOCK_S:
        return f"starts at {schedule['scheduleStart']}, not when it was asked"
    if abs(schedule["duration"] - call.request["duration"]) > _BOUNDARY_S:
        return f"lasts {schedule['duration']} s, asked for {call.request['duration']} s"
    periods = schedule["chargingSchedulePeriod"]
    starts = [one["startPeriod"] for one in periods]
    if starts[0] != 0 or starts != sorted(set(starts)):
        return f"its periods start at {starts}: they have to ascend from 0"
    end = start + max(schedule["duration"], MOMENT_S)
    return Reported(unit, Timeline([(start + one["startPeriod"], float(one["limit"])) for one in periods], end))


def first_deviation(
    expected: Timeline[ExpectedLimit | None], reported: Reported, supply: Supply, *, at_most: bool = False, own_a: float = 0
) -> Deviation | None:
    """Compare in the middle of each span that is longer than the clock resolution of one second.

    Args:
        at_most: what is expected is an upper bound, below which anything may be reported.
        own_a: what the EVSE itself can give, in A per phase; 0 where that is not known. A station may say so in place of a
            higher limit: K08.FR.04 only bounds from above, and it expects to consume no more.
    """
    unit, limits = reported.unit, reported.limits
    edges: Sequence[float] = [*sorted({*expected.starts, *limits.starts}), min(expected.end, limits.end)]
    for start, end in pairwise(edges):
        if end - start <= _BOUNDARY_S:
            continue
        middle = (start + end) / 2
        limit = expected.at(middle)
        if limit is None:
            continue  # nothing installed limits here: what the station adds is its own limit
        wanted = limit.limit_a if unit == "A" else limit.watts(supply)
        if middle < limits.start:
            return Deviation(start, None, wanted)
        got = limits.at(middle)
        below = _ROUNDING if unit == limit.unit or unit == "A" else _CONVERTED_W
        lowest = 0.0 if at_most else wanted * (1 - _EQUAL) - below - 1e-9
        own = own_a if unit == "A" else own_a * supply.voltage_v * limit.number_phases
        if 0 < own < wanted and abs(got - own) <= own * _EQUAL + below:
            continue
        if not lowest <= got <= wanted * (1 + _EQUAL) + 1e-9:
            return Deviation(start, got, wanted)
    return None


def own_limit_a(evse: EvseFacts) -> float:
    """Return what an EVSE can give by the rig file, in A per phase; 0 on DC, where no phase says what that is at the supply."""
    return 0.0 if evse.current_type == "DC" else evse.max_current_a
