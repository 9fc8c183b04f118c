"""Lints each charging profile that the CSMS is about to send: our own errors are refused, the rest is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from bench.cso.station import StationState
from bench.domain.lint_request import ProfileRequest, RuleBreak, StationView
from bench.domain.rules import broken_rules, is_capacity
from bench.errors import ProfileRuleError
from bench.settings.target import TargetFeatures
from bench.wire.profile_lint import VIAS

Rules = Literal["refuse", "report", "deliberate"]
"""What becomes of a profile that breaks a rule of the CSMS: it is not sent; it is sent with a finding; it was ordered so."""
Finding = tuple[str, str]
"""Code and text."""
BROKEN: Final = "profile_rule"
BROKEN_ON_PURPOSE: Final = "profile_rule_broken_on_purpose"


Held = tuple[tuple[int, Mapping[str, Any]], ...]
"""EVSE id and raw profile of each profile that a station is known to hold."""


def station_view(state: StationState, features: TargetFeatures, n_evses: int, installed: Held) -> StationView:
    """Return a station as the CSMS knows it: its target file, the transactions that it has told of, what it holds."""
    running = [one for one in state.transactions.values() if one.ended is None and one.evse_id]
    return StationView(
        n_evses=n_evses,
        evse_type=features.current_type,
        supply_phases=features.supply_phases,
        rate_units=features.rate_units,
        ac_phase_switching=features.ac_phase_switching,
        smart_charging_available=features.smart_charging,
        transactions={one.evse_id: one.transaction_id for one in running if one.evse_id is not None},
        installed=installed,
        profile_stack_level=features.profile_stack_level,
        periods_per_schedule=features.periods_per_schedule,
        entries=features.entries,
        iso15118=features.iso15118 or bool(state.needs_told),
    )


def judge_before_sending(action: str, payload: Mapping[str, Any], view: StationView, rules: Rules) -> list[Finding]:
    """Return findings about the profile in a call; none where it has no profile, or a sound one.

    Raises: ProfileRuleError for a break that is the CSMS's own, unless it was ordered (`deliberate`) or is only to be told
    (`report`). A schema breach is left to the codec, which refuses it in its own words.
    """
    via = next((one for one in VIAS if one == action), None)
    if via is None or not isinstance(payload.get("chargingProfile"), Mapping):
        return []
    breaks = broken_rules(ProfileRequest(via, view, payload.get("evseId"), payload["chargingProfile"]))
    own = [one for one in breaks if _is_ours(one)]
    if own and rules == "refuse":
        raise ProfileRuleError(action, tuple(one.requirement for one in own), "; ".join(map(_words, own)))
    code = BROKEN_ON_PURPOSE if rules == "deliberate" else BROKEN
    return [(code, f"{action}: {_words(one)}") for one in breaks]


def _is_ours(found: RuleBreak) -> bool:
    return "CSMS" in found.duty and not is_capacity(found)


def _words(found: RuleBreak) -> str:
    return f"{found.text} ({found.requirement}, owed by {found.duty})"
