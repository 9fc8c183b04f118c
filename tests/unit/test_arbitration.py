"""Who counts, and what follows from it: random claims against the policies' words, one second at a time, in fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cso.arbitration import Claim, Policy, counting_of, refusal, standing
from bench.wire.ocpi.limits import common_unit, merge
from bench.wire.ocpi.mapping import EvseSupply
from bench.wire.ocpi.profiles import ChargingProfile

T0: Final = 1_768_435_200
LENGTH: Final = 40
ROLES: Final = ("SCSP", "EMSP", "BEMS", "DSO", "OPERATOR")
VOLTS: Final = 230
SIX: Final = ChargingProfile.model_validate(
    {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 6}]}
)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    """Return an absolute profile in either unit, some with an end."""
    unit, starts = draw(st.sampled_from("AW")), [0, *sorted(draw(st.sets(st.integers(1, 25), max_size=3)))]
    limits = st.sampled_from((0, 6, 10.5, 16, 32) if unit == "A" else (0, 1380, 4140.7, 11_000, 22_080))
    periods = [{"start_period": at, "limit": draw(limits)} for at in starts]
    start = f"2026-01-15T00:00:{draw(st.integers(0, 20)):02d}Z"
    raw: dict[str, Any] = {"start_date_time": start, "charging_rate_unit": unit, "charging_profile_period": periods}
    duration = draw(st.none() | st.integers(1, 30))
    return raw if duration is None else raw | {"duration": duration}


@st.composite
def claims(draw: st.DrawFn) -> list[tuple[str, bool, dict[str, Any]]]:
    """Return role, emergency and profile of up to four writers, in the order of their coming."""
    roles = draw(st.lists(st.sampled_from(ROLES), min_size=1, max_size=4))
    return [(role, draw(st.booleans()), draw(profiles())) for role in roles]


def _amperes(raw: dict[str, Any], second: int) -> Fraction | None:
    """Return what a raw profile allows per phase of three at a second, None where it says nothing."""
    at = second - int(raw["start_date_time"][17:19])
    if at < 0 or at >= raw.get("duration", 10**9):
        return None
    limit = Fraction(str(next(one["limit"] for one in reversed(raw["charging_profile_period"]) if one["start_period"] <= at)))
    return limit if raw["charging_rate_unit"] == "A" else limit / (3 * VOLTS)


def _rules(policy: str, who: list[tuple[str, bool, bool]], index: int) -> bool:
    """Say by the policy's words whether the writer of this index counts: of each its role, its emergency, and if it asks now."""
    role, emergency, _ = who[index]
    by_ocpi = [number for number, (one, _, _) in enumerate(who) if one in ("SCSP", "EMSP")]
    if policy == "one_writer":
        return index == 0
    if policy == "minimum":
        return True
    if role in ("SCSP", "EMSP"):
        return index == by_ocpi[0] and not (policy == "bems_owns" and any(one == "BEMS" and asks for one, _, asks in who))
    return not (policy == "scsp_owns" and role == "BEMS" and not emergency and bool(by_ocpi) and who[by_ocpi[0]][2])


def _claims(drawn: list[tuple[str, bool, dict[str, Any]]]) -> list[Claim]:
    return [
        Claim(f"{role}-{order}", role, order, ChargingProfile.model_validate(raw), emergency)
        for order, (role, emergency, raw) in enumerate(drawn)
    ]


@given(claims(), st.sampled_from(get_args(Policy)))
def test_the_merged_limit_is_the_lowest_that_counts(drawn: list[tuple[str, bool, dict[str, Any]]], policy: Policy) -> None:
    """At each second: never above any of them in its own unit, and below the lowest by less than a tenth of an ampere."""
    made = _claims(drawn)
    named = standing(policy, made, made)
    wishes = [one.profile for one in named if one.profile is not None]
    unit = common_unit(wishes, EvseSupply())
    spans = merge(wishes, unit, EvseSupply(), None, counting_of(policy, named))
    scale = Fraction(1) if unit == "A" else Fraction(1, 3 * VOLTS)
    for second in range(LENGTH):
        limits = [_amperes(raw, second) for _, _, raw in drawn]
        who = [(*one[:2], limit is not None) for one, limit in zip(drawn, limits, strict=True)]
        said = [limit for index, limit in enumerate(limits) if limit is not None and _rules(policy, who, index)]
        given_limits = [Fraction(str(one.limit)) * scale for one in spans if one.start <= T0 + second < one.end]
        assert len(given_limits) == bool(said)
        assert all(min(said) - Fraction(1, 10) < limit <= min(said) for limit in given_limits)


@given(claims(), st.sampled_from(get_args(Policy)), st.data())
def test_what_the_order_of_the_list_is_does_not_matter(
    drawn: list[tuple[str, bool, dict[str, Any]]], policy: Policy, data: st.DataObject
) -> None:
    """The order of coming counts, not that of storing: a store gives claims back in any order."""
    made = _claims(drawn)
    assert standing(policy, data.draw(st.permutations(made))) == standing(policy, made)


def test_a_refusal_names_who_rules() -> None:
    """The loser is told in words whom it met."""
    building = Claim("building", "BEMS", 1, SIX)
    party = Claim("NL-SCP", "SCSP", 2)
    assert refusal("bems_owns", [building], party) == "building steers this session (policy bems_owns)"
    assert refusal("minimum", [building, party], party) == ""


@pytest.mark.parametrize("profile", [None, SIX])
def test_a_place_without_a_profile_rules_no_bems_out(profile: ChargingProfile | None) -> None:
    """scsp_owns: only a profile that the station has can stand in for the building's limit."""
    party, building = Claim("NL-SCP", "SCSP", 1, profile), Claim("building", "BEMS", 2, SIX)
    assert (building in standing("scsp_owns", [party, building])) is (profile is None)
