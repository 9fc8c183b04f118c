"""What a station answers when it is asked for its composite schedule, of any EVSE and of itself (K08, and what shows there)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, Limits
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit
from bench.domain.profiles import ChargingProfile, InstalledProfile, Kind, Purpose
from bench.domain.quantities import clock_text
from bench.domain.timeline import Timeline, Window
from bench.domain.verdicts import FaultClass, Verdict
from bench.runs.checks.composite import Deviation, Reported, first_deviation, own_limit_a, reported_schedule
from bench.runs.conduct.needs import use_case_of
from bench.runs.ev_plan import last_plan, planned
from bench.runs.expected import caps_ahead, limits_ahead, store_at
from bench.runs.scene import Scene, Shown, said, shown, undecided

_RECURRENCE_S: Final = {"Daily": 86_400.0, "Weekly": 604_800.0}
_SAME_MOMENT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A composite schedule that was reported for one EVSE, and what is due."""

    scene: Scene
    evse: EvseFacts
    call: Call
    window: Window
    due: Limits
    held: tuple[InstalledProfile, ...]
    """What counts on this EVSE."""
    in_transaction: bool

    def steps_at(self, moment: float | None) -> bool:
        """Say whether what is due changes at a moment inside the window."""
        return moment is not None and any(abs(moment - one) < _SAME_MOMENT_S for one in self.due.starts[1:])

    def purposes(self) -> set[Purpose]:
        """Return the purposes whose profiles lead at some moment."""
        by_id = {one.profile.id: one.profile.purpose for one in self.held}
        return {by_id[one.profile_id] for one in self.due.values if one is not None and one.profile_id in by_id}


def judge_composites(scene: Scene) -> Iterator[Shown]:
    """Judge each GetCompositeSchedule."""
    last: dict[int, int] = {}
    for call in scene.sent("GetCompositeSchedule"):
        evse_id = call.request.get("evseId", 0)
        subject = f"composite schedule of EVSE {evse_id} asked at {clock_text(call.asked)}"
        if not scene.features["smart_charging"]:
            continue
        refusal = _refusal(scene, call, subject)
        if refusal is not None:
            yield refusal
            continue
        reported = reported_schedule(call, scene.evses[0].clock_offset_s)
        if isinstance(reported, str):
            yield shown("K08.FR.02", False, f"{subject}: {reported}", call.refs, FaultClass.REPORT_ONLY)
            continue
        if evse_id == 0:
            yield from _station(scene, call, subject, reported)
            continue
        evse = scene.evse(evse_id)
        assert evse is not None
        yield from _evse(scene, evse, call, subject, reported, last.get(evse_id, -1))
        last[evse_id] = call.asked_seq


def _refusal(scene: Scene, call: Call, subject: str) -> Shown | None:
    """K08.FR.05, K08.FR.07: an EVSE that is not there and a unit that is not supported are Rejected."""
    evse_id, unit = call.request.get("evseId", 0), call.request.get("chargingRateUnit")
    if evse_id and scene.evse(evse_id) is None:
        return shown("K08.FR.05", call.status == "Rejected", f"{subject}, which is not there: {said(call)}", call.refs)
    if unit is not None and unit not in scene.features["rate_units"]:
        return shown("K08.FR.07", call.status == "Rejected", f"{subject} in {unit}, not supported: {said(call)}", call.refs)
    return None


def _evse(scene: Scene, evse: EvseFacts, call: Call, subject: str, reported: Reported, before: int) -> Iterator[Shown]:
    """K08.FR.02, K08.FR.04 and whatever else decides what is due in this window."""
    window = Window(reported.limits.start, reported.limits.end)
    due = limits_ahead(evse, call, window, scene.history)
    held = tuple(one for one in store_at(scene.history, call.asked_seq) if one.evse_id in (0, evse.evse_id))
    asked = Asked(scene, evse, call, window, due, held, bool(scene.running(call.asked_seq, evse.evse_id)))
    wrong = first_deviation(due, reported, evse.supply, own_a=own_limit_a(evse))
    lowered = planned(scene.facts, evse, call, due)
    if lowered is not None and lowered.values != due.values:
        heeded = first_deviation(lowered, reported, evse.supply, own_a=own_limit_a(evse)) is None
        yield _heeded(scene, evse, call, subject, heeded=heeded)
        wrong = None if heeded else wrong
    text = f"{subject}: {_words(wrong, reported)}"
    yield shown("K08.FR.02", wrong is None, text, call.refs, FaultClass.REPORT_ONLY)
    if len(_ruling(asked)) > 1:
        exceeded = wrong is not None and wrong.above
        yield shown("K08.FR.04", not exceeded, text, call.refs, FaultClass.REPORT_ONLY)
    for requirement in [*_by_profiles(asked), *_by_events(asked, before)]:
        yield shown(requirement, wrong is None, text, call.refs, FaultClass.REPORT_ONLY)


def _heeded(scene: Scene, evse: EvseFacts, call: Call, subject: str, *, heeded: bool) -> Shown:
    """K15.FR.14, K16.FR.10, K17.FR.14: the schedule that an EV told should be taken into account."""
    plan = last_plan(scene.facts, evse, call.asked_seq)
    assert plan is not None
    use_case = use_case_of(scene, plan)
    requirement, refs = f"{use_case}.FR.{'10' if use_case == 'K16' else '14'}", (*call.refs, *plan.refs)
    if heeded:
        return shown(requirement, True, f"{subject}: as the EV's accepted schedule says", refs)
    text = f"{subject}: without the EV's accepted schedule (SHOULD in the text: a recommendation)"
    return undecided(requirement, Verdict.CONDITIONAL_PASS, text, refs)


def _words(wrong: Deviation | None, reported: Reported) -> str:
    return "as due" if wrong is None else wrong.text(reported.unit)


def _ruling(asked: Asked) -> set[Purpose]:
    """Return the purposes that have a profile in force somewhere in the window; TxProfile and TxDefaultProfile are one."""
    return {
        Purpose.TX if one.profile.purpose is Purpose.TX_DEFAULT else one.profile.purpose
        for one in asked.held
        if (one.profile.valid_to is None or one.profile.valid_to > asked.window.start)
        and (one.profile.valid_from is None or one.profile.valid_from < asked.window.end)
    }


def _by_profiles(asked: Asked) -> Iterator[str]:
    """Yield the requirements on which the schedule depends that is due: each is put to the test by it.

    K01.FR.11 to K01.FR.13, 17, 30, 36, 37, K02.FR.04, K02.FR.08, K08.FR.06.
    """
    profiles = [one.profile for one in asked.held]
    leads = asked.purposes()
    for one in profiles:
        schedule = one.schedule
        if asked.steps_at(one.valid_from):
            yield "K01.FR.36"
        if asked.steps_at(one.valid_to):
            yield "K01.FR.37"
        if one.kind is not Kind.RELATIVE and (asked.steps_at(schedule.start) or _lies_ahead(asked, one)):
            yield "K01.FR.30"
        if schedule.duration_s is not None and schedule.periods[-1].start_s >= schedule.duration_s:
            yield "K01.FR.11"
        if any(asked.steps_at(edge) for edge in _edges(one)):
            yield "K01.FR.12"
        every = _RECURRENCE_S.get(one.recurrency or "")
        if every is not None and schedule.duration_s is not None and schedule.duration_s < every:
            yield "K01.FR.13"
    if any(_outranks(one, other) for one in profiles for other in profiles) and leads:
        yield "K01.FR.17"
    both = {Purpose.TX, Purpose.TX_DEFAULT} <= {one.purpose for one in profiles}
    if asked.in_transaction and both and Purpose.TX in leads:
        yield "K02.FR.04"
    if asked.in_transaction and _tx_profile_ends(asked):
        yield "K02.FR.08"
    if not asked.in_transaction and Purpose.TX_DEFAULT in leads:
        yield "K08.FR.06"


def _edges(one: ChargingProfile) -> Iterator[float]:
    """Yield when an Absolute schedule goes over to its next period, and when its duration ends."""
    schedule = one.schedule
    if one.kind is Kind.ABSOLUTE and schedule.start is not None:
        yield from (schedule.start + period.start_s for period in schedule.periods[1:])
        if schedule.duration_s is not None:
            yield schedule.start + schedule.duration_s


def _outranks(one: ChargingProfile, other: ChargingProfile) -> bool:
    return one.purpose is other.purpose and one.stack_level > other.stack_level


def _lies_ahead(asked: Asked, one: ChargingProfile) -> bool:
    """Say whether a schedule begins after the window only, and would lead in it if it began earlier."""
    start = one.schedule.start
    ahead = start is not None and start >= asked.window.end
    leads = [other.profile for other in asked.held if any(it and it.profile_id == other.profile.id for it in asked.due.values)]
    return ahead and any(_outranks(one, other) for other in leads)


def _tx_profile_ends(asked: Asked) -> bool:
    mine = {one.profile.id for one in asked.held if one.profile.purpose is Purpose.TX}
    for earlier, later in pairwise(asked.due.values):
        if earlier is not None and earlier.profile_id in mine and (later is None or later.profile_id not in mine):
            return True
    return False


def _by_events(asked: Asked, before: int) -> Iterator[str]:
    """Yield the requirements that what happened since the last composite schedule puts to the test.

    K01.FR.07, K01.FR.32, K05.FR.03, K10.FR.05, K10.FR.07, K13.FR.01.
    """
    scene, seq, here = asked.scene, asked.call.asked_seq, (0, asked.evse.evse_id)
    for call in scene.calls:
        if call.from_station or call.status != "Accepted" or not before < call.asked_seq < seq:
            continue
        running = bool(scene.running(call.asked_seq, asked.evse.evse_id)) and asked.in_transaction
        if call.action == "SetChargingProfile" and call.request["evseId"] in here:
            yield "K01.FR.07"
            if running and call.request["chargingProfile"]["chargingProfilePurpose"] == Purpose.TX_DEFAULT:
                yield "K01.FR.32"
        elif call.action == "RequestStartTransaction" and "chargingProfile" in call.request and asked.in_transaction:
            identity = call.request["chargingProfile"]["id"]
            if any(one.profile.id == identity for one in asked.held):
                yield "K05.FR.03"
        elif call.action == "ClearChargingProfile" and running:
            yield "K10.FR.05"
            gone = [one for one in scene.held(call.asked_seq) if one not in scene.held(seq) and one.evse_id in here]
            if any(one.profile.purpose is Purpose.TX_DEFAULT for one in gone):
                yield "K10.FR.07"
    for action in scene.facts.actions:
        if action.action == "external_limit" and action.arguments.get("limit") is None and before < action.seq < seq:
            yield "K13.FR.01"


def _station(scene: Scene, call: Call, subject: str, reported: Reported) -> Iterator[Shown]:
    """K08.FR.03, K08.FR.04: EVSE 0 is what the station takes from the grid, all EVSEs together."""
    window = Window(reported.limits.start, reported.limits.end)
    supply = scene.evses[0].supply
    cap = caps_ahead(scene.evses[0], scene.held(call.asked_seq), window)
    above = first_deviation(cap, reported, supply, at_most=True)
    if any(one is not None for one in cap.values):
        text = f"{subject}: {'within' if above is None else _words(above, reported) + ' at most by'} the limit of the station"
        yield shown("K08.FR.04", above is None, text, call.refs, FaultClass.REPORT_ONLY)
    due = _sum(scene, call, window, reported.unit, cap)
    if due is None:
        text = f"{subject}: an EVSE has no limit that the bench knows of, so the sum is not known"
        yield undecided("K08.FR.03", Verdict.INCONCLUSIVE, text, call.refs)
        return
    wrong = first_deviation(due, reported, supply)
    text = f"{subject}: {_words(wrong, reported)}"
    yield shown("K08.FR.03", wrong is None, text, call.refs, FaultClass.REPORT_ONLY)
    yield shown("K08.FR.02", wrong is None, text, call.refs, FaultClass.REPORT_ONLY)


def _sum(scene: Scene, call: Call, window: Window, unit: str, cap: Limits) -> Limits | None:
    """Return the sum of what each EVSE may take, under the station's limit; None where an EVSE's own limit is not known."""
    parts = [(evse, limits_ahead(evse, call, window, scene.history)) for evse in scene.evses]
    edges = sorted({window.start, *(start for _, one in parts for start in one.starts), *cap.starts})
    steps: list[tuple[float, ExpectedLimit | None]] = []
    for edge in edges:
        limits = [_own(evse, part.at(edge)) for evse, part in parts]
        known = [one for one in limits if one is not None]
        if len(known) < len(limits):
            return None
        steps.append((edge, _lowest(known, cap.at(edge), scene, unit)))
    return Timeline(steps, window.end)


def _own(evse: EvseFacts, limit: ExpectedLimit | None) -> ExpectedLimit | None:
    """Return an EVSE's limit; its rating plate's where no profile limits it, or limits less on a station that says so."""
    rated = evse.max_current_a
    if limit is not None:
        capped = evse.options.local_limit == "cap" and 0 < rated < limit.limit_a
        return limit._replace(limit=rated, unit="A", limit_a=rated) if capped else limit
    return ExpectedLimit(rated, "A", rated, min(len(evse.phases), evse.supply.phases), 0) if rated else None


def _lowest(parts: Sequence[ExpectedLimit], cap: ExpectedLimit | None, scene: Scene, unit: str) -> ExpectedLimit:
    """Return the sum in the asked unit, or the station's limit where that is lower; phases are the highest of the EVSEs'."""
    supply = scene.evses[0].supply
    phases = max(one.number_phases for one in parts)
    total = sum(one.limit_a for one in parts) if unit == "A" else sum(one.watts(supply) for one in parts)
    if cap is not None:
        total = min(total, cap.limit_a if unit == "A" else cap.watts(supply))
    return ExpectedLimit(total, unit, total if unit == "A" else total / (supply.voltage_v * phases), phases, 0)
