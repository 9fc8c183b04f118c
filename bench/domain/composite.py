"""The composite schedule that follows from a set of installed profiles: of one EVSE, or of the whole station.

Source: OCPP 2.0.1 Part 2, K 3.5, K08.FR.02 to FR.04, FR.06, K01.FR.50, FR.51, K12.FR.01. Exact: nothing is rounded, the 6 A of
IEC 61851-1 are not applied, and voltage is nominal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.domain.oracle import (
    DEFAULT_PHASES,
    ExpectedLimit,
    OracleOptions,
    Piece,
    Supply,
    Transaction,
    evse_layers,
    lowest_pieces,
    station_caps,
)
from bench.domain.profiles import ChargingProfile, ChargingSchedule, InstalledProfile, Purpose
from bench.domain.timeline import Timeline, Window

LOCAL: Final = -(2**63)
"""Stands where a profile's id would: below any that OCPP can carry."""
_EQUAL: Final = 1e-9
"""Limits that differ by less, relative to their size, differ by the arithmetic of floats alone."""


@dataclass(frozen=True, slots=True)
class Local:
    """An EVSE's own limit; None where it has none."""

    amperes: float | None
    """Per phase on AC."""
    watts: float | None
    """In total."""

    def in_unit(self, unit: str) -> float | None:
        """Return it in A or W."""
        return self.amperes if unit == "A" else self.watts


@dataclass(frozen=True, slots=True)
class CompositeCase:
    """What is asked, of which station."""

    installed: tuple[InstalledProfile, ...]
    window: Window
    unit: str
    evse: int
    """0 for the whole station."""
    transactions: Mapping[int, Transaction | None]
    """By each EVSE of the station; None where no transaction runs or is assumed."""
    direct_current: bool
    voltage_v: float
    local: Local
    options: OracleOptions


@dataclass(frozen=True, slots=True)
class CompositePeriod:
    """One period, from `start_s` seconds after the window's start until the next one."""

    start_s: float
    limit: float | None
    """None where nothing limits."""
    number_phases: int | None
    """None where only a local limit fills a gap, and on DC."""
    leads: tuple[int, ...]
    """Ids of the profiles that set the limit: one, or for a station one an EVSE; LOCAL stands for a local limit."""


Value = tuple[float | None, int | None, tuple[int, ...]]


def expected_composite(case: CompositeCase) -> list[CompositePeriod]:
    """Return the periods over the window, equal neighbours merged."""
    line = _of_evse(case, case.evse) if case.evse else _of_station(case)
    periods: list[CompositePeriod] = []
    for segment in line.segments():
        limit, phases, leads = segment.value
        if not periods or not (_same(periods[-1].limit, limit) and periods[-1].number_phases == phases):
            periods.append(CompositePeriod(segment.start - case.window.start, limit, phases, leads))
    return periods


def _supply(case: CompositeCase) -> Supply:
    return Supply(case.voltage_v, DEFAULT_PHASES)


def _of_evse(case: CompositeCase, evse_id: int) -> Timeline[Value]:
    caps = (Purpose.STATION_MAX, Purpose.EXTERNAL)
    layers = evse_layers(
        case.installed, evse_id, case.window, case.transactions[evse_id], _supply(case), case.options, caps=caps
    )
    return _values(case, layers)


def _values(case: CompositeCase, layers: Sequence[Sequence[Piece]]) -> Timeline[Value]:
    steps = lowest_pieces(layers, case.window, _supply(case), case.options)
    return Timeline([(at, _value(case, limit)) for at, limit in steps], case.window.end)


def _value(case: CompositeCase, limit: ExpectedLimit | None) -> Value:
    """Return what one EVSE's limit is in the unit that is asked for."""
    own = case.local.in_unit(case.unit)
    if limit is None:
        return own, None, (LOCAL,)
    if case.direct_current:
        capped = case.options.local_limit == "cap" and own is not None and own < limit.limit_a
        return (own if capped else limit.limit_a), None, ((LOCAL,) if capped else (limit.profile_id,))
    amperes = case.local.amperes
    if case.options.local_limit == "cap" and amperes is not None and amperes < limit.limit_a:
        limit = ExpectedLimit(amperes, "A", amperes, limit.number_phases, LOCAL)
    value = limit.limit_a if case.unit == "A" else limit.watts(_supply(case))
    return value, limit.number_phases, (limit.profile_id,)


def _of_station(case: CompositeCase) -> Timeline[Value]:
    """Add up the EVSEs without the limits of the whole station, then apply those once to the sum."""
    external = case.options.station_external == "per_evse"
    lines = []
    for evse_id, transaction in case.transactions.items():
        layers = evse_layers(
            case.installed, evse_id, case.window, transaction, _supply(case), case.options,
            caps=(Purpose.EXTERNAL,), of_station=external,
        )  # fmt: skip
        lines.append(_values(case, layers))
    caps = [
        lowest_pieces([layer], case.window, _supply(case), case.options)
        for layer in station_caps(case.installed, case.window, _supply(case), case.options)
    ]
    capped = [Timeline(steps, case.window.end) for steps in caps]
    edges = sorted({at for line in lines for at in line.starts} | {at for line in capped for at in line.starts})
    steps = [(at, _sum(case, [line.at(at) for line in lines], [line.at(at) for line in capped])) for at in edges]
    return Timeline(steps, case.window.end)


def _sum(case: CompositeCase, evses: Sequence[Value], caps: Sequence[ExpectedLimit | None]) -> Value:
    limits = [limit for limit, _, _ in evses]
    total = None if None in limits else sum(limit for limit in limits if limit is not None)
    leads = tuple(lead for _, _, ids in evses for lead in ids)
    known = [phases for _, phases, _ in evses if phases is not None]
    phases = max(known) if known else None
    for cap in caps:
        if cap is None:
            continue
        value = cap.limit_a if case.direct_current else _converted(case, cap)
        if total is None or value < total:
            total, leads = value, (cap.profile_id,)
        if not case.direct_current:
            phases = cap.number_phases if phases is None else min(phases, cap.number_phases)
    return total, phases, leads


def _converted(case: CompositeCase, cap: ExpectedLimit) -> float:
    """Return a limit of the whole station in the unit that is asked for, by its own number of phases."""
    return cap.limit_a if case.unit == "A" else cap.watts(_supply(case))


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _EQUAL * max(1.0, abs(one), abs(other))


def as_asked(installed: Sequence[InstalledProfile], *, direct_current: bool) -> tuple[InstalledProfile, ...]:
    """Return the profiles as ones that count on whatever transaction their EVSE has.

    On DC, where there are no phases and nothing is converted, limits become plain numbers in one unit.
    """
    return tuple(replace(one, profile=_plain(one.profile, direct_current=direct_current)) for one in installed)


def _plain(profile: ChargingProfile, *, direct_current: bool) -> ChargingProfile:
    schedule = profile.schedule
    if direct_current:
        periods = tuple(replace(period, number_phases=None) for period in schedule.periods)
        schedule = ChargingSchedule("A", periods, schedule.duration_s, schedule.start)
    return replace(profile, transaction_id=None, schedule=schedule)
