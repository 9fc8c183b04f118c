"""Intent and installed of one station's charging profiles, kept apart and compared.

*Intent* is what the CSMS asked to be installed and what the station said of it; *installed* is what the last complete
read-back showed. Neither is ever copied into the other: where they part, a `Difference` says how.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from bench.domain.quantities import parse_time

State = Literal["asked", "accepted", "refused", "unknown"]
EXTERNAL: Final = "ChargingStationExternalConstraints"
REMEMBERED_REQUESTS: Final = 1_000
_TIMES: Final = frozenset({"validFrom", "validTo", "startSchedule"})
_SAME: Final = 1e-6


@dataclass(slots=True)
class Intended:
    """One profile that was sent, and the answer; `unknown`: none came, so it may or may not be installed."""

    evse_id: int | None
    """None for one that came with a remote start without an EVSE, until its transaction is known."""
    profile: Mapping[str, Any]
    by: str
    deliberate: bool
    """True where a rule was broken on purpose."""
    at: datetime
    state: State = "asked"
    remote_start_id: int | None = None
    """Set until the transaction that carries this remoteStartId is known (K05)."""
    before: Intended | None = None
    """What the id stood for, while it is unknown whether this one took its place."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One profile as the station reported it."""

    evse_id: int
    source: str
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """How the installed profiles differ from the intended ones; falsy where they do not."""

    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.altered or self.unexpected)

    def __str__(self) -> str:
        parts = (("missing", self.missing), ("altered", self.altered), ("unexpected", self.unexpected))
        return "; ".join(f"{name}: {', '.join(texts[:10])}" for name, texts in parts if texts)


@dataclass(slots=True)
class ProfileBook:
    """What was meant to be in one station's store, and what was seen there."""

    intent: dict[int, Intended] = field(default_factory=dict)
    """By profile id: accepted, or unknown until a read-back shows."""
    found: dict[int, Installed] = field(default_factory=dict)
    """By profile id: what the first read-back showed that this CSMS had not asked for."""
    installed: tuple[Installed, ...] | None = None
    """None before the first complete read-back."""
    read_at: datetime | None = None
    due: str = "nothing was read back yet"
    """Why `installed` may be out of date; empty where it is not."""
    requests: deque[Intended] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))
    """Everything that was sent, the refused too."""
    version: int = 0
    """Counts the changes; a read-back during which it moves proves nothing."""
    told: str = ""
    """The difference that was told last, so that it is told once."""
    _gone: set[int] = field(default_factory=set)

    def changed(self, why: str) -> None:
        """Note that the station's store may have changed."""
        self.version, self.due = self.version + 1, why

    def sent(self, one: Intended) -> None:
        """Note a profile that is on its way."""
        self.requests.append(one)
        self.changed("a profile was sent")

    def answered(self, one: Intended, state: State) -> None:
        """Note what became of it. The same id replaces, on whatever EVSE (K01.FR.05)."""
        one.state = state
        identity = _identity(one.profile)
        if identity is None:
            return
        self.changed("a profile was sent")
        if state == "refused":
            if identity not in self.intent and identity not in self.found:
                self._gone.add(identity)
            return
        if state == "unknown":
            held = self.found.get(identity)
            kept = None if held is None else Intended(held.evse_id, held.profile, "found", False, one.at, "accepted")
            one.before = self.intent.get(identity, kept)
        self.intent[identity] = one
        self.found.pop(identity, None)
        self._gone.discard(identity)

    def cleared(self, request: Mapping[str, Any], state: State) -> None:
        """Note a ClearChargingProfile: by id, else by all criteria that are given (K10.FR.03, FR.04)."""
        if state == "refused":
            return
        self.changed("profiles were cleared")
        ours = [one for one in self.intent.values() if _clears(request, one.evse_id, one.profile)]
        if state == "unknown":
            for one in ours:
                one.state = "unknown"
            return
        found = [one for one in self.found.values() if _clears(request, one.evse_id, one.profile)]
        self._drop(one.profile["id"] for one in ours)
        self._drop(one.profile["id"] for one in found)

    def bound(self, remote_start_id: int, transaction_id: str, evse_id: int | None) -> None:
        """Bind the profile of a remote start to the transaction that carries its id (K05.FR.03)."""
        for one in self.requests:
            if one.remote_start_id == remote_start_id:
                one.profile = {**one.profile, "transactionId": transaction_id}
                one.evse_id = evse_id if one.evse_id is None else one.evse_id
                one.remote_start_id = None
                self.changed("a remote start became a transaction")

    def transaction_ended(self, transaction_id: str) -> None:
        """Forget the transaction's TxProfiles: they end with it (K02.FR.05)."""
        self.changed("a transaction ended")
        held: list[Intended | Installed] = [*self.intent.values(), *self.found.values()]
        self._drop(one.profile["id"] for one in held if one.profile.get("transactionId") == transaction_id)

    def read_back(self, shown: Iterable[Installed], now: datetime) -> Difference:
        """Take a complete report of the whole store, and return how it differs from the intent.

        What is unknown is settled by it. External constraints are not the CSMS's, and never unexpected (K10.FR.04).
        """
        first, self.installed, self.read_at, self.due = self.installed is None, tuple(shown), now, ""
        missing, altered = self._compare()
        unexpected = []
        for one in self.installed:
            identity, purpose = one.profile["id"], one.profile["chargingProfilePurpose"]
            where = f"profile {identity} ({purpose}) on EVSE {one.evse_id}, source {one.source}"
            held = self.intent.get(identity) or self.found.get(identity)
            if held is not None and held.evse_id not in (None, one.evse_id) and self._is_at(identity, held.evse_id):
                unexpected.append(f"{where}, beside the one on EVSE {held.evse_id}")
            elif held is not None or purpose == EXTERNAL:
                continue
            elif first and identity not in self._gone:
                self.found[identity] = one
            else:
                unexpected.append(where + (", which was refused, cleared or ended before" if identity in self._gone else ""))
        return Difference(tuple(missing), tuple(altered), tuple(unexpected))

    def _compare(self) -> tuple[list[str], list[str]]:
        missing, altered = [], []
        for identity, one in list(self.intent.items()):
            seen = [shown for shown in self.installed or () if shown.profile["id"] == identity]
            if one.state == "unknown":
                self._settle(identity, one, seen)
                one = self.intent.get(identity, one)
                if one.state == "refused":
                    continue
            if not seen:
                if one.remote_start_id is None:
                    missing.append(f"profile {identity} on EVSE {one.evse_id}")
            elif not any(_matches(one, shown) for shown in seen):
                altered.append(f"profile {identity}: {_how(one, seen[0])}")
        for identity, held in list(self.found.items()):
            seen = [shown for shown in self.installed or () if shown.profile["id"] == identity]
            if not seen:
                missing.append(f"profile {identity} on EVSE {held.evse_id}, which was there before")
            elif not any(_matches(held, shown) for shown in seen):
                altered.append(f"profile {identity}: {_how(held, seen[0])}")
        return missing, altered

    def _settle(self, identity: int, one: Intended, seen: list[Installed]) -> None:
        """Let the read-back decide on what was never answered."""
        if not seen:
            one.state = "refused"
            del self.intent[identity]
        elif one.before is not None and not _matches(one, seen[0]) and _matches(one.before, seen[0]):
            one.state, self.intent[identity] = "refused", one.before
        else:
            one.state = "accepted"
        one.before = None

    def _is_at(self, identity: int, evse_id: int | None) -> bool:
        return any(one.evse_id == evse_id and one.profile["id"] == identity for one in self.installed or ())

    def _drop(self, identities: Iterable[int]) -> None:
        for identity in list(identities):
            self.intent.pop(identity, None)
            self.found.pop(identity, None)
            self._gone.add(identity)


def difference(wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """Return the first place where two ChargingProfileTypes differ in meaning, as `path: shown for wanted`; else empty.

    Equal are: times in another notation, 6 and 6.0, an absent numberPhases and 3 (K01.FR.49); customData does not count.
    """
    return _differ("", _plain("", wanted), _plain("", shown))


def became(payload: Any) -> State:
    """Return what an answer says of the change that was asked for; None: it was a CALLERROR."""
    status = payload.get("status") if isinstance(payload, dict) else None
    if payload is None:
        return "refused"
    return "accepted" if status == "Accepted" else "refused" if isinstance(status, str) else "unknown"


def _how(one: Intended | Installed, shown: Installed) -> str:
    if one.evse_id not in (None, shown.evse_id):
        return f"on EVSE {shown.evse_id} for {one.evse_id}"
    return difference(one.profile, shown.profile)


def _matches(one: Intended | Installed, shown: Installed) -> bool:
    wanted, theirs = one.profile, shown.profile
    if isinstance(one, Intended) and one.remote_start_id is not None:
        theirs = {key: value for key, value in theirs.items() if key != "transactionId"}
    return one.evse_id in (None, shown.evse_id) and not difference(wanted, theirs)


def _clears(request: Mapping[str, Any], evse_id: int | None, profile: Mapping[str, Any]) -> bool:
    if profile.get("chargingProfilePurpose") == EXTERNAL:
        return False
    if request.get("chargingProfileId") is not None:
        return bool(profile.get("id") == request["chargingProfileId"])
    criteria = request.get("chargingProfileCriteria") or {}
    return (
        criteria.get("evseId") in (None, evse_id)
        and criteria.get("stackLevel") in (None, profile.get("stackLevel"))
        and criteria.get("chargingProfilePurpose") in (None, profile.get("chargingProfilePurpose"))
    )


def _identity(profile: Mapping[str, Any]) -> int | None:
    identity = profile.get("id")
    return identity if isinstance(identity, int) else None


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {name: _plain(name, one) for name, one in value.items() if name != "customData" and one is not None}
        if "startPeriod" in plain:
            plain.setdefault("numberPhases", 3.0)
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(key, one) for one in value]
    if key in _TIMES and isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            return value
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _differ(path: str, wanted: Any, shown: Any) -> str:
    if isinstance(wanted, dict) and isinstance(shown, dict):
        names = [*wanted, *(name for name in shown if name not in wanted)]
        return next((text for name in names if (text := _differ(f"{path}.{name}", wanted.get(name), shown.get(name)))), "")
    if isinstance(wanted, list) and isinstance(shown, list):
        if len(wanted) != len(shown):
            return f"{path.lstrip('.')}: {len(shown)} entries for {len(wanted)}"
        pairs = enumerate(zip(wanted, shown, strict=True))
        return next((text for index, (one, other) in pairs if (text := _differ(f"{path}[{index}]", one, other))), "")
    if isinstance(wanted, float) and isinstance(shown, float):
        if abs(wanted - shown) <= _SAME * max(1.0, abs(wanted)):
            return ""
        return f"{path.lstrip('.')}: {shown:.15g} for {wanted:.15g}"
    return "" if wanted == shown else f"{path.lstrip('.')}: {str(shown)[:60]} for {str(wanted)[:60]}"
