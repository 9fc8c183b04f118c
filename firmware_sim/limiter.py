"""The pointwise limiter: which limit rules at one instant, decided as firmware does, and when that may next change.

Nothing here looks at a whole timeline: a question is asked for one moment `t` (seconds since 1970 UTC) and answered from the
profiles that have a period at that moment. Source: OCPP 2.0.1 Part 2, K 3.5, K01.FR.10 to FR.17, FR.30, FR.36, FR.37, FR.42,
FR.49 to FR.51, K02.FR.04, K02.FR.08, K04.FR.05, K08.FR.04, K12.FR.01.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.pilot import MIN_CURRENT_A
from firmware_sim.profiles import EXTERNAL, RECURRENCE_S, STATION_MAX, TX, TX_DEFAULT, Period, Profile

DEFAULT_PHASES: Final = 3
"""K01.FR.49."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The limit that rules at one moment."""

    amps: float
    """A per phase."""
    limit: float
    """As the profile says it, in `unit`."""
    unit: str
    number_phases: int
    """The lowest of all purposes that have a say at this moment; 1 on DC."""
    profile_id: int
    purpose: str
    phase_to_use: int | None = None
    """1 to 3 where a profile asks for it (K01.FR.46)."""

    def watts(self, voltage_v: float) -> float:
        """Return the limit in W in total, at nominal voltage."""
        return self.limit if self.unit == "W" else self.amps * voltage_v * self.number_phases


@dataclass(frozen=True, slots=True)
class Situation:
    """For whom and when a limit is asked: an EVSE (0: the station), seconds since 1970, and the transaction, if any."""

    evse_id: int
    t: float
    transaction_id: str | None = None
    transaction_start: float | None = None


def anchor_of(profile: Profile, t: float, transaction_start: float | None) -> float | None:
    """Return when second 0 of the schedule lies that counts at `t`; None while the schedule has not begun."""
    if profile.kind == "Relative":
        return t if transaction_start is None else transaction_start
    if profile.start is None or t < profile.start:
        return None
    every = RECURRENCE_S.get(profile.recurrency or "") if profile.kind == "Recurring" else None
    return profile.start + (t - profile.start) // every * every if every else profile.start


def period_at(profile: Profile, t: float, transaction_start: float | None) -> Period | None:
    """Return the period that the profile has at `t`; None in a gap.

    validFrom is inclusive (K01.FR.36), validTo (K01.FR.37) and duration exclusive; without them it counts for ever (K01.FR.10).
    """
    if profile.valid_from is not None and t < profile.valid_from:
        return None
    if profile.valid_to is not None and t >= profile.valid_to:
        return None
    anchor = anchor_of(profile, t, transaction_start)
    if anchor is None or t < anchor:
        return None
    offset = t - anchor
    if profile.duration_s is not None and offset >= profile.duration_s:
        return None
    index = bisect_right(profile.periods, offset, key=lambda period: period.start_s)
    return profile.periods[index - 1] if index else None


def next_boundary(profile: Profile, t: float, transaction_start: float | None) -> float:
    """Return the first moment after `t` at which the profile's period may change; infinity if never."""
    edges = [edge for edge in (profile.valid_from, profile.valid_to, profile.start) if edge is not None]
    anchor = anchor_of(profile, t, transaction_start)
    if anchor is not None:
        index = bisect_right(profile.periods, t - anchor, key=lambda period: period.start_s)
        edges.extend(anchor + period.start_s for period in profile.periods[index : index + 2])
        if profile.duration_s is not None:
            edges.append(anchor + profile.duration_s)
        if profile.kind == "Recurring":
            edges.append(anchor + RECURRENCE_S.get(profile.recurrency or "", math.inf))
    return min((edge for edge in edges if edge > t), default=math.inf)


@dataclass(frozen=True, slots=True)
class Limiter:
    """Decides for the EVSEs of one station.

    `voltage_v` is the nominal line voltage (K01.FR.50). On DC it is what one ampere at the EV costs in W at the grid, and
    phases do not count (K01.FR.44). `anchor` says where a Relative schedule begins: with `received` when its profile came, if
    that was during the transaction; otherwise with the transaction, which here begins when the power path closes (K01.FR.42).
    """

    voltage_v: float
    dc: bool = False
    anchor: str = "transaction_start"

    def ruling(
        self,
        profiles: Iterable[Profile],
        evse_id: int,
        t: float,
        *,
        transaction_id: str | None,
        transaction_start: float | None,
        with_shared: bool = True,
    ) -> Ruling | None:
        """Return the limit of one EVSE; None where no profile limits.

        Per purpose the highest stack level that has a period now leads; TxProfile overrules TxDefaultProfile, in the
        transaction that it names and in no other (K01.FR.04, K02.FR.04); the lowest of
        that, ChargingStationMaxProfile and ChargingStationExternalConstraints rules (K08.FR.04). Without a transaction the
        answer is as if one had just begun (K08.FR.06). `with_shared` false leaves out what limits the station as a whole.
        """
        here = [one for one in profiles if one.evse_id in (0, evse_id)]
        own = [one for one in here if one.purpose == TX and one.transaction_id == transaction_id and transaction_id]
        session = self.leading(own, t, transaction_start) or self.leading(
            [one for one in here if one.purpose == TX_DEFAULT], t, transaction_start
        )
        outside = self.outside([one for one in here if one.evse_id], t, transaction_start)
        return lowest(session, *outside, *(self.caps(here, t) if with_shared else ()))

    def shared(self, profiles: Sequence[Profile], t: float) -> Ruling | None:
        """Return the limit of the whole station, A per phase over all EVSEs: the lowest of its caps."""
        return lowest(*self.caps(profiles, t))

    def caps(self, profiles: Sequence[Profile], t: float) -> list[Ruling]:
        """Return what limits all EVSEs together: the station's maximum and each external constraint on it.

        Source: K04.FR.05, K12.FR.01.
        """
        station = [one for one in profiles if one.evse_id == 0]
        most = self.leading([one for one in station if one.purpose == STATION_MAX], t, None)
        return [*([most] if most else ()), *self.outside(station, t, None)]

    def outside(self, profiles: Sequence[Profile], t: float, transaction_start: float | None) -> list[Ruling]:
        """Return what each external source says: all of them bind (SC.01), and stack levels count within a source."""
        external = [one for one in profiles if one.purpose == EXTERNAL]
        sources = sorted({one.source for one in external})
        said = (self.leading([one for one in external if one.source == name], t, transaction_start) for name in sources)
        return [one for one in said if one]

    def leading(self, profiles: Sequence[Profile], t: float, transaction_start: float | None) -> Ruling | None:
        """Return the limit of the highest stack level that has a period at `t`; a gap falls through to the next lower one."""
        for profile in sorted(profiles, key=lambda one: (-one.stack_level, -one.evse_id)):
            period = period_at(profile, t, self.began(profile, transaction_start))
            if period is not None:
                phases = 1 if self.dc else period.number_phases or DEFAULT_PHASES
                amps = period.limit if profile.unit == "A" else period.limit / (self.voltage_v * phases)
                line = None if self.dc else period.phase_to_use
                return Ruling(amps, period.limit, profile.unit, phases, profile.id, profile.purpose, line)
        return None

    def began(self, profile: Profile, transaction_start: float | None) -> float | None:
        """Return from when a Relative profile counts.

        An external limit of the whole station, or on an EVSE without a transaction, counts from its coming (K01.FR.41).
        """
        if profile.received_at is None:
            return transaction_start
        if profile.purpose == EXTERNAL and (profile.evse_id == 0 or transaction_start is None):
            return profile.received_at
        if self.anchor != "received" or transaction_start is None:
            return transaction_start
        return max(profile.received_at, transaction_start)

    def next_change(self, profiles: Iterable[Profile], t: float, transaction_start: float | None) -> float:
        """Return the first moment after `t` at which any of the profiles may rule otherwise; infinity if never."""
        return min((next_boundary(one, t, self.began(one, transaction_start)) for one in profiles), default=math.inf)


def lowest(*rulings: Ruling | None) -> Ruling | None:
    """Return the lowest limit, with the lowest number of phases of all; None of none."""
    least: Ruling | None = None
    for one in rulings:
        if one is not None:
            least = one if least is None else _lower(least, one)
    return least


def _lower(one: Ruling, other: Ruling) -> Ruling:
    least = one if one.amps <= other.amps else other
    phases = min(one.number_phases, other.number_phases)
    line = one.phase_to_use or other.phase_to_use
    if (phases, line) == (least.number_phases, least.phase_to_use):
        return least
    if phases == least.number_phases:
        return replace(least, phase_to_use=line)
    return Ruling(least.amps, least.amps, "A", phases, least.profile_id, least.purpose, line)


def share(total_a: float, wanted_a: Sequence[float], least_a: float = MIN_CURRENT_A) -> list[float]:
    """Return what each charging EVSE may offer so that the sum stays within `total_a` (A per phase, K04.FR.05).

    Args:
        total_a: the station's limit.
        wanted_a: what each charging EVSE would offer without it, the longest-charging first.
        least_a: what an EVSE must be given to charge at all.
    Returns: equal shares, what one leaves going to the others; when they would fall under the least the last come get nothing.
    """
    given = [0.0] * len(wanted_a)
    served = [index for index, amps in enumerate(wanted_a) if amps >= least_a]
    if least_a > 0:
        served = served[: int((total_a + 1e-9) / least_a)]
    left = total_a
    for rank, index in enumerate(sorted(served, key=lambda one: wanted_a[one])):
        given[index] = min(wanted_a[index], left / (len(served) - rank))
        left -= given[index]
    return given
