"""What the rules on charging profiles look at: a raw request, and what is known of the station that shall get it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bench.domain.quantities import parse_time

Via = Literal["SetChargingProfile", "RequestStartTransaction"]
Duty = Literal["CSMS", "CS", "CS+CSMS"]
StationMust = Literal["Accepted", "Rejected", "CALLERROR", "either"]
SET: Final[Via] = "SetChargingProfile"
REMOTE_START: Final[Via] = "RequestStartTransaction"
_OF_PHASES: Final = frozenset(("numberPhases", "phaseToUse"))


@dataclass(frozen=True, slots=True)
class RuleBreak:
    """One broken rule: who had to keep it, what was found, and what it obliges the station to."""

    requirement: str
    """The requirement's id; `schema`; or the device model variable of a capacity limit."""
    duty: Duty
    text: str
    station_must: StationMust = "either"


@dataclass(frozen=True, slots=True)
class StationView:
    """What a sender can know of a charging station.

    `transactions` has the transactionId by EVSE id (1, 2, …) of each active transaction; `installed` the EVSE id and raw
    ChargingProfile of each profile in the store. None for a capacity: not known, not judged.
    """

    n_evses: int
    evse_type: Literal["AC", "DC"] = "AC"
    supply_phases: int = 3
    rate_units: tuple[str, ...] = ("A", "W")
    ac_phase_switching: bool = False
    """SmartChargingCtrlr.ACPhaseSwitchingSupported is defined and true."""
    smart_charging_available: bool = True
    transactions: Mapping[int, str] = field(default_factory=dict)
    installed: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    profile_stack_level: int | None = None
    periods_per_schedule: int | None = None
    entries: int | None = None
    iso15118: bool = False
    """The EV has told its charging needs (NotifyEVChargingNeeds), so that up to three schedules may be offered."""


class ProfileRequest:
    """A request with a charging profile, as it would go over the wire; whatever is malformed reads as absent.

    A malformed field is the schema's affair: no rule speaks of it.
    """

    def __init__(self, via: Via, station: StationView, evse_id: Any, profile: Any) -> None:
        self.via, self.station = via, station
        self.evse_id: int | None = as_int(evse_id)
        raw: Mapping[str, Any] = profile if isinstance(profile, Mapping) else {}
        self.raw = raw
        self.id, self.stack_level = as_int(raw.get("id")), as_int(raw.get("stackLevel"))
        self.purpose, self.kind = raw.get("chargingProfilePurpose"), raw.get("chargingProfileKind")
        transaction_id = raw.get("transactionId")
        self.transaction_id: str | None = transaction_id if isinstance(transaction_id, str) else None
        self.schedules: tuple[Mapping[str, Any], ...] = _objects(raw.get("chargingSchedule"))
        self.periods: tuple[tuple[Mapping[str, Any], ...], ...] = tuple(map(periods_of, self.schedules))
        """Of each schedule."""
        self.phased: tuple[tuple[str, Mapping[str, Any]], ...] = tuple(self.placed(_OF_PHASES))
        """The place and each period that says something of phases."""

    def placed(self, names: frozenset[str] | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the place, such as `chargingSchedule[0].chargingSchedulePeriod[2]`, and each period that has one of the names."""
        for number, periods in enumerate(self.periods):
            for index, period in enumerate(periods):
                if names is None or not names.isdisjoint(period):
                    yield f"chargingSchedule[{number}].chargingSchedulePeriod[{index}]", period

    @property
    def is_tx(self) -> bool:
        """Return whether the purpose is TxProfile."""
        return bool(self.purpose == "TxProfile")

    def others(self, purpose: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield EVSE id and profile of what is installed for a purpose; one with this id would be replaced (K01.FR.05)."""
        for evse_id, profile in self.station.installed:
            if profile.get("chargingProfilePurpose") == purpose and as_int(profile.get("id")) != self.id:
                yield evse_id, profile


class Rule:
    """One requirement as a function of a request; the docstring of `found` opens with the requirement's id.

    Args:
        duty: who has to keep it.
        station_must: what a break obliges the station to, by the words of the text.
        found: returns what breaks the rule, in words, or None.
    """

    def __init__(self, duty: Duty, station_must: StationMust, found: Callable[[ProfileRequest], str | None]) -> None:
        words = " ".join((found.__doc__ or "").split())
        self.requirement, _, self.meaning = words.partition(": ")
        self.duty, self.station_must, self._found = duty, station_must, found

    def __call__(self, request: ProfileRequest) -> RuleBreak | None:
        """Return the break, or None where the request keeps the rule."""
        text = self._found(request)
        return None if text is None else RuleBreak(self.requirement, self.duty, text, self.station_must)


def rule(duty: Duty, station_must: StationMust = "either") -> Callable[[Callable[[ProfileRequest], str | None]], Rule]:
    """Return a decorator that makes a Rule of a function."""
    return lambda found: Rule(duty, station_must, found)


def periods_of(schedule: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the periods of a schedule."""
    return _objects(schedule.get("chargingSchedulePeriod"))


def validity(profile: Mapping[str, Any]) -> tuple[float, float]:
    """Return [validFrom, validTo) in seconds since 1970 UTC; an absent or unreadable end is infinite. K01.FR.10, 36, 37."""
    return _time(profile.get("validFrom"), -math.inf), _time(profile.get("validTo"), math.inf)


def as_int(value: Any) -> int | None:
    """Return a JSON number as integer, or None where it is none."""
    if type(value) is int:  # not bool, which isinstance would take
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return None


def _objects(value: Any) -> tuple[Mapping[str, Any], ...]:
    if type(value) is list and set(map(type, value)) == {dict}:  # as JSON has it: by far the most common, and the quickest
        return tuple(value)
    return tuple(one for one in value if isinstance(one, Mapping)) if isinstance(value, list | tuple) else ()


def _time(text: Any, otherwise: float) -> float:
    try:
        return parse_time(text)
    except (TypeError, ValueError, OverflowError):
        return otherwise
