"""Does the station's own meter say what the reference meter shows? Reported against physical."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from typing import Final

from bench.domain.evidence import EvseFacts, RunFacts, Sample
from bench.domain.quantities import clock_text
from bench.domain.reference import Between, Reference
from bench.domain.station_values import ENERGY, UNIT_OF, StationValue, station_values
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.station_times import LATE_S, happened

BEFORE_S: Final = 5.0
"""A station may report a value that it measured so long before its time stamp."""
AFTER_S: Final = 1.0
_FLOOR: Final = {"A": 0.5, "W": 200.0, "Wh": 10.0}
"""What always may differ: standby, cables, steps of the station's register."""
_MOST_TOLD: Final = 8
CHARGING_W: Final = 500.0
"""Above this energy flows to an EV: far above the standby draw of any EVSE."""
BLIND_W: Final = 100.0
"""Below this a reference meter shows no charging at all."""


@dataclass(frozen=True, slots=True)
class Told:
    """A value of the station and when it was measured, in the bench's time."""

    value: StationValue
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Wrong:
    text: str
    fault: FaultClass
    refs: tuple[int, ...]


def judge_meter_values(case: Case) -> CheckResult:
    """Judge each current, power and energy that the station reports of the EVSE against the readings of the reference meter.

    A value is wrong where it lies outside all that the reference showed around its moment, widened by the tolerance of the
    station's meter (`station_meter_percent`), the reference's uncertainty and a floor; so a ramp convicts nobody. What was
    queued offline counts only where its time stamp lies inside the outage. Source: OCPP 2.0.1 Part 2, block J.
    """
    title = f"The meter values of {case.evse.name} agree with the reference meter"
    told = values_of(case.facts, case.evse)
    warnings = tuple(_repeated_begins(told))
    judged = [one for one in told if not _is_repeated(one)]
    if not judged:
        return CheckResult("meter_values", title, Verdict.INCONCLUSIVE, ("the station sent no meter values",))
    if shared(case.facts, case.evse) or not case.evse.samples:
        why = "its meter sees other EVSEs too" if case.evse.samples else "the reference meter gave no reading"
        return CheckResult("meter_values", title, Verdict.INCONCLUSIVE, (why,), warnings=warnings)
    if blind(case, judged):
        why = "the station reports power, the EV asks and the pilot offers; the reference meter alone shows none"
        return CheckResult("meter_values", title, Verdict.INCONCLUSIVE, (why,), (Layer.METER,), warnings=warnings)
    reference = Reference(case.evse.samples, case.rule.longest_gap_s)
    results = [*_moments(case, judged, reference), *_registers(case, judged, reference), *_offered(case, judged)]
    wrong = [one for one in results if one is not None]
    if not wrong:
        verdict = Verdict.PASS if results else Verdict.INCONCLUSIVE
        text = f"{len(results)} comparisons, all within tolerance" if results else "no reading of the reference to compare with"
        return CheckResult("meter_values", title, verdict, (text,), warnings=warnings, measurements=_session(judged, reference))
    gravest = min((one.fault for one in wrong), key=list(FaultClass).index)
    wrong.sort(key=lambda one: list(FaultClass).index(one.fault))
    return CheckResult(
        "meter_values", title, Verdict.FAIL, tuple(one.text for one in wrong[:_MOST_TOLD]), (Layer.STATION,), gravest, "",
        "reported/physical" if gravest is FaultClass.METERING else "installed/reported",
        tuple(dict.fromkeys(ref for one in wrong for ref in one.refs)), _session(judged, reference), warnings=warnings,
    )  # fmt: skip


def values_of(facts: RunFacts, evse: EvseFacts) -> list[Told]:
    """Return what the station reported of an EVSE, in the order in which it came, without what has no moment."""
    transactions = {span.transaction.id for span in evse.transactions}
    found = []
    for call in facts.calls:
        if call.station != evse.station or not call.from_station or call.response is None:
            continue
        ours = (call.action == "MeterValues" and call.request["evseId"] == evse.evse_id) or (
            call.action == "TransactionEvent" and call.request["transactionInfo"]["transactionId"] in transactions
        )
        for value in station_values(call, evse.evse_id) if ours else ():
            span = happened(facts, call, value.timestamp)
            if span is not None:
                found.append(Told(value, *span))
    return found


def shared(facts: RunFacts, evse: EvseFacts) -> bool:
    """Say whether the EVSE's meter sees more than this EVSE."""
    return sum(one.meter == evse.meter for one in facts.evses) > 1


def blind(case: Case, told: Sequence[Told]) -> bool:
    """Say whether the reference shows no power where the station reports some and pilot and EV bear it out: two against one."""
    looks = [one.at for one in case.evse.pilot]
    reference = Reference(case.evse.samples, case.rule.longest_gap_s)
    against = 0
    for one in told:
        if one.value.measurand != "Power.Active.Import" or one.value.phase or one.value.value < CHARGING_W:
            continue
        seen = reference.around(one.start - BEFORE_S, one.end + AFTER_S, lambda sample: sample.power_w)
        index = bisect_right(looks, one.start) - 1
        if seen is None or index < 0:
            continue
        pilot = case.evse.pilot[index]
        flows = pilot.state in ("C", "D") and pilot.offered_a > 0 and (pilot.ev_wants_a or 0) > 0
        if flows and seen.high >= BLIND_W:
            return False
        against += flows
    return against >= 2


def _is_repeated(one: Told) -> bool:
    return one.value.context == "Transaction.Begin" and one.value.event == "Updated"


def _repeated_begins(told: Sequence[Told]) -> Iterator[Warn]:
    repeated = [one for one in told if _is_repeated(one)]
    if repeated:
        text = f"the value of Transaction.Begin stands in {len(repeated)} later reports: who takes the last one sees no progress"
        yield Warn("repeated-begin", text, (Layer.STATION,), tuple(one.value.call.asked_seq for one in repeated[:3]))


def _moments(case: Case, told: Sequence[Told], reference: Reference) -> Iterator[_Wrong | None]:
    """Yield for each momentary value that could be compared what is wrong with it."""
    for one in told:
        value = one.value
        if UNIT_OF.get(value.measurand) not in ("A", "W", "V") or value.measurand.endswith("Offered"):
            continue
        if value.unit != UNIT_OF[value.measurand]:
            yield _wrong(one, f"is in {value.unit}")
            continue
        if value.measurand == "Voltage":
            yield _voltage(case, one)
            continue
        seen = _seen(case, one, reference)
        if seen is None:
            continue
        allowed = margin(case, seen.high, value.unit)
        least, most = case.evse.conversion
        good = seen.low * least - allowed <= value.value <= seen.high * most + allowed
        text = f"where the reference meter showed {_span(seen, value.unit)}"
        yield None if good else _wrong(one, f"is {value.value:g} {value.unit} {text}")


def _seen(case: Case, one: Told, reference: Reference) -> Between | None:
    """Return what the reference showed of the same; None where it is not the same."""
    value, start, end = one.value, one.start - BEFORE_S, one.end + AFTER_S
    if value.location != "Outlet":
        return None
    if value.measurand == "Power.Active.Import" and not value.phase:
        return reference.around(start, end, lambda sample: sample.power_w)
    number = {"L1": 0, "L2": 1, "L3": 2}.get(value.phase.removesuffix("-N"), -1)
    if value.measurand == "Current.Import" and 0 <= number < len(case.evse.phases) and case.evse.current_type != "DC":

        def current(sample: Sample) -> float | None:
            return sample.current_a[number]

        return reference.around(start, end, current)
    return None


def _voltage(case: Case, one: Told) -> _Wrong | None:
    highest = case.evse.supply.voltage_v * 1.3 * (sqrt(3) if one.value.phase.count("L") > 1 else 1)
    good = case.evse.current_type == "DC" or 0 <= one.value.value <= highest
    return None if good else _wrong(one, f"is {one.value.value:g} V")


def margin(case: Case, reading: float, unit: str) -> float:
    """Return by how much the station's meter may differ from a reading of the reference, in A, W or Wh."""
    accuracy = case.evse.current if unit == "A" else case.evse.power
    own = case.scene.features["station_meter_percent"] / 100 * abs(reading)
    return float(own + accuracy.expanded(reading, 1 if unit == "A" else 3) + _FLOOR[unit])


def _registers(case: Case, told: Sequence[Told], reference: Reference) -> Iterator[_Wrong | None]:
    """Yield for each step of the energy register, and for each transaction as a whole, what is wrong with it."""
    series = [one for one in told if one.value.measurand == ENERGY and not one.value.phase and one.value.transaction_id]
    series = [one for one in series if one.value.location == "Outlet"]
    for _, group in groupby(sorted(series, key=lambda one: one.value.transaction_id), lambda one: one.value.transaction_id):
        values = sorted(group, key=lambda one: (one.start, one.value.call.request["seqNo"]))
        off = [one for one in values if one.value.unit != "Wh"]
        if off:
            yield _wrong(off[0], f"is in {off[0].value.unit}")
            continue
        for before, after in _spans(values):
            yield from _step(case, before, after, reference)


def _spans(values: Sequence[Told]) -> Iterator[tuple[Told, Told]]:
    """Yield each value with the next one, with the 4th, 16th and so on after it, and the first with the last.

    A register that stands still for a while shows itself only over a longer span than from one value to the next.
    """
    lag = 1
    while lag < len(values):
        yield from zip(values, values[lag:], strict=False)
        lag *= 4
    if len(values) > 2:
        yield values[0], values[-1]


def _step(case: Case, before: Told, after: Told, reference: Reference) -> Iterator[_Wrong | None]:
    rise = after.value.value - before.value.value
    if rise < -_FLOOR["Wh"] / 10:
        text = f"goes back by {-rise:g} Wh since {clock_text(before.start)}"
        yield _wrong(after, text)
        return
    inner = (before.end + AFTER_S, after.start - BEFORE_S)
    most = reference.energy(before.start - BEFORE_S, after.end + AFTER_S)
    least = reference.energy(*inner) if inner[0] < inner[1] else Between(0, 0)
    if most is None or least is None:
        return
    allowed = margin(case, most.high, "Wh")
    lost, gained = case.evse.conversion
    if least.low * lost - allowed <= rise <= most.high * gained + allowed:
        yield None
    else:
        shown = _span(Between(least.low, most.high), "Wh")
        yield _wrong(after, f"rises by {rise:g} Wh since {clock_text(before.start)} where the reference meter counted {shown}")


def _offered(case: Case, told: Sequence[Told]) -> Iterator[_Wrong | None]:
    """Yield for each Offered that could be compared what is above all limits around it: settling, and a clock's difference."""
    for one in told:
        value = one.value
        if not value.measurand.endswith("Offered") or value.location != "Outlet" or value.unit != UNIT_OF.get(value.measurand):
            continue
        limits = case.limits.between(one.start - case.rule.settle_s - BEFORE_S, one.end + LATE_S)
        known = [limit for limit in limits if limit is not None]
        if not known or len(known) < len(limits):
            continue
        other_unit = any(limit.unit != value.unit for limit in known)
        if other_unit and (value.unit == "A" or case.evse.current_type == "DC"):
            continue  # a limit in W leaves the choice of phases, and on DC one in A counts at the EV
        highest = max(limit.limit_a if value.unit == "A" else limit.watts(case.evse.supply) for limit in known)
        if value.value <= highest * 1.01 + _FLOOR[value.unit]:
            yield None
        else:
            text = f"is {value.value:g} {value.unit} where {highest:g} {value.unit} is installed"
            yield _wrong(one, text, FaultClass.REPORT_ONLY)


def _session(told: Sequence[Told], reference: Reference) -> tuple[Measurement, ...]:
    registers = [one for one in told if one.value.measurand == ENERGY and not one.value.phase and one.value.unit == "Wh"]
    if len(registers) < 2:
        return ()
    first, last = registers[0], registers[-1]
    counted = reference.energy(first.start, last.end)
    told_wh = last.value.value - first.value.value
    refs = (first.value.call.asked_seq, last.value.call.asked_seq)
    own = Measurement("station_energy", round(told_wh, 1), "Wh", "first to last value of the station's register", refs)
    if counted is None:
        return (own,)
    middle = (counted.low + counted.high) / 2
    return own, Measurement("reference_energy", round(middle, 1), "Wh", "counted by the reference meter in the same time", refs)


def _wrong(one: Told, text: str, fault: FaultClass = FaultClass.METERING) -> _Wrong:
    return _Wrong(f"{one.value.name} at {clock_text(one.end)} {text}", fault, one.value.call.refs)


def _span(seen: Between, unit: str) -> str:
    low, high = f"{seen.low:.4g}", f"{seen.high:.4g}"
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"
