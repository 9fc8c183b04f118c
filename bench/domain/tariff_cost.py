"""What a charging session costs by an OCPI tariff: pure, in decimals, from the session's periods.

Source: OCPI 2.3.0, mod_tariffs (elements, restrictions, price components) and mod_cdrs (`step_size`); 2.2.1 says the same, with
prices before VAT. Amounts are not rounded: OCPI leaves rounding to law and contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

Dimension = Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
TIMES: Final = ("TIME", "PARKING_TIME")
WEEK: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
HOUR_S: Final = Decimal(3600)
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Component:
    """The price of one dimension: per kWh, per hour, or flat."""

    type: Dimension
    price: Decimal
    vat: Decimal | None = None
    """Percent; None: no tax."""
    step_size: int = 1
    """Wh or s: what is billed is a multiple of it."""


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element applies; minima include their value, maxima do not. Times and dates are local."""

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    """A, the sum of all phases."""
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    """kW."""
    max_power: Decimal | None = None
    min_duration: int | None = None
    """s since the session began."""
    max_duration: int | None = None
    day_of_week: tuple[str, ...] = ()
    reservation: bool = False
    """It prices a reservation, which no charging period is."""

    def match(self, at: datetime, kwh: Decimal, elapsed_s: float, period: Period) -> bool:
        """Say whether they hold at a moment (local), after so much energy and time of the session."""
        if self.reservation or (self.day_of_week and WEEK[at.weekday()] not in self.day_of_week):
            return False
        if not self._in_day(at.time()) or not _within(at.date(), self.start_date, self.end_date):
            return False
        return (
            _within(kwh, self.min_kwh, self.max_kwh)
            and _within(elapsed_s, self.min_duration, self.max_duration)
            and _seen(period.current_a, self.min_current, self.max_current)
            and _seen(period.power_kw, self.min_power, self.max_power)
        )

    def _in_day(self, at: time) -> bool:
        begin, end = self.start_time, self.end_time
        if begin is not None and end is not None and end <= begin:  # over midnight, or the whole day
            return at >= begin or at < end
        return _within(at, begin, end)


@dataclass(frozen=True, slots=True)
class Element:
    """Prices that apply under the same conditions."""

    components: tuple[Component, ...]
    restrictions: Restrictions | None = None


@dataclass(frozen=True, slots=True)
class PriceLimit:
    """The least or the most that a session costs."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """What counts of a tariff for the cost."""

    elements: tuple[Element, ...]
    zone: tzinfo = UTC
    """Of the location: restrictions tell times and dates of the day there."""
    tax_included: Literal["YES", "NO", "N/A"] = "NO"
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a session, in UTC."""

    start: datetime
    end: datetime
    kwh: Decimal = ZERO
    charging: bool = True
    """False where the vehicle asks for no power: parking."""
    power_kw: Decimal | None = None
    current_a: Decimal | None = None

    @property
    def seconds(self) -> Decimal:
        """Return how long it lasts."""
        return Decimal(str((self.end - self.start).total_seconds()))


@dataclass(frozen=True, slots=True)
class Amount:
    """Money before taxes, and each tax by its percentage."""

    before_taxes: Decimal = ZERO
    taxes: tuple[tuple[Decimal, Decimal], ...] = ()
    """(percent, amount), ascending."""

    @property
    def tax(self) -> Decimal:
        """Return all taxes together."""
        return sum((amount for _, amount in self.taxes), ZERO)

    @property
    def after_taxes(self) -> Decimal:
        """Return what is paid."""
        return self.before_taxes + self.tax

    def __add__(self, other: Amount) -> Amount:
        rates: dict[Decimal, Decimal] = {}
        for rate, amount in (*self.taxes, *other.taxes):
            rates[rate] = rates.get(rate, ZERO) + amount
        return Amount(self.before_taxes + other.before_taxes, tuple(sorted(rates.items())))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session costs, by OCPI's totals."""

    fixed: Amount = Amount()
    energy: Amount = Amount()
    time: Amount = Amount()
    parking: Amount = Amount()
    total: Amount = Amount()


@dataclass(slots=True)
class _Billed:
    """Quantities (kWh or s) by the component that prices them, in the order of their first use."""

    shares: list[tuple[Component, Decimal]] = field(default_factory=list)

    def add(self, component: Component, quantity: Decimal) -> None:
        """Add to the last component, or begin with another."""
        if self.shares and self.shares[-1][0] is component:
            component, former = self.shares.pop()
            quantity += former
        self.shares.append((component, quantity))


def split(periods: Sequence[Period], tariff: Tariff) -> list[Period]:
    """Cut periods where a restriction of the tariff begins or ends within; energy goes with time.

    A cut lies on the next whole millisecond, for OCPI tells no more: so no two parts begin in the same one.
    Args: periods: in order, the first one beginning with the session. Returns: periods in each of which the same elements apply.
    """
    found: list[Period] = []
    kwh = ZERO
    for period in periods:
        reached: dict[datetime, Decimal | None] = {}
        for at, energy in _cuts(period, periods[0].start, kwh, tariff):
            at += timedelta(microseconds=-at.microsecond % 1000)
            if period.start < at < period.end - timedelta(microseconds=period.end.microsecond % 1000):
                reached[at] = energy if energy is not None else reached.get(at)
        begin, before = period.start, kwh
        for end, energy in (*sorted(reached.items()), (period.end, kwh + period.kwh)):
            if energy is None:
                energy = kwh + period.kwh * Decimal(str((end - period.start).total_seconds())) / period.seconds
            found.append(replace(period, start=begin, end=end, kwh=energy - before))
            begin, before = end, energy
        kwh += period.kwh
    return found


def cost_of(periods: Sequence[Period], tariff: Tariff) -> Cost:
    """Return what a session costs.

    In each period a dimension has the price of the first element that has one for it and whose restrictions match. `step_size`
    rounds up once for energy and once for time: the total, by the step of the last component used, added to its share
    (mod_cdrs, step_size); charging time that parking time follows is not rounded. A flat price counts once, where its element
    applies for the first time.
    """
    energy, spent, flat = _Billed(), {name: _Billed() for name in TIMES}, list[Component]()
    last_time: str = "TIME"
    kwh = ZERO
    for period in (parts := split(periods, tariff)):
        elapsed_s = (period.start - parts[0].start).total_seconds()
        prices = _prices(tariff, period, kwh, elapsed_s)
        if "FLAT" in prices and prices["FLAT"] not in flat:
            flat.append(prices["FLAT"])
        if "ENERGY" in prices and period.kwh > 0:
            energy.add(prices["ENERGY"], period.kwh)
        kind = "TIME" if period.charging else "PARKING_TIME"
        if kind in prices and period.seconds > 0:
            spent[kind].add(prices[kind], period.seconds)
            last_time = kind
        kwh += period.kwh
    shares = [(one, quantity / HOUR_S) for one, quantity in _stepped(spent[last_time].shares, Decimal(1))]
    other = [(one, quantity / HOUR_S) for name in TIMES if name != last_time for one, quantity in spent[name].shares]
    times = {last_time: shares, "PARKING_TIME" if last_time == "TIME" else "TIME": other}
    parts_of = {
        "fixed": _sum(tariff, ((one, Decimal(1)) for one in flat)),
        "energy": _sum(tariff, _stepped(energy.shares, Decimal(1000))),
        "time": _sum(tariff, times["TIME"]),
        "parking": _sum(tariff, times["PARKING_TIME"]),
    }
    total = sum(parts_of.values(), Amount())
    return Cost(**parts_of, total=_limited(total, tariff))


def _prices(tariff: Tariff, period: Period, kwh: Decimal, elapsed_s: float) -> dict[str, Component]:
    found: dict[str, Component] = {}
    for element in tariff.elements:
        rules, at = element.restrictions, period.start.astimezone(tariff.zone)
        if rules is None or rules.match(at, kwh, elapsed_s, period):
            for component in element.components:
                found.setdefault(component.type, component)
    return found


def _stepped(shares: Sequence[tuple[Component, Decimal]], per_unit: Decimal) -> list[tuple[Component, Decimal]]:
    """Return the shares with the total rounded up to the last component's step; the rest goes to its share."""
    if not shares:
        return []
    last, quantity = shares[-1]
    total = sum((amount for _, amount in shares), ZERO) * per_unit
    steps = (total / last.step_size).to_integral_value(ROUND_CEILING) * last.step_size
    return [*shares[:-1], (last, quantity + (steps - total) / per_unit)]


def _sum(tariff: Tariff, shares: Iterable[tuple[Component, Decimal]]) -> Amount:
    found = Amount()
    for component, quantity in shares:
        price = component.price * quantity
        rate = None if tariff.tax_included == "N/A" else component.vat
        if rate is None:
            found += Amount(price)
            continue
        before = price / (1 + rate / 100) if tariff.tax_included == "YES" else price
        found += Amount(before, ((rate, before * rate / 100),))
    return found


def _limited(total: Amount, tariff: Tariff) -> Amount:
    """Hold a total inside the tariff's limits, each before and after taxes (mod_tariffs, min_price and max_price)."""
    low, high = tariff.min_price, tariff.max_price
    if low is not None:
        total = _raised(total, low.before_taxes, low.after_taxes, up=True)
    if high is not None:
        total = _raised(total, high.before_taxes, high.after_taxes, up=False)
    return total


def _raised(total: Amount, before: Decimal, after: Decimal | None, *, up: bool) -> Amount:
    wanted = max(total.before_taxes, before) if up else min(total.before_taxes, before)
    scale = wanted / total.before_taxes if total.before_taxes else Decimal(1)
    found = Amount(wanted, tuple((rate, tax * scale) for rate, tax in total.taxes))
    if after is None or (found.after_taxes >= after if up else found.after_taxes <= after):
        return found
    if not up and after < found.before_taxes:
        return Amount(after)
    if not found.taxes:
        return found if not up else Amount(max(found.before_taxes, after))
    rate, tax = found.taxes[-1]
    return Amount(found.before_taxes, (*found.taxes[:-1], (rate, tax + after - found.after_taxes)))


def _cuts(period: Period, begin: datetime, kwh: Decimal, tariff: Tariff) -> Iterable[tuple[datetime, Decimal | None]]:
    """Return when a restriction may begin or end within a period; with the session's energy where that is what it turns on."""
    for element in tariff.elements:
        rules = element.restrictions
        if rules is None:
            continue
        for seconds in (rules.min_duration, rules.max_duration):
            if seconds is not None:
                yield begin + timedelta(seconds=seconds), None
        for energy in (rules.min_kwh, rules.max_kwh):
            if energy is not None and kwh < energy < kwh + period.kwh:
                yield period.start + (period.end - period.start) * float((energy - kwh) / period.kwh), energy
        day, last = (at.astimezone(tariff.zone).date() for at in (period.start, period.end))
        while day <= last:
            for clock in {time(0), *(one for one in (rules.start_time, rules.end_time) if one is not None)}:
                yield datetime.combine(day, clock, tariff.zone).astimezone(UTC), None
            day += timedelta(days=1)


def _within(value: object, low: object, high: object) -> bool:
    return (low is None or low <= value) and (high is None or value < high)  # type: ignore[operator]


def _seen(value: Decimal | None, low: Decimal | None, high: Decimal | None) -> bool:
    """Say whether a measured value lies inside; what was not measured is not inside where it matters."""
    return (low is None and high is None) or (value is not None and _within(value, low, high))
