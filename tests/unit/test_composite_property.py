"""The composite schedule against a pointwise evaluator: random stacks, one moment at a time, in fractions.

The evaluator below asks at one moment what each profile says there. It shares no code with the oracle, reads the raw
profiles, and knows no float; a disagreement is settled from OCPP 2.0.1.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from bench.domain.composite import expected_composite
from bench.settings.case import check_case
from bench.settings.composite_case import CompositeSettings
from tests.support_composite import T0, case, profile, stamp

PURPOSES: Final = ("TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints")
LENGTH: Final = 4000
VOLTS: Final = 230
Said = tuple[Fraction, int]
"""A per phase and phases."""


@st.composite
def stacks(draw: st.DrawFn) -> list[tuple[int, dict[str, Any]]]:
    """Return up to seven profiles with their EVSE; purpose and stack level never twice, so that none leads by chance."""
    keys = draw(st.lists(st.tuples(st.sampled_from(PURPOSES), st.integers(0, 3)), max_size=7, unique=True))
    return [_drawn(draw, number, purpose, level) for number, (purpose, level) in enumerate(keys, 1)]


def _drawn(draw: st.DrawFn, identity: int, purpose: str, level: int) -> tuple[int, dict[str, Any]]:
    kind = draw(st.sampled_from(("Absolute", "Recurring", "Relative")[: 3 if purpose.startswith("Tx") else 2]))
    unit = draw(st.sampled_from("AW"))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 3000), max_size=3)))]
    limits = st.sampled_from((0, 6, 10, 13.5, 16, 32) if unit == "A" else (0, 1380, 3680, 4140, 11_040, 22_080))
    phases = st.sampled_from((None, 1, 2, 3))
    periods = [(at, draw(limits), *(one for one in [draw(phases)] if one)) for at in starts]
    fields: dict[str, Any] = {"start": draw(st.integers(-200_000, 3000))}
    if draw(st.booleans()):
        fields["duration"] = draw(st.integers(0, 90_000))
    if kind == "Recurring":
        fields["recurrencyKind"] = draw(st.sampled_from(("Daily", "Weekly")))
    if draw(st.booleans()):
        fields["validFrom"] = stamp(draw(st.integers(-1000, 3000)))
    if draw(st.booleans()):
        fields["validTo"] = stamp(draw(st.integers(-500, 5000)))
    places = {"ChargingStationMaxProfile": (0,), "TxProfile": (1, 2)}.get(purpose, (0, 1, 2))
    raw = profile(identity, *periods, purpose=purpose, kind=kind, level=level, unit=unit, **fields)
    return draw(st.sampled_from(places)), raw


def _time(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _says(raw: dict[str, Any], at: int, began: int) -> Said | None:
    """Return what one profile says at a moment."""
    if "validFrom" in raw and at < _time(raw["validFrom"]):
        return None
    if "validTo" in raw and at >= _time(raw["validTo"]):
        return None
    schedule = raw["chargingSchedule"][0]
    since = at - (began if raw["chargingProfileKind"] == "Relative" else _time(schedule["startSchedule"]))
    if since < 0:
        return None
    if raw["chargingProfileKind"] == "Recurring":
        since %= 86_400 if raw["recurrencyKind"] == "Daily" else 604_800
    if since >= schedule.get("duration", since + 1):
        return None
    period = [one for one in schedule["chargingSchedulePeriod"] if one["startPeriod"] <= since][-1]
    phases, limit = period.get("numberPhases", 3), Fraction(str(period["limit"]))
    return (limit if schedule["chargingRateUnit"] == "A" else limit / (VOLTS * phases)), phases


def _leads(stack: list[tuple[int, dict[str, Any]]], purpose: str, places: set[int], at: int, began: int) -> Said | None:
    """Return what the highest stack level of a purpose says that says anything."""
    mine = [raw for place, raw in stack if place in places and raw["chargingProfilePurpose"] == purpose]
    for raw in sorted(mine, key=lambda one: -one["stackLevel"]):
        said = _says(raw, at, began)
        if said is not None:
            return said
    return None


def _evse(stack: list[tuple[int, dict[str, Any]]], evse: int, at: int, began: int, *, of_station: bool) -> Said | None:
    """Return the lowest limit in A with the lowest number of phases; `of_station`: with the caps of the whole station."""
    here = {0, evse}
    own = _leads(stack, PURPOSES[0], {evse}, at, began) or _leads(stack, PURPOSES[1], here, at, began)
    caps = [_leads(stack, PURPOSES[2], {0}, at, began), _leads(stack, PURPOSES[3], here, at, began)]
    said = [one for one in [own, *(caps if of_station else [_leads(stack, PURPOSES[3], {evse}, at, began)])] if one]
    return (min(one[0] for one in said), min(one[1] for one in said)) if said else None


def _in_unit(said: Said, unit: str) -> Fraction:
    return said[0] if unit == "A" else said[0] * VOLTS * said[1]


def _pointwise(stack: list[tuple[int, dict[str, Any]]], evse: int, unit: str, at: int, local: int) -> tuple[Fraction, int | None]:
    own = Fraction(local) if unit == "A" else Fraction(local) * VOLTS * 3
    if evse:
        said = _evse(stack, evse, at, int(T0), of_station=True)
        return (_in_unit(said, unit), said[1]) if said else (own, None)
    each = [_evse(stack, one, at, int(T0), of_station=False) for one in (1, 2)]
    total = sum((_in_unit(one, unit) if one else own for one in each), Fraction(0))
    phases = max((one[1] for one in each if one), default=None)
    for purpose in PURPOSES[2:]:
        cap = _leads(stack, purpose, {0}, at, int(T0))
        if cap is not None:
            total, phases = min(total, _in_unit(cap, unit)), min(phases or 3, cap[1])
    return total, phases


@given(stacks(), st.sampled_from((0, 1, 2)), st.sampled_from("AW"))
def test_each_moment_is_as_a_pointwise_evaluator_has_it(stack: list[tuple[int, dict[str, Any]]], evse: int, unit: str) -> None:
    """At the start of each period, one second before and after, and each quarter of an hour."""
    raw = case(*stack, evse=evse, rate_unit=unit, duration_s=LENGTH, defaults={"limit_A": 20})
    periods = expected_composite(check_case(CompositeSettings, raw).case())
    moments = {int(one.start_s) + shift for one in periods for shift in (-1, 0, 1)} | set(range(0, LENGTH, 900))
    for moment in sorted(one for one in moments if 0 <= one < LENGTH):
        found = [one for one in periods if one.start_s <= moment][-1]
        limit, phases = _pointwise(stack, evse, unit, int(T0) + moment, 20)
        assert found.limit is not None
        assert (abs(found.limit - limit) < 1e-6, found.number_phases) == (True, phases), f"at {moment} s"
