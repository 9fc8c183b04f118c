"""Which charging profiles the station refuses, and the statusInfo that it gives.

Source: OCPP 2.0.1 Part 2, K01, K04, K05 and appendix 5 (reason codes). The schema was checked before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from firmware_sim.profiles import (
    EXTERNAL,
    RECURRENCE_S,
    STATION_MAX,
    TX,
    TX_DEFAULT,
    Period,
    Profile,
    ProfileStore,
    with_schedule,
)

MOST_LIMIT: Final = 1e9
MOST_SECONDS: Final = 10**11
"""Three thousand years: beyond, a time cannot be written."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a profile is refused."""

    reason_code: str
    """At most 20 characters."""
    text: str
    rule: str = ""
    """The requirement that decides; empty where the station's own capacity or the schema's sense does."""

    @property
    def info(self) -> str:
        """The text with its requirement."""
        return f"{self.text} ({self.rule})" if self.rule else self.text


@dataclass(frozen=True, slots=True)
class SmartChargingRules:
    """What the station can do, and how many phases each EVSE has by its number."""

    rate_units: tuple[str, ...]
    profile_stack_level: int
    periods_per_schedule: int
    entries: int
    evse_phases: Mapping[int, int]
    dc: bool = False
    phase_switching: bool = False
    """Phases3to1 or ACPhaseSwitchingSupported."""
    phase_choice: bool = False
    """ACPhaseSwitchingSupported."""
    schedules: int = 1
    """How many schedules one TxProfile may bring: 3 where the EV has told its needs (K01.FR.34)."""

    def refusal(self, profile: Profile, store: ProfileStore, transactions: Mapping[int, str]) -> Refusal | None:
        """Return why SetChargingProfile refuses this profile; None when it is accepted."""
        return next(self.refusals(profile, store, transactions), None)

    def refusals(self, profile: Profile, store: ProfileStore, transactions: Mapping[int, str]) -> Iterator[Refusal]:
        """Yield every reason why SetChargingProfile refuses this profile, the first one being the answer.

        Args:
            store: what is installed now.
            transactions: the running transaction's id by EVSE.
        """
        yield from _given(
            self._wrong_place(profile),
            self._wrong_schedule(profile),
            _wrong_transaction(profile, transactions),
            _duplicate(profile, store),
            self._full(profile, store),
        )

    def refusals_at_start(self, profile: Profile, store: ProfileStore) -> Iterator[Refusal]:
        """Yield why RequestStartTransaction refuses the profile that came with it (K05.FR.02, FR.05)."""
        yield from _given(
            None if profile.purpose == TX else Refusal("InvalidProfile", f"{profile.purpose}: must be TxProfile", "K05.FR.02"),
            Refusal("InvalidProfile", "transactionId must not be given before the transaction exists", "K05.FR.02")
            if profile.transaction_id is not None
            else None,
            self._wrong_place(profile),
            self._wrong_schedule(profile),
            _external(profile, store),
            self._full(profile, store),
        )

    def _wrong_place(self, profile: Profile) -> Refusal | None:
        if profile.evse_id and profile.evse_id not in self.evse_phases:
            return Refusal("InvalidValue", f"EVSE {profile.evse_id} does not exist", "K01.FR.28")
        if profile.purpose == EXTERNAL:
            return Refusal("InvalidValue", f"{EXTERNAL} cannot be set by a CSMS", "K01.FR.22")
        if profile.purpose == STATION_MAX and profile.evse_id:
            return Refusal("InvalidValue", f"{STATION_MAX} on EVSE {profile.evse_id}: must be 0", "K04.FR.03")
        if profile.purpose == STATION_MAX and profile.kind == "Relative":
            return Refusal("InvalidValue", f"{STATION_MAX} must not be Relative", "K01.FR.38")
        if profile.purpose == TX and profile.evse_id == 0:
            return Refusal("InvalidValue", "TxProfile needs an EVSE above 0", "K01.FR.16")
        if not 0 <= profile.stack_level <= self.profile_stack_level:
            return Refusal("InvalidStackLevel", f"stackLevel {profile.stack_level}: at most {self.profile_stack_level}")
        return None

    def _wrong_schedule(self, profile: Profile) -> Refusal | None:
        if len(profile.schedules) > (self.schedules if profile.purpose == TX else 1):
            return Refusal("InvalidSchedule", f"{len(profile.schedules)} schedules are too many without ISO 15118", "K01.FR.34")
        others = (with_schedule(profile, index) for index in range(1, len(profile.schedules)))
        return next(filter(None, (self._wrong_one(one) for one in (profile, *others) if one)), None)

    def _wrong_one(self, profile: Profile) -> Refusal | None:
        if profile.unit not in self.rate_units:
            text = f"chargingRateUnit {profile.unit}: {', '.join(self.rate_units)}"
            return Refusal("UnsupportedRateUnit", text, "K01.FR.26")
        return _wrong_timing(profile) or self._wrong_periods(profile)

    def _wrong_periods(self, profile: Profile) -> Refusal | None:
        starts = [period.start_s for period in profile.periods]
        if len(starts) > self.periods_per_schedule:
            return Refusal("InvalidSchedule", f"{len(starts)} periods: at most {self.periods_per_schedule}")
        if starts[0] != 0:
            return Refusal("InvalidSchedule", f"the first startPeriod is {starts[0]}: must be 0", "K01.FR.31")
        if any(later <= earlier for earlier, later in pairwise(starts)):
            return Refusal("InvalidSchedule", "startPeriod must ascend", "K01.FR.35")
        if any(not 0 <= period.limit <= MOST_LIMIT for period in profile.periods):
            return Refusal("InvalidSchedule", f"a limit must be a number from 0 to {MOST_LIMIT:g}")
        if starts[-1] > MOST_SECONDS or not 0 <= (profile.duration_s or 0) <= MOST_SECONDS:
            return Refusal("InvalidSchedule", f"startPeriod and duration: seconds from 0 to {MOST_SECONDS}")
        return self._wrong_phases(profile)

    def _wrong_phases(self, profile: Profile) -> Refusal | None:
        """K01.FR.43 to FR.48; a number of phases above the EVSE's own is accepted and lowered, on DC all is ignored."""
        if self.dc:
            return None
        evses = [self.evse_phases[profile.evse_id]] if profile.evse_id in self.evse_phases else [*self.evse_phases.values()]
        for period in profile.periods:
            if period.number_phases is not None and not 1 <= period.number_phases <= 3:
                return Refusal("InvalidSchedule", f"numberPhases {period.number_phases}: must be from 1 to 3")
            if period.phase_to_use is not None and (period.number_phases != 1 or not 1 <= period.phase_to_use <= 3):
                text = f"phaseToUse {period.phase_to_use}: from 1 to 3, with numberPhases 1"
                return Refusal("InvalidSchedule", text, "K01.FR.19")
            for phases in evses:
                if refusal := self._wrong_on(phases, period):
                    return refusal
        return None

    def _wrong_on(self, phases: int, period: Period) -> Refusal | None:
        wanted = period.number_phases
        if wanted is not None and wanted < phases and not self.phase_switching:
            text = f"numberPhases {wanted}: this station cannot switch phases off, it has {phases}"
            return Refusal("InvalidSchedule", text, "K01.FR.43")
        line = period.phase_to_use
        if line is not None and line > (phases if self.phase_choice else 1):
            return Refusal("InvalidSchedule", f"phaseToUse {line}: this station would use another phase", "K01.FR.48")
        return None

    def _full(self, profile: Profile, store: ProfileStore) -> Refusal | None:
        others = sum(one.id != profile.id for one in store if one.purpose != EXTERNAL)
        return Refusal("TooManyElements", f"the store holds {self.entries} profiles") if others >= self.entries else None


def _wrong_timing(profile: Profile) -> Refusal | None:
    if profile.kind == "Relative" and profile.start is not None:
        return Refusal("InvalidSchedule", "Relative must not have startSchedule", "K01.FR.41")
    if profile.kind != "Relative" and profile.start is None:
        return Refusal("InvalidSchedule", f"{profile.kind} needs startSchedule", "K01.FR.40")
    if profile.kind == "Recurring" and profile.recurrency not in RECURRENCE_S:
        return Refusal("InvalidProfile", "Recurring needs recurrencyKind")
    if profile.valid_from is not None and profile.valid_to is not None and profile.valid_to <= profile.valid_from:
        return Refusal("InvalidProfile", "validTo must be after validFrom")
    return None


def _wrong_transaction(profile: Profile, transactions: Mapping[int, str]) -> Refusal | None:
    if profile.purpose != TX or not profile.evse_id:
        return None  # on EVSE 0 it is out of place, whatever its transaction (K01.FR.16)
    if profile.transaction_id is None:
        return Refusal("MissingParam", "TxProfile needs transactionId", "K01.FR.03")
    running = transactions.get(profile.evse_id)
    if running is None:
        return Refusal("TxNotFound", f"EVSE {profile.evse_id} has no transaction", "K01.FR.09")
    if running != profile.transaction_id:
        text = f"transaction {profile.transaction_id} does not run on EVSE {profile.evse_id}"
        return Refusal("TxNotFound", text, "K01.FR.33")
    return None


def _duplicate(profile: Profile, store: Iterable[Profile]) -> Refusal | None:
    if refusal := _external(profile, store):
        return refusal
    for other in store:
        if other.id == profile.id or (other.purpose, other.stack_level) != (profile.purpose, profile.stack_level):
            continue
        if profile.purpose == TX and other.transaction_id == profile.transaction_id:
            return Refusal("InvalidStackLevel", f"profile {other.id} has this stackLevel in the transaction", "K01.FR.39")
        if profile.purpose == TX_DEFAULT and (other.evse_id == 0) != (profile.evse_id == 0):
            text = f"profile {other.id} on EVSE {other.evse_id} has this stackLevel"
            return Refusal("DuplicateProfile", text, "K01.FR.53" if profile.evse_id else "K01.FR.52")
        if profile.purpose != TX and other.evse_id == profile.evse_id and _overlap(profile, other):
            return Refusal("DuplicateProfile", f"profile {other.id} has this stackLevel at the same time", "K01.FR.06")
    return None


def _external(profile: Profile, store: Iterable[Profile]) -> Refusal | None:
    if any(one.id == profile.id and one.purpose == EXTERNAL for one in store):
        return Refusal("DuplicateProfile", f"profile {profile.id} is an external constraint: it stays", "K01.FR.05")
    return None


def _given(*refusals: Refusal | None) -> Iterator[Refusal]:
    return (one for one in refusals if one is not None)


def _overlap(one: Profile, other: Profile) -> bool:
    """Tell whether the validity windows share a moment; validTo is exclusive."""
    return (one.valid_from or -math.inf) < (other.valid_to or math.inf) and (other.valid_from or -math.inf) < (
        one.valid_to or math.inf
    )
