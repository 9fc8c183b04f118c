"""The operating curve: predicted rates, intervals, and what its summary counts."""

from __future__ import annotations

from random import Random
from statistics import NormalDist

import pytest

from bench.domain.operating_curve import Spread, predicted, wilson
from bench.domain.verdicts import Verdict
from bench.report.curve import Curve, Point
from firmware_sim.faults import FaultSeam


def point(fails: int, *, sound: bool, errors: str = "even") -> Point:
    """Return a hundred runs with so many FAIL, the others CONDITIONAL_FAIL."""
    counts = dict.fromkeys(Verdict, 0) | {Verdict.FAIL: fails, Verdict.CONDITIONAL_FAIL: 100 - fails}
    return Point(2.0, "detection limit", errors, 12.5, sound, counts, {Verdict.FAIL: 0.95}, "")


def test_the_interval_of_a_rate_is_wilsons() -> None:
    """95 of 100: 0.8882 to 0.9785; none of 1000: up to 0.0038 (Wilson 1927)."""
    assert wilson(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-4)
    assert wilson(0, 1000) == pytest.approx((0.0, 0.0038), abs=1e-4)


def test_normal_errors_are_predicted_by_the_normal_distribution() -> None:
    """At the limit, with borders of -2 u, 0 and 2 u: 2.3, 47.7, 47.7 and 2.3 %."""
    tail = NormalDist().cdf(-2)
    found = list(predicted(12.0, (11.8, 12.0, 12.2), Spread(0.0, 0.1)).values())
    assert found == pytest.approx([tail, 0.5 - tail, 0.5 - tail, tail])


def test_even_errors_with_noise_are_predicted_as_they_fall() -> None:
    """Draws of an error within 0.1 A and noise of 0.02 A lie below a border as often as is predicted."""
    draw = Random(1)
    drawn = [draw.uniform(-0.1, 0.1) + draw.gauss(0, 0.02) for _ in range(20_000)]
    for border in (-0.09, 0.0, 0.05, 0.11):
        assert Spread(0.1, 0.02).below(border) == pytest.approx(sum(one <= border for one in drawn) / 20_000, abs=0.01)


@pytest.mark.parametrize(
    ("points", "clean"),
    [
        ([point(0, sound=True), point(95, sound=False)], True),
        ([point(1, sound=True), point(95, sound=False)], False),
        ([point(0, sound=True), point(94, sound=False)], False),
        ([point(3, sound=True, errors="normal"), point(95, sound=False)], True),
    ],
    ids=["as promised", "a sound station is FAIL", "too few are found", "a meter outside of its data sheet"],
)
def test_a_curve_is_clean_where_it_keeps_what_is_promised(points: list[Point], clean: bool) -> None:
    """By meters within their data sheet: no sound station FAIL, and 95 % at the detection limit."""
    assert Curve(12.0, 0.02, points).clean is clean


def test_the_section_has_rate_interval_and_prediction() -> None:
    """Counted, its interval, and what was predicted, in one cell."""
    text = Curve(12.0, 0.02, [point(95, sound=False)]).section()
    assert "95.0 %, 88.8 to 97.8 (95.0)" in text
    assert "95 of 100 FAIL at the detection limit of 12.500 A" in text


def test_noise_moves_currents_and_powers_together() -> None:
    """What flows scatters by the standard deviation, its power with it; a phase without current stays at 0."""
    seam = FaultSeam()
    seam.seed("meter.noise", {"meter": "m1", "amps": 0.1, "seed": 3})
    shown = {"voltage_l1": 230.0, "current_l1": 10.0, "power_l1": 2300.0, "power_total": 2300.0, "current_l2": 0.0}
    drawn = [seam.apply("registers", "m1", 0.0, value=shown) for _ in range(500)]
    errors = [one["current_l1"] - 10 for one in drawn]
    assert (sum(one**2 for one in errors) / 500) ** 0.5 == pytest.approx(0.1, rel=0.1)
    assert [one["power_total"] - 2300 for one in drawn] == pytest.approx([230 * one for one in errors])
    assert {one["current_l2"] for one in drawn} == {0.0}
