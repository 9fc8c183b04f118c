"""The oracle: which limit must hold on an EVSE at each moment, computed from what is installed.

Source: OCPP 2.0.1 Part 2, block K, sections 3.2 to 3.6 (kinds, stacking, combining purposes), K01.FR.10 to FR.13, FR.17, FR.30,
FR.36, FR.37, FR.42, FR.49 to FR.51, K02.FR.04, FR.08, K04.FR.05, K08, K11.FR.01, K12.FR.01, SC.01, with the errata to 2025-09.
It knows nothing of any station's implementation; where the text leaves a choice, `OracleOptions` names it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal, NamedTuple

from bench.domain.profiles import ChargingProfile, ChargingSchedulePeriod, InstalledProfile, Kind, Purpose
from bench.domain.timeline import Timeline, Window

RECURRENCE_S: Final = {"Daily": 86_400.0, "Weekly": 604_800.0}
DEFAULT_PHASES: Final = 3
"""K01.FR.49: an AC period that says no number of phases means three."""
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Supply:
    """The station's nominal supply, for converting between A per phase and W in total (K01.FR.50, FR.51).

    `phases`: what the EVSE has. A period for more of them is applied to these (K01.FR.45), but converted with the number that
    it says, or with 3 where it says none, on a one-phase supply too (K01.FR.50, K01.FR.49 and its note of 2025-06).
    """

    voltage_v: float = 230.0
    phases: int = 3


@dataclass(frozen=True, slots=True)
class OracleOptions:
    """How the specification is read where it leaves a choice; the defaults are the text's own words."""

    local_limit: Literal["filler", "cap"] = "filler"
    """The EVSE's own limit in a composite schedule: only where no profile limits, or on top of each profile."""
    relative_anchor: Literal["transaction_start", "power_path_closed", "received"] = "transaction_start"
    """From when the periods of a Relative profile count; K01.FR.42 recommends PowerPathClosed, which is the same moment on a
    station whose transactions start there."""
    recurs_before_start: bool = False
    """A Recurring profile is in force before its startSchedule too; K01.FR.30 says it is not."""
    conversion_phases: Literal["own", "merged"] = "own"
    """W becomes A with the period's own number of phases (K01.FR.50), or with the lowest of all purposes."""
    default_taken_over: Literal["at_once", "next_transaction"] = "at_once"
    """From when a TxDefaultProfile counts that comes during a transaction: for that one, or for the next only."""
    station_external: Literal["once", "per_evse"] = "once"
    """External constraints of the whole station limit the sum (K12.FR.01), or each EVSE by itself before adding up."""


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "text": {},
    "libocpp": {"recurs_before_start": True, "conversion_phases": "merged", "station_external": "per_evse"},
}
"""Well-known stacks whose readings differ from the text's; what a case or target says by name goes before its preset."""


class ExpectedLimit(NamedTuple):
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
    power_path_closed: float | None = None
    """When energy could first flow: authorised and connected; None where that is not known apart from the start."""


def options_of(preset: str = "", **named: str | None) -> OracleOptions:
    """Return the readings of a preset, with those that are named instead of its own; an unknown preset says nothing.

    Args: named: options by their names; None where nothing is said.
    """
    own = {name: value for name, value in named.items() if value is not None}
    return OracleOptions(**{**PRESETS.get(preset, {}), **own})


Piece = tuple[float, float, ExpectedLimit]
_MOMENT: Final = itemgetter(0)
_AMPERES: Final = attrgetter("limit_a")
TEXT: Final = OracleOptions()


def expected_limit(
    installed: Sequence[InstalledProfile],
    evse_id: int,
    window: Window,
    transaction: Transaction | None,
    supply: Supply,
    options: OracleOptions = TEXT,
) -> Timeline[ExpectedLimit | None]:
    """Return the limit that must hold on one EVSE at each moment of the window.

    Args:
        installed: the profiles in the station's store, in any order.
        evse_id: 1 or higher.
        window: [start, end), seconds since 1970 UTC.
        transaction: the one that runs on the EVSE during the window; without one no Tx or TxDefault profile applies.
        supply: nominal voltage and the EVSE's phases.
    Returns: a Timeline that covers the window without gaps; None where nothing limits.
    Source: OCPP 2.0.1 Part 2, K 3.5: per purpose the highest stack level that has a period at that time leads; TxProfile
        overrules TxDefaultProfile; across purposes the lowest limit holds.
    """
    own = (Purpose.STATION_MAX, Purpose.EXTERNAL)
    layers = evse_layers(installed, evse_id, window, transaction, supply, options, caps=own)
    return Timeline(lowest_pieces(layers, window, supply, options), window.end)


def evse_layers(
    installed: Sequence[InstalledProfile],
    evse_id: int,
    window: Window,
    transaction: Transaction | None,
    supply: Supply,
    options: OracleOptions,
    *,
    caps: Sequence[Purpose],
    of_station: bool = True,
) -> list[list[Piece]]:
    """Return what each purpose says on one EVSE: Tx over TxDefault, then each of `caps`; disjoint, ascending pieces.

    Args: of_station: whether caps of the whole station (EVSE 0) count here.
    """
    here = [one for one in installed if one.evse_id in (0, evse_id)]
    layers: list[list[Piece]] = []
    if transaction is not None:
        own = [
            one
            for one in here
            if one.profile.purpose is Purpose.TX and one.evse_id and one.profile.transaction_id in (None, transaction.id)
        ]
        default = [one for one in here if one.profile.purpose is Purpose.TX_DEFAULT and _taken_over(one, transaction, options)]
        layers.append(leading_pieces([*_by_stack(own), *_by_stack(default)], window, transaction, supply, options))
    for purpose in caps:
        limiting = [one for one in here if one.profile.purpose is purpose and (of_station or one.evse_id)]
        if purpose is Purpose.STATION_MAX:
            limiting = [one for one in limiting if one.evse_id == 0]  # K04.FR.03
        for group in _groups(limiting):
            of_all = group[0].source is not None and group[0].evse_id == 0  # the station's own, and of no transaction
            layers.append(leading_pieces(_by_stack(group), window, None if of_all else transaction, supply, options))
    return layers


def _taken_over(one: InstalledProfile, transaction: Transaction, options: OracleOptions) -> bool:
    late = one.received is not None and one.received > transaction.start
    return options.default_taken_over == "at_once" or not late


def station_caps(
    installed: Sequence[InstalledProfile], window: Window, supply: Supply, options: OracleOptions = TEXT
) -> list[list[Piece]]:
    """Return what ChargingStationMaxProfile and the station-wide external constraints say of the sum of all EVSEs."""
    layers: list[list[Piece]] = []
    for purpose in (Purpose.STATION_MAX, Purpose.EXTERNAL):
        limiting = [one for one in installed if one.profile.purpose is purpose and one.evse_id == 0]
        if not (purpose is Purpose.EXTERNAL and options.station_external == "per_evse"):
            layers.extend(leading_pieces(_by_stack(group), window, None, supply, options) for group in _groups(limiting))
    return layers


def expected_station_limit(
    installed: Sequence[InstalledProfile], window: Window, supply: Supply, options: OracleOptions = TEXT
) -> Timeline[ExpectedLimit | None]:
    """Return what binds the sum of all EVSEs, in A per grid phase or W in total; None where nothing does.

    Source: K 3.5 (ChargingStationMaxProfile is the limit for all EVSEs combined), K04.FR.05, K12.FR.01.
    """
    return Timeline(lowest_pieces(station_caps(installed, window, supply, options), window, supply, options), window.end)


def _groups(profiles: Iterable[InstalledProfile]) -> Iterable[list[InstalledProfile]]:
    """Return which profiles of a cap are stacked: all, but each source's external limit on each place binds by itself.

    Source: SC.01, K11.FR.01, K12.FR.01. Profiles whose source nobody told are taken as of one, stacked as K 3.5 has it.
    """
    groups: dict[tuple[str | None, bool], list[InstalledProfile]] = {}
    for one in profiles:
        source = one.source if one.profile.purpose is Purpose.EXTERNAL else None
        groups.setdefault((source, source is not None and one.evse_id == 0), []).append(one)
    return groups.values()


def _by_stack(profiles: Iterable[InstalledProfile]) -> list[InstalledProfile]:
    """Return the profiles, the highest stack level first; on equal levels the EVSE's own before the station's."""
    return sorted(profiles, key=lambda one: (-one.profile.stack_level, -one.evse_id))


def leading_pieces(
    ordered: Sequence[InstalledProfile], window: Window, transaction: Transaction | None, supply: Supply, options: OracleOptions
) -> list[Piece]:
    """Return the pieces of the profiles that lead: each later profile fills only the gaps that are left (K 3.5)."""
    gaps = [(window.start, window.end)]
    painted: list[Piece] = []
    for one in ordered:
        if not gaps:
            break
        left: list[tuple[float, float]] = []
        for start, end in gaps:
            reached = start
            for piece in _pieces(one, start, end, transaction, supply, options):
                if piece[0] > reached:
                    left.append((reached, piece[0]))
                painted.append(piece)
                reached = piece[1]
            if reached < end:
                left.append((reached, end))
        gaps = left
    painted.sort(key=_MOMENT)
    return painted


def _pieces(
    one: InstalledProfile, start: float, end: float, transaction: Transaction | None, supply: Supply, options: OracleOptions
) -> Iterator[Piece]:
    """Yield the periods of one profile inside [start, end), in order."""
    profile = one.profile
    if profile.valid_from is not None and profile.valid_from > start:
        start = profile.valid_from
    if profile.valid_to is not None and profile.valid_to < end:
        end = profile.valid_to
    schedule = profile.schedule
    periods, offsets, duration, count = schedule.periods, schedule.offsets, schedule.duration_s, len(schedule.periods)
    unit, identity, volts, most = schedule.unit, profile.id, supply.voltage_v, supply.phases
    for anchor, until in occurrences(one, start, end, transaction, options):
        last = min(end, until) if duration is None else min(end, until, anchor + duration)
        at = max(start, anchor + offsets[0])
        index = max(0, bisect_right(offsets, at - anchor) - 1)
        while at < last:
            period = periods[index]
            index += 1
            stop = last
            if index < count and anchor + offsets[index] < last:
                stop = anchor + offsets[index]
            if stop > at:
                phases = period.number_phases or DEFAULT_PHASES
                limit = period.limit
                amperes = limit if unit == "A" else limit / (volts * phases)
                if phases <= most:
                    yield at, stop, ExpectedLimit(limit, unit, amperes, phases, identity)
                else:
                    yield at, stop, ExpectedLimit(amperes, "A", amperes, most, identity)
                at = stop


def occurrences(
    one: InstalledProfile, start: float, end: float, transaction: Transaction | None, options: OracleOptions
) -> Iterator[tuple[float, float]]:
    """Yield when second 0 of the schedule lies, and when its next recurrence cuts it off; those that reach into [start, end)."""
    profile, begin = one.profile, one.profile.schedule.start
    if profile.kind is Kind.RELATIVE:
        anchor = _relative_anchor(one, transaction, options)
        if anchor is not None:
            yield anchor, _FOREVER
    elif begin is None:
        return
    elif profile.kind is Kind.ABSOLUTE:
        yield begin, _FOREVER
    else:
        every = RECURRENCE_S.get(profile.recurrency or "")
        if every is None:
            return
        first = (start - begin) // every
        anchor = begin + (first if options.recurs_before_start else max(0.0, first)) * every
        while anchor < end:
            yield anchor, anchor + every
            anchor += every


def _relative_anchor(one: InstalledProfile, transaction: Transaction | None, options: OracleOptions) -> float | None:
    """Return from when a Relative profile counts; without a transaction, which only a cap has a say in, from its arrival."""
    if transaction is None:
        return one.received
    if options.relative_anchor == "received" and one.received is not None:
        return max(one.received, transaction.start)  # a profile that came before is activated by the transaction (K01.FR.41)
    if options.relative_anchor == "power_path_closed" and transaction.power_path_closed is not None:
        return transaction.power_path_closed
    return transaction.start


def period_at(profile: ChargingProfile, offset: float) -> ChargingSchedulePeriod | None:
    """Return the period that runs `offset` seconds after the schedule's second 0; None before, and once its duration is over."""
    schedule = profile.schedule
    if schedule.duration_s is not None and offset >= schedule.duration_s:
        return None
    index = bisect_right(schedule.offsets, offset)
    return schedule.periods[index - 1] if index else None


def lowest_pieces(
    layers: Sequence[Sequence[Piece]], window: Window, supply: Supply, options: OracleOptions
) -> list[tuple[float, ExpectedLimit | None]]:
    """Return from when which limit is the lowest of layers of disjoint, ascending pieces."""
    if len(layers) == 1:
        return _filled(layers[0], window)
    changes: list[tuple[float, int, ExpectedLimit | None]] = []
    for number, layer in enumerate(layers):
        reached = window.start
        for start, end, limit in layer:
            if start > reached:
                changes.append((reached, number, None))
            changes.append((start, number, limit))
            reached = end
        if reached < window.end:
            changes.append((reached, number, None))
    changes.sort(key=_MOMENT)
    now: list[ExpectedLimit | None] = [None] * len(layers)
    steps: list[tuple[float, ExpectedLimit | None]] = []
    last = len(changes) - 1
    for index, (at, number, ruling) in enumerate(changes):
        now[number] = ruling
        if index == last or changes[index + 1][0] > at:
            steps.append((at, combined([one for one in now if one is not None], supply, options)))
    return steps or [(window.start, None)]


def _filled(layer: Sequence[Piece], window: Window) -> list[tuple[float, ExpectedLimit | None]]:
    steps: list[tuple[float, ExpectedLimit | None]] = []
    reached = window.start
    for start, end, limit in layer:
        if start > reached:
            steps.append((reached, None))
        steps.append((start, limit))
        reached = end
    return [*steps, (reached, None)] if reached < window.end else steps


def combined(ruling: Sequence[ExpectedLimit], supply: Supply, options: OracleOptions) -> ExpectedLimit | None:
    """Return the lowest limit, with the lowest number of phases of all that have a say at this moment; None of none."""
    if not ruling:
        return None
    if len(ruling) == 1:
        return ruling[0]
    least, phases = ruling[0], ruling[0].number_phases
    for one in ruling:
        if one.number_phases < phases:
            phases = one.number_phases
        if one.limit_a < least.limit_a:
            least = one
    if options.conversion_phases == "merged":
        volts = supply.voltage_v * phases
        least = min((one if one.unit == "A" else one._replace(limit_a=one.limit / volts) for one in ruling), key=_AMPERES)
    if phases == least.number_phases:
        return least
    return ExpectedLimit(least.limit_a, "A", least.limit_a, phases, least.profile_id)
