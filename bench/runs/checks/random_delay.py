"""Does a station wait at random before it starts or changes as planned, so that a street of them does not switch at once?

Source: the UK's Electric Vehicles (Smart Charge Points) Regulations 2021, regulation 11: whole seconds in [0, longest], none
where the driver overrides it or where it answers a demand response.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Final

from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.checks.phases import DRAWING_A
from bench.runs.delays import delay_settings

CHECK: Final = "random_delay"
LEAST: Final = 10
"""Starts without which nothing is said of the spread."""
_ALIKE_S: Final = 1.0
_FRACTION_S: Final = 0.25
_CHANGED_A: Final = 0.3
_KS: Final = 1.949
"""Of Kolmogorov's distribution at 0.1 %: at 5 % every twentieth sound station would be accused."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """One start or planned change, and how long it took to show."""

    at: float
    took: float | None
    longest: float
    """What was set then, in s; 0 where there was to be no delay."""
    overridden: bool
    seq: int


def judge_random_delay(case: Case) -> CheckResult:
    """Judge each start and planned change: none later than the longest delay, all of them spread as chance spreads them.

    The delay shows at the control pilot, else in the current. `settle_s` is what a station is given beside its delay; the
    shortest time that is seen without a delay is taken off before whole seconds and the spread are looked at.
    """
    features, title = case.facts.features(case.evse.station), f"{case.evse.name} waits at random"
    if not features.get("random_delay"):
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, ("the target does not declare random_delay",))
    settle_s: float = case.scenario["settle_s"]
    waits = [*_starts(case), *_changes(case)]
    reasons, refs = [], []
    for one in waits:
        if one.took is None or one.took > one.longest + settle_s:
            told = "did not show" if one.took is None else f"took {one.took:.1f} s"
            most = "without a delay" if not one.longest else f"with one of at most {one.longest:g} s"
            reasons.append(f"what was due at {clock_text(one.at)} {told}, {most}")
            refs.append(one.seq)
    base = min((one.took for one in waits if not one.longest and one.took is not None), default=0.0)
    spread = [one for one in waits if one.longest and not one.overridden and one.took is not None]
    delays = [max(0.0, (one.took or 0.0) - base) for one in spread]
    measurements = [Measurement("random_delay", round(delay, 2), "s", f"from {clock_text(one.at)} on, at most {one.longest:g} s",
                                (one.seq,)) for one, delay in zip(spread, delays, strict=True)]  # fmt: skip
    warnings: tuple[Warn, ...] = ()
    if len(spread) >= LEAST:
        if max(delays) - min(delays) <= _ALIKE_S:
            reasons.append(f"{len(delays)} delays are all {delays[0]:.0f} s: that is not random")
        distance = _distance([delay / (one.longest + 1) for one, delay in zip(spread, delays, strict=True)])
        critical = _KS / (sqrt(len(delays)) + 0.12 + 0.11 / sqrt(len(delays)))
        text = f"Kolmogorov-Smirnov distance of {len(delays)} delays from uniform; {critical:.3f} at 0.1 %"
        measurements.append(Measurement("spread", round(distance, 3), "1", text))
        if distance > critical and max(delays) - min(delays) > _ALIKE_S:
            reasons.append(f"{len(delays)} delays are not spread evenly: distance {distance:.3f} of {critical:.3f} allowed")
        broken = [one.seq for one, delay in zip(spread, delays, strict=True) if abs(delay - round(delay)) > _FRACTION_S]
        if case.evse.pilot and len(broken) > len(spread) / 2:
            text = f"{len(broken)} of {len(spread)} delays are no whole seconds"
            warnings = (Warn("fractional-delay", text, (Layer.STATION,), tuple(broken)),)
        refs += [one.seq for one in spread]
    if reasons:
        return CheckResult(
            CHECK, title, Verdict.FAIL, tuple(reasons), (Layer.STATION,), FaultClass.TIMING, pair="intent/physical",
            refs=tuple(refs), measurements=tuple(measurements), warnings=warnings,
        )  # fmt: skip
    verdict = Verdict.PASS if len(spread) >= LEAST else Verdict.INCONCLUSIVE
    told = f"{len(spread)} random delays, {len(waits) - len(spread)} without one"
    return CheckResult(CHECK, title, verdict, (told,), refs=tuple(refs), measurements=tuple(measurements), warnings=warnings)


def _distance(parts: Sequence[float]) -> float:
    """Return the Kolmogorov-Smirnov distance of values from the uniform distribution on [0, 1]."""
    ordered, count = sorted(parts), len(parts)
    return max(max((index + 1) / count - one, one - index / count) for index, one in enumerate(ordered))


def _starts(case: Case) -> Iterator[_Wait]:
    """Yield each transaction's start, up to the first moment at which the EV was offered, or drew, something."""
    times, shown = _shown(case)
    for span in case.evse.transactions:
        longest, set_at = _longest(case, span.begun), None
        first = next((at for at, amps in _from(times, shown, span.begun) if amps > DRAWING_A), None)
        if first is not None and span.ended is not None and first > span.ended:
            first = None
        if _is_demand_response(case, span.remote_start_id):
            longest = 0.0
        set_at = next((at for at, value in delay_settings(case.scene) if span.begun < at and value < longest), None)
        overridden = set_at is not None and (first is None or set_at <= first)
        origin = set_at if overridden and set_at is not None else span.begun
        unseen = first is None and not any(one.offered_a for one in case.evse.pilot)  # the EV may not have wanted any
        ended_before = span.ended is not None and first is None and span.ended < origin + longest + case.scenario["settle_s"]
        if unseen or ended_before or (first is None and span.ended is None):
            continue  # it was over, or the run was, before the wait could be
        took = None if first is None else first - origin
        yield _Wait(origin, took, 0.0 if overridden else longest, overridden, span.begun_seq)


def _changes(case: Case) -> Iterator[_Wait]:
    """Yield each change of the limit that a schedule had planned, up to the moment at which it showed."""
    times, shown = _shown(case)
    told = sorted(one.at for one in case.scene.history)
    segments = list(case.limits.segments())
    for before, segment in pairwise(segments):
        near = bisect_left(told, segment.start - 2)
        by_message = near < len(told) and told[near] <= segment.start + 2
        runs = any(
            span.begun + 1 < segment.start and (span.ended is None or segment.end <= span.ended + 1)
            for span in case.evse.transactions
        )
        if by_message or not runs or before.value is None or segment.value is None:
            continue
        longest = _longest(case, segment.start)
        if segment.end - segment.start < longest + case.scenario["settle_s"]:
            continue
        index = bisect_left(times, segment.start)
        was = shown[index - 1][1] if index else 0.0
        moved = next((at for at, amps in _from(times, shown, segment.start) if abs(amps - was) > _CHANGED_A), None)
        took = None if moved is None or moved > segment.end else moved - segment.start
        if abs(segment.value.limit_a - before.value.limit_a) > 1:
            yield _Wait(segment.start, took, longest, False, shown[index][2] if index < len(shown) else 0)


Shown = tuple[float, float, int]
"""When, A per phase, and the number of the document."""


def _shown(case: Case) -> tuple[list[float], list[Shown]]:
    """Return what the pilot offered; where nobody sees it, what was drawn."""
    shown = [(one.at, one.offered_a, one.seq) for one in case.evse.pilot]
    if not any(amps for _, amps, _ in shown):
        shown = [(one.received, max(one.current_a), one.seq) for one in case.evse.samples]
    return [at for at, _, _ in shown], shown


def _from(times: Sequence[float], shown: Sequence[Shown], at: float) -> Iterator[tuple[float, float]]:
    return ((when, amps) for when, amps, _ in shown[bisect_left(times, at) :])


def _longest(case: Case, at: float) -> float:
    """Return the longest delay that was set at a moment; 0 where nobody set one."""
    return max((when, value) for when, value in [(0.0, 0.0), *(one for one in delay_settings(case.scene) if one[0] <= at)])[1]


def _is_demand_response(case: Case, remote_start_id: int | None) -> bool:
    """Say whether a transaction was started from afar with a profile: that answers somebody's demand."""
    return remote_start_id is not None and any(
        one.action == "RequestStartTransaction" and one.request.get("remoteStartId") == remote_start_id
        and "chargingProfile" in one.request for one in case.scene.calls if not one.from_station
    )  # fmt: skip
