"""Profiles out of any shape: a clear finding, or none, and never a crash."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.domain.rules import RULES
from tests.support_lint import broken, schedule, sent, started, tx

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("profile", "place"),
    [
        (None, "chargingProfile: "),
        (tx(id=None), "chargingProfile: "),
        (tx(stackLevel="0"), "chargingProfile.stackLevel: "),
        (tx(schedule(chargingSchedulePeriod=[])), "chargingProfile.chargingSchedule[0].chargingSchedulePeriod: "),
        (tx(chargingProfilePurpose="TxMaxProfile"), "chargingProfile.chargingProfilePurpose: "),
        (tx(validFrom="tomorrow"), "chargingProfile.validFrom: "),
        (
            tx(schedule({"startPeriod": 0, "limit": math.nan})),
            "chargingProfile.chargingSchedule[0].chargingSchedulePeriod[0].limit",
        ),
    ],
)
def test_schema_breach_names_its_place(profile: Any, place: str) -> None:
    """Owed by the sender; a CALLERROR is the answer."""
    result = sent(profile)
    assert broken(result) == ["schema CSMS", "CALLERROR"]
    assert result.breaks[0].text.startswith(place)


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (tx(schedule({"startPeriod": 0, "limit": -1})), "negative"),
        (tx(schedule({"startPeriod": 0, "limit": 1e300})), "beyond what any EVSE can give"),
        (tx(schedule({"startPeriod": 0, "limit": 7.25})), "one digit after the point"),
        (tx(schedule(duration=3_155_760_000)), "longer than a year"),
        (tx(schedule(duration=0)), "ever executed"),
        (tx(validFrom="2026-01-02T00:00:00Z", validTo="2026-01-02T00:00:00Z"), "never valid"),
        (tx(chargingProfileKind="Recurring"), "without recurrencyKind"),
    ],
)
def test_oddities_are_noted_and_break_nothing(profile: dict[str, Any], note: str) -> None:
    """No requirement forbids them."""
    result = sent(profile)
    assert broken(result) == ["Accepted"]
    assert note in " ".join(result.notes)


def test_a_usual_profile_has_no_notes() -> None:
    """One digit after the point is all right."""
    assert sent(tx(schedule({"startPeriod": 0, "limit": 8.1}))).notes == ()


@given(field=st.sampled_from([*tx(), "validFrom", "validTo", "recurrencyKind"]), value=JSON, evse_id=JSON)
def test_any_json_is_judged(field: str, value: Any, evse_id: Any) -> None:
    """Whatever stands in a field, there is a result; what breaks the schema is a CALLERROR."""
    for result in (sent(tx(**{field: value}), evse_id), started({**tx(), field: value}, evse_id)):
        breaches = [one for one in result.breaks if one.requirement == "schema"]
        assert len(breaches) <= 1
        assert not breaches or result.station_must == "CALLERROR"


def test_every_rule_has_its_own_requirement() -> None:
    """The id opens the docstring, and what the rule says follows."""
    ids = [one.requirement for one in RULES]
    assert len(set(ids)) == len(ids)
    assert all(one.meaning and ("." in one.requirement) for one in RULES)
