"""The rules on a charging profile that is about to be sent, or was received: all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.domain import rules_content as content
from bench.domain import rules_station as station
from bench.domain.lint_request import REMOTE_START, ProfileRequest, Rule, RuleBreak, StationMust
from bench.domain.lint_request import StationView as StationView

CAPACITY: Final = (station.stack_level_is_accepted, station.periods_fit, station.store_has_room)
"""Limits of the device model: no requirement says what a station does with more."""

RULES: Final[tuple[Rule, ...]] = (
    station.remote_start_has_no_transaction_id,
    station.tx_profile_names_its_transaction,
    station.transaction_is_on_that_evse,
    station.id_is_not_of_an_external_profile,
    station.no_overlap_at_one_stack_level,
    station.tx_profile_meets_a_transaction,
    station.tx_profile_is_for_one_evse,
    content.phase_to_use_is_for_one_phase,
    content.phase_to_use_needs_switching,
    content.purpose_is_not_external,
    content.unit_is_supported,
    station.evse_exists,
    station.smart_charging_is_there,
    content.first_period_starts_at_0,
    station.transaction_is_known,
    content.one_schedule_without_charging_needs,
    content.periods_ascend,
    content.station_max_is_not_relative,
    station.one_tx_profile_at_a_stack_level,
    content.absolute_and_recurring_have_a_start,
    content.relative_has_no_start,
    content.number_of_phases_can_be_kept,
    content.dc_has_no_phases,
    content.number_of_phases_is_there,
    content.phase_to_use_is_there,
    station.station_default_meets_no_evse_default,
    station.evse_default_meets_no_station_default,
    station.station_max_is_for_the_station,
    station.remote_start_has_a_tx_profile,
    *CAPACITY,
)
"""Every rule that looks at the request alone, in the order of the requirements; `invalid_at_remote_start` follows from them."""

_NOT_INVALID: Final = frozenset(
    one.requirement
    for one in (
        *CAPACITY,
        station.evse_exists,
        content.phase_to_use_needs_switching,
        content.dc_has_no_phases,
        content.number_of_phases_is_there,
    )
)
"""Breaks that do not make a profile invalid: the EVSE is what is wrong, or the text lets a station accept (K01.FR.44, 45, 46)."""
_RANK: Final[tuple[StationMust, ...]] = ("CALLERROR", "Rejected", "either")


@dataclass(frozen=True, slots=True)
class LintResult:
    """What lint found: every broken rule, sorted, and what the station has to answer."""

    breaks: tuple[RuleBreak, ...]
    station_must: StationMust
    notes: tuple[str, ...] = ()
    """Oddities that no requirement forbids."""


def invalid_at_remote_start(request: ProfileRequest, breaks: tuple[RuleBreak, ...]) -> RuleBreak | None:
    """K05.FR.05: a station with smart charging SHALL reject a remote start with an invalid profile.

    Invalid is what breaks a rule, whoever owes it, unless the text lets the station accept it all the same.
    """
    if request.via != REMOTE_START or not request.station.smart_charging_available:
        return None
    broken = [one.requirement for one in breaks if one.requirement not in _NOT_INVALID]
    text = f"the profile is invalid: {', '.join(broken)}"
    return RuleBreak("K05.FR.05", "CS", text, "Rejected") if broken else None


def broken_rules(request: ProfileRequest) -> tuple[RuleBreak, ...]:
    """Return every broken rule, sorted by requirement. Pure; raises nothing, whatever the profile is."""
    breaks = tuple(found for one in RULES if (found := one(request)) is not None)
    follows = invalid_at_remote_start(request, breaks)
    return tuple(sorted((*breaks, follows) if follows else breaks, key=lambda one: one.requirement))


def station_answer(request: ProfileRequest, breaks: tuple[RuleBreak, ...]) -> StationMust:
    """Return what the station has to answer: the gravest that a break asks for; Accepted where nothing is broken.

    A remote start at a station without smart charging is no reason for Rejected: the profile is ignored (K05.FR.04).
    """
    asked = {one.station_must for one in breaks}
    if request.via == REMOTE_START and not request.station.smart_charging_available:
        asked = {"either" if one == "Rejected" else one for one in asked}
    return next((one for one in _RANK if one in asked), "Accepted")


def is_capacity(found: RuleBreak) -> bool:
    """Return whether a break is of a capacity limit rather than of a requirement."""
    return found.requirement.startswith("SmartChargingCtrlr.")
