"""The cost of a session by a tariff: the worked examples of mod_tariffs and mod_cdrs, and what they leave open."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bench.domain.tariff_cost import (
    Amount,
    Component,
    Dimension,
    Element,
    Period,
    PriceLimit,
    Restrictions,
    Tariff,
    cost_of,
    split,
)

D = Decimal
DAY = datetime(2026, 1, 15, tzinfo=UTC)


def _at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return DAY + timedelta(hours=int(hour), minutes=int(minute))


def _period(begin: str, end: str, kwh: str = "0", *, charging: bool = True) -> Period:
    return Period(_at(begin), _at(end), D(kwh), charging)


def _price(dimension: Dimension, price: str, step: int = 1, vat: str | None = None, **rules: object) -> Element:
    restrictions = Restrictions(**rules) if rules else None  # type: ignore[arg-type]
    return Element((Component(dimension, D(price), D(vat) if vat else None, step),), restrictions)


EVENING = Tariff(
    (
        _price("TIME", "1.20", 1800, end_time=time(17)),
        _price("TIME", "2.40", 900, start_time=time(17)),
        _price("PARKING_TIME", "1.00", 900, end_time=time(20)),
    )
)
"""The tariff of the step_size example in mod_tariffs (PriceComponent)."""


def test_a_simple_energy_price() -> None:
    """20 kWh at 0.25 with 10 % VAT are 5.00, or 5.50 with it (mod_tariffs, examples)."""
    total = cost_of([_period("8:00", "9:00", "20")], Tariff((_price("ENERGY", "0.25", vat="10"),))).total
    assert (total.before_taxes, total.after_taxes) == (D("5.00"), D("5.50"))


def test_a_start_fee_is_paid_once() -> None:
    """0.50 with 20 % VAT beside 20 kWh in two periods: 5.50, or 6.10 (mod_tariffs, examples)."""
    tariff = Tariff((_price("FLAT", "0.50", vat="20"), _price("ENERGY", "0.25", vat="10")))
    cost = cost_of([_period("8:00", "9:00", "12"), _period("9:00", "10:00", "8")], tariff)
    assert (cost.total.before_taxes, cost.total.after_taxes) == (D("5.50"), D("6.10"))
    assert cost.fixed.taxes == ((D(20), D("0.10")),)


def test_charging_time_that_parking_follows_is_not_rounded() -> None:
    """10 minutes over 17:00, then 2 of parking: 0.10 + 0.20 + 15 minutes of parking, 0.55 (example 1)."""
    cost = cost_of([_period("16:55", "17:05"), _period("17:05", "17:07", charging=False)], EVENING)
    assert (cost.time.before_taxes, cost.parking.before_taxes, cost.total.before_taxes) == (D("0.30"), D("0.25"), D("0.55"))


def test_the_total_is_rounded_by_the_last_step() -> None:
    """35 minutes become 45: 25 before 17:00 and 20 after it, 1.30 (example 2)."""
    assert cost_of([_period("16:35", "17:10")], EVENING).total.before_taxes == pytest.approx(D("1.30"))


def test_time_without_a_price_costs_nothing_and_is_not_rounded() -> None:
    """Parking is free after 20:00: 8 minutes before it are billed as 15, 0.73 in all (example 3)."""
    cost = cost_of([_period("19:40", "19:52"), _period("19:52", "20:12", charging=False)], EVENING)
    assert cost.total.before_taxes == pytest.approx(D("0.73"))


@pytest.mark.parametrize(("wh", "step", "billed_wh"), [("115.2", 1, 116), ("101", 25, 125), ("125", 25, 125), ("1", 500, 500)])
def test_energy_is_billed_in_steps(wh: str, step: int, billed_wh: int) -> None:
    """The smallest multiple of step_size that holds what was used (mod_tariffs, PriceComponent)."""
    cost = cost_of([_period("8:00", "9:00", str(D(wh) / 1000))], Tariff((_price("ENERGY", "1000", step),)))
    assert cost.total.before_taxes == billed_wh


def test_energy_at_two_prices_is_rounded_once() -> None:
    """4.3 kWh and 1.1 kWh with a step of 500 Wh are 5.5 kWh, the rest at the later price (mod_cdrs, step_size)."""
    tariff = Tariff((_price("ENERGY", "0.20", 500, end_time=time(17)), _price("ENERGY", "0.27", 500)))
    cost = cost_of([_period("16:00", "17:00", "4.3"), _period("17:00", "18:00", "1.1")], tariff)
    assert cost.energy.before_taxes == D("4.3") * D("0.20") + D("1.2") * D("0.27")


def test_charging_and_parking_with_equal_steps() -> None:
    """21 minutes of charging and 16 of parking, steps of 10 minutes: 21 and 20 are billed (mod_cdrs, step_size)."""
    tariff = Tariff((_price("TIME", "1.00", 600), _price("PARKING_TIME", "2.00", 600)))
    cost = cost_of([_period("8:00", "8:21"), _period("8:21", "8:37", charging=False)], tariff)
    assert cost.time.before_taxes == D(21) / 60
    assert cost.parking.before_taxes == pytest.approx(D(40) / 60)


def test_the_first_element_that_matches_has_the_price() -> None:
    """And an element without restrictions after it is what applies else (Tariff object)."""
    tariff = Tariff((_price("ENERGY", "1", max_kwh=D(2)), _price("ENERGY", "3")))
    assert cost_of([_period("8:00", "9:00", "5")], tariff).total.before_taxes == 2 * 1 + 3 * 3


def test_a_limit_of_energy_is_met_exactly() -> None:
    """A third of three kWh is one, whatever the decimals of a third are."""
    tariff = Tariff((_price("ENERGY", "1", max_kwh=D(1)), _price("ENERGY", "3")))
    assert [one.kwh for one in split([_period("8:00", "8:30", "3")], tariff)] == [1, 2]


def test_no_period_is_cut_to_less_than_a_cdr_can_tell() -> None:
    """Its moments are whole milliseconds: no part begins when another one does, or when the period ends."""
    begin, end = _at("8:00") + timedelta(microseconds=300), _at("8:20") + timedelta(microseconds=900)
    rules: list[dict[str, Any]] = [{"max_duration": 600}, {"max_kwh": D(1)}, {"max_kwh": D("1.9999999")}]
    parts = split([Period(begin, end, D(2))], Tariff(tuple(_price("ENERGY", "1", **rule) for rule in rules)))
    assert [one.start for one in parts] == [begin, _at("8:10") + timedelta(milliseconds=1)]
    assert [one.kwh for one in parts] == [1, 1]


def test_what_was_not_measured_matches_no_restriction() -> None:
    """A price above 16 A applies only where the current is known to be."""
    tariff = Tariff((_price("ENERGY", "9", min_current=D(16)), _price("ENERGY", "1")))
    seen = Period(_at("8:00"), _at("9:00"), D(1), current_a=D(48))
    assert cost_of([seen], tariff).total.before_taxes == 9
    assert cost_of([_period("8:00", "9:00", "1")], tariff).total.before_taxes == 1


@pytest.mark.parametrize(
    ("rules", "first", "last"),
    [
        ({"min_kwh": D(2), "max_kwh": D(4)}, ("kwh", D(2)), ("kwh", D(4))),
        ({"min_current": D(2), "max_current": D(4)}, ("current_a", D(2)), ("current_a", D(4))),
        ({"min_power": D(2), "max_power": D(4)}, ("power_kw", D(2)), ("power_kw", D(4))),
        ({"min_duration": 2, "max_duration": 4}, ("elapsed_s", 2), ("elapsed_s", 4)),
        ({"start_time": time(8), "end_time": time(17)}, ("at", _at("8:00")), ("at", _at("17:00"))),
        ({"start_date": date(2026, 1, 15), "end_date": date(2026, 1, 16)}, ("at", _at("0:00")), ("at", _at("24:00"))),
        ({"day_of_week": ("THURSDAY",)}, ("at", _at("23:59")), ("at", _at("24:00"))),
        ({"start_time": time(8), "end_time": time(0)}, ("at", _at("23:59")), ("at", _at("24:00"))),
    ],
    ids=["energy", "current", "power", "duration", "time of day", "date", "day of week", "to the end of the day"],
)
def test_a_restriction_holds_from_its_minimum_up_to_its_maximum(
    rules: dict[str, Any], first: tuple[str, Any], last: tuple[str, Any]
) -> None:
    """mod_tariffs, TariffRestrictions: minima include their value, maxima do not; end_time 00:00 is the end of the day."""
    known: dict[str, Any] = {"at": _at("12:00"), "kwh": D(3), "elapsed_s": 3, "current_a": D(3), "power_kw": D(3)}
    for (name, value), holds in ((first, True), (last, False)):
        given = known | {name: value}
        period = Period(_at("8:00"), _at("9:00"), D(1), current_a=given.pop("current_a"), power_kw=given.pop("power_kw"))
        assert Restrictions(**rules).match(**given, period=period) is holds


def test_all_restrictions_of_an_element_must_hold() -> None:
    """mod_tariffs, TariffRestrictions: several are an AND."""
    period = Period(_at("8:00"), _at("9:00"), D(1))
    rules = Restrictions(min_kwh=D(2), start_time=time(8))
    assert [rules.match(_at(clock), D(kwh), 0, period) for clock, kwh in (("8:00", 2), ("7:59", 2), ("8:00", 1))] == [
        True, False, False,
    ]  # fmt: skip


def test_a_day_wraps_over_midnight() -> None:
    """end_time before start_time: until that time of the next day (TariffRestrictions)."""
    night = _price("ENERGY", "1", start_time=time(22), end_time=time(6))
    periods = [Period(_at("21:00"), _at("21:00") + timedelta(hours=10), D(10))]
    assert cost_of(periods, Tariff((night,))).total.before_taxes == 8


def test_times_of_day_are_those_of_the_location() -> None:
    """17:00 in Amsterdam is 16:00 UTC in winter."""
    tariff = Tariff((_price("ENERGY", "1", start_time=time(17)),), ZoneInfo("Europe/Amsterdam"))
    assert cost_of([_period("15:00", "17:00", "2")], tariff).total.before_taxes == 1


def test_an_hour_that_the_clock_skips_is_not_paid() -> None:
    """The night of 2026-03-29 in Amsterdam: from 01:30 to 03:30 by the wall is one hour."""
    zone = ZoneInfo("Europe/Amsterdam")
    begin, end = (datetime(2026, 3, 29, hour, 30, tzinfo=zone).astimezone(UTC) for hour in (1, 3))
    assert cost_of([Period(begin, end)], Tariff((_price("TIME", "1"),), zone)).total.before_taxes == 1


def test_a_restriction_on_duration_counts_from_the_begin() -> None:
    """The first hour is free, inclusive and exclusive as the text says."""
    tariff = Tariff((_price("TIME", "2", min_duration=3600),))
    assert [one.seconds for one in split([_period("8:00", "10:30")], tariff)] == [3600, 5400]
    assert cost_of([_period("8:00", "10:30")], tariff).total.before_taxes == 3


def test_prices_with_tax_are_told_without() -> None:
    """tax_included YES: 1.21 with 21 % are 1.00 before taxes (TaxIncluded)."""
    tariff = Tariff((_price("ENERGY", "1.21", vat="21"),), tax_included="YES")
    total = cost_of([_period("8:00", "9:00", "1")], tariff).total
    assert (total.before_taxes, total.tax) == (D(1), D("0.21"))


@pytest.mark.parametrize(
    ("kwh", "before", "after"), [("1", "0.50", "0.55"), ("20", "5.00", "5.50"), ("400", "60", "66.0")],
)  # fmt: skip
def test_a_session_costs_within_its_limits(kwh: str, before: str, after: str) -> None:
    """At least 0.50 (0.55 with tax) and at most 60 (66): mod_tariffs, min_price and max_price."""
    low, high = PriceLimit(D("0.50"), D("0.55")), PriceLimit(D(60), D(66))
    tariff = Tariff((_price("ENERGY", "0.25", vat="10"),), min_price=low, max_price=high)
    total = cost_of([_period("8:00", "9:00", kwh)], tariff).total
    assert (total.before_taxes, total.after_taxes) == (D(before), D(after))


def test_both_limits_hold_before_and_after_taxes() -> None:
    """The two may be reached at different costs; both apply."""
    tariff = Tariff((_price("ENERGY", "1", vat="50"),), max_price=PriceLimit(D(10), D(12)))
    total = cost_of([_period("8:00", "9:00", "9")], tariff).total
    assert total.before_taxes <= 10
    assert total.after_taxes == 12


def test_taxes_add_up_by_their_rate() -> None:
    """A receiver sees each percentage once."""
    assert (Amount(D(1), ((D(10), D("0.1")),)) + Amount(D(2), ((D(10), D("0.2")), (D(21), D(1))))).taxes == (
        (D(10), D("0.3")), (D(21), D(1)),
    )  # fmt: skip


def test_a_reservation_has_no_part_in_a_session() -> None:
    """An element with `reservation` prices no charging period."""
    assert cost_of([_period("8:00", "9:00", "1")], Tariff((_price("ENERGY", "5", reservation=True),))).total == Amount()
