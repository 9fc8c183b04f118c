"""The expected limit over a whole run: the oracle, applied to what was installed at each moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.domain.evidence import EvseFacts, Limits, RunFacts
from bench.domain.exchange import Call
from bench.domain.oracle import Transaction, expected_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile, ProfileError, Purpose
from bench.domain.timeline import Window, joined


@dataclass(frozen=True, slots=True)
class StoreChange:
    """From `at` on the station holds these profiles: it accepted a message that says so."""

    at: float
    installed: tuple[InstalledProfile, ...]


@dataclass(slots=True)
class Store:
    """A station's profile store as its answers describe it."""

    profiles: list[InstalledProfile] = field(default_factory=list)

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


def store_history(facts: RunFacts, station: str) -> list[StoreChange]:
    """Return each change of a station's store, in order of time; the first is the empty store at the run's start."""
    store = Store()
    history = [StoreChange(facts.start, ())]
    for at, change in sorted(_changes(facts, station), key=lambda one: one[0]):
        change(store)
        history.append(StoreChange(at, tuple(store.profiles)))
    return history


def _changes(facts: RunFacts, station: str) -> Iterator[tuple[float, Change]]:
    for call in facts.calls:
        change = change_by(call) if call.station == station else None
        if change is not None and call.answered is not None:
            yield call.answered, change
    for evse in facts.evses:
        if evse.station == station:
            for span in evse.transactions:
                if span.ended is not None:
                    yield span.ended, TransactionEnd(span.transaction.id)


def change_by(call: Call) -> Change | None:
    """Return how an answered call changed the station's store; None where it did not."""
    if call.status != "Accepted":
        return None
    if call.action == "SetChargingProfile":
        return SetProfile(call.request["evseId"], call.request["chargingProfile"])
    if call.action == "RequestStartTransaction" and "chargingProfile" in call.request and "evseId" in call.request:
        profile = dict(call.request["chargingProfile"])
        transaction = (call.response or {}).get("transactionId")
        if transaction is not None:
            profile.setdefault("transactionId", transaction)
        return SetProfile(call.request["evseId"], profile)
    return ClearProfiles(call.request) if call.action == "ClearChargingProfile" else None


@dataclass(frozen=True, slots=True)
class SetProfile:
    """A station accepted a profile."""

    evse_id: int
    profile: dict[str, object]

    def __call__(self, store: Store) -> None:
        try:
            store.set(InstalledProfile(self.evse_id, ChargingProfile.from_ocpp(self.profile)))
        except ProfileError:
            return  # sent broken on purpose and accepted by the station: the oracle cannot say what it means


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


Change = SetProfile | ClearProfiles | TransactionEnd


def limits_over_run(facts: RunFacts, evse: EvseFacts) -> Limits:
    """Return the limit that had to hold on one EVSE at each moment of the run."""
    changes = store_history(facts, evse.station)
    edges = sorted(
        {
            facts.start,
            *(change.at for change in changes),
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
        running = _running(evse, start)
        parts.append(expected_limit(installed, evse.evse_id, Window(start, end), running, evse.supply))
    return joined(parts, facts.end)


def limits_ahead(facts: RunFacts, evse: EvseFacts, at: float, window: Window) -> Limits:
    """Return what the store as of `at` demands over a window that may lie ahead, for a composite schedule.

    Without a transaction it is computed as if one began at `at` (K08.FR.06).
    """
    changes = store_history(facts, evse.station)
    installed = next(change.installed for change in reversed(changes) if change.at <= at)
    running = _running(evse, at) or Transaction("", at)
    return expected_limit(installed, evse.evse_id, window, running, evse.supply)


def _running(evse: EvseFacts, at: float) -> Transaction | None:
    """Return the transaction that runs on the EVSE at a moment."""
    for span in evse.transactions:
        if span.begun <= at and (span.ended is None or at < span.ended):
            return span.transaction
    return None
