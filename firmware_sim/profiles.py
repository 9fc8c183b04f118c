"""Charging profiles as the station keeps them, and its store. Times are seconds since 1970 UTC.

Source: OCPP 2.0.1 Part 2, block K: 3.2 to 3.5, K01, K09, K10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

TX: Final = "TxProfile"
TX_DEFAULT: Final = "TxDefaultProfile"
STATION_MAX: Final = "ChargingStationMaxProfile"
EXTERNAL: Final = "ChargingStationExternalConstraints"
CSO: Final = "CSO"
"""ChargingLimitSource of every profile that a CSMS has set."""
RECURRENCE_S: Final = {"Daily": 86_400.0, "Weekly": 604_800.0}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """One period of a schedule."""

    start_s: float
    limit: float
    """In the schedule's unit: A per phase or W in total; 0 is a limit."""
    number_phases: int | None
    """None where the profile says nothing, which means 3 (K01.FR.49)."""
    phase_to_use: int | None = None
    """1 to 3, with one phase only (K01.FR.46)."""


@dataclass(frozen=True, slots=True)
class ProfileSchedule:
    """One schedule of a profile."""

    id: int
    unit: str
    start: float | None
    duration_s: float | None
    periods: tuple[Period, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One installed charging profile. Its first schedule counts; only an ISO 15118 EV chooses another (K15.FR.07)."""

    id: int
    evse_id: int
    stack_level: int
    purpose: str
    kind: str
    recurrency: str | None
    transaction_id: str | None
    valid_from: float | None
    valid_to: float | None
    unit: str
    start: float | None
    duration_s: float | None
    periods: tuple[Period, ...]
    received: Mapping[str, Any]
    """As the CSMS sent it, for reports."""
    schedules: tuple[ProfileSchedule, ...] = ()
    """All of its schedules; `unit`, `start`, `duration_s` and `periods` are those of the one that counts."""
    source: str = CSO
    """ChargingLimitSourceEnumType: CSO for what a CSMS has set, another one for external constraints."""
    received_at: float | None = None
    """When it came; None where nobody cares."""


def profile_from(evse_id: int, content: Json, *, source: str = CSO, received_at: float | None = None) -> Profile:
    """Read a ChargingProfileType in the `ocpp` package's snake case. Raises ValueError on a wrong timestamp."""
    schedules = tuple(_schedule_from(one) for one in content["charging_schedule"])
    first = schedules[0]
    return Profile(
        id=content["id"],
        evse_id=evse_id,
        stack_level=content["stack_level"],
        purpose=content["charging_profile_purpose"],
        kind=content["charging_profile_kind"],
        recurrency=content.get("recurrency_kind"),
        transaction_id=content.get("transaction_id"),
        valid_from=_time(content.get("valid_from")),
        valid_to=_time(content.get("valid_to")),
        unit=first.unit,
        start=first.start,
        duration_s=first.duration_s,
        periods=first.periods,
        received=content,
        schedules=schedules,
        source=source,
        received_at=received_at,
    )


def with_schedule(profile: Profile, index: int) -> Profile | None:
    """Return the profile with schedule number `index`, from 0, as the one that counts; None where it has no such schedule."""
    if index >= len(profile.schedules):
        return profile if index == 0 else None
    chosen = profile.schedules[index]
    return replace(profile, unit=chosen.unit, start=chosen.start, duration_s=chosen.duration_s, periods=chosen.periods)


def _schedule_from(content: Json) -> ProfileSchedule:
    return ProfileSchedule(
        content["id"],
        content["charging_rate_unit"],
        _time(content.get("start_schedule")),
        content.get("duration"),
        tuple(
            Period(one["start_period"], one["limit"], one.get("number_phases"), one.get("phase_to_use"))
            for one in content["charging_schedule_period"]
        ),
    )


def _time(text: str | None) -> float | None:
    """Return seconds since 1970 UTC; a timestamp without offset is UTC."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which profiles are meant by GetChargingProfiles and ClearChargingProfile; None matches all."""

    ids: Sequence[int] | None = None
    evse_id: int | None = None
    purpose: str | None = None
    stack_level: int | None = None
    sources: Sequence[str] | None = None

    def match(self, profile: Profile) -> bool:
        """Tell whether all that is asked for fits (K09.FR.04, K10.FR.04)."""
        return (
            (self.ids is None or profile.id in self.ids)
            and (self.evse_id is None or profile.evse_id == self.evse_id)
            and (self.purpose is None or profile.purpose == self.purpose)
            and (self.stack_level is None or profile.stack_level == self.stack_level)
            and (self.sources is None or profile.source in self.sources)
        )


class ProfileStore:
    """The installed profiles of one station. It survives a loss of power (K01.FR.27)."""

    def __init__(self) -> None:
        self._profiles: dict[int, Profile] = {}

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def install(self, profile: Profile) -> None:
        """Keep a profile; one with the same id is replaced, on whatever EVSE it was (K01.FR.05)."""
        self._profiles.pop(profile.id, None)
        self._profiles[profile.id] = profile

    def matching(self, criteria: Criteria) -> list[Profile]:
        """Return the profiles that are meant, in order of EVSE, source, purpose, stack level and id."""
        found = [one for one in self._profiles.values() if criteria.match(one)]
        return sorted(found, key=lambda one: (one.evse_id, one.source, one.purpose, one.stack_level, one.id))

    def delete(self, profiles: Iterable[Profile]) -> None:
        """Forget these profiles."""
        for profile in profiles:
            self._profiles.pop(profile.id, None)

    def of_transaction(self, transaction_id: str) -> list[Profile]:
        """Return the TxProfiles of a transaction, which go when it ends (K02.FR.05)."""
        return [one for one in self.matching(Criteria(purpose=TX)) if one.transaction_id == transaction_id]

    def expired(self, t: float) -> list[Profile]:
        """Return the profiles that can never limit again: their validTo has passed (K01.FR.37)."""
        return [one for one in self._profiles.values() if one.valid_to is not None and one.valid_to <= t]
