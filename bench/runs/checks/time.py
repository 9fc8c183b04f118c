"""Are the station's time stamps right? By the bench's receive time, and where it was offline by the outage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.domain.evidence import RunFacts
from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.station_times import maybe_queued, outage_of, stamp_of

DRIFT_S: Final = 10.0
"""How far a station's clock may be from the bench's before it is a finding."""
NEAR_S: Final = 20.0
"""How near a difference has to be to whole half hours to be one of a time zone."""
HALF_HOUR_S: Final = 1800.0
FARTHEST_S: Final = 14 * 3600.0
"""The largest offset from UTC that there is."""
SET_S: Final = 1_000_000_000.0
"""September 2001: an earlier time is one of a clock that was never set."""
_MOST_TOLD: Final = 6


@dataclass(frozen=True, slots=True)
class _Stamp:
    call: Call
    text: str
    what: str
    of_sample: bool


@dataclass(frozen=True, slots=True)
class _Wrong:
    text: str
    fault: FaultClass
    refs: tuple[int, ...]


def judge_time(case: Case) -> CheckResult:
    """Judge the time stamps of TransactionEvents, MeterValues and StatusNotifications.

    One without a zone breaks the format of a date-time (RFC 3339). One that is off by half hours is local time with a false Z.
    One from before 2001 is of a clock that was never set. Another difference of the clock is a finding. What was queued may be
    as old as its outage, and a sample as old as its transaction. Source: OCPP 2.0.1 Part 2, dateTime (RFC 3339).
    """
    title = f"The time stamps of {case.evse.station} are right"
    stamps = [one for call in case.scene.calls if call.from_station and call.response is not None for one in _stamps(call)]
    if not stamps:
        return CheckResult("time", title, Verdict.INCONCLUSIVE, ("the station sent no time stamp",))
    wrong = [found for one in stamps if (found := _wrong(case.facts, one)) is not None]
    offset = _clock(case.facts, stamps)
    measured = (Measurement("clock_difference", offset, "s", "time stamps of the station less the receive time, median"),)
    if wrong:
        gravest = min((one.fault for one in wrong), key=list(FaultClass).index)
        wrong.sort(key=lambda one: list(FaultClass).index(one.fault))
        more = (f"{len(wrong) - _MOST_TOLD} more",) if len(wrong) > _MOST_TOLD else ()
        return CheckResult(
            "time", title, Verdict.FAIL, (*(one.text for one in wrong[:_MOST_TOLD]), *more), (Layer.STATION,), gravest, "",
            "reported/physical", tuple(dict.fromkeys(ref for one in wrong for ref in one.refs)), measured,
        )  # fmt: skip
    warnings: tuple[Warn, ...] = ()
    if offset is not None and abs(offset) > DRIFT_S:
        warnings = (Warn("clock-drift", f"the station's clock is {offset:+.0f} s from the bench's", (Layer.STATION,)),)
    text = f"{len(stamps)} time stamps, all with a zone and of the time at which they came or of an outage"
    return CheckResult("time", title, Verdict.PASS, (text,), measurements=measured, warnings=warnings)


def _stamps(call: Call) -> Iterator[_Stamp]:
    if call.action in ("TransactionEvent", "StatusNotification"):
        yield _Stamp(call, call.request["timestamp"], call.action, False)
    if call.action in ("TransactionEvent", "MeterValues"):
        for one in call.request.get("meterValue", ()):
            yield _Stamp(call, one["timestamp"], f"meterValue of {call.action}", True)


def _wrong(facts: RunFacts, one: _Stamp) -> _Wrong | None:
    stamp = stamp_of(one.text)
    if stamp is None:
        return _of(one, "is no date-time", FaultClass.PROTOCOL)
    told, zone = stamp[0] - facts.clock_offset(one.call.station), stamp[1]
    if not zone:
        return _of(one, "has no zone", FaultClass.PROTOCOL)
    if told < SET_S < one.call.asked:
        return _of(one, "is of a clock that was never set", FaultClass.TIMING)
    skew = told - one.call.asked
    if abs(skew) <= DRIFT_S or outage_of(facts, one.call.station, told, one.call.asked):
        return None
    halves = round(skew / HALF_HOUR_S)
    if halves == 0 or abs(skew) > FARTHEST_S + NEAR_S or abs(skew - halves * HALF_HOUR_S) > NEAR_S:
        return None
    if skew < 0 and (one.of_sample or maybe_queued(facts, one.call)):
        return None  # an old sample, or what has waited
    return _of(one, f"is {halves / 2:+g} h from the bench's time: another time zone with a false Z", FaultClass.TIMING)


def _of(one: _Stamp, text: str, fault: FaultClass) -> _Wrong:
    return _Wrong(f"{one.text} in {one.what}, come at {clock_text(one.call.asked)}, {text}", fault, one.call.refs)


def _clock(facts: RunFacts, stamps: list[_Stamp]) -> float | None:
    """Return the median difference of what came at once, in s; None where nothing did."""
    differences = []
    for one in stamps:
        stamp = stamp_of(one.text)
        if stamp is not None and stamp[1] and not one.of_sample and not maybe_queued(facts, one.call):
            differences.append(stamp[0] - facts.clock_offset(one.call.station) - one.call.asked)
    return round(median(differences), 1) if differences else None
