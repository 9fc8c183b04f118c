"""What the meter shows of requirements: each period that a power check judged, by the rule that its limit came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.domain.evidence import EvseFacts, Limits, Sample, TransactionSpan
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit
from bench.domain.profiles import InstalledProfile, Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import Breach, CheckResult, FaultClass, Layer, PeriodResult, Verdict
from bench.runs.checks.phases import DRAWING_A, PHASE_SWITCH_S, phases_in_use
from bench.runs.checks.words import quantity
from bench.runs.conduct.needs import checks_the_ev, outside_of, sent_before, speaks_iso15118, use_case_of
from bench.runs.expected import Change, ClearProfiles, SetProfile, change_by
from bench.runs.scene import PATIENCE_S, Scene, Shown, shown

_SAME_MOMENT_S: Final = 1.0
_FREE_A: Final = 1.0
"""So much more than a limit that is gone shows that it is gone."""
_OVERRULE: Final = (Purpose.TX, Purpose.EXTERNAL)
"""What may lead after a TxProfile that has not run out."""
_HELD_S: Final = 30.0
"""An EV that is held under a limit so long after it went, on top of settling, is held by it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A period of the power check in which something could be seen, with what led it."""

    scene: Scene
    evse: EvseFacts
    limits: Limits
    period: PeriodResult
    breaches: tuple[Breach, ...]
    """Those that lie in it."""
    lead: InstalledProfile | None
    span: TransactionSpan | None
    settle_s: float

    @property
    def purpose(self) -> Purpose | None:
        """Return the purpose of the leading profile."""
        return None if self.lead is None else self.lead.profile.purpose

    @property
    def settled(self) -> list[Sample]:
        """Return the readings of the settled part."""
        begin = self.period.start + self.settle_s
        return list(self.evse.samples.within(begin, self.period.end))

    @property
    def before(self) -> ExpectedLimit | None:
        """Return the limit just before the period; None without one."""
        moment = self.period.start - 1e-3
        return self.limits.at(moment) if self.limits.start <= moment else None


def judge_measured(scene: Scene, evse: EvseFacts, power: CheckResult) -> Iterator[Shown]:
    """Judge by the meter of the EVSE under test: a rule counts as shown in a period that was exercised, or was broken."""
    settle_s = float(scene.facts.scenario.get("settle_s", 15.0)) + evse.latency_s[1]
    limits = scene.limits[evse.evse_id]
    for period in power.periods:
        breaches = tuple(one for one in power.breaches if one.start < period.end and period.start <= one.end)
        held = scene.held(_seq_at(scene, period.start))
        lead = next((one for one in held if one.profile.id == period.profile_id), None)
        judged = Judged(scene, evse, limits, period, breaches, lead, _span(evse, period.start), settle_s)
        yield from _asked_phase(judged)
        broken = _broken(breaches)
        good = period.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS) and not breaches
        if not broken and not (good and period.exercised):
            continue
        for requirement in _rules(judged):
            yield _said(requirement, judged, broken)
    yield from _freed(scene, evse, settle_s)
    yield from _unlimited_offline(scene, evse)


def _broken(breaches: Iterable[Breach]) -> list[Breach]:
    """Return what convicts the station: not what the uncertainty leaves open, nor what a car's habit explains."""
    return [one for one in breaches if Layer.STATION in one.blamed and one.verdict is Verdict.FAIL]


def _said(requirement: str, judged: Judged, broken: list[Breach]) -> Shown:
    period = judged.period
    where = f"{judged.evse.name}, {clock_text(period.start)} to {clock_text(period.end)}"
    limit = f"limit {quantity(period.limit, period.unit)}"
    if broken:
        worst = max(broken, key=lambda one: one.excess)
        text = f"{where}, {limit}: measured {quantity(worst.highest, worst.unit)}"
        return shown(requirement, False, text, worst.refs, FaultClass.OVER_LIMIT, worst.blamed)
    most = "nothing" if period.highest is None else quantity(period.highest, period.unit)
    refs = [one.seq for one in judged.settled]
    return shown(requirement, True, f"{where}, {limit}: measured {most} at most", (*refs[:1], *refs[-1:]), FaultClass.OVER_LIMIT)


def _rules(judged: Judged) -> Iterator[str]:
    """Yield the requirements that a period puts to the test."""
    yield "K01.FR.07"
    yield from _unit(judged)
    yield from _phases(judged)
    yield from _history(judged)
    purpose = judged.purpose
    if judged.span is not None and purpose is Purpose.EXTERNAL:
        yield "K11.FR.01"
    if judged.evse.current_type == "AC" and judged.evse.pilot and judged.span is not None and judged.period.limit > 0:
        yield "K02.FR.02"
    if _offline_in(judged):
        if purpose is Purpose.TX:
            yield "K06.FR.01"
        elif purpose is Purpose.TX_DEFAULT:
            yield "K07.FR.01"
        yield from _negotiated_offline(judged)
    yield from _checked(judged)


def _negotiated_offline(judged: Judged) -> Iterator[str]:
    """K15.FR.15, K17.FR.15: an ISO 15118 EV that told, or changed, its needs offline charges within the station's own limits."""
    scene, span, evse_id = judged.scene, judged.span, judged.evse.evse_id
    if span is None or not speaks_iso15118(scene, evse_id, span.begun_seq):
        return
    offline = [one for one in scene.facts.offline(scene.station) if one[0] < judged.period.end and judged.period.start < one[1]]
    told = [one.asked for one in scene.told("NotifyEVChargingNeeds") if one.request["evseId"] == evse_id]
    first = [(start, end) for start, end in offline if start <= span.begun + PATIENCE_S]
    if any(not any(start - PATIENCE_S <= one < end for one in told) for start, end in first):
        yield "K15.FR.15"
    asked = [one.at for one in scene.facts.actions if one.action == "renegotiate" and one.station == scene.station]
    if any(start <= one < end for start, end in offline for one in asked):
        yield "K17.FR.15"


def _checked(judged: Judged) -> Iterator[str]:
    """K15.FR.09, K16.FR.04, K17.FR.09: an EV that planned more than the CSMS allows did not get it, or did."""
    scene = judged.scene
    for call in scene.told("NotifyEVChargingSchedule"):
        sent = sent_before(scene, call)
        mine = call.request["evseId"] == judged.evse.evse_id and judged.period.start - 1 <= call.asked < judged.period.end
        if mine and sent is not None and judged.purpose is Purpose.TX and outside_of(scene, judged.evse, call, sent):
            yield checks_the_ev(use_case_of(scene, call))


def _unit(judged: Judged) -> Iterator[str]:
    """K01.FR.49, 50: W is the total, of three phases unless it says so; K01.FR.51: A is per phase, which two in use show."""
    if judged.evse.current_type == "DC":
        return
    if judged.period.unit == "W":
        yield "K01.FR.50"
        if any("numberPhases" not in one for one in _raw_periods(judged.scene, judged.period)):
            yield "K01.FR.49"
    elif judged.breaches or any(sum(one > DRAWING_A for one in sample.current_a) > 1 for sample in judged.settled):
        yield "K01.FR.51"


def _phases(judged: Judged) -> Iterator[str]:
    """K01.FR.43: no more phases than allowed, once there was time to switch."""
    fewer = judged.period.number_phases < len(judged.evse.phases) and judged.period.unit == "A"
    if judged.evse.current_type == "AC" and fewer and _switched(judged):
        yield "K01.FR.43"


def _switched(judged: Judged) -> list[Sample]:
    """Return the readings after which another number of phases is due, and another phase."""
    return [one for one in judged.settled if one.requested >= judged.period.start + judged.settle_s + PHASE_SWITCH_S]


def _asked_phase(judged: Judged) -> Iterator[Shown]:
    """K01.FR.46: the phase that an accepted profile asks for is the one that is used."""
    evse, use = judged.evse, _phase_to_use(judged.scene, judged.period)
    drawing = [one for one in _switched(judged) if max(one.current_a) > DRAWING_A]
    if evse.current_type == "DC" or use not in evse.phases or not drawing:
        return
    index = evse.phases.index(use)
    other = next((one for one in drawing if one.current_a[index] <= DRAWING_A), None)
    last = other or drawing[-1]
    text = f"{evse.name} at {clock_text(last.received)}: {last.current_a[index]:.1f} A on L{use}, which the limit asks for"
    yield shown("K01.FR.46", other is None, text, (last.seq,))


def _phase_to_use(scene: Scene, period: PeriodResult) -> int:
    """Return the phaseToUse of the leading profile's periods; 0 where they name none, or several."""
    found = {int(one.get("phaseToUse", 0)) for one in _raw_periods(scene, period)}
    return found.pop() if len(found) == 1 else 0


def _raw_periods(scene: Scene, period: PeriodResult) -> list[Mapping[str, Any]]:
    """Return the periods of the leading profile as they were set; none where it was not set in this run."""
    for call in reversed(list(scene.sent("SetChargingProfile"))):
        raw: Mapping[str, Any] = call.request.get("chargingProfile", {})
        if raw.get("id") == period.profile_id and call.status == "Accepted" and (call.answered or 0) <= period.start + 1:
            return list(raw["chargingSchedule"][0]["chargingSchedulePeriod"])
    return []


def _history(judged: Judged) -> Iterator[str]:
    """K02.FR.08: after a TxProfile ran out; K10.FR.05, 07: after clearing; K01.FR.32: under a new TxDefaultProfile."""
    scene, period, before = judged.scene, judged.period, judged.before
    if judged.span is None:
        return
    if before is not None and before.profile_id != period.profile_id:
        held = scene.held(_seq_at(scene, period.start))
        ran_out = next((one for one in held if one.profile.id == before.profile_id), None)
        if ran_out is not None and ran_out.profile.purpose is Purpose.TX and judged.purpose not in _OVERRULE:
            yield "K02.FR.08"
    for call in scene.calls:
        if call.from_station or call.answered is None or abs(call.answered - period.start) >= _SAME_MOMENT_S:
            continue
        change = change_by(call)
        if isinstance(change, ClearProfiles):
            yield "K10.FR.05"
            if before is not None and _purpose(scene, before.profile_id, call.asked_seq) is Purpose.TX_DEFAULT:
                yield "K10.FR.07"
        elif _is_new_default(judged, judged.span, call, change):
            yield "K01.FR.32"


def _is_new_default(judged: Judged, span: TransactionSpan, call: Call, change: Change | None) -> bool:
    """Say whether a change set the TxDefaultProfile that leads, while the transaction ran."""
    mine = isinstance(change, SetProfile) and change.profile["id"] == judged.period.profile_id
    return mine and judged.purpose is Purpose.TX_DEFAULT and call.action == "SetChargingProfile" and span.begun < call.asked


def _purpose(scene: Scene, profile_id: int, seq: int) -> Purpose | None:
    return next((one.profile.purpose for one in scene.held(seq) if one.profile.id == profile_id), None)


def _offline_in(judged: Judged) -> bool:
    """Say whether the limit was reached, or broken, when the station had been offline for as long as settling takes.

    A station that is switched off is offline as well, and draws nothing: that shows no obedience.
    """
    begin, period, supply = judged.period.start + judged.settle_s, judged.period, judged.evse.supply
    near_a = float(judged.scene.facts.scenario.get("near_a", 1.5))
    for start, end in judged.scene.facts.offline(judged.evse.station):
        first, last = max(begin, start + judged.settle_s), min(period.end, end)
        if any(one.start < last and first <= one.end for one in judged.breaches):
            return True
        for sample in judged.evse.samples:
            if first <= sample.requested and sample.received < last:
                scale = 1.0 if period.unit == "A" else supply.voltage_v * phases_in_use(sample)
                if max(sample.current_a) > max(DRAWING_A, period.limit / scale - near_a):
                    return True
    return False


def _freed(scene: Scene, evse: EvseFacts, settle_s: float) -> Iterator[Shown]:
    """K10.FR.05, K10.FR.07, K13.FR.01: what no longer limits is exceeded; that nobody exceeds it proves nothing.

    What was kept to until then and is exceeded later is free: for that no time to settle is waited for. A pilot that goes on
    offering an EV no more, though it wants more, is not. An external limit may also go without a transaction (erratum 2025-01
    to K13.FR.01), to be exceeded by the next one.
    """
    limits = scene.limits[evse.evse_id]
    for at, seq, kind in _releases(scene):
        if not limits.start < at < limits.end - 1e-3 or (kind == "clear" and _span(evse, at) is None):
            continue
        before, after = limits.at(at - 1e-3), limits.at(at + 1e-3)
        if before is None or (after is not None and after.limit_a <= before.limit_a):
            continue
        later = min([one for one in limits.starts if one > at + 1e-3] or [limits.end])
        free = before.limit + _FREE_A * _scale(before, evse)
        kept = [one for one in evse.samples if one.received <= at][-1:]
        drawn = [one for one in evse.samples if at <= one.requested and one.received < later]
        more = next((one for one in drawn if _reading(one, before) > free), None)
        requirements = ["K13.FR.01"] if kind == "external" else ["K10.FR.05"]
        if kind == "clear" and _purpose(scene, before.profile_id, seq) is Purpose.TX_DEFAULT:
            requirements.append("K10.FR.07")
        if more is None and (after is None or after.limit_a > before.limit_a + _FREE_A):
            held = _held(scene, evse, before, [one for one in drawn if one.requested >= at + settle_s + _HELD_S])
            if held is not None:
                limit = quantity(before.limit, before.unit)
                text = f"{evse.name} is offered no more at {clock_text(held.received)} than the limit of {limit} that is gone"
                for one in requirements:
                    yield shown(one, False, text, (seq, held.seq), FaultClass.UNDER_DELIVERY)
        if more is None or any(_reading(one, before) > free for one in kept):
            continue
        drew = f"{evse.name} drew {max(more.current_a):.1f} A at {clock_text(more.received)}"
        text = f"{drew}, free of the limit of {quantity(before.limit, before.unit)}"
        for one in requirements:
            yield shown(one, True, text, (seq, more.seq), FaultClass.UNDER_DELIVERY)


def _held(scene: Scene, evse: EvseFacts, gone: ExpectedLimit, drawn: list[Sample]) -> Sample | None:
    """Return a reading at which the pilot held an EV that wants more to a limit that is gone; None where nobody saw the pilot.

    With a second transaction the station's own supply may hold both, and an EVSE offers no more than its rating plate says.
    """
    if evse.max_current_a <= gone.limit_a + _FREE_A:
        return None
    times = [one.at for one in evse.pilot]
    for sample in drawn:
        index = bisect_right(times, sample.requested)
        view = evse.pilot[index - 1] if index else None
        if view is None or view.state != "C" or evse.current_type == "DC" or len(scene.running(sample.seq)) > 1:
            continue
        if (view.ev_wants_a or 0.0) > gone.limit_a + _FREE_A and view.offered_a <= gone.limit_a + _FREE_A / 2:
            return sample
    return None


def _releases(scene: Scene) -> Iterator[tuple[float, int, str]]:
    for call in scene.sent("ClearChargingProfile"):
        if call.status == "Accepted" and call.answered is not None and call.answered_seq is not None:
            yield call.answered, call.answered_seq, "clear"
    for one in scene.facts.actions:
        if one.action == "external_limit" and one.station == scene.station and one.arguments.get("limit") is None:
            yield one.at, one.seq, "external"


def _reading(sample: Sample, limit: ExpectedLimit) -> float:
    return max(sample.current_a) if limit.unit == "A" else (sample.power_w or 0.0)


def _scale(limit: ExpectedLimit, evse: EvseFacts) -> float:
    return 1.0 if limit.unit == "A" else evse.supply.voltage_v * limit.number_phases


def _unlimited_offline(scene: Scene, evse: EvseFacts) -> Iterator[Shown]:
    """K06.FR.02: offline and without any profile, a transaction charges as if unconstrained."""
    limits = scene.limits[evse.evse_id]
    for start, end in scene.facts.offline(scene.station):
        span = _span(evse, start)
        if span is None or any(one is not None for one in limits.between(start, end)):
            continue
        before = [max(one.current_a) for one in evse.samples if start - 60 <= one.received < start]
        during = [one for one in evse.samples if start <= one.requested and one.received < end]
        if not before or not during or before[-1] <= DRAWING_A:
            continue
        last, least = during[-1], before[-1] - _FREE_A
        drew, held = max(last.current_a), _held_down(evse, during, least, span)
        if drew >= least or held:
            text = f"{evse.name} offline from {clock_text(start)}: {drew:.1f} A, {before[-1]:.1f} A before{held}"
            yield shown("K06.FR.02", not held, text, (last.seq,), FaultClass.UNDER_DELIVERY)


def _held_down(evse: EvseFacts, during: list[Sample], least: float, span: TransactionSpan) -> str:
    """Say that the EV wanted at least so many A and the pilot offered fewer, to the end; empty where nobody saw that.

    An EV that draws nothing proves nothing: the station may be switched off. On DC, or with ISO 15118, the pilot offers nothing.
    """
    looks = [one for one in evse.pilot if one.at <= during[-1].received]
    if not looks or looks[-1].digital or _span(evse, during[-1].received) is not span or max(during[-1].current_a) <= DRAWING_A:
        return ""
    offered, wanted = looks[-1].offered_a, looks[-1].ev_wants_a or 0.0
    return f"; the EV wants {wanted:.1f} A and is offered {offered:.1f} A" if wanted >= least and offered < least else ""


def judge_station_measured(scene: Scene, power: CheckResult) -> Iterator[Shown]:
    """K04.FR.05, K12.FR.01: all EVSEs together stay within the station's limit, whoever set it."""
    for period in power.periods:
        breaches = [one for one in power.breaches if one.start < period.end and period.start <= one.end]
        broken = _broken(breaches)
        good = period.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS) and period.exercised and not breaches
        if not broken and not good:
            continue
        external = _purpose(scene, period.profile_id, _seq_at(scene, period.start)) is Purpose.EXTERNAL
        limit = f"all EVSEs of {scene.station} from {clock_text(period.start)}, limit {quantity(period.limit, period.unit)}"
        highest = max((one.highest for one in broken), default=period.highest or 0.0)
        text = f"{limit}: measured {quantity(highest, period.unit)}{'' if broken else ' at most'}"
        refs = tuple(ref for one in broken for ref in one.refs)
        yield shown("K12.FR.01" if external else "K04.FR.05", not broken, text, refs, FaultClass.OVER_LIMIT)


def _seq_at(scene: Scene, when: float) -> int:
    """Return a document number that lies after every change of the store up to a moment."""
    return max((one.seq for one in scene.history if one.at <= when + 1e-6), default=-1) + 1


def _span(evse: EvseFacts, when: float) -> TransactionSpan | None:
    running = [one for one in evse.transactions if one.begun <= when + 1e-6 and (one.ended is None or when < one.ended)]
    return running[-1] if running else None
