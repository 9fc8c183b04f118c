"""What a report draws for one EVSE: steps, readings and marks on one axis of time, thinned out without losing an extreme."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import nan
from typing import Any, Final

from bench.domain.documents import Document, Kind
from bench.domain.evidence import EvseFacts, EvseTrace, Judgement
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import parse_time, seconds
from bench.domain.verdicts import Breach

BUCKETS: Final = 800
"""Spans of equal length of which the lowest and the highest reading are kept."""
_CHARACTER: Final = 1 / 165
"""Width of a character of a mark's name, as a share of the plot."""
_MOST_LEVELS: Final = 8
_BEFORE_CHANGE_S: Final = 10.0
_AFTER_CHANGE_S: Final = 60.0
"""So long around each change of the limit every reading is drawn."""

Points = tuple[list[float], list[float]]
"""Times in seconds since 1970 UTC, and values; a value that is not a number breaks the line."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A step of the run; its name stands `level` lines below the top, so that names do not overlap."""

    at: float
    name: str
    level: int
    before: bool
    """The name stands left of the line, for want of room on the right."""


@dataclass(frozen=True, slots=True)
class DrawnBreach:
    """A breach in the unit of the plot."""

    start: float
    end: float
    limit: float
    highest: float


@dataclass(frozen=True, slots=True)
class EvseSeries:
    """All that is drawn for one EVSE; values in `unit`."""

    name: str
    unit: str
    """kW (total of all phases) or A (per phase)."""
    measured_as: str
    """How the measured value follows from the readings."""
    start: float
    end: float
    expected: Points
    reported: Points
    offered: Points
    measured: Points
    phases: tuple[list[float], ...]
    """Phase currents in A at the times of `measured`."""
    seqs: list[int]
    """Document numbers of `measured`; -1 in a gap."""
    settling: list[tuple[float, float]]
    breaches: list[DrawnBreach]
    marks: list[Mark]
    readings: int
    """How many readings there were before thinning out."""

    @property
    def highest(self) -> float:
        """Return the highest value to be drawn; a station that reports far more than all else does not flatten the rest."""
        solid = max((one for one in (*self.expected[1], *self.offered[1], *self.measured[1]) if one == one), default=0.0)
        said = max((one for one in self.reported[1] if one == one), default=0.0)
        return (min(said, 1.5 * solid) if solid and said > solid else max(solid, said)) or 1.0


def evse_series(judgement: Judgement, documents: Sequence[Document]) -> list[EvseSeries]:
    """Return what to draw for each EVSE that has readings or limits."""
    marks = [(seconds(one.t), str(one.data["name"])) for one in documents if one.kind == Kind.STEP_START]
    breaches = [breach for check in judgement.verdict.checks for breach in check.breaches]
    scenario_station = judgement.facts.scenario["station"]
    return [
        _series(judgement, trace, marks, [
            one for one in breaches if one.evse_id == trace.facts.evse_id and trace.facts.station == scenario_station
        ])
        for trace in judgement.traces
        if trace.facts.samples or any(one is not None for one in trace.limits.values)
    ]  # fmt: skip


class _Scale:
    """Brings limits and readings of one EVSE to the unit of its plot."""

    def __init__(self, evse: EvseFacts, in_watts: bool, w_limits: str) -> None:
        self._evse, self.in_watts, self._measured_w = evse, in_watts, w_limits == "measured"

    @property
    def measured_as(self) -> str:
        if not self.in_watts:
            return "highest phase current"
        return "active power of the meter" if self._measured_w else f"sum of phase currents × {self._evse.supply.voltage_v:g} V"

    def limit(self, limit: ExpectedLimit | None) -> float:
        if limit is None:
            return nan
        return limit.watts(self._evse.supply) / 1000 if self.in_watts else limit.limit_a

    def value(self, value: float, unit: str, phases: int) -> float:
        per_phase_w = self._evse.supply.voltage_v * phases
        if self.in_watts:
            return (value if unit == "W" else value * per_phase_w) / 1000
        return value if unit == "A" else value / per_phase_w

    def reading(self, current_a: Sequence[float], power_w: float | None) -> float:
        if not self.in_watts:
            return max(current_a)
        if self._measured_w:
            return nan if power_w is None else power_w / 1000
        return sum(current_a) * self._evse.supply.voltage_v / 1000


def _series(judgement: Judgement, trace: EvseTrace, marks: Sequence[tuple[float, str]], breaches: Sequence[Breach]) -> EvseSeries:
    facts, evse, scenario = judgement.facts, trace.facts, judgement.facts.scenario
    limits = [one for one in trace.limits.values if one is not None]
    scale = _Scale(evse, not limits or any(one.unit == "W" for one in limits), scenario["w_limits"])
    closely = [(one.start, one.end) for one in breaches]
    closely += [(start - _BEFORE_CHANGE_S, start + _AFTER_CHANGE_S) for start in trace.limits.starts]
    measured, phases, seqs = _readings(evse, scale, closely)
    settle_s = scenario["settle_s"] + evse.latency_s[1]
    return EvseSeries(
        name=evse.name,
        unit="kW" if scale.in_watts else "A",
        measured_as=scale.measured_as,
        start=facts.start,
        end=max(facts.end, facts.start + 1),
        expected=corners((one.start, one.end, scale.limit(one.value)) for one in trace.limits.segments()),
        reported=corners(_reported(judgement, evse, scale)),
        offered=corners(_offered(evse, scale, facts.end)),
        measured=measured,
        phases=phases,
        seqs=seqs,
        settling=[
            (one.start, min(one.end, one.start + settle_s)) for one in trace.limits.segments() if one.value is not None
        ],
        breaches=[
            DrawnBreach(one.start, one.end, scale.value(one.limit, one.unit, evse.supply.phases),
                        scale.value(one.highest, one.unit, evse.supply.phases))
            for one in breaches
            if one.unit != "phases"
        ],
        marks=placed(marks, facts.start, facts.end),
        readings=len(evse.samples),
    )  # fmt: skip


def corners(spans: Iterable[tuple[float, float, float]]) -> Points:
    """Return (start, end, value) spans in order of time as a line with corners, broken where there is no value."""
    times: list[float] = []
    values: list[float] = []
    for start, end, value in spans:
        if times and start > times[-1]:
            times.append(times[-1])
            values.append(nan)
        times += [start, end]
        values += [value, value]
    return times, values


def value_at(points: Points, at: float) -> float:
    """Return the value of a line at its last point up to `at`; not a number before its first and after its last."""
    times, values = points
    index = bisect_right(times, at) - 1
    return nan if index < 0 or at > times[-1] else values[index]


def _reported(judgement: Judgement, evse: EvseFacts, scale: _Scale) -> Iterator[tuple[float, float, float]]:
    """Yield what the station said in its composite schedules, each until the next one or its own end."""
    offset_s = judgement.facts.clock_offset(evse.station)
    said = [
        spans
        for call in judgement.facts.calls
        if call.station == evse.station and call.action == "GetCompositeSchedule" and call.request.get("evseId") == evse.evse_id
        and call.status == "Accepted" and (spans := _spans(call.response or {}, evse, scale, offset_s))
    ]  # fmt: skip
    for spans, following in pairwise([*said, [(judgement.facts.end, 0.0, 0.0)]]):
        until = following[0][0]
        yield from ((start, min(end, until), value) for start, end, value in spans if start < until)


def _spans(answer: dict[str, Any], evse: EvseFacts, scale: _Scale, offset_s: float) -> list[tuple[float, float, float]]:
    """Return one composite schedule; nothing where the answer breaks its schema, of which the check tells."""
    try:
        schedule = answer["schedule"]
        begin, unit = parse_time(schedule["scheduleStart"]) - offset_s, schedule["chargingRateUnit"]
        periods = schedule["chargingSchedulePeriod"]
        starts = [begin + one["startPeriod"] for one in periods] + [begin + schedule["duration"]]
        return [
            (start, end, scale.value(float(one["limit"]), unit, one.get("numberPhases", evse.supply.phases)))
            for (start, end), one in zip(pairwise(starts), periods, strict=True)
            if start < end
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _offered(evse: EvseFacts, scale: _Scale, until: float) -> Iterator[tuple[float, float, float]]:
    ends = [*(one.at for one in evse.pilot[1:]), until]
    for one, end in zip(evse.pilot, ends, strict=False):  # nothing for no look at all
        if end > one.at:
            yield one.at, end, scale.value(one.offered_a, "A", len(evse.phases))


def _readings(
    evse: EvseFacts, scale: _Scale, closely: Iterable[tuple[float, float]]
) -> tuple[Points, tuple[list[float], ...], list[int]]:
    """Return the readings, thinned out but for the spans that are to be seen closely, with a break for each gap."""
    samples = evse.samples
    times = [one.received for one in samples]
    values = [scale.reading(one.current_a, one.power_w) for one in samples]
    currents = [[one.current_a[phase] for one in samples] for phase in range(len(evse.phases))]
    must = {index for start, end in closely for index in range(bisect_left(times, start), bisect_right(times, end))}
    gaps = iter(sorted(evse.gaps))
    gap = next(gaps, None)
    points: Points = ([], [])
    phases: tuple[list[float], ...] = tuple([] for _ in currents)
    seqs: list[int] = []
    for index in thinned(times, [values, *currents], must):
        if gap is not None and gap < times[index]:
            while gap is not None and gap < times[index]:
                last, gap = gap, next(gaps, None)
            points[0].append(last)
            for line in (points[1], *phases):
                line.append(nan)
            seqs.append(-1)
        points[0].append(times[index])
        points[1].append(values[index])
        for line, current in zip(phases, currents, strict=True):
            line.append(current[index])
        seqs.append(samples[index].seq)
    return points, phases, seqs


def thinned(times: Sequence[float], lines: Sequence[Sequence[float]], must: set[int], buckets: int = BUCKETS) -> list[int]:
    """Return which readings to draw: first, last, those of `must`, and each line's lowest and highest per bucket."""
    if len(times) <= 2 * buckets:
        return list(range(len(times)))
    width = (times[-1] - times[0]) / buckets
    edges = [0]
    for index in range(1, len(times)):
        if int((times[index] - times[0]) / width) != int((times[index - 1] - times[0]) / width):
            edges.append(index)
    keep = {0, len(times) - 1} | must
    for first, last in pairwise([*edges, len(times)]):
        for line in lines:
            keep.add(min(range(first, last), key=line.__getitem__))
            keep.add(max(range(first, last), key=line.__getitem__))
    return sorted(keep)


def placed(marks: Iterable[tuple[float, str]], start: float, end: float) -> list[Mark]:
    """Return the marks, each on the highest line on which its name does not run into another.

    Where no line is free the name joins the one before, and the mark itself has none.
    """
    span = max(end - start, 1.0)
    free_from = [float("-inf")] * _MOST_LEVELS
    result: list[Mark] = []
    named = 0
    for at, name in marks:
        width = (len(name) + 2) * _CHARACTER * span
        before = at + width > end
        left = at - width if before else at
        level = next((one for one in range(_MOST_LEVELS) if free_from[one] <= left), None)
        if level is None:
            level = result[named].level
            result[named] = replace(result[named], name=f"{result[named].name}, {name}")
            free_from[level] += width
            name = ""
        else:
            free_from[level] = left + width
            named = len(result)
        result.append(Mark(at, name, level, before))
    return result
