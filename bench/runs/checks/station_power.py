"""Did all EVSEs of a station together obey its limit? The sum of their meters against the station-wide limits (K04.FR.05)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from bench.domain.evidence import EvseFacts, Limits, PilotSample, RunFacts, Sample
from bench.domain.series import Series
from bench.domain.uncertainty import summed as added
from bench.domain.verdicts import CheckResult, FaultClass, Layer, PeriodResult, Verdict
from bench.runs.checks.phases import DRAWING_A
from bench.runs.checks.power import PowerRule, judge_power
from bench.runs.checks.words import conclude

CHECK: Final = "station_power"
_BEFORE_S: Final = 60.0
"""How far back 'just before' reaches for a second car's draw."""
_GRID: Final = (1, 2, 3)


def judge_station_power(facts: RunFacts, evses: Sequence[EvseFacts], limits: Limits, rule: PowerRule) -> CheckResult:
    """Judge whether the EVSEs of one station together stayed under its limit once settled.

    Currents are added per grid phase, W in total; the uncertainties of the meters add linearly. The station's own consumption
    is not seen by the meters of its EVSEs. A period in which fewer than two EVSEs drew is held, not exercised: a limit of the
    whole station cannot be judged with one car, unless the station has one EVSE.

    Args: limits: what binds the sum, in A per grid phase or W in total.
    """
    title = f"Measured power at {evses[0].station} as a whole obeys the station's limit"
    if all(one is None for one in limits.values):
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, ("no limit of the whole station was in force",))
    for one in evses:
        if not one.meter:
            return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, (f"no meter sees {one.name}, so the sum is not known",))
        if one.side == "DC":
            return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, (f"meter {one.meter} sees a DC output, not the supply",))
        if not one.samples:
            silent = f"meter {one.meter} of {one.name} gave no reading, so the sum is not known"
            return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, (silent,), (Layer.METER,))
    whole = summed(evses, rule.longest_gap_s)
    whole.samples = Series(_settled(whole, evses, rule.settle_s))
    result = judge_power(facts, whole, limits, rule, check=CHECK, requirement="K04.FR.05")
    periods = tuple(_with_enough_cars(period, evses) for period in result.periods)
    verdict, reasons = conclude(summed(evses, rule.longest_gap_s, readings=False), periods, result.breaches, 1, 0)
    if result.fault_class is FaultClass.TIMING and result.verdict is Verdict.FAIL:  # a limit that was obeyed too late
        return replace(result, title=title, periods=periods)
    return replace(result, title=title, verdict=verdict, reasons=reasons, periods=periods)


def _settled(whole: EvseFacts, evses: Sequence[EvseFacts], settle_s: float) -> list[Sample]:
    """Return the sums without those while a car has just come: the others need the time of a lower limit to make room for it.

    IEC 61851-1 gives the EVSE and the EV that time, and the limit of the station itself has not changed.
    """
    came = sorted(span.begun for one in evses for span in one.transactions)
    until = settle_s + whole.latency_s[1]
    return [one for one in whole.samples if not any(begun <= one.received < begun + until for begun in came)]


def _with_enough_cars(period: PeriodResult, evses: Sequence[EvseFacts]) -> PeriodResult:
    drew = [one for one in evses if _drew(one, period.start - _BEFORE_S, period.end)]
    if not period.exercised or len(evses) == 1 or len(drew) > 1:
        return period
    who = f"only {drew[0].name} drew" if drew else "no EVSE drew"
    reason = f"held, not exercised: {who}; a limit of the whole station cannot be judged with one car"
    return replace(period, exercised=False, lowered=False, reason=reason)


def _drew(evse: EvseFacts, start: float, end: float) -> bool:
    return any(max(one.current_a) > DRAWING_A for one in evse.samples if start <= one.received < end)


def summed(evses: Sequence[EvseFacts], longest_gap_s: float, *, readings: bool = True) -> EvseFacts:
    """Return the station as if it were one EVSE, number 0, on the three phases of the grid.

    At each reading of one meter the others count with the lower of their readings just before and just after: what is summed
    was then drawn at the same time. Where one of them has no reading within `longest_gap_s`, there is no sum.
    """
    first = evses[0]
    whole = EvseFacts(
        first.station, 0, ", ".join(one.meter for one in evses), (1, 2, 3), first.supply,
        sum(one.product_tolerance_a for one in evses),
        added([one.current for one in evses]), added([one.power for one in evses]),
        (min(one.latency_s[0] for one in evses), max(one.latency_s[1] for one in evses)),
        first.current_type,
    )  # fmt: skip
    if readings:
        whole.samples.extend(_sums(evses, longest_gap_s))
        whole.pilot.extend(_offers(evses))
        whole.gaps.extend(sorted(gap for one in evses for gap in one.gaps))
        whole.gap_reason = next((one.gap_reason for one in evses if one.gap_reason), "")
    return whole


def _sums(evses: Sequence[EvseFacts], longest_gap_s: float) -> Iterator[Sample]:
    times = [[sample.received for sample in one.samples] for one in evses]
    readings = sorted(
        ((sample, number) for number, one in enumerate(evses) for sample in one.samples),
        key=lambda pair: (pair[0].received, pair[0].seq),
    )
    for sample, number in readings:
        parts = [_on_grid(evses[number], sample)]
        for other, evse in enumerate(evses):
            if other != number:
                part = _lower(evse, times[other], sample.received, longest_gap_s)
                if part is None:
                    break
                parts.append(part)
        else:
            current = tuple(sum(part[0][phase] for part in parts) for phase in range(3))
            power = sum(part[1] for part in parts if part[1] is not None)
            known = all(part[1] is not None for part in parts)
            yield Sample(sample.requested, sample.received, current, power if known else None, None, sample.seq)


Part = tuple[tuple[float, float, float], float | None]
"""Currents on the grid's phases in A, and W in total."""


def _on_grid(evse: EvseFacts, sample: Sample) -> Part:
    on = dict(zip(evse.phases, sample.current_a, strict=True))
    return (on.get(1, 0.0), on.get(2, 0.0), on.get(3, 0.0)), sample.power_w


def _lower(evse: EvseFacts, times: Sequence[float], at: float, longest_gap_s: float) -> Part | None:
    """Return the reading of a moment, else the lower of those before and after it; None where none is near enough."""
    index = bisect_right(times, at)
    if index and times[index - 1] == at:
        return _on_grid(evse, evse.samples[index - 1])
    near = [one for one in evse.samples[max(0, index - 1) : index + 1] if abs(one.received - at) <= longest_gap_s]
    if not near:
        return None
    (first, first_w), (last, last_w) = _on_grid(evse, near[0]), _on_grid(evse, near[-1])
    power = None if first_w is None or last_w is None else min(first_w, last_w)
    return (min(first[0], last[0]), min(first[1], last[1]), min(first[2], last[2])), power


def _offers(evses: Sequence[EvseFacts]) -> Iterator[PilotSample]:
    """Yield what all pilots offer and all EVs want on the grid phase with most of it; nothing before each EVSE was looked at."""
    looks = [[one.at for one in evse.pilot] for evse in evses]
    if not all(looks):
        return
    for at in sorted({at for times in looks for at in times}):
        now = [evse.pilot[bisect_right(times, at) - 1] for evse, times in zip(evses, looks, strict=True) if times[0] <= at]
        if len(now) == len(evses):
            there = [(evse, one) for evse, one in zip(evses, now, strict=True) if one.state in ("B", "C", "D")]
            offered = max(
                sum(one.offered_a for evse, one in there if phase in evse.phases and one.state != "B") for phase in _GRID
            )
            wanted = max(sum(one.ev_wants_a or 0.0 for evse, one in there if phase in evse.phases) for phase in _GRID)
            yield PilotSample(at, "C" if there else "A", offered, wanted, max(one.seq for one in now))
