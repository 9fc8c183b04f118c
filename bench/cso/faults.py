"""The fault seam of the bench's own CSMS and OCPI platform: tests of the lab's own chain; nothing acts unless it is seeded.

A fault crosses as `{"id", "params"}` and is one class of this module, with any of these methods:

    sends(station_id, action, payload) -> payload
        Whenever the CSMS is about to send a CALL of its steps or of the relay: what goes out instead.
    follow_up(station_id, action, calls) -> calls
        After the answer to a SetChargingProfile: (action, payload) of each CALL that the CSMS then sends unasked.
    resends(station_id, due) -> due
        After a reconnect: whether what was never answered is read back and sent again.
    event(transaction_id, payload, transactions) -> transactions
        Each TransactionEvent, after it was taken: the station's `Transaction`s by id, the youngest last.
    utc_offset(first, offset) -> offset
        For local hours: the `timedelta` from UTC at a moment, and that of the first day.
    accepts(session_id, carried_out) -> carried_out
        An OCPI PUT that was accepted: whether it is carried out.
    session(asked_id, running, found) -> found
        The session that an OCPI order names: `SessionRecord` or None; `running` are all that run, in order of their begin.
    phases(phases) -> phases
        With how many phases the relay converts between W and A.

The class has `ID`, `LAYER` (CSMS or OCPI), `TEXT` and `PARAMS` (name to meaning); its constructor takes the parameters by name
and raises ValueError on a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any, ClassVar, Final

from bench.cso.station import Transaction
from bench.errors import UsageError

OWN_LAYERS: Final = ("CSMS", "OCPI")
"""The layers whose faults act inside the bench itself."""
_SET: Final = "SetChargingProfile"
Params = dict[str, str]
Calls = list[tuple[str, dict[str, Any]]]


def _count(name: str, value: object, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}: {value!r} must be a whole number of at least {least}")
    return value


class ClearsAfterSet:
    """Everything is cleared after a limit was set, and the limit forgotten."""

    ID: ClassVar = "CSMS.clears-after-set"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "after the nth charging profile the CSMS clears all profiles and sets none again"
    PARAMS: ClassVar[Params] = {"nth": "which SetChargingProfile, counted from 1"}

    def __init__(self, nth: int) -> None:
        self._left = _count("nth", nth)

    def follow_up(self, station_id: str, action: str, calls: Calls) -> Calls:
        """Clear TxProfiles, which is all of the running transaction."""
        if action != _SET:
            return calls
        self._left -= 1
        criteria = {"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}
        return calls if self._left else [*calls, ("ClearChargingProfile", criteria)]


class CountsPlaceholderPhases:
    """Phases that are reported as 0 are counted."""

    ID: ClassVar = "CSMS.counts-placeholder-phases"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "limits in W are multiplied as if so many phases were used"
    PARAMS: ClassVar[Params] = {"phases": "how many it counts, 1 to 3"}

    def __init__(self, phases: int) -> None:
        self._phases = _count("phases", phases)
        if phases > 3:
            raise ValueError(f"phases: {phases} is more than 3")

    def sends(self, station_id: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Multiply."""
        for schedule in payload.get("chargingProfile", {}).get("chargingSchedule", ()) if action == _SET else ():
            if schedule["chargingRateUnit"] == "W":
                for one in schedule["chargingSchedulePeriod"]:
                    one["limit"] = round(one["limit"] * self._phases / one.get("numberPhases", 3), 1)
        return payload


class FixedUtcOffset:
    """Local hours become UTC with the offset of the first day."""

    ID: ClassVar = "CSMS.fixed-utc-offset"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "local hours are turned into UTC with the offset of the first day, past a clock change too"
    PARAMS: ClassVar[Params] = {}

    def utc_offset(self, first: timedelta, offset: timedelta) -> timedelta:
        """Keep the first."""
        return first


class IgnoresSeqNo:
    """A replayed event is taken for a live one."""

    ID: ClassVar = "CSMS.ignores-seqno"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "seqNo is ignored: an old event of an ended transaction lets it run again"
    PARAMS: ClassVar[Params] = {}

    def event(
        self, transaction_id: str, payload: Mapping[str, Any], transactions: dict[str, Transaction]
    ) -> dict[str, Transaction]:
        """Let it rise again, as the youngest."""
        known = transactions.get(transaction_id)
        if known is not None and known.ended is not None and payload["eventType"] != "Ended":
            known.ended = None
            transactions[transaction_id] = transactions.pop(transaction_id)
        return transactions


class StackFallback:
    """A failed read of the installed profiles ends in stack level 1."""

    ID: ClassVar = "CSMS.stack-fallback"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "the nth charging profile gets an id of its own and stack level 1, whatever lies above it"
    PARAMS: ClassVar[Params] = {"nth": "which SetChargingProfile, counted from 1"}

    def __init__(self, nth: int) -> None:
        self._left = _count("nth", nth)

    def sends(self, station_id: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Put it below."""
        self._left -= action == _SET
        if action == _SET and self._left == 0:
            self._left = -1
            profile = payload["chargingProfile"]
            profile["id"] += 70_000
            profile["stackLevel"] = 1
            for schedule in profile["chargingSchedule"]:
                schedule["id"] = profile["id"]
        return payload


class NeverResends:
    """What was not answered before the connection broke is forgotten."""

    ID: ClassVar = "CSMS.never-resends"
    LAYER: ClassVar = "CSMS"
    TEXT: ClassVar = "after a reconnect nothing is read back and nothing is sent again"
    PARAMS: ClassVar[Params] = {}

    def resends(self, station_id: str, due: bool) -> bool:
        """Forget it."""
        return False


class AcceptsAndDrops:
    """The platform answers ACCEPTED and does nothing."""

    ID: ClassVar = "OCPI.accepts-and-drops"
    LAYER: ClassVar = "OCPI"
    TEXT: ClassVar = "a ChargingProfile is ACCEPTED, and neither relayed nor answered with a result"
    PARAMS: ClassVar[Params] = {}

    def accepts(self, session_id: str, carried_out: bool) -> bool:
        """Drop it."""
        return False


class ConvertsWithThreePhases:
    """The relay takes three phases for granted."""

    ID: ClassVar = "OCPI.converts-with-three-phases"
    LAYER: ClassVar = "OCPI"
    TEXT: ClassVar = "W become A by three phases, on an EVSE with one too"
    PARAMS: ClassVar[Params] = {}

    def phases(self, phases: int) -> int:
        """Take three."""
        return 3


class SessionId:
    """A party in between translates the session's id wrongly."""

    ID: ClassVar = "OCPI.session-id"
    LAYER: ClassVar = "OCPI"
    TEXT: ClassVar = "the session's id is not translated, or into that of another session"
    PARAMS: ClassVar[Params] = {"map": "missing: the session is unknown; stale: the last one before or beside it is taken"}

    def __init__(self, map: str) -> None:  # noqa: A002  the parameter's name in the catalogue
        if map not in ("missing", "stale"):
            raise ValueError(f"map: {map!r} must be missing or stale")
        self._stale = map == "stale"

    def session(self, asked_id: str, running: Sequence[Any], found: Any) -> Any:
        """Take none, or another one."""
        others = [one for one in running if one is not found]
        return others[-1] if self._stale and others else found if self._stale else None


OWN_FAULTS: Final[dict[str, Any]] = {
    one.ID: one
    for one in (
        ClearsAfterSet, CountsPlaceholderPhases, FixedUtcOffset, IgnoresSeqNo, StackFallback, NeverResends,
        AcceptsAndDrops, ConvertsWithThreePhases, SessionId,
    )
}  # fmt: skip


def describe_own_faults() -> list[dict[str, Any]]:
    """Return id, layer, text and parameters of each fault that can be seeded into the bench's own CSMS and platform."""
    return [{"id": id_, "layer": one.LAYER, "text": one.TEXT, "params": dict(one.PARAMS)} for id_, one in OWN_FAULTS.items()]


def is_own(fault_id: str) -> bool:
    """Say whether a fault acts inside the bench's own CSMS or platform."""
    return fault_id.partition(".")[0] in OWN_LAYERS


class OwnFaults:
    """The faults seeded so far; each point asks them in the order of seeding."""

    def __init__(self) -> None:
        self._seeded: list[Any] = []

    def seed(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault. Raises ValueError on an unknown id or a wrong parameter."""
        fault = OWN_FAULTS.get(fault_id)
        if fault is None:
            raise ValueError(f"unknown fault {fault_id!r}; known: {', '.join(sorted(OWN_FAULTS))}")
        known: Mapping[str, str] = fault.PARAMS
        if wrong := [key for key in params if key not in known] + [key for key in known if key not in params]:
            raise ValueError(f"{fault_id}: params must be exactly {', '.join(known)}; wrong or missing: {', '.join(wrong)}")
        self._seeded.append(fault(**params))

    def apply(self, point: str, *context: Any, value: Any) -> Any:
        """Return `value` after each seeded fault that has a method `point(*context, value)`."""
        for fault in self._seeded:
            method = getattr(fault, point, None)
            if method is not None:
                value = method(*context, value)
        return value

    def outgoing(self, station_id: str, action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what goes out in place of a payload, which is left as it is."""
        return self.apply("sends", station_id, action, value=deepcopy(dict(payload))) if self._seeded else payload


def check_own_fault(fault_id: str, params: Mapping[str, Any]) -> None:
    """Say whether the bench knows a fault of its own layers and its parameters. Raises UsageError."""
    try:
        OwnFaults().seed(fault_id, params)
    except ValueError as error:
        known: Mapping[str, str] = OWN_FAULTS[fault_id].PARAMS if fault_id in OWN_FAULTS else {}
        meaning = "; ".join(f"{name}: {text}" for name, text in known.items())
        raise UsageError(f"{error!s}{meaning and f' ({meaning})'}") from None
