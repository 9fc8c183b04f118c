"""Does the energy register count what the power makes: shown, wrong, or not shown."""

from __future__ import annotations

import math

import pytest

from bench.domain.proof_energy import Look, energy_proof, hold_s, register_step, wants_more

WATTS = 11_040.0


def looks(seconds: float, step_wh: float, *, factor: float = 1.0) -> list[Look]:
    """Return looks each half second at a register that counts `factor` times what the power makes, in steps."""
    found = []
    for number in range(int(seconds * 2) + 1):
        at = number / 2
        counted = math.floor((7.0 + factor * WATTS * at / 3600) / step_wh) * step_wh
        found.append(Look(at, at + 0.01, WATTS, counted, renewed=True))
    return found


@pytest.mark.parametrize(("seconds", "step_wh"), [(11, 0.01), (11, 1), (70, 10), (660, 100)])
def test_a_register_is_proven_once_it_has_counted_twenty_steps(seconds: float, step_wh: float) -> None:
    """31 Wh for a fine one, 2 kWh for one of 100 Wh: nothing is left to say, and holding on would show no more."""
    shown = looks(seconds, step_wh)
    found = energy_proof(shown)
    assert (found.wrong, found.unproven, wants_more(shown, 0)) == ("", "", False)


@pytest.mark.parametrize(
    ("step_wh", "words"), [(10, "in steps of 10 Wh, and only 34 Wh flowed"), (100, "counted nothing while 34 Wh")]
)
def test_a_coarse_register_is_not_proven_by_a_short_load(step_wh: float, words: str) -> None:
    """Neither proven nor wrong, and holding the load longer helps."""
    shown = looks(11, step_wh)
    found = energy_proof(shown)
    assert (found.wrong, words in found.unproven, wants_more(shown, 0)) == ("", True, True)


def test_nobody_waits_for_a_register_that_stands_still() -> None:
    """Coarser than 100 Wh, or dead: 120 Wh are enough to stop."""
    assert [wants_more(looks(seconds, 1e6), 0) for seconds in (30, 45)] == [True, False]


@pytest.mark.parametrize("factor", [3, 1.2, 0.8])
def test_a_register_that_counts_something_else_is_wrong(factor: float) -> None:
    """A scale or a ratio that is wrong."""
    assert "where its power makes 34 Wh" in energy_proof(looks(11, 0.01, factor=factor)).wrong


def test_a_register_that_is_late_is_as_coarse_as_what_it_makes_up_for() -> None:
    """Fine digits, but renewed each 5 s: it jumps by 15 Wh."""
    shown = [one if number % 10 == 0 else None for number, one in enumerate(looks(20, 0.01))]
    last = shown[0]
    held = [last := one or Look(number / 2, number / 2, WATTS, last.energy_wh if last else None, renewed=False)
            for number, one in enumerate(shown)]  # fmt: skip
    assert register_step(held) == pytest.approx(15.33, abs=0.02)


def test_nothing_is_said_of_a_register_that_is_not_there() -> None:
    """Whoever judges energy by this meter integrates its power; an old record, which says nothing, proves nothing."""
    bare = [Look(one, one, WATTS, None, renewed=True) for one in range(12)]
    assert (energy_proof(bare).unproven, energy_proof([]).unproven, wants_more(bare, 0)) == ("", "", False)
    assert "make it anew" in energy_proof(None).unproven


@pytest.mark.parametrize(("step_wh", "seconds"), [(0, 10), (1, 10), (10, 65.2), (100, 652.2), (1000, 10)])
def test_how_long_a_load_is_held_is_known_beforehand(step_wh: float, seconds: float) -> None:
    """Twenty steps at 11 kW; a register of 1 kWh would take hours, so nobody tries."""
    assert hold_s(step_wh, WATTS) == pytest.approx(seconds, abs=0.1)
    assert wants_more(looks(12, 0.01), 1000) is False
