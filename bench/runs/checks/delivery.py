"""Did the EV get what it was allowed, where it demonstrably wanted it? Too little is a defect only with proven demand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.evidence import EvseFacts, PilotSample, Sample, TransactionSpan
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict
from bench.runs.checks.case import Case
from bench.runs.checks.phases import DRAWING_A

CHECK: Final = "delivery"
SHARE: Final = 0.7
"""Less than this of what is allowed and wanted is under-delivery: stations may round down, and some offer few steps."""
RISE_S: Final = 60.0
"""How long a rise may take: a limit is a ceiling, and no standard says when an EVSE has to come back up to it."""
SWITCH_S: Final = 150.0
"""The same where the number of phases changes: pauses of two minutes are recommended by vendors."""
_LEAST_S: Final = 10.0
"""A shorter shortage is none."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What was due and given at one reading; None for nothing that could be judged."""

    sample: Sample
    due_a: float
    """Per phase, no more than the EV wanted."""
    due_phases: int
    offered_a: float
    phases: int
    pilot_seq: int

    @property
    def share(self) -> float:
        """Return which part of what was due was offered."""
        return self.offered_a * self.phases / (self.due_a * self.due_phases)


def judge_delivery(case: Case) -> CheckResult:
    """Judge whether the EVSE offered what its limit allows while the EV wanted more than it was offered.

    Demand is proven by the witness at the control pilot: the EV asks for more than it is offered. What the EV does not take of an
    offer is its own business. A shortage counts once nothing that may lower an offer for a while has happened for RISE_S.
    """
    evse = case.evse
    title = f"{evse.name} delivers what its limit allows"
    if evse.current_type == "DC" or any(call.action == "NotifyEVChargingNeeds" for call in case.scene.calls):
        return _nothing(title, "what the EV may take was agreed over ISO 15118, so the duty cycle does not tell it")
    if not evse.meter or not evse.samples or not evse.pilot:
        return _nothing(title, f"no demand was proven: nothing sees the control pilot of {evse.name}")
    looks = list(_looks(case))
    if not looks:
        return _nothing(title, "the EV never demonstrably wanted more than it had for long enough")
    short = _longest_short(looks)
    worst = min(looks, key=lambda one: one.share)
    what = "lowest share of what was allowed and wanted"
    measured = (Measurement("delivered_share", round(worst.share, 3), "", what, (worst.sample.seq,)),)
    if short is None:
        text = f"demand was proven at {len(looks)} readings, and the offer was never below {SHARE:.0%} of what was due"
        return CheckResult(CHECK, title, Verdict.PASS, (text,), measurements=measured)
    first, last = short[0], short[-1]
    lowest = min(short, key=lambda one: one.share)
    reason = (
        f"{evse.name} offered {lowest.offered_a:.1f} A on {_phases(lowest.phases)} where {lowest.due_a:.1f} A on "
        f"{_phases(lowest.due_phases)} were allowed and wanted, from {clock_text(first.sample.received)} to "
        f"{clock_text(last.sample.received)}; the station is to blame"
    )
    refs = tuple(dict.fromkeys((first.sample.seq, lowest.sample.seq, last.sample.seq, lowest.pilot_seq)))
    return CheckResult(
        CHECK, title, Verdict.FAIL, (reason,), (Layer.STATION,), FaultClass.UNDER_DELIVERY, "", "installed/physical", refs,
        measured,
    )  # fmt: skip


def _nothing(title: str, why: str) -> CheckResult:
    return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, (why,))


def _phases(count: int) -> str:
    return f"{count} phase{'s' if count != 1 else ''}"


def _longest_short(looks: Sequence[_Look]) -> list[_Look] | None:
    """Return the longest unbroken run of readings with too small an offer; None where none lasts."""
    best: list[_Look] = []
    run: list[_Look] = []
    for one in looks:
        if one.share >= SHARE:
            run = []
            continue
        run.append(one)
        if not best or _lasts(run) > _lasts(best):
            best = list(run)
    return best if len(best) > 1 and _lasts(best) >= _LEAST_S else None


def _lasts(run: Sequence[_Look]) -> float:
    return run[-1].sample.received - run[0].sample.received


def _looks(case: Case) -> Iterator[_Look]:
    """Yield each reading at which demand above the offer is proven and the offer has had time to be what is due."""
    evse = case.evse
    times = [one.at for one in evse.pilot]
    quiet = _disturbances(case)
    for span in evse.transactions:
        most = _most_phases(evse, span)
        for sample in evse.samples:
            at = sample.received
            if not span.begun <= at < (span.ended or case.facts.end):
                continue
            index = bisect_right(times, sample.requested)
            pilot = evse.pilot[index - 1] if index else None
            if pilot is None or not _wants(pilot):
                continue
            due = _due(case, at, quiet, most)
            if due is None or _shared(case, at):
                continue
            due_a, due_phases = due
            due_a = min(due_a, pilot.ev_wants_a or 0.0)
            drawing = sum(one > DRAWING_A for one in sample.current_a)
            if due_a >= MINIMUM_CURRENT_A and (pilot.ev_wants_a or 0.0) > pilot.offered_a:
                yield _Look(sample, due_a, due_phases, pilot.offered_a, drawing or due_phases, pilot.seq)


def _wants(pilot: PilotSample) -> bool:
    """Say whether there is an EV that would take current if it were offered."""
    return pilot.state in ("B", "C", "D") and bool(pilot.ev_wants_a)


def _due(case: Case, at: float, quiet: Sequence[float], most: int) -> tuple[float, int] | None:
    """Return the current per phase and the phases that had to be offered: the least of all that was due for a while.

    None where something happened for which an EVSE may offer less for a while, or where nobody said how much it can.
    """
    evse = case.evse
    if any(at - RISE_S <= one <= at for one in quiet):
        return None
    longest = evse.latency_s[1]
    if at - SWITCH_S < case.limits.start:
        reach = case.limits.between(case.limits.start, at)
    else:
        reach = case.limits.between(at - SWITCH_S - longest, at)
    phases = {len(evse.phases) if one is None else min(one.number_phases, len(evse.phases)) for one in reach}
    recent = case.limits.between(at - RISE_S - longest, at)
    if len(phases) != 1 or not recent:
        return None
    allowed = [evse.max_current_a if one is None else min(one.limit_a, evse.max_current_a or one.limit_a) for one in recent]
    return (min(allowed), min(phases.pop(), most)) if min(allowed) > 0 else None


def _shared(case: Case, at: float) -> bool:
    """Say whether another EVSE may have had a part of the station's limit."""
    if case.caps.between(at, at) == [None]:
        return False
    others = [one for one in case.scene.evses if one.evse_id != case.evse.evse_id]
    spans = [span for one in others for span in one.transactions]
    return any(span.begun <= at and (span.ended is None or at - RISE_S < span.ended) for span in spans)


def _disturbances(case: Case) -> list[float]:
    """Return when something happened after which an offer may take its time: starts, boots, plugs, changes of the EV."""
    station = case.scene.station
    times = [span.begun for span in case.evse.transactions]
    times += [one.asked for one in case.facts.boots(station)]
    times += [one.at for one in case.facts.actions if one.station == station and one.action != "demand"]
    for before, after in zip(case.evse.pilot, case.evse.pilot[1:], strict=False):
        if (before.state, before.ev_wants_a) != (after.state, after.ev_wants_a):
            times.append(after.at)
    return times


def _most_phases(evse: EvseFacts, span: TransactionSpan) -> int:
    """Return on how many phases the EV was seen to charge since it came: what it can take."""
    since = [
        sum(current > DRAWING_A for current in one.current_a)
        for one in evse.samples
        if one.received >= span.begun and (span.ended is None or one.received < span.ended)
    ]
    return max([1, *since])
