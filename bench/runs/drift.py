"""A meter that drifts after its proof: what its power makes over time is no longer what its own energy register counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.domain.evidence import EvseFacts
from bench.domain.quantities import clock_text
from bench.domain.series import Floats

Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
_SHARE: Final = 0.01
"""By so much power and energy of a sound meter may differ beside U of its power; the proof allows the same."""
_PARTS: Final = 50
"""A window is as long as it takes until all that is not a share of its energy is at most 2 % of it."""
_LASTS_S: Final = 10.0
_LEAST_WH: Final = 5.0
_LONGEST_S: Final = 30.0
"""Between readings that lie further apart nobody knows the power."""
_FLOWS_W: Final = 50.0
_LEANS: Final = 0.25
"""A window next to one in doubt belongs to it where it is off the same way by this part of what is allowed."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Readings `first` to `last`, by index, in which power and energy register do not agree."""

    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class _Window:
    """Indices of the usable readings, and Wh."""

    first: int
    last: int
    made: float
    """What the power makes."""
    counted: float
    allowed: float
    """What the two may differ by."""

    @property
    def part(self) -> float:
        """Return the difference as a part of what is allowed; above 1 the two do not agree."""
        return (self.made - self.counted) / self.allowed


class _Columns:
    """Power and register of the readings that have both, with what is common to all windows."""

    def __init__(self, evse: EvseFacts, kept: Ints) -> None:
        samples = evse.samples
        self.evse = evse
        self.at: Floats = (samples.requested[kept] + samples.received[kept]) / 2
        self.power, self.energy = samples.power_w[kept], samples.energy_wh[kept]
        self.lasts, self.gain = np.diff(self.at), np.diff(self.energy)
        low = np.minimum(self.power[:-1], self.power[1:])
        self.broken: Mask = (self.lasts > _LONGEST_S) | (self.gain < 0) | (low < 0) | (np.diff(kept) > 2)
        self.made = _summed((self.power[:-1] + self.power[1:]) / 2 * self.lasts)
        self.unsure = _summed(np.abs(np.diff(self.power)) / 2 * self.lasts)
        """A step between two readings was at any moment between them."""
        self.step = self._step(low > _FLOWS_W)

    def _step(self, flows: Mask) -> float | None:
        """Return by how much the register may be behind: its smallest gain, or what it makes up for once it is renewed.

        Where readings come about as often as the register is renewed, one of them now and then shows none of its renewals, or
        two: how far the gains of steady power lie apart tells how much is in one. A change of power that slow readings miss shows
        there too.
        """
        rises = self.gain[~self.broken & (self.gain > 0)]
        if not len(rises):
            return None  # there is no register, or its step is larger than all that flowed
        sound = ~self.broken & flows
        renewed = (self.gain[1:] > 0) & (self.gain[:-1] == 0) & sound[1:] & sound[:-1]
        flowed, unsure = np.diff(self.made), np.diff(self.unsure)
        off = self.gain - flowed
        off = np.sign(off) * np.maximum(np.abs(off) - unsure, 0.0)  # beyond what a step of P explains
        off = off[sound & (np.abs(off) * self.lasts <= flowed * _LONGEST_S)]
        apart = float(np.ptp(off)) if len(off) else 0.0
        return float(max(rises.min(), np.max(self.gain[1:], where=renewed, initial=0.0), apart))

    def fixed(self, first: int, last: int) -> float:
        """Return what power and register may differ by in a window that is no share of its energy."""
        around = np.searchsorted(self.at, (self.at[first] - self.evse.latency_s[1], self.at[last] + self.evse.latency_s[1]))
        power = self.power[around[0] : around[1] + 1]
        behind = float(power.max() - power.min()) * self.evse.latency_s[1] / 3600
        return (self.step or 0.0) + float(self.unsure[last] - self.unsure[first]) + behind

    def window(self, first: int, last: int, fixed: float) -> _Window:
        """Return a window with what may differ in it."""
        made, hours = float(self.made[last] - self.made[first]), float(self.at[last] - self.at[first]) / 3600
        allowed = fixed + _SHARE * made + self.evse.power.expanded(made / hours) * hours
        return _Window(first, last, made, float(self.energy[last] - self.energy[first]), allowed)


def drifts(evse: EvseFacts, usable: Mask) -> Iterator[Drift]:
    """Yield the spans in which a meter's power and its own energy register part; which of the two is wrong is not known.

    Windows follow one another, each long enough for its energy to tell. They differ where the integral of P (trapezoids) and
    the gain of the register are apart by more than: the step of the register, half of each step of P between its two readings,
    what the latency of the meter may shift, 1 % and U of the power. A register that never gained, or whose step is too coarse for
    the run, tells nothing. The windows beside one in doubt are in doubt too: nobody knows when in it the drift began.

    Args: usable: of shape (n,): readings that no other doubt has taken out.
    """
    samples = evse.samples
    kept = np.flatnonzero(usable & ~np.isnan(samples.power_w) & ~np.isnan(samples.energy_wh))
    if len(kept) < 3 or not evse.power.known:
        return
    columns = _Columns(evse, kept)
    if columns.step is None:
        return
    ends = [*np.flatnonzero(columns.broken).tolist(), len(kept) - 1]
    first = 0
    for end in ends:
        windows = list(_windows(columns, first, end))
        for group in _in_doubt(windows):
            off = [one for one in group if abs(one.part) > 1]
            made, counted = sum(one.made for one in off), sum(one.counted for one in off)
            # what follows the last window tells nothing, so it goes with it
            last = end if group[-1] is windows[-1] else group[-1].last
            since = clock_text(float(columns.at[off[0].first]))
            text = (
                f"meter {evse.meter} drifted: from {since} on its power makes {made:.0f} Wh where its own energy register "
                f"counts {counted:.0f} Wh"
            )
            yield Drift(int(kept[group[0].first]), int(kept[last]), text)
        first = end + 1


def _windows(columns: _Columns, first: int, end: int) -> Iterator[_Window]:
    """Yield windows that follow one another between two readings; a rest that makes next to nothing is left out."""
    at, made = columns.at, columns.made
    while first < end:
        need = max(_LEAST_WH, _PARTS * (columns.step or 0.0))
        soonest = int(np.searchsorted(at, at[first] + _LASTS_S))
        while True:
            last = max(soonest, int(np.searchsorted(made, made[first] + need)))
            if last > end:  # a rest tells what it can
                if made[end] - made[first] >= _LEAST_WH:
                    yield columns.window(first, end, columns.fixed(first, end))
                return
            fixed = columns.fixed(first, last)
            if _PARTS * fixed <= made[last] - made[first]:
                break
            need = max(_PARTS * fixed, float(made[last] - made[first]) + 1e-6)
        yield columns.window(first, last, fixed)
        first = last


def _in_doubt(windows: Sequence[_Window]) -> Iterator[Sequence[_Window]]:
    """Yield each run of windows in doubt: one that is off, those beside it that lean the same way, and one more on each side."""
    taken = set[int]()
    for number, one in enumerate(windows):
        if abs(one.part) <= 1:
            continue
        for way in (-1, 1):
            beside = number
            while 0 <= beside < len(windows) and windows[beside].part * np.sign(one.part) > _LEANS:
                taken.add(beside)
                beside += way
            if 0 <= beside < len(windows):
                taken.add(beside)
    run: list[int] = []
    for number in sorted(taken):
        if run and number != run[-1] + 1:
            yield [windows[one] for one in run]
            run = []
        run.append(number)
    if run:
        yield [windows[one] for one in run]


def _summed(watt_seconds: Floats) -> Floats:
    """Return the energy in Wh up to each reading."""
    return np.concatenate(([0.0], np.cumsum(watt_seconds) / 3600))
