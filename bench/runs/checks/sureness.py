"""How sure a verdict on power is: what excess the rig can find, and how its uncertainty compares with the product's tolerance."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Final

from bench.domain.decision import DecisionRule
from bench.domain.uncertainty import detection_limit, test_uncertainty_ratio
from bench.domain.verdicts import Measurement, Warn
from bench.runs.checks.plateaus import Scale

LEAST_RATIO: Final = 3.0
"""Below it a good part of the tolerance is eaten up by what the meter cannot tell apart."""
READINGS: Final = 20
"""Of a plateau; with fewer the noise counts for more."""
_SPREAD: Final = sqrt((READINGS - 1) / (READINGS - 3))
"""s of so few readings is itself uncertain: Student's t has this standard deviation (JCGM 101 6.4.9)."""
_ROUNDS: Final = 6
"""Each comes closer by a factor of U / reading or better."""
_GUARDS: Final = {DecisionRule.SIMPLE: "", DecisionRule.GUARDED: " - U", DecisionRule.FOUR_WAY: " + U"}


def detectable(border: float, scale: Scale, rule: DecisionRule) -> float:
    """Return the true value that is FAIL with 95 % probability where a maximum is `border`, on a plateau of 20 readings.

    U grows with the reading, so it is taken where it counts: at the reading that just fails, and u at the true value.
    """
    found = fails = border
    for _ in range(_ROUNDS):
        repeatability = scale.noise(fails) / sqrt(READINGS) * _SPREAD
        guards = {
            DecisionRule.SIMPLE: 0.0,
            DecisionRule.GUARDED: -scale.expanded(fails, repeatability),
            DecisionRule.FOUR_WAY: scale.guard(fails, repeatability),
        }
        fails = border + guards[rule]
        found = detection_limit(border, guards[rule], scale.standard(found, repeatability))
    return found


def sureness(
    limit: float, unit: str, tolerance: float, scale: Scale, rule: DecisionRule
) -> tuple[tuple[Measurement, ...], tuple[Warn, ...]]:
    """Return detection limit and test uncertainty ratio at a limit, and a warning where the ratio is poor.

    Args: tolerance: what the product may exceed the limit by, in `unit`; without one there is no ratio.
    """
    uncertainty = scale.expanded(limit + tolerance, scale.noise(limit) / sqrt(READINGS))
    if not isfinite(uncertainty):
        return (), ()
    allowed = f"{limit:g} {unit}" + (f" + {tolerance:g} {unit} of tolerance" if tolerance else "")
    basis = scale.accuracy.basis(limit / scale.volts)
    sum_of = f"{allowed}{_GUARDS[rule]} + 1.645 u, U = {uncertainty:.3g} {unit} {basis}"
    doc = f"what is above it is found with 95 % probability: {sum_of}"
    found = Measurement("detection_limit", round(detectable(limit + tolerance, scale, rule), 3), unit, doc)
    if not tolerance or not uncertainty:
        return (found,), ()
    ratio = test_uncertainty_ratio(tolerance, uncertainty)
    measured = Measurement("test_uncertainty_ratio", round(ratio, 2), "", f"tolerance {tolerance:g} {unit} / U at {allowed}")
    if ratio >= LEAST_RATIO:
        return (found, measured), ()
    text = f"the product's tolerance of {tolerance:g} {unit} is only {ratio:.1f} times U = {uncertainty:.3g} {unit}; 3 are wanted"
    return (found, measured), (Warn("low-tur", text),)
