"""Why a composite schedule says what it says: each profile's part in one moment of it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.domain.composite import LOCAL, CompositeCase, CompositePeriod
from bench.domain.oracle import Transaction, occurrences, period_at
from bench.domain.profiles import ChargingSchedulePeriod, InstalledProfile, Purpose
from bench.domain.quantities import clock_text

_ORDER: Final = (Purpose.TX, Purpose.TX_DEFAULT, Purpose.STATION_MAX, Purpose.EXTERNAL)


def explain(case: CompositeCase, period: CompositePeriod) -> list[str]:
    """Return for the moment at which a period begins what each profile has to say, and why it leads or not."""
    at = case.window.start + period.start_s
    evses = [case.evse] if case.evse else list(case.transactions)
    lines = []
    for evse_id in evses:
        lines += [f"EVSE {evse_id}: {text}" if not case.evse else text for text in _on_evse(case, evse_id, at, period)]
    if not case.evse:
        lines += [f"station: {text}" for text in _purpose_lines(case, _of_station(case), at, None, period)]
    if LOCAL in period.leads:
        lines.append("the EVSE's own limit counts" if period.limit is not None else "nothing limits")
    return lines


def _on_evse(case: CompositeCase, evse_id: int, at: float, period: CompositePeriod) -> list[str]:
    station_wide = _of_station(case) if not case.evse else []
    here = [one for one in case.installed if one.evse_id in (0, evse_id) and one not in station_wide]
    return _purpose_lines(case, here, at, case.transactions[evse_id], period)


def _of_station(case: CompositeCase) -> list[InstalledProfile]:
    caps = (Purpose.STATION_MAX, Purpose.EXTERNAL)
    return [one for one in case.installed if one.evse_id == 0 and one.profile.purpose in caps]


def _purpose_lines(
    case: CompositeCase, here: list[InstalledProfile], at: float, transaction: Transaction | None, period: CompositePeriod
) -> list[str]:
    lines: list[str] = []
    overruled = ""
    for purpose in _ORDER:
        mine = sorted(
            (one for one in here if one.profile.purpose is purpose), key=lambda one: (-one.profile.stack_level, -one.evse_id)
        )
        above = overruled if purpose is Purpose.TX_DEFAULT else ""
        for one in mine:
            what = f"{purpose}, level {one.profile.stack_level}, {one.profile.kind}, EVSE {one.evse_id}"
            name = f"profile {one.profile.id} ({what})"
            silent = _silence(case, one, at, transaction)
            if silent:
                lines.append(f"{name} says nothing: {silent}")
            elif above:
                lines.append(f"{name} is overruled by {above}")
            else:
                lines.append(f"{name} {_says(case, one, at, transaction, period)}")
                above = f"profile {one.profile.id}"
        if purpose is Purpose.TX:
            overruled = above
    return lines


def _says(
    case: CompositeCase, one: InstalledProfile, at: float, transaction: Transaction | None, period: CompositePeriod
) -> str:
    found = next(iter(_periods(case, one, at, transaction)), None)
    assert found is not None
    number = found.number_phases or 3
    phases = f" on {number} phase{'s' if number > 1 else ''}" if not case.direct_current else ""
    text = f"{found.limit:g} {case.unit if case.direct_current else one.profile.schedule.unit}{phases}"
    return f"leads: {text}" if one.profile.id in period.leads else f"allows {text}, which is not the lowest"


def _periods(
    case: CompositeCase, one: InstalledProfile, at: float, transaction: Transaction | None
) -> Iterator[ChargingSchedulePeriod]:
    for anchor, until in occurrences(one, at, at + 1, transaction, case.options):
        found = period_at(one.profile, at - anchor) if anchor <= at < until else None
        if found is not None:
            yield found


def _silence(case: CompositeCase, one: InstalledProfile, at: float, transaction: Transaction | None) -> str:
    """Return why a profile has no period at a moment; empty where it has one."""
    profile = one.profile
    if profile.purpose is Purpose.TX and one.evse_id == 0:
        return "a TxProfile counts only on an EVSE above 0 (K01.FR.16)"
    if profile.purpose is Purpose.STATION_MAX and one.evse_id:
        return "a ChargingStationMaxProfile counts only on EVSE 0 (K04.FR.03)"
    if profile.purpose in (Purpose.TX, Purpose.TX_DEFAULT) and transaction is None:
        return "no transaction runs"
    if profile.valid_from is not None and at < profile.valid_from:
        return f"valid from {clock_text(profile.valid_from)} (K01.FR.36)"
    if profile.valid_to is not None and at >= profile.valid_to:
        return f"valid until {clock_text(profile.valid_to)}, exclusive (K01.FR.37)"
    if next(iter(_periods(case, one, at, transaction)), None) is not None:
        return ""
    start = profile.schedule.start
    if start is not None and at < start:
        return f"its schedule starts at {clock_text(start)} (K01.FR.30)"
    if profile.schedule.duration_s is not None:
        return f"its duration of {profile.schedule.duration_s:g} s is over (K01.FR.12)"
    return "it has no period yet"
