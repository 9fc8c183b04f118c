"""Faults in how the station reads its profiles: what it applies and what it reports are wrong alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final

from firmware_sim.limiter import Situation
from firmware_sim.profiles import EXTERNAL, RECURRENCE_S, STATION_MAX, TX, TX_DEFAULT, Period, Profile

DAY_S: Final = 86_400.0
PURPOSES: Final = (TX, TX_DEFAULT, STATION_MAX, EXTERNAL)


def _valid(profile: Profile, t: float) -> bool:
    return (profile.valid_from is None or profile.valid_from <= t) and (profile.valid_to is None or t < profile.valid_to)


def _default_of(profile: Profile, now: Situation) -> bool:
    return profile.purpose == TX_DEFAULT and profile.evse_id in (0, now.evse_id)


class LowerStackWins:
    """The lowest stack level leads (K01.FR.17)."""

    ID: ClassVar = "station.lower-stack-wins"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "of one purpose the profile with the lowest stackLevel leads"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Turn the levels round."""
        return [replace(one, stack_level=-one.stack_level) for one in seen]


class DurationForever:
    """The last period goes on after the duration (K01.FR.12)."""

    ID: ClassVar = "station.duration-forever"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the duration of a schedule is ignored: its last period goes on"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Take the durations away."""
        return [replace(one, duration_s=None) for one in seen]


class RecurrenceMidnight:
    """Recurring schedules begin at midnight UTC instead of at the time of startSchedule."""

    ID: ClassVar = "station.recurrence-midnight"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a recurring schedule begins anew at 00:00 UTC"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Move the start to the midnight before."""
        return [replace(one, start=one.start // DAY_S * DAY_S) if one.kind == "Recurring" and one.start else one for one in seen]


class RecurrenceBackwards:
    """A recurring schedule counts before its start (K01.FR.30)."""

    ID: ClassVar = "station.recurrence-backwards"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a recurring schedule whose startSchedule lies ahead is already active"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Move a start that lies ahead back by whole days or weeks."""
        return [self._back(one, now.t) for one in seen]

    def _back(self, one: Profile, t: float) -> Profile:
        every = RECURRENCE_S.get(one.recurrency or "")
        if one.kind != "Recurring" or one.start is None or every is None or one.start <= t:
            return one
        return replace(one, start=one.start - -(-(one.start - t) // every) * every)


class StartsEarly:
    """A schedule counts before startSchedule (K01.FR.30)."""

    ID: ClassVar = "station.starts-early"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the first period of an absolute schedule holds from its installation on"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Let a start that lies ahead be now."""
        early = (one for one in seen if one.kind == "Absolute" and one.start is not None and one.start > now.t)
        ids = {one.id for one in early}
        return [replace(one, start=now.t) if one.id in ids else one for one in seen]


class ValidToInclusive:
    """A profile is valid for the second of its validTo as well (K01.FR.37)."""

    ID: ClassVar = "station.validto-inclusive"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a profile counts for one second more, that of its validTo"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Add the second."""
        return [replace(one, valid_to=one.valid_to + 1) if one.valid_to is not None else one for one in seen]


class ValidToIgnored:
    """validTo is not looked at (K01.FR.37)."""

    ID: ClassVar = "station.validto-ignored"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a profile counts on after its validTo"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Take it away."""
        return [replace(one, valid_to=None) for one in seen]


class ValidFromIgnored:
    """validFrom is not looked at (K01.FR.36)."""

    ID: ClassVar = "station.validfrom-ignored"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a profile counts before its validFrom"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Take it away."""
        return [replace(one, valid_from=None) for one in seen]


class IgnoresTxOverDefault:
    """A TxDefaultProfile overrules the TxProfile (K02.FR.04)."""

    ID: ClassVar = "station.ignores-tx-over-default"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "where a TxDefaultProfile is installed, TxProfiles have no effect"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Drop the TxProfiles then."""
        default = any(one.purpose == TX_DEFAULT for one in seen)
        return [one for one in seen if not (default and one.purpose == TX)]


class TxProfileNotAboveDefault:
    """The lower one of TxProfile and TxDefaultProfile counts (K02.FR.04)."""

    ID: ClassVar = "station.txprofile-not-above-default"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a TxProfile lowers the TxDefaultProfile and never raises it"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Add the defaults once more, as caps on this EVSE."""
        caps = [replace(one, purpose=EXTERNAL, evse_id=now.evse_id) for one in seen if _default_of(one, now)]
        return [*seen, *caps] if now.evse_id else seen


class GapNoFallthrough:
    """A gap in the leading profile is no limit at all (K 3.5, K02.FR.08)."""

    ID: ClassVar = "station.gap-no-fallthrough"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "only the highest valid stackLevel is looked at: its gaps are unlimited, and so are those of a TxProfile"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Keep the highest valid level of each purpose, and no default beside a TxProfile."""
        valid = [one for one in seen if _valid(one, now.t) and one.evse_id in (0, now.evse_id)]
        highest = {one.purpose: one.stack_level for one in sorted(valid, key=lambda one: one.stack_level)}
        own = any(one.purpose == TX and one.transaction_id == now.transaction_id for one in valid)
        below = {one.id for one in valid if one.stack_level < highest[one.purpose] or (own and one.purpose == TX_DEFAULT)}
        return [one for one in seen if one.id not in below]


class TxDefaultOnlyNextTransaction:
    """A new TxDefaultProfile does not reach a running transaction (K01.FR.32)."""

    ID: ClassVar = "station.txdefault-only-next-transaction"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a TxDefaultProfile that comes during a transaction counts from the next one on"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Drop the defaults that came after the start."""
        began = now.transaction_start if now.transaction_id else None
        return [one for one in seen if one.purpose != TX_DEFAULT or began is None or (one.received_at or began) <= began]


class IgnoresPurpose:
    """Profiles of one purpose are kept and have no effect."""

    ID: ClassVar = "station.ignores-purpose"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "profiles of one purpose are accepted and have no effect"
    PARAMS: ClassVar = {"purpose": "a ChargingProfilePurposeEnumType"}

    def __init__(self, *, purpose: str) -> None:
        self._purpose = known_purpose(self.ID, purpose)

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Leave them out."""
        return [one for one in seen if one.purpose != self._purpose]


class OfflineDrop:
    """Profiles of one purpose are forgotten while the CSMS is away (K06.FR.01, K07.FR.01)."""

    ID: ClassVar = "station.offline-drop"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "while the station is offline, profiles of one purpose have no effect"
    PARAMS: ClassVar = {"purpose": "a ChargingProfilePurposeEnumType"}

    def __init__(self, *, purpose: str) -> None:
        self._purpose, self._online = known_purpose(self.ID, purpose), True

    def on_link(self, online: bool) -> bool:
        """Remember it."""
        self._online = online
        return online

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Leave them out."""
        return [one for one in seen if self._online or one.purpose != self._purpose]


class WrongPhasesConversion:
    """W become A with a fixed number of phases (K01.FR.50)."""

    ID: ClassVar = "station.wrong-phases-conversion"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a limit in W is divided by a fixed number of phases, whatever numberPhases says"
    PARAMS: ClassVar = {"phases": "1, 2 or 3"}

    def __init__(self, *, phases: int) -> None:
        if isinstance(phases, bool) or phases not in (1, 2, 3):
            raise ValueError(f"{self.ID}: phases = {phases!r}: must be 1, 2 or 3")
        self._phases = phases

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Change the limit so that dividing it by the right number gives what the wrong one would."""
        return [
            replace(one, periods=tuple(self._wrong(period) for period in one.periods)) if one.unit == "W" else one for one in seen
        ]

    def _wrong(self, period: Period) -> Period:
        return replace(period, limit=period.limit * (period.number_phases or 3) / self._phases)


class KeepsTxProfile:
    """A TxProfile stays after its transaction and acts on the next one of the EVSE (K02.FR.05)."""

    ID: ClassVar = "station.keeps-txprofile"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "TxProfiles stay installed after their transaction and rule the next one of the EVSE"
    PARAMS: ClassVar[dict[str, str]] = {}

    def end_transaction(self, transaction_id: str, profiles: list[Profile]) -> list[Profile]:
        """Delete nothing."""
        return []

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Take each for the transaction that runs."""
        return [replace(one, transaction_id=now.transaction_id) if one.purpose == TX else one for one in seen]


def known_purpose(fault_id: str, purpose: str) -> str:
    """Return a purpose as it is. Raises ValueError on one that there is not."""
    if purpose not in PURPOSES:
        raise ValueError(f"{fault_id}: purpose = {purpose!r}: must be one of {', '.join(PURPOSES)}")
    return purpose


READING_FAULTS: Final[tuple[Any, ...]] = (
    LowerStackWins, DurationForever, RecurrenceMidnight, RecurrenceBackwards, StartsEarly, ValidToInclusive,
    ValidToIgnored, ValidFromIgnored, IgnoresTxOverDefault, TxProfileNotAboveDefault, GapNoFallthrough,
    TxDefaultOnlyNextTransaction, IgnoresPurpose, OfflineDrop, WrongPhasesConversion, KeepsTxProfile,
)  # fmt: skip
