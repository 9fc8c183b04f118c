"""The oracle: which limit must hold at each moment, computed from what is installed.

Source: OCPP 2.0.1 Part 2, block K, sections 3.2 to 3.6 (kinds, stacking, combining purposes) and K01, K08. It knows nothing of
any station's implementation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.profiles import ChargingProfile, InstalledProfile, Kind, Purpose
from bench.domain.timeline import Timeline, Window

_RECURRENCE_S: Final = {"Daily": 86_400.0, "Weekly": 604_800.0}
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Supply:
    """The station's nominal supply, for converting between A per phase and W in total (K01.FR.50, FR.51)."""

    voltage_v: float = 230.0
    phases: int = 3


@dataclass(frozen=True, slots=True)
class ExpectedLimit:
    """A maximum, never a target."""

    limit: float
    """In `unit`, as the leading profile says it."""
    unit: str
    """A (per phase) or W (total of all phases)."""
    limit_a: float
    """The same in A per phase at nominal voltage and the period's own number of phases."""
    number_phases: int
    """The lowest number of phases of all purposes that rule at this moment."""
    profile_id: int

    def watts(self, supply: Supply) -> float:
        """Return the limit in W at nominal voltage."""
        return self.limit if self.unit == "W" else self.limit_a * supply.voltage_v * self.number_phases


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction on an EVSE; times in seconds since 1970 UTC."""

    id: str
    start: float


Piece = tuple[float, float, ExpectedLimit]


def expected_limit(
    installed: Sequence[InstalledProfile],
    evse_id: int,
    window: Window,
    transaction: Transaction | None,
    supply: Supply,
) -> Timeline[ExpectedLimit | None]:
    """Return the limit that must hold on one EVSE at each moment of the window.

    Args:
        installed: the profiles in the station's store, in any order.
        evse_id: 1 or higher.
        window: [start, end), seconds since 1970 UTC.
        transaction: the one that runs on the EVSE during the window; without one no Tx or TxDefault profile applies.
        supply: nominal voltage, and the number of phases where a period says none.
    Returns: a Timeline that covers the window without gaps; None where nothing limits.
    Source: OCPP 2.0.1 Part 2, K 3.5: per purpose the highest stack level that has a period at that time leads; TxProfile
        overrules TxDefaultProfile; across purposes the lowest limit holds.
    """
    here = [one for one in installed if one.evse_id in (0, evse_id)]
    layers = []
    if transaction is not None:
        own = [one for one in here if one.profile.purpose is Purpose.TX and one.profile.transaction_id in (None, transaction.id)]
        default = [one for one in here if one.profile.purpose is Purpose.TX_DEFAULT]
        layers.append(_leading([*_by_stack(own), *_by_stack(default)], window, transaction, supply))
    for purpose in (Purpose.STATION_MAX, Purpose.EXTERNAL):
        caps = [one for one in here if one.profile.purpose is purpose]
        if caps:
            layers.append(_leading(_by_stack(caps), window, transaction, supply))
    return _lowest(layers, window)


def _by_stack(profiles: Iterable[InstalledProfile]) -> list[ChargingProfile]:
    """Return the profiles, the highest stack level first; on equal levels the EVSE's own before the station's."""
    return [one.profile for one in sorted(profiles, key=lambda one: (-one.profile.stack_level, -one.evse_id))]


def _leading(ordered: Sequence[ChargingProfile], window: Window, transaction: Transaction | None, supply: Supply) -> list[Piece]:
    """Return the pieces of the profiles that lead: each later profile fills only the gaps that are left."""
    gaps = [(window.start, window.end)]
    painted: list[Piece] = []
    for profile in ordered:
        if not gaps:
            break
        left: list[tuple[float, float]] = []
        for start, end in gaps:
            reached = start
            for piece in _pieces(profile, start, end, transaction, supply):
                if piece[0] > reached:
                    left.append((reached, piece[0]))
                painted.append(piece)
                reached = piece[1]
            if reached < end:
                left.append((reached, end))
        gaps = left
    painted.sort(key=lambda piece: piece[0])
    return painted


def _pieces(
    profile: ChargingProfile, start: float, end: float, transaction: Transaction | None, supply: Supply
) -> Iterator[Piece]:
    """Yield the periods of one profile inside [start, end), in order."""
    if profile.valid_from is not None:
        start = max(start, profile.valid_from)
    if profile.valid_to is not None:
        end = min(end, profile.valid_to)
    schedule = profile.schedule
    periods = schedule.periods
    offsets = [period.start_s for period in periods]
    for anchor, until in _anchors(profile, start, end, transaction):
        last = min(end, until, anchor + (schedule.duration_s if schedule.duration_s is not None else _FOREVER))
        at = max(start, anchor + offsets[0])
        index = max(0, bisect_right(offsets, at - anchor) - 1)
        while at < last:
            period = periods[index]
            index += 1
            stop = min(last, anchor + offsets[index]) if index < len(offsets) else last
            if stop > at:
                yield at, stop, _limit(profile, period.limit, period.number_phases or supply.phases, supply)
                at = stop


def _limit(profile: ChargingProfile, limit: float, phases: int, supply: Supply) -> ExpectedLimit:
    unit = profile.schedule.unit
    limit_a = limit if unit == "A" else limit / (supply.voltage_v * phases)
    return ExpectedLimit(limit, unit, limit_a, phases, profile.id)


def _anchors(
    profile: ChargingProfile, start: float, end: float, transaction: Transaction | None
) -> Iterator[tuple[float, float]]:
    """Yield when the schedule's second 0 lies and when its next occurrence cuts it off."""
    begin = profile.schedule.start
    if profile.kind is Kind.RELATIVE:
        if transaction is not None:
            yield transaction.start, _FOREVER
    elif begin is None:
        return
    elif profile.kind is Kind.ABSOLUTE:
        yield begin, _FOREVER
    else:
        every = _RECURRENCE_S.get(profile.recurrency or "")
        if every is None:
            return
        anchor = begin + max(0.0, (start - begin) // every) * every  # K01.FR.30: not before startSchedule
        while anchor < end:
            yield anchor, anchor + every
            anchor += every


def _lowest(layers: Sequence[Sequence[Piece]], window: Window) -> Timeline[ExpectedLimit | None]:
    """Return the lowest limit at each moment over layers of disjoint, ascending pieces."""
    edges = sorted({window.start, *(edge for layer in layers for piece in layer for edge in piece[:2])})
    cursors = [0] * len(layers)
    steps: list[tuple[float, ExpectedLimit | None]] = []
    for edge in edges:
        ruling: list[ExpectedLimit] = []
        for number, layer in enumerate(layers):
            while cursors[number] < len(layer) and layer[cursors[number]][1] <= edge:
                cursors[number] += 1
            if cursors[number] < len(layer) and layer[cursors[number]][0] <= edge:
                ruling.append(layer[cursors[number]][2])
        steps.append((edge, _combined(ruling)))
    return Timeline(steps, window.end)


def _combined(ruling: Sequence[ExpectedLimit]) -> ExpectedLimit | None:
    if not ruling:
        return None
    least = min(ruling, key=lambda one: one.limit_a)
    phases = min(one.number_phases for one in ruling)
    if phases == least.number_phases:
        return least
    return ExpectedLimit(least.limit_a, "A", least.limit_a, phases, least.profile_id)
