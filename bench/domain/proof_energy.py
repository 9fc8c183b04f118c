"""Does a meter's energy register count what its power makes: looks at both while a known load stays the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

PARTS: Final = 20
"""A register is proven once it has counted so many of its steps: then its step is 5 % of what was counted."""
MOST_HOLD_S: Final = 1800.0
"""A load is held no longer than this for a coarse register."""
LEAST_HOLD_S: Final = 10.0
NOTHING_WH: Final = 120.0
"""A register that counts none of this is coarser than 100 Wh, or dead."""
CLOSE_LOOKS: Final = 24
"""So many looks follow one another closely, the rest at ten times the interval."""
_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """One reading while the load stays the same."""

    requested: float
    received: float
    power_w: float | None
    energy_wh: float | None
    renewed: bool
    """Something in the registers has changed since the look before."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Look:
        """Read it from a proof document."""
        return cls(data["requested"], data["received"], data["power_w"], data["energy_wh"], data["renewed"])


@dataclass(frozen=True, slots=True)
class EnergyProof:
    """What the looks say of the register; both are empty for one that is proven."""

    wrong: str = ""
    """It counts something else than the power makes: nothing of such a meter is believed."""
    unproven: str = ""
    """It was not shown; currents and power may be proven all the same."""


def register_step(looks: Sequence[Look], declared_wh: float = 0.0) -> float | None:
    """Return by how much a register may be behind, in Wh: its step, or what it makes up for when it is renewed.

    None where nothing shows it: it did not gain, and nobody said.
    """
    counted = [one.energy_wh for one in looks if one.energy_wh is not None]
    gains = [after - before for before, after in pairwise(counted)]
    rises = [one for one in gains if one > 0]
    if not rises:
        return declared_wh or None
    renewed = [after for before, after in pairwise(gains) if after > 0 and before == 0]
    return max(declared_wh, min(rises), *renewed)


def made_wh(looks: Sequence[Look]) -> float:
    """Return what the power makes over the looks, by trapezoids; 0 where there is none."""
    known = [(one.requested, abs(one.power_w)) for one in looks if one.power_w is not None]
    return sum((here + there) / 2 * (end - start) / 3600 for (start, here), (end, there) in pairwise(known))


def wants_more(looks: Sequence[Look], declared_wh: float) -> bool:
    """Say whether holding the load longer would prove the register, in a time that is worth it."""
    made = made_wh(looks)
    if not made or looks[0].energy_wh is None:
        return False
    step = register_step(looks, declared_wh)
    if step is None:
        return made < NOTHING_WH
    lasts = looks[-1].requested - looks[0].requested
    return made < PARTS * step and PARTS * step / made * lasts <= MOST_HOLD_S


def hold_s(step_wh: float, load_w: float) -> float:
    """Return how long a load is held for a register whose step is known, in s; the least where even the longest is too short."""
    needed = PARTS * step_wh / load_w * 3600 if load_w else 0.0
    return max(LEAST_HOLD_S, needed) if needed <= MOST_HOLD_S else LEAST_HOLD_S


def energy_proof(looks: Sequence[Look] | None, declared_wh: float = 0.0) -> EnergyProof:
    """Compare what a register counted with what the power made: within 1 % and one step of the register.

    Args: looks: None for a record that has none; declared_wh: the register's step, where somebody said it; else 0.
    """
    if looks is None:
        return EnergyProof(unproven="the record of its proof says nothing of its energy register: make it anew")
    if len(looks) < 2 or looks[0].energy_wh is None or looks[-1].energy_wh is None:
        return EnergyProof()  # there is no register, so nobody judges by it
    made, counted, step = made_wh(looks), looks[-1].energy_wh - looks[0].energy_wh, register_step(looks, declared_wh)
    if step is None:
        text = f"its energy register counted nothing while {made:.0f} Wh flowed"
        return EnergyProof(unproven=f"{text}: it stands still, or energy_step_wh of the rig file has to say how coarse it is")
    if abs(counted - made) > _SHARE * made + step:
        return EnergyProof(wrong=f"its energy register counts {counted:.0f} Wh where its power makes {made:.0f} Wh")
    if made < 0.99 * PARTS * step:
        return EnergyProof(unproven=f"its energy register counts in steps of {step:.3g} Wh, and only {made:.0f} Wh flowed")
    return EnergyProof()
