"""Does the CSMS let hold what was wanted? Intent against what its frames installed.

Both sides go through the same oracle: what was wanted as a store of its own, and the store as the station's answers and
read-backs describe it. What a station does otherwise than its answers say is for the other checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from bench.domain.evidence import Limits, RunFacts, Wanted
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit
from bench.domain.profiles import ChargingProfile, ProfileError
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, PeriodResult, Verdict, Warn
from bench.runs.checks.installed import difference
from bench.runs.checks.wishes import limit_words, wishes
from bench.runs.expected import Change, ClearProfiles, SetProfile, Store, StoreStep, changes_of, limits_over_run, store_history
from bench.runs.scene import Scene, profile_of

GRACE_S: Final = 5.0
"""How long what holds may differ from what is wanted while a message is on its way."""
FOLLOW_UP_S: Final = 60.0
"""How soon after the end of an outage, or of a time-out, a CSMS has to settle what was never answered."""
SAME: Final = 1e-3
ONE_DECIMAL: Final = 0.1
MINUTE_S: Final = 60
DEFAULT_TIMEOUT_S: Final = 30.0
TITLE: Final = "The CSMS lets hold what was wanted"


@dataclass(frozen=True, slots=True)
class Order:
    """One wanted limit and the frame that carries it."""

    want: Wanted
    call: Call | None
    changed: str
    """How the frame differs from what was wanted."""

    @property
    def refused(self) -> bool:
        """Say whether the station refused what was sent as it was wanted: then nothing else can hold."""
        call = self.call
        return call is not None and not self.changed and call.answered is not None and call.status != "Accepted"

    @property
    def refs(self) -> tuple[int, ...]:
        """Return the numbers of the documents."""
        return (self.want.seq, *(self.call.refs if self.call is not None else ()))


@dataclass(frozen=True, slots=True)
class Parting:
    """A span in which something else holds than is wanted."""

    evse_id: int
    start: float
    end: float
    wanted: ExpectedLimit | None
    held: ExpectedLimit | None

    @property
    def above(self) -> bool:
        """Say whether more is allowed than is wanted."""
        return _amps(self.held) > _amps(self.wanted)

    def text(self) -> str:
        """Return it in words."""
        span = f"from {clock_text(self.start)} for {self.end - self.start:.0f} s"
        return f"EVSE {self.evse_id}: {span} {limit_words(self.wanted)} is wanted, and {limit_words(self.held)} is installed"

    def period(self, wanted: ExpectedLimit) -> PeriodResult:
        """Return it as a row of the report's periods."""
        return PeriodResult(
            self.evse_id, self.start, self.end, wanted.limit, wanted.unit, Verdict.FAIL, False, False, False, None, 0,
            f"{limit_words(wanted)} wanted, {limit_words(self.held)} installed", wanted.profile_id, wanted.number_phases,
        )  # fmt: skip


def judge_intent(scene: Scene) -> CheckResult:
    """Judge whether the frames of the CSMS install, and leave installed, what was wanted of a station.

    Over the limit, under it, or both in turn (shifted in time); a span in which an answer is due, or that an outage explains,
    counts for neither. What was never delivered because nothing was heard of the station is the network's.
    """
    facts = scene.facts
    wants = [one for one in facts.intents if one.station == scene.station and one.data.get("by") == "operator"]
    limits = [one for one in wants if one.data["action"] == "limit"]
    if not limits:
        return CheckResult("intent", TITLE, Verdict.NOT_APPLICABLE, ("no step wanted a limit",))
    orders = list(_orders(scene, limits))
    warnings = tuple(_slow(scene))
    refs = tuple(dict.fromkeys(ref for one in orders for ref in one.refs))
    stray = _stray(scene, orders)
    if stray is not None:
        return _failed(FaultClass.PROTOCOL, (stray[0],), stray[1].refs, warnings, [stray[1]])
    partings = list(_partings(scene, wants, orders))
    changed = [f"{_name(one)} left the CSMS with a difference: {one.changed}" for one in orders if one.changed]
    cleared = _cleared(scene, wants)
    changed += [
        f"at {clock_text(one.asked)} the CSMS cleared what was wanted, and nobody had asked for that" for one, _ in cleared
    ]
    lost = {name for _, names in cleared for name in names}
    guilty = [one for one in orders if one.changed or one.want.data["profile_id"] in lost]
    convicting = tuple(ref for one, _ in cleared for ref in one.refs)
    silent = _silent(scene, orders)
    if partings:
        over, under = (any(one.above is side for one in partings) for side in (True, False))
        fault = FaultClass.TIMING if over and under else FaultClass.OVER_LIMIT if over else FaultClass.UNDER_DELIVERY
        guilty = _behind(partings, orders) or guilty
        reasons = (*changed, *(one.text() for one in partings))
        found = _failed(fault, reasons, convicting, warnings, guilty) if guilty else _failed(fault, reasons, refs, warnings)
        return replace(found, periods=tuple(one.period(one.wanted) for one in partings if one.wanted is not None))
    if changed:
        return _failed(FaultClass.PROTOCOL, tuple(changed), convicting, warnings, guilty)
    if silent:
        reasons = tuple(f"{_name(one)}: not delivered, and nothing was heard of {scene.station} any more" for one in silent)
        blamed, shown = (Layer.NETWORK,), tuple(ref for one in silent for ref in one.refs)
        return CheckResult(
            "intent", TITLE, Verdict.INCONCLUSIVE, reasons, blamed, FaultClass.CONNECTIVITY, pair="intent/sent", refs=shown,
            warnings=warnings, demanded=wishes(one.want for one in silent),
        )  # fmt: skip
    return CheckResult("intent", TITLE, Verdict.PASS, (f"{len(orders)} wanted limits hold",), refs=refs, warnings=warnings)


def _failed(
    fault: FaultClass, reasons: tuple[str, ...], refs: Sequence[int], warnings: tuple[Warn, ...], guilty: Sequence[Order] = ()
) -> CheckResult:
    """Return a failure, with the documents that convict first, then those of the orders that did not hold."""
    shown = tuple(dict.fromkeys((*refs, *(ref for one in guilty for ref in one.refs))))
    return CheckResult(
        "intent", TITLE, Verdict.FAIL, reasons, (Layer.CSMS,), fault, pair="intent/sent", refs=shown, warnings=warnings,
        demanded=wishes(one.want for one in guilty),
    )  # fmt: skip


def _behind(partings: Sequence[Parting], orders: Sequence[Order]) -> list[Order]:
    """Return the orders that did not hold: the last of each profile before its parting."""
    found: list[Order] = []
    for parting in partings:
        name = None if parting.wanted is None else parting.wanted.profile_id
        asked = [one for one in orders if one.want.data["profile_id"] == name and one.want.at <= parting.start]
        found += asked[-1:]
    return found


def _orders(scene: Scene, limits: Sequence[Wanted]) -> Iterator[Order]:
    """Pair each wanted limit with the first frame after it that is for the same EVSE and purpose, by id where there is one."""
    ends = [*(one.seq for one in limits[1:]), 1 << 62]
    for want, until in zip(limits, ends, strict=True):
        data = want.data
        frames = [
            one
            for one in scene.calls
            if not one.from_station and one.action == "SetChargingProfile" and want.seq < one.asked_seq < until
            and one.request.get("evseId") == data["evse"]
            and one.request["chargingProfile"].get("chargingProfilePurpose") == data["purpose"]
        ]  # fmt: skip
        named = [one for one in frames if one.request["chargingProfile"].get("id") == data["profile_id"]]
        call = next(iter(named or frames), None)
        yield Order(want, call, "" if call is None or "profile" not in data else _changed(scene, _profile(scene, want), call))


def _changed(scene: Scene, wanted: dict[str, Any], call: Call) -> str:
    mine = profile_of(wanted)
    if mine is None:
        return ""  # broken on purpose, so far that nobody can say what it means
    try:
        theirs = ChargingProfile.from_ocpp(call.request["chargingProfile"])
    except ProfileError as error:
        return str(error)
    shortened = theirs.schedule.duration_s if scene.facts.rig.get("safety", {}).get("dead_man_s") else None
    if shortened is not None and mine.schedule.duration_s != shortened:
        return ""  # the dead-man renews what it has shortened
    return difference(mine, theirs)


def _stray(scene: Scene, orders: Iterable[Order]) -> tuple[str, Order] | None:
    """Return a limit for a running transaction that was sent for one that had ended."""
    for one in orders:
        if one.call is None or not one.changed:
            continue
        sent = one.call.request["chargingProfile"].get("transactionId")
        spans = [span for evse in scene.evses for span in evse.transactions if span.transaction.id == sent]
        if sent and any(span.ended is not None and span.ended_seq < one.call.asked_seq for span in spans):
            return f"{_name(one)} was sent for transaction {sent}, which had ended", one
    return None


def _ended_target(scene: Scene, want: Wanted) -> bool:
    sent = None if want.data["action"] == "release" else _profile(scene, want).get("transactionId")
    spans = [span for evse in scene.evses for span in evse.transactions if span.transaction.id == sent]
    return any(span.ended is not None and span.ended_seq < want.seq for span in spans)


def _not_released(scene: Scene, want: Wanted) -> bool:
    """Say whether a clearing was sent as it was wanted, and the station did not do it."""
    if want.data["action"] != "release":
        return False
    sent = (one for one in scene.sent("ClearChargingProfile") if one.asked_seq > want.seq and one.request == want.data["request"])
    call = next(sent, None)
    return call is not None and call.status != "Accepted"


def _cleared(scene: Scene, wants: Sequence[Wanted]) -> list[tuple[Call, set[int]]]:
    """Return each clearing that nobody wanted, of what was wanted, and which profiles it took."""
    held, found = Store(), []
    clears = [one for one in scene.sent("ClearChargingProfile") if one.status == "Accepted"]
    released = [one.data["request"] for one in wants if one.data["action"] == "release"]
    events: list[tuple[int, Wanted | Call]] = [*((one.seq, one) for one in wants), *((one.asked_seq, one) for one in clears)]
    for _, event in sorted(events, key=lambda one: one[0]):
        if isinstance(event, Wanted):
            _change(scene, event)(held)
        elif event.request not in released:
            before = {one.profile.id for one in held.profiles}
            ClearProfiles(event.request)(held)
            if gone := before - {one.profile.id for one in held.profiles}:
                found.append((event, gone))
    return found


def _partings(scene: Scene, wants: Sequence[Wanted], orders: Sequence[Order]) -> Iterator[Parting]:
    """Yield where what is installed allows something else than what was wanted, beyond what is excused."""
    facts, changes = scene.facts, list(_wanted_changes(scene, wants, orders))
    history, excused = store_history(facts, scene.station, changes), list(excused_spans(scene, wants))
    for evse in scene.evses:
        wanted, held = limits_over_run(facts, evse, history), scene.limits[evse.evse_id]
        for start, end, want, got in together(wanted, held):
            if _equal(want, got, evse.supply.voltage_v):
                continue
            for left, right in outside(start, end, excused):
                if right - left > GRACE_S:
                    yield Parting(evse.evse_id, left, right, want, got)


def _wanted_changes(scene: Scene, wants: Sequence[Wanted], orders: Sequence[Order]) -> Iterator[StoreStep]:
    refused = {one.want.seq for one in orders if one.refused}
    carried = {one.call.asked_seq for one in orders if one.call is not None}
    ours = {one.data["profile_id"] for one in wants if one.data["action"] == "limit"}
    changed = {one.call.request["chargingProfile"]["id"] for one in orders if one.call is not None and one.changed}
    known = {call.answered_seq: call.asked_seq for call in scene.calls}
    for want in wants:
        if want.seq not in refused and not _ended_target(scene, want) and not _not_released(scene, want):
            yield want.at, want.seq, _change(scene, want)
    for at, seq, change in changes_of(scene.facts, scene.station):
        if isinstance(change, SetProfile) and (known.get(seq) in carried or change.profile.get("id") in ours | changed):
            continue
        yield at, seq, _SparingClear(change.request, ours) if isinstance(change, ClearProfiles) else change


@dataclass(frozen=True, slots=True)
class _SparingClear(ClearProfiles):
    """Clears what nobody wanted, and spares the rest."""

    spared: set[int]

    def __call__(self, store: Store) -> None:
        kept = [one for one in store.profiles if one.profile.id in self.spared]
        ClearProfiles.__call__(self, store)
        store.profiles += [one for one in kept if one not in store.profiles]


def _change(scene: Scene, want: Wanted) -> Change:
    data = want.data
    if data["action"] == "release":
        return ClearProfiles(data["request"])
    return SetProfile(data["evse"], _profile(scene, want))


def _profile(scene: Scene, want: Wanted) -> dict[str, Any]:
    """Return what is wanted as a ChargingProfileType: of the transaction that runs, as its own events tell it."""
    if "profile" not in want.data:
        return _window_profile(scene.facts, want)
    profile: dict[str, Any] = want.data["profile"]
    running = scene.running(want.seq, want.data["evse"]) if want.data.get("of_running") else []
    return {**profile, "transactionId": running[-1][1].transaction.id} if running else profile


def _window_profile(facts: RunFacts, want: Wanted) -> dict[str, Any]:
    """Return a local window as a profile whose edges are found by asking each minute of the run for its local time."""
    data = want.data["window"]
    zone, begin, end = ZoneInfo(data["zone"]), time.fromisoformat(data["begin"]), time.fromisoformat(data["end"])
    periods: list[dict[str, Any]] = []
    for at in range(0, int(facts.end - want.at) + 1, MINUTE_S):
        minute = (int(want.at) // MINUTE_S) * MINUTE_S + at
        hour = datetime.fromtimestamp(minute, zone).time()
        within = begin <= hour < end if begin <= end else hour >= begin or hour < end
        limit = data["inside"] if within else data["outside"]
        if not periods or periods[-1]["limit"] != limit:
            periods.append({"startPeriod": max(0, minute - int(want.at)), "limit": limit})
    start = datetime.fromtimestamp(int(want.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    schedule = {"id": 1, "chargingRateUnit": data["unit"], "startSchedule": start, "chargingSchedulePeriod": periods}
    return {
        "id": want.data["profile_id"], "stackLevel": data["stack_level"], "chargingProfilePurpose": want.data["purpose"],
        "chargingProfileKind": "Absolute", "transactionId": data["transaction_id"], "chargingSchedule": [schedule],
    }  # fmt: skip


def excused_spans(scene: Scene, wants: Sequence[Wanted]) -> Iterator[tuple[float, float]]:
    """Yield the spans in which nobody could know better: a message was on its way, or the station could not be reached."""
    facts = scene.facts
    for want in wants:
        yield want.at, want.at + GRACE_S
    for start, end in facts.offline(scene.station):
        yield start, end + FOLLOW_UP_S
    for call in scene.calls:
        if call.from_station or call.action not in ("SetChargingProfile", "ClearChargingProfile", "RequestStartTransaction"):
            continue
        if call.answered is not None:
            yield call.asked, call.answered + GRACE_S
            continue
        heard = scene.heard_after(call)
        yield call.asked, facts.end if heard is None else max(heard, call.asked + _timeout_s(facts)) + FOLLOW_UP_S


def _silent(scene: Scene, orders: Iterable[Order]) -> list[Order]:
    """Return what was not delivered because the station was gone to the end of the run."""
    gone = scene.offline_at(scene.facts.end - GRACE_S)

    def lost(call: Call | None) -> bool:
        return gone if call is None else call.answered is None and scene.heard_after(call) is None

    return [one for one in orders if lost(one.call)]


def _slow(scene: Scene) -> Iterator[Warn]:
    """Yield a warning for each answer that came after the CSMS had given up waiting, and yet is in force."""
    limit_s = _timeout_s(scene.facts)
    for call in scene.sent("SetChargingProfile"):
        if call.answered is not None and call.answered - call.asked > limit_s and call.status == "Accepted":
            late_s = call.answered - call.asked
            text = f"the answer to SetChargingProfile sent at {clock_text(call.asked)} came after {late_s:.0f} s"
            yield Warn("slow-response", text, (Layer.STATION, Layer.NETWORK), call.refs)


def _timeout_s(facts: RunFacts) -> float:
    return float(facts.rig.get("csms", {}).get("call_timeout_s", DEFAULT_TIMEOUT_S))


def together(one: Limits, other: Limits) -> Iterator[tuple[float, float, ExpectedLimit | None, ExpectedLimit | None]]:
    edges = [*sorted({*one.starts, *other.starts}), min(one.end, other.end)]
    for start, end in pairwise(edges):
        if end > start:
            yield start, end, one.at(start), other.at(start)


def _equal(one: ExpectedLimit | None, other: ExpectedLimit | None, voltage_v: float) -> bool:
    if one is None or other is None:
        return one is other
    rounding = ONE_DECIMAL if one.unit == "A" else ONE_DECIMAL / voltage_v
    return abs(one.limit_a - other.limit_a) <= max(rounding, SAME * one.limit_a) + 1e-9


def outside(start: float, end: float, spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield what is left of a span without others."""
    at = start
    for left, right in sorted(spans):
        if right <= at:
            continue
        if left >= end:
            break
        if left > at:
            yield at, left
        at = right
    if at < end:
        yield at, end


def _amps(limit: ExpectedLimit | None) -> float:
    return float("inf") if limit is None else limit.limit_a


def _name(order: Order) -> str:
    return f"profile {order.want.data['profile_id']} wanted at {clock_text(order.want.at)}"
