"""Did the station offer what the limit allows, where the EV wanted more? A limit is a maximum; demand has to be proven."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, PilotSample, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.series import Series
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from bench.runs.checks.case import Case
from bench.runs.checks.demand import HELD_A
from bench.runs.checks.ev_habits import ev_habits
from bench.runs.checks.ev_response import ev_response, imbalance
from bench.runs.checks.phases import DRAWING_A
from bench.runs.checks.pilot import Pilot
from bench.runs.scene import Scene, profile_of

CHECK: Final = "delivery"
CLEAR_A: Final = 2.0
"""An offer this far below what is due is clearly below: stations round down to whole amperes, and the generator may be one
percentage point (0.6 A) off."""
SWITCH_S: Final = 150.0
"""How long an offer may stay away where a station may be switching phases: pauses of 120 s are recommended by vendors."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A reading at which less was offered than the limit allows and the EV wants."""

    sample: Sample
    pilot: PilotSample
    due_a: float
    wanted_a: float
    phases: int = 0
    """So many in use where the limit allows more and the EV takes more; 0: the offer in A is too low."""


def judge_delivery(case: Case) -> CheckResult:
    """Judge whether the pilot offered what the limit allows wherever the EV wanted more.

    FAIL (installed/physical, under-delivery, the station) where the offer stayed clearly below the limit that held, and below
    what the EV asked for, for longer than the scenario's `resume_s`, or SWITCH_S where the station may be switching phases; and
    where the station itself took phases away from an EV that uses more of them, which shows in a pause of its offer. What an EV
    does not take of an offer that is right proves nothing. Nothing is judged, and the check does not
    apply, where no witness saw the pilot, or no demand above the offer was proven; nor while other EVSEs share a limit,
    something outside the run's knowledge limits, or nobody hears the station. Habits of the EV are findings beside it.
    """
    found = (*ev_habits(case.evse), *imbalance(case.evse))
    return replace(_offer(case), warnings=found, measurements=ev_response(case.evse, case.limits))


def _offer(case: Case) -> CheckResult:
    evse = case.evse
    title = f"The offer at {evse.name} is not below the limit where the EV wants more"
    if evse.current_type == "DC":
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, ("the offer of a DC output is not on the pilot",))
    if not any(look.state is not None for look in evse.pilot) or not evse.samples:
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, ("nobody saw the control pilot, so that no demand is proven",))
    delivery = _Delivery(case)
    spans = delivery.shortfalls()
    if spans:
        refs = tuple(dict.fromkeys(ref for run in spans for one in (run[0], run[-1]) for ref in (one.sample.seq, one.pilot.seq)))
        return CheckResult(
            CHECK, title, Verdict.FAIL, tuple(_text(evse, run) for run in spans), (Layer.STATION,), FaultClass.UNDER_DELIVERY,
            pair="installed/physical", refs=refs,
        )  # fmt: skip
    if not delivery.proven:
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, ("no demand above what was due was proven",))
    text = f"{delivery.proven} readings under proven demand, none with too low an offer for long"
    return CheckResult(CHECK, title, Verdict.PASS, (text,))


class _Delivery:
    """The readings of one EVSE, each beside what was due."""

    def __init__(self, case: Case) -> None:
        scene, evse = case.scene, case.evse
        self.scene, self.evse, self.limits, self.caps = scene, evse, case.limits, case.caps
        self.proven = 0
        """How many readings showed an EV that got what was due and would have taken more, or as much."""
        self._pilot = Pilot(evse)
        self._patience_s: float = scene.facts.scenario.get("resume_s", 60.0)
        features = scene.features
        self._switches = bool(features.get("ac_phase_switching") or features.get("phases_3to1"))
        self._blind = list(_unknown_limits(scene))
        self._offline = scene.facts.offline(scene.station)
        self._shared = list(_shared(scene, evse))

    def shortfalls(self) -> list[list[Shortfall]]:
        """Return each span of readings short of what was due that lasted longer than a station may take."""
        found: list[list[Shortfall]] = []
        for span in self.evse.transactions:
            closed = span.transaction.power_path_closed
            if closed is None:
                continue
            begin = max(span.begun, closed - self.evse.clock_offset_s)
            end = math.inf if span.ended is None else span.ended
            samples = self.evse.samples.within(begin, end)
            found += [*self._runs(samples), *self._switched(samples)]
        return found

    def _runs(self, samples: Sequence[Sample]) -> Iterator[list[Shortfall]]:
        """Yield the long runs of short readings in one transaction; a reading that cannot be judged ends a run."""
        run: list[Shortfall] = []
        highest = 0.0
        for sample in samples:
            short = self._short(sample, highest)
            highest = max(highest, *sample.current_a)
            if short is None:
                yield from self._long(run)
                run = []
            else:
                run.append(short)
        yield from self._long(run)

    def _long(self, run: list[Shortfall]) -> Iterator[list[Shortfall]]:
        if len(run) < 2:
            return
        start, end = run[0].sample.requested, run[-1].sample.requested
        patience = self._patience_s
        if self._switches and self._may_switch(start - patience, end):
            patience = max(patience, SWITCH_S)
        if end - start >= patience:
            yield run

    def _switched(self, samples: Series) -> Iterator[list[Shortfall]]:
        """Yield each long span on fewer phases than limit and EV allow, that the station began or ended by a pause of its offer.

        An EV that drops phases needs no pause, and one that pauses by itself is offered current all the while.
        """
        spans = [list(group) for drawing, group in groupby(samples, _in_use) if drawing]
        paused = [self._station_paused(samples, one[-1], other[0]) for one, other in pairwise(spans)]
        for index, span in enumerate(spans):
            count = _in_use(span[0])
            around = [(spans[other], paused[min(index, other)]) for other in (index - 1, index + 1) if 0 <= other < len(spans)]
            if not any(_in_use(other[0]) > count and by_station for other, by_station in around):
                continue
            short = [(one, self._pilot.at(one.requested)) for one in span if self._due_phases(one) > count]
            run = [Shortfall(one, seen, self._due_a(one) or 0.0, seen.ev_wants_a or 0.0, count) for one, seen in short if seen]
            if run and run[-1].sample.requested - run[0].sample.requested >= self._patience_s:
                yield run

    def _station_paused(self, samples: Series, last: Sample, first: Sample) -> bool:
        """Say whether the station stopped its offer between two readings although it was due all the while."""
        between = samples.taken((samples.requested >= last.received) & (samples.requested < first.requested))
        dues = [self._due_a(one) for one in (last, *between, first)]
        stopped = any(
            seen.offered_a < MINIMUM_CURRENT_A for one in between if (seen := self._pilot.at(one.requested)) and not seen.digital
        )
        return stopped and all(one is not None and one >= MINIMUM_CURRENT_A for one in dues)

    def _due_phases(self, sample: Sample) -> int:
        """Return the fewest phases that any limit around a reading allowed; 0 where W leave the choice to the station."""
        there = self.limits.between(sample.requested - self.evse.latency_s[1], sample.received)
        if self._due_a(sample) is None or any(one is not None and one.unit == "W" for one in there):
            return 0
        return min(len(self.evse.phases) if one is None else min(one.number_phases, len(self.evse.phases)) for one in there)

    def _may_switch(self, start: float, end: float) -> bool:
        """Say whether the limits of a span may let a station switch phases: another number of them, or W to split anew."""
        there = [one for one in self.limits.between(max(start, self.limits.start), end) if one is not None]
        return len({one.number_phases for one in there}) > 1 or any(one.unit == "W" for one in there)

    def _short(self, sample: Sample, highest_a: float) -> Shortfall | None:
        """Return what a reading lacks; None where it lacks nothing or cannot be judged."""
        seen = self._pilot.around(sample)
        due = self._due_a(sample)
        if seen is None or seen.digital or seen.state not in ("B", "C", "D") or due is None or due < MINIMUM_CURRENT_A:
            return None
        wanted = self._wanted_a(seen, sample, highest_a)
        if wanted < min(due, MINIMUM_CURRENT_A):
            return None
        if seen.offered_a < min(due, wanted) - CLEAR_A:
            return Shortfall(sample, seen, due, wanted)
        self.proven += wanted >= due - CLEAR_A
        return None

    def _wanted_a(self, seen: PilotSample, sample: Sample, highest_a: float) -> float:
        """Return the demand that is proven, A per phase: what the EV asks for, or drew earlier while the offer holds it now."""
        if seen.ev_wants_a is not None:
            return seen.ev_wants_a
        drawn = max(sample.current_a)
        held = seen.state in ("C", "D") and (seen.offered_a < MINIMUM_CURRENT_A or drawn >= seen.offered_a - HELD_A)
        return highest_a if held else 0.0

    def _due_a(self, sample: Sample) -> float | None:
        """Return the least that any limit around a reading allowed, A per phase; None where that is not known."""
        shortest, longest = self.evse.latency_s
        start, end = sample.requested - longest, sample.received - shortest
        if start < self.limits.start or _within(start, [*self._blind, *self._offline]):
            return None
        shared = _within(sample.requested, self._shared)
        if shared and (self._station_may_share() or any(one is not None for one in self.caps.between(start, max(end, start)))):
            return None
        own = self.evse.max_current_a
        found = [self._in_a(one) for one in self.limits.between(start, max(end, start))]
        if not found or (own <= 0 and None in found):
            return None
        allowed = min(own if one is None else one for one in found)
        return min(allowed, own) if own > 0 else allowed

    def _in_a(self, limit: ExpectedLimit | None) -> float | None:
        if limit is None or limit.unit == "A" or self._switches:
            return None if limit is None else limit.limit_a
        most = max(limit.number_phases, len(self.evse.phases))  # it cannot keep the EV off the phases that are there
        return limit.limit / (self.evse.supply.voltage_v * most)

    def _station_may_share(self) -> bool:
        """Say whether the supply of the station carries less than its EVSEs together."""
        named = next(one for one in self.scene.facts.rig["station"] if one["id"] == self.scene.station)
        most = named.get("max_current_a")
        return most is not None and most < sum(one.max_current_a for one in self.scene.evses)


def _within(when: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(start <= when < end for start, end in spans)


def _shared(scene: Scene, evse: EvseFacts) -> Iterator[tuple[float, float]]:
    """Yield each span in which a transaction ran on another EVSE of the station."""
    for other in scene.evses:
        if other.evse_id != evse.evse_id:
            for span in other.transactions:
                yield span.begun, math.inf if span.ended is None else span.ended + scene.facts.scenario.get("resume_s", 60.0)


def _unknown_limits(scene: Scene) -> Iterator[tuple[float, float]]:
    """Yield each span in which something may have limited that the profiles do not say.

    A profile that the station accepted though it breaks the rules, an external limit that the rig set at a station that does
    not declare its input, one that the station told and the rig did not set, or a schedule that the EV told over ISO 15118.
    """
    facts = scene.facts
    for call in (*scene.sent("SetChargingProfile"), *scene.sent("RequestStartTransaction")):
        raw = call.request.get("chargingProfile")
        if call.status == "Accepted" and raw is not None and profile_of(raw) is None:
            yield call.asked, math.inf
    acted = [one for one in facts.actions if one.station == scene.station]
    limited = [one for one in acted if one.action == "external_limit"]
    if limited and not scene.features.get("external_limits"):
        yield limited[0].at, math.inf
    told = [one for one in scene.told("NotifyChargingLimit") if not any(act.seq < one.asked_seq for act in limited)]
    if told:
        yield told[0].asked, math.inf
    for plan in scene.told("NotifyEVChargingSchedule"):
        yield plan.asked, math.inf


def _in_use(sample: Sample) -> int:
    """Return how many phases carry a current; 0 where none does."""
    return sum(one > DRAWING_A for one in sample.current_a)


def _text(evse: EvseFacts, run: Sequence[Shortfall]) -> str:
    first, last = run[0], run[-1]
    span = f"from {clock_text(first.sample.received)} to {clock_text(last.sample.received)}"
    if first.phases:
        return (
            f"{evse.name} charged on {first.phases} phase{'s' if first.phases > 1 else ''} {span}, fewer than its limit allows "
            "and the EV uses, beside a pause that the station made; the station is to blame"
        )
    lowest = min(run, key=lambda one: one.pilot.offered_a)
    return (
        f"{evse.name} offered {lowest.pilot.offered_a:.1f} A of the {lowest.due_a:.1f} A per phase that its limit allows {span}, "
        f"while the EV wanted {lowest.wanted_a:.1f} A; the station is to blame"
    )
