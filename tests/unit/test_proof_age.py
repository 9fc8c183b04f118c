"""How old are the readings, and does the rig file say so."""

from __future__ import annotations

import pytest

from bench.domain.proof_age import Response, age_objections, age_words
from bench.domain.proof_energy import Look
from bench.domain.verdicts import FaultClass


def said(response: Response, latency_s: tuple[float, float] = (0.0, 0.2)) -> list[str]:
    """Return the objections to one response."""
    found = list(age_objections([response], [], latency_s))
    assert all(one.fault_class is FaultClass.TIMING for one in found)
    return [one.text for one in found]


@pytest.mark.parametrize("missed", [None, 100.1, 100.25])
def test_a_meter_as_fast_as_the_rig_file_says_is_proven(missed: float | None) -> None:
    """A load may itself take a tenth of a second to switch."""
    assert said(Response(100.0, 100.0, missed, 100.35)) == []


def test_an_older_reading_than_declared_is_told_with_the_cure() -> None:
    """A reading 4 s after the step still showed the load before; one at 4.15 s did not."""
    late = "a step of the load was not shown 4.00 s after it, and 0.2 s are declared: "
    assert said(Response(100.0, 100.0, 104.0, 104.15)) == [late + "write latency_s = [0, 4.2] or more into the rig file"]


def test_a_person_who_takes_long_to_switch_the_load_is_not_the_meters_delay() -> None:
    """Asked at 70 s, done at 100 s."""
    assert said(Response(70.0, 100.0, 100.1, 100.2)) == []


def test_a_step_that_was_never_shown_has_no_figure() -> None:
    """Nobody knows how late it is."""
    assert "longer than 15.0 s, so latency_s of the rig file does not hold" in said(Response(100.0, 100.0, 115.0, None))[0]


def test_a_meter_that_is_sooner_than_declared_is_told() -> None:
    """The shortest latency decides whose a short excess is, so it has to be true as well."""
    assert "write latency_s = [0, 2]" in said(Response(100.0, 100.0, None, 100.1), (0.5, 2.0))[0]


def held(renewed_s: float) -> list[Look]:
    """Return looks each half second, for 10 s, at registers that are renewed this often: 1.5 Wh each half second."""
    every = int(renewed_s * 2)
    return [Look(n / 2, n / 2 + 0.01, 11_040.0, n // every * every * 1.53, renewed=n % every == 0) for n in range(21)]


@pytest.mark.parametrize(("renewed_s", "declared_wh", "doubted"), [(0.5, 1, False), (5, 1, True), (5, 10, False), (5, 0, False)])
def test_registers_that_stand_still_though_energy_was_due_are_old(renewed_s: float, declared_wh: float, doubted: bool) -> None:
    """Renewed each 5 s with steps of 1 Wh; a register of 10 Wh, or one of which nobody knows the step, may stand still."""
    found = list(age_objections([], held(renewed_s), (0.0, 1.0), declared_wh))
    assert ["its registers stood still for 4.5 s" in one.text for one in found] == ([True] if doubted else [])


def test_what_was_seen_is_told() -> None:
    """The largest age, and how often the registers change."""
    words = age_words([Response(100.0, 100.0, None, 100.1), Response(110.0, 110.0, 110.1, 110.21)], held(5))
    assert words == "shows a step within 0.21 s, and its registers change at least every 5.0 s under load"
