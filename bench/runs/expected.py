"""The expected limit over a whole run: the oracle, applied to what was installed at each moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bench.domain.evidence import EvseFacts, Limits, RunFacts
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit, Transaction, expected_limit, expected_station_limit
from bench.domain.profiles import (
    ChargingProfile,
    ChargingSchedule,
    ChargingSchedulePeriod,
    InstalledProfile,
    Kind,
    ProfileError,
    Purpose,
)
from bench.domain.timeline import Timeline, Window, joined
from bench.runs.read_backs import read_backs, readable, settled

T = TypeVar("T")
SLOW_S: Final = 5.0
"""Answers that take longer leave a span in which either store may rule."""


@dataclass(frozen=True, slots=True)
class StoreChange:
    """From `at` on, and from document `seq` on, the station holds these profiles: it accepted a message that says so."""

    at: float
    seq: int
    installed: tuple[InstalledProfile, ...]
    asked: float = float("inf")
    """When it was asked for: until the answer nobody knows whether the old or the new store rules."""


@dataclass(slots=True)
class Store:
    """A station's profile store as its answers describe it."""

    profiles: list[InstalledProfile] = field(default_factory=list)
    waiting: dict[int, tuple[int | None, dict[str, object]]] = field(default_factory=dict)
    """EVSE and profile of a remote start, by remoteStartId, until its transaction is known (K05)."""
    started: dict[int, tuple[int | None, str]] = field(default_factory=dict)
    """EVSE and transaction that carry a remoteStartId."""
    at: float | None = None
    """When the change that is being made happens, in the station's time."""

    def set(self, new: InstalledProfile) -> None:
        """Install or replace (K01.FR.05: the same id replaces)."""
        self.profiles = [one for one in self.profiles if one.profile.id != new.profile.id]
        self.profiles.append(new)

    def clear(self, request: dict[str, object]) -> None:
        """Clear by id, else by all criteria that are given (K10); external constraints stay (K10.FR.04)."""
        criteria = request.get("chargingProfileCriteria") or {}
        assert isinstance(criteria, dict)
        identity = request.get("chargingProfileId")

        def goes(one: InstalledProfile) -> bool:
            if one.profile.purpose is Purpose.EXTERNAL:
                return False
            if identity is not None:
                return one.profile.id == identity
            return (
                criteria.get("evseId") in (None, one.evse_id)
                and criteria.get("stackLevel") in (None, one.profile.stack_level)
                and criteria.get("chargingProfilePurpose") in (None, one.profile.purpose)
            )

        self.profiles = [one for one in self.profiles if not goes(one)]


def store_history(facts: RunFacts, station: str, changes: Iterable[StoreStep] | None = None) -> list[StoreChange]:
    """Return each change of a station's store, in order; the first is what the store held before the run changed it.

    That is what the station reported when it was asked before the first change but clearing, or nothing: what is still there
    after a clearing was there before it.
    Args: changes: in place of those that the station's answers tell.
    """
    told = sorted(changes_of(facts, station), key=lambda one: one[1])
    changes = told if changes is None else sorted(changes, key=lambda one: one[1])
    store = Store(_found(facts, station, next((seq for _, seq, one in told if not isinstance(one, ClearProfiles)), None)))
    history = [StoreChange(facts.start, -1, tuple(store.profiles))]
    asked = {one.answered_seq: one.asked for one in facts.calls if one.station == station and one.answered_seq is not None}
    asked |= {shown.asked_seq - 1: call.asked for call, shown in settled(facts, station)}
    for at, seq, change in changes:
        store.at = at + facts.clock_offset(station)
        change(store)
        history.append(StoreChange(at, seq, tuple(store.profiles), asked.get(seq, at)))
    return history


def store_at(history: Sequence[StoreChange], seq: int) -> tuple[InstalledProfile, ...]:
    """Return what the station holds when document `seq` is written."""
    return next(change.installed for change in reversed(history) if change.seq < seq)


def changes_of(facts: RunFacts, station: str) -> Iterator[StoreStep]:
    """Yield (when, number of the document, change) of each change of a station's store, in no order."""
    for call in facts.calls:
        change = change_by(call) if call.station == station else None
        if change is not None and call.answered is not None and call.answered_seq is not None:
            yield call.answered, call.answered_seq, change
    for call, shown in settled(facts, station):
        yield shown.asked, shown.asked_seq - 1, SetProfile(call.request["evseId"], call.request["chargingProfile"])
    yield from _external_limits(facts, station)
    for evse in facts.evses:
        if evse.station == station:
            for span in evse.transactions:
                if span.ended is not None:
                    yield span.ended, span.ended_seq, TransactionEnd(span.transaction.id)


def _external_limits(facts: RunFacts, station: str) -> Iterator[tuple[float, int, Change]]:
    """Yield what the rig's external system did; a station that is not said to have an input for it is not held to it."""
    sources: list[str] = []
    for one in facts.actions:
        if one.station != station or one.action != "external_limit" or not facts.features(station).get("external_limits"):
            continue
        source = str(one.arguments.get("source", "EMS"))
        if source not in sources:
            sources.append(source)
        arguments = _with_failsafe(facts, station, one.arguments)
        yield one.at, one.seq, ExternalLimit(-1 - sources.index(source), one.at + facts.clock_offset(station), arguments)


def _with_failsafe(facts: RunFacts, station: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an external limit that gives way to the failsafe limit unless it is set anew in time (EEBUS LPC)."""
    features, periods = facts.features(station), external_periods(arguments)
    after_s = features.get("failsafe_s", 0)
    if not after_s or not periods:
        return arguments
    per_ampere = features["nominal_voltage_v"] * features["supply_phases"]
    failsafe = features["failsafe_w"] / (per_ampere if arguments.get("unit", "A") == "A" else 1)
    kept = [list(one) for one in periods if one[0] < after_s]
    return {**arguments, "limit": None, "periods": [*kept, [after_s, failsafe]]}


def external_periods(arguments: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Return an external limit over time, as (seconds from now on, limit); empty where the limit is released."""
    limit, periods = arguments.get("limit"), [(int(start), float(value)) for start, value in arguments.get("periods") or ()]
    if limit is not None and not (periods and periods[0][0] == 0):
        periods.insert(0, (0, float(limit)))
    return periods


def _found(facts: RunFacts, station: str, before: int | None) -> list[InstalledProfile]:
    """Return the profiles that the first complete report before the first change showed."""
    for asked, reports, complete in read_backs(facts, station):
        if complete and (before is None or asked.asked_seq < before):
            found = [(report.request, raw) for report in reports for raw in report.request["chargingProfile"]]
            read = [readable(said["evseId"], raw, said.get("chargingLimitSource")) for said, raw in found]
            return [one for one in read if one is not None]
    return []


def change_by(call: Call) -> Change | None:
    """Return how an answered call changed the station's store; None where it did not."""
    request = call.request
    if call.from_station:
        if call.action != "TransactionEvent" or call.response is None or "remoteStartId" not in request["transactionInfo"]:
            return None
        info = request["transactionInfo"]
        return RemoteStarted(info["remoteStartId"], info["transactionId"], _evse_of(request))
    if call.status != "Accepted":
        return None
    if call.action == "SetChargingProfile":
        return SetProfile(request["evseId"], request["chargingProfile"])
    if call.action == "RequestStartTransaction" and "chargingProfile" in request:
        transaction = (call.response or {}).get("transactionId")
        return StartWithProfile(request["remoteStartId"], request.get("evseId"), request["chargingProfile"], transaction)
    return ClearProfiles(call.request) if call.action == "ClearChargingProfile" else None


def _evse_of(request: dict[str, Any]) -> int | None:
    evse_id: int | None = request.get("evse", {}).get("id")
    return evse_id


@dataclass(frozen=True, slots=True)
class SetProfile:
    """A station accepted a profile."""

    evse_id: int
    profile: dict[str, object]

    def __call__(self, store: Store) -> None:
        try:
            store.set(InstalledProfile(self.evse_id, ChargingProfile.from_ocpp(self.profile), store.at))
        except ProfileError:
            return  # sent broken on purpose and accepted by the station: the oracle cannot say what it means


@dataclass(frozen=True, slots=True)
class StartWithProfile:
    """A station accepted a remote start with a TxProfile, which is for the transaction that comes of it (K05.FR.03)."""

    remote_start_id: int
    evse_id: int | None
    profile: dict[str, object]
    transaction_id: str | None

    def __call__(self, store: Store) -> None:
        evse_id, transaction_id = store.started.get(self.remote_start_id, (self.evse_id, self.transaction_id))
        evse_id = evse_id if self.evse_id is None else self.evse_id
        if transaction_id is None or evse_id is None:
            store.waiting[self.remote_start_id] = (self.evse_id, self.profile)
        else:
            SetProfile(evse_id, {**self.profile, "transactionId": transaction_id})(store)


@dataclass(frozen=True, slots=True)
class RemoteStarted:
    """A transaction tells the remoteStartId that it came from (F01); the profile of that start is bound to it."""

    remote_start_id: int
    transaction_id: str
    evse_id: int | None

    def __call__(self, store: Store) -> None:
        known_evse, _ = store.started.get(self.remote_start_id, (None, ""))
        evse_id = known_evse if self.evse_id is None else self.evse_id
        store.started[self.remote_start_id] = (evse_id, self.transaction_id)
        waiting = store.waiting.get(self.remote_start_id)
        at = None if waiting is None else evse_id if waiting[0] is None else waiting[0]
        if waiting is not None and at is not None:
            del store.waiting[self.remote_start_id]
            SetProfile(at, {**waiting[1], "transactionId": self.transaction_id})(store)


@dataclass(frozen=True, slots=True)
class ClearProfiles:
    """A station cleared profiles."""

    request: dict[str, object]

    def __call__(self, store: Store) -> None:
        store.clear(self.request)


@dataclass(frozen=True, slots=True)
class TransactionEnd:
    """A transaction ended."""

    transaction_id: str

    def __call__(self, store: Store) -> None:
        """A TxProfile ends with its transaction (K01.FR.37 and section 3.4)."""
        store.profiles = [one for one in store.profiles if one.profile.transaction_id != self.transaction_id]


@dataclass(frozen=True, slots=True)
class ExternalLimit:
    """An external system limited the whole station, or released it; on the station it is a profile with a negative id."""

    profile_id: int
    at: float
    arguments: Mapping[str, Any]

    def __call__(self, store: Store) -> None:
        """A new limit of a source replaces the one before (K11.FR.06)."""
        store.profiles = [one for one in store.profiles if one.profile.id != self.profile_id]
        periods = tuple(ChargingSchedulePeriod(start, limit) for start, limit in external_periods(self.arguments))
        if periods:
            schedule = ChargingSchedule(self.arguments.get("unit", "A"), periods, None, self.at)
            profile = ChargingProfile(self.profile_id, 0, Purpose.EXTERNAL, Kind.ABSOLUTE, schedule)
            store.profiles.append(InstalledProfile(0, profile, source=str(self.arguments.get("source", "EMS"))))


Change = SetProfile | StartWithProfile | RemoteStarted | ClearProfiles | TransactionEnd | ExternalLimit


StoreStep = tuple[float, int, Change]
"""When, number of the document, and what changes."""


def caps_ahead(evse: EvseFacts, installed: Sequence[InstalledProfile], window: Window) -> Limits:
    """Return what binds the sum of all EVSEs over a window of the bench's time.

    Args: evse: one of the station, which says how it reads the specification and how far its clock is shifted.
    """
    return in_bench_time(
        lambda there: expected_station_limit(installed, there, evse.supply, evse.options), window, evse.clock_offset_s
    )


def caps_over_run(facts: RunFacts, evse: EvseFacts, history: Sequence[StoreChange]) -> Limits:
    """Return the limit on the sum of all EVSEs of a station at each moment of the run."""
    starts = [*(max(facts.start, one.at) for one in history), facts.end]
    parts = [
        caps_ahead(evse, change.installed, Window(start, end))
        for change, start, end in zip(history, starts, starts[1:], strict=False)
        if start < end
    ]
    return joined(parts, facts.end)


def limits_over_run(facts: RunFacts, evse: EvseFacts, history: Sequence[StoreChange] | None = None) -> Limits:
    """Return the limit that had to hold on one EVSE at each moment of the run."""
    changes = store_history(facts, evse.station) if history is None else history
    edges = sorted(
        {
            facts.start,
            *(change.at for change in changes),
            *(change.asked for change in changes if _is_slow(change)),
            *(span.begun for span in evse.transactions),
            *(span.ended for span in evse.transactions if span.ended is not None),
        }
    )
    parts: list[Limits] = []
    for index, start in enumerate(edges):
        end = edges[index + 1] if index + 1 < len(edges) else facts.end
        if start < facts.start or end <= start:
            continue
        installed = next(change.installed for change in reversed(changes) if change.at <= start)
        running = [span for span in evse.transactions if span.begun <= start and (span.ended is None or start < span.ended)]
        transaction = running[-1].transaction if running else None
        window = Window(start, end)
        limits = _expected(evse, installed, window, transaction)
        for change in changes:
            if _is_slow(change) and change.asked <= start < change.at:
                limits = _higher(limits, _expected(evse, change.installed, window, transaction))
        parts.append(limits)
    return joined(parts, facts.end)


def _is_slow(change: StoreChange) -> bool:
    return change.at - change.asked > SLOW_S


def _higher(one: Limits, other: Limits) -> Limits:
    """Return at each moment the limit that allows more."""
    edges = sorted({*one.starts, *other.starts})
    values = [(at, one.at(at), other.at(at)) for at in edges]
    pieces = [(at, None if mine is None or theirs is None else max(mine, theirs, key=_amperes)) for at, mine, theirs in values]
    return Timeline(pieces, one.end)


def _amperes(limit: ExpectedLimit) -> float:
    return limit.limit_a


def limits_ahead(evse: EvseFacts, asked: Call, window: Window, history: Sequence[StoreChange]) -> Limits:
    """Return what the store demands when a composite schedule is asked for, over a window that may lie ahead.

    Args: window: in the bench's time. Without a transaction it is computed as if one began then (K08.FR.06).
    """
    installed = store_at(history, asked.asked_seq)
    seq = asked.asked_seq
    running = [span for span in evse.transactions if span.begun_seq < seq and (span.ended is None or seq < span.ended_seq)]
    transaction = running[-1].transaction if running else Transaction("", asked.asked + evse.clock_offset_s)
    return _expected(evse, installed, window, transaction)


def _expected(
    evse: EvseFacts,
    installed: Sequence[InstalledProfile],
    window: Window,
    transaction: Transaction | None,
) -> Limits:
    """Return the limits over a window of the bench's time: the station goes by its own clock, shifted where the run did so.

    Args: transaction: its start is in the station's time.
    """
    return in_bench_time(
        lambda there: expected_limit(installed, evse.evse_id, there, transaction, evse.supply, evse.options),
        window, evse.clock_offset_s,
    )  # fmt: skip


def in_bench_time(expected: Callable[[Window], Timeline[T]], window: Window, offset_s: float) -> Timeline[T]:
    """Return what `expected` gives for a window of the station's time, in the bench's; `offset_s` is station less bench."""
    if not offset_s:
        return expected(window)
    there = expected(Window(window.start + offset_s, window.end + offset_s))
    pieces = [(max(window.start, one.start - offset_s), one.value) for one in there.segments()]
    return Timeline([(window.start, pieces[0][1]), *pieces[1:]] if pieces else [], window.end)
