"""Is the meter fit to judge by: what it showed of known loads, before anything else was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import FaultClass

_LEAST_A: Final = 0.1
"""A phase with less than this carries nothing."""
MOST_LOAD_PERCENT: Final = 20.0
"""What a load may be known to at worst."""
_ALIKE: Final = 0.02
"""Readings that are off by the same share within this are off by a factor."""
_POWER_W: Final = 5.0
"""What P and the sum of V x I may differ by beside the meter's own uncertainty: power factor and noise of small loads."""


@dataclass(frozen=True, slots=True)
class Point:
    """One known load, and what the meter showed once its latency was over."""

    at: float
    set_a: tuple[float, ...]
    """Per phase of the EVSE."""
    requested: float
    shown_a: tuple[float | None, ...]
    voltage_v: tuple[float | None, ...]
    power_w: float | None
    energy_wh: float | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Point:
        """Read it from a proof document."""
        return cls(
            data["at"], tuple(data["set_a"]), data["requested"], tuple(data["shown_a"]), tuple(data["voltage_v"]),
            data["power_w"], data["energy_wh"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a meter is not proven."""

    text: str
    fault_class: FaultClass


def objections(points: Sequence[Point], current: Accuracy, power: Accuracy, load_percent: float) -> list[Objection]:
    """Return what speaks against a meter; nothing where each known load was shown as it is.

    Compared are: each phase's current with the load within U of both; P with the sum of V x I, and its sign. A reading that still
    shows the load before is one of a meter slower than the rig file says. Energy register and age: `proof_energy`, `proof_age`.

    Args: load_percent: largest error of the known load, percent of its value.
    """
    if not points:
        return [Objection("no known load was shown to it", FaultClass.METERING)]
    if load_percent > MOST_LOAD_PERCENT:
        return [Objection(f"loads that are known to {load_percent:g} % prove nothing", FaultClass.METERING)]
    idle = [index + 1 for index, amps in enumerate(zip(*(one.set_a for one in points), strict=True)) if max(amps) <= _LEAST_A]
    if idle:
        which = " and ".join(f"L{one}" for one in idle)
        return [Objection(f"no known load was shown to it in {which}", FaultClass.METERING)]
    found = [*_currents(points, current, load_percent), *_powers(points, current, power)]
    return list({one.text: one for one in found}.values())


def _currents(points: Sequence[Point], accuracy: Accuracy, load_percent: float) -> Iterator[Objection]:
    ratios = [shown / wanted for one in points for wanted, shown in zip(one.set_a, one.shown_a, strict=True)
              if shown is not None and wanted > _LEAST_A]  # fmt: skip
    if ratios and max(ratios) - min(ratios) < _ALIKE and abs(ratios[0] - 1) > _ALIKE + (accuracy.percent + load_percent) / 50:
        yield Objection(f"it shows {100 * sum(ratios) / len(ratios):.1f} % of each load", FaultClass.METERING)
        return
    before: tuple[float, ...] = (0.0,) * len(points[0].set_a)
    for point in points:
        wrong = []
        for phase, (wanted, shown) in enumerate(zip(point.set_a, point.shown_a, strict=True)):
            if shown is None:
                yield Objection(f"it shows no current in L{phase + 1}", FaultClass.METERING)
                return
            allowed = accuracy.expanded(wanted) + load_percent / 100 * wanted + _LEAST_A
            if abs(shown - wanted) > allowed:
                wrong.append((phase, wanted, shown))
        if wrong:
            yield _wrong_current(point, before, wrong)
            return
        before = point.set_a


def _wrong_current(point: Point, before: Sequence[float], wrong: Sequence[tuple[int, float, float]]) -> Objection:
    """Say what a wrong current tells: another phase, a value of before, or simply a wrong one."""
    phase, wanted, shown = wrong[0]
    seen = {number for number, value in enumerate(point.shown_a) if value is not None and value > _LEAST_A}
    loaded = {number for number, value in enumerate(point.set_a) if value > _LEAST_A}
    late = f"{point.requested - point.at:.1f} s after a step to {wanted:g} A it shows {shown:.2f} A in L{phase + 1}"
    if all(min(old, new) - _LEAST_A <= value <= max(old, new) + _LEAST_A
           for old, new, value in zip(before, point.set_a, point.shown_a, strict=True) if value is not None):  # fmt: skip
        return Objection(f"{late}: it is slower than the rig file says (latency_s)", FaultClass.TIMING)
    if len(loaded) == len(seen) and loaded != seen:
        there = ", ".join(f"L{one + 1}" for one in sorted(seen)) or "no phase"
        here = ", ".join(f"L{one + 1}" for one in sorted(loaded))
        text = f"a load on {here} is shown on {there}: the phases are not wired as the rig file says"
        return Objection(text, FaultClass.METERING)
    return Objection(f"of a load of {wanted:g} A it shows {shown:.2f} A in L{phase + 1}", FaultClass.METERING)


def _powers(points: Sequence[Point], current: Accuracy, power: Accuracy) -> Iterator[Objection]:
    for point in points:
        if point.power_w is None or None in point.voltage_v or None in point.shown_a:
            continue
        apparent = sum((volts or 0.0) * (amps or 0.0) for volts, amps in zip(point.voltage_v, point.shown_a, strict=True))
        volts = max((one or 0.0 for one in point.voltage_v), default=0.0)
        amps = sum(one or 0.0 for one in point.shown_a)
        allowed = power.expanded(point.power_w) + volts * current.expanded(amps, len(point.shown_a)) + _POWER_W + 0.02 * apparent
        if apparent > _POWER_W and abs(point.power_w - apparent) > allowed:
            what = _signs(points, allowed / apparent) or "P and V x I do not agree"
            yield Objection(f"it shows {point.power_w:.0f} W where V x I is {apparent:.0f} W: {what}", FaultClass.METERING)
            return


def _signs(points: Sequence[Point], share: float) -> str:
    """Say on which phases the power counts backwards; empty where that does not explain all points, or in several ways."""
    known = [one for one in points if one.power_w is not None and None not in one.voltage_v and None not in one.shown_a]
    watts = [
        ([(volts or 0.0) * (amps or 0.0) for volts, amps in zip(one.voltage_v, one.shown_a, strict=True)], one.power_w or 0.0)
        for one in known
    ]
    explains = [
        signs
        for signs in product((1, -1), repeat=len(points[0].set_a))
        if all(
            abs(sum(sign * one for sign, one in zip(signs, there, strict=True)) - shown) <= share * sum(there) + _POWER_W
            for there, shown in watts
        )
    ]
    if len(explains) != 1:
        return ""
    backwards = [f"L{index + 1}" for index, sign in enumerate(explains[0]) if sign < 0]
    return f"the sign is wrong on {'all phases' if len(backwards) == len(explains[0]) else ' and '.join(backwards)}"
