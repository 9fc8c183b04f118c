"""Did a dimmed station come under the grid operator's limit in the time of the regulation, and stay there minute by minute?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from bench.domain.evidence import Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import clock_text
from bench.domain.timeline import Segment
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, worst
from bench.runs.checks.case import Case

CHECK: Final = "dimming"
_MINUTE_S: Final = 60.0


def judge_dimming(case: Case) -> CheckResult:
    """Judge each lowered W limit: measured power below it within `regulation_s`, and the mean of each whole minute from then on.

    The evidence (each minute's mean, as a grid operator may ask for it for two years) stands in the measurements. A mean is
    above the limit where it is so by more than the meter's uncertainty, and undecided where it is within it.
    """
    title, evse = f"{case.evse.name} is dimmed as the regulation asks", case.evse
    within_s: float = case.scenario.get("regulation_s", 300.0)
    dimmed = list(_dimmed(case))
    if not dimmed:
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, ("no limit in W was lowered",))
    seen = [one._replace(power_w=evse.at_supply(one.power_w)) for one in evse.samples if one.power_w is not None]
    seen = [one for one in seen if one.power_w is not None]
    if not evse.power.known or not seen:
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, ("no meter of known accuracy tells the power",), (Layer.METER,))
    verdicts, reasons, measurements, refs = [], [], [], []
    for segment, limit in dimmed:
        readings = [one for one in seen if segment.start <= one.received < segment.end]
        reached = _reached(readings, limit.limit + evse.power.expanded(limit.limit))
        took = None if reached is None else max(0.0, reached.received - segment.start)
        since = clock_text(segment.start)
        meaning = f"from {limit.limit:g} W being due at {since} to the first reading of lasting obedience, within {within_s:g} s"
        measurements.append(Measurement("dimming_time", took, "s", meaning, (reached.seq,) if reached else ()))
        if took is None or took > within_s:
            verdicts.append(Verdict.FAIL if segment.end - segment.start > within_s else Verdict.INCONCLUSIVE)
            reasons.append(f"{limit.limit:g} W of {since} were not kept within {within_s:g} s")
            refs += [one.seq for one in readings[-1:]]
        for begin, mean, shown in _minutes(readings, segment.start + (within_s if took is None else took), segment.end):
            measurements.append(Measurement("mean_power", round(mean, 1), "W", f"the minute from {clock_text(begin)} on", shown))
            uncertainty = evse.power.expanded(mean)
            if mean - uncertainty > limit.limit:
                verdicts.append(Verdict.FAIL)
                reasons.append(f"{mean:.0f} W in the minute from {clock_text(begin)} on, where {limit.limit:g} W was the limit")
                refs += shown
            else:
                verdicts.append(Verdict.PASS)
    minutes = sum(one.name == "mean_power" for one in measurements)
    verdict = worst(verdicts) if minutes else worst([*verdicts, Verdict.INCONCLUSIVE])
    failed = verdict is Verdict.FAIL
    return CheckResult(
        CHECK, title, verdict, tuple(reasons) or (f"{len(dimmed)} limits in time, {minutes} whole minutes below them",),
        (Layer.STATION,) if failed else (), FaultClass.OVER_LIMIT if failed else None,
        pair="installed/physical" if failed else "", refs=tuple(refs), measurements=tuple(measurements),
    )  # fmt: skip


def _dimmed(case: Case) -> Iterator[tuple[Segment[ExpectedLimit | None], ExpectedLimit]]:
    before: ExpectedLimit | None = None
    for segment in case.limits.segments():
        limit = segment.value
        if limit is not None and limit.unit == "W" and before is not None and limit.limit_a < before.limit_a:
            yield segment, limit
        before = limit


def _reached(readings: Sequence[Sample], at_most: float) -> Sample | None:
    """Return the first reading from which on none is above."""
    found: Sample | None = None
    for one in reversed(readings):
        if (one.power_w or 0.0) > at_most:
            break
        found = one
    return found


def _minutes(readings: Sequence[Sample], start: float, end: float) -> Iterator[tuple[float, float, tuple[int, int]]]:
    """Yield begin, mean power and first and last reading of each whole minute that has readings at least each 30 s."""
    while start + _MINUTE_S <= end:
        inside = [one for one in readings if start <= one.received < start + _MINUTE_S]
        edges = [start, *(one.received for one in inside), start + _MINUTE_S]
        if len(inside) > 1 and max(later - earlier for earlier, later in pairwise(edges)) <= _MINUTE_S / 2:
            span = inside[-1].received - inside[0].received
            area = sum(
                (later.received - earlier.received) * ((earlier.power_w or 0.0) + (later.power_w or 0.0)) / 2
                for earlier, later in pairwise(inside)
            )
            yield start, area / span, (inside[0].seq, inside[-1].seq)
        start += _MINUTE_S
