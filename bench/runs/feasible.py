"""Can this rig show what a scenario must find? A plan that cannot is refused before it runs, with the cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.domain.uncertainty import Accuracy, accuracy_of, interval_width
from bench.errors import UsageError
from bench.runs.checks.plateaus import Scale
from bench.runs.checks.sureness import detectable
from bench.settings.instruments import AnyMeter
from bench.settings.rig import EvseSettings, RigSettings, StationSettings
from bench.settings.scenario import ScenarioSettings, under_test
from bench.settings.steps import SetProfile

WIDEST: Final = 0.25
"""Of a time limit: what the interval of the time at which a limit was reached may be wide."""


def refuse_infeasible(rig: RigSettings, scenario: ScenarioSettings) -> None:
    """Refuse a scenario whose rig cannot find the excess that it must find, or time a limit well enough.

    Where the rig file says nothing of a meter's accuracy, its map's data sheet counts, which is known only once the meter is
    open: then nothing is refused here, and the power check tells the detection limit.

    Raises: UsageError that names the key, both numbers and the cure.
    """
    station, evse = under_test(rig, scenario)
    meter = rig.meters.get(evse.meter)
    if meter is None:
        return
    for key, unit, limit, wanted in _wanted(scenario, station, evse):
        scale = _scale(meter, scenario, station, evse, unit)
        if not scale.accuracy.known:
            continue
        tolerance = station.features.product_tolerance_a * (1.0 if unit == "A" else _watts(station, evse, 1.0))
        least = detectable(limit + tolerance, scale, scenario.decision_rule) - limit
        if least > wanted:
            raise UsageError(
                f"scenario {scenario.name}: {key} = {wanted:g}: at a limit of {limit:g} {unit} meter {evse.meter} of rig "
                f"{rig.name} finds an excess of {least:.3g} {unit} at least (tolerance + U + 1.645 u); use a better meter, enter "
                f"the points of its certificate in [meters.{evse.meter}.certificate], test lower limits, or ask for less"
            )
    _refuse_slow(rig, scenario, meter, evse)


def _wanted(
    scenario: ScenarioSettings, station: StationSettings, evse: EvseSettings
) -> Iterator[tuple[str, str, float, float]]:
    """Yield key, unit, highest limit and excess that has to be found."""
    most_a = evse.max_current_a
    for key, unit, wanted, most in (
        ("must_find_a", "A", scenario.must_find_a, most_a),
        ("must_find_w", "W", scenario.must_find_w, _watts(station, evse, most_a)),
    ):
        if wanted is not None:
            limits = [limit for step in scenario.step if isinstance(step, SetProfile) and step.unit == unit
                      for _, limit in step.periods]  # fmt: skip
            yield key, unit, min(most, max(limits, default=most)), wanted


def _watts(station: StationSettings, evse: EvseSettings, amperes: float) -> float:
    return station.features.nominal_voltage_v * len(evse.phases) * amperes


def _scale(meter: AnyMeter, scenario: ScenarioSettings, station: StationSettings, evse: EvseSettings, unit: str) -> Scale:
    if unit == "W" and scenario.w_limits == "measured":
        return Scale(_accuracy(meter, scenario, "power", "w"))
    current = _accuracy(meter, scenario, "current", "a")
    return Scale(current) if unit == "A" else Scale(current, len(evse.phases), station.features.nominal_voltage_v)


def _accuracy(meter: AnyMeter, scenario: ScenarioSettings, quantity: str, unit: str) -> Accuracy:
    said = meter.model_dump(mode="json")
    on = None if scenario.start is None else scenario.start.date()
    return accuracy_of({**(said["accuracy"] or {}), "certified": said["certificate"]}, quantity, unit, on)


def _refuse_slow(rig: RigSettings, scenario: ScenarioSettings, meter: AnyMeter, evse: EvseSettings) -> None:
    within = scenario.apply_within_s
    if within is None:
        return
    polling = scenario.polling
    key, interval = ("fast_s", polling.fast_s) if within <= polling.after_s else ("slow_s", polling.slow_s)
    width, widest = interval_width(interval, meter.latency_s), WIDEST * within
    if width > widest:
        least = interval_width(0, meter.latency_s)
        cure = f"read it each {widest - least:.3g} s (polling.{key}) or faster" if least < widest else (
            f"its latency alone is {least:g} s wide: use a faster meter, or measure latency_s of meter {evse.meter}"
        )  # fmt: skip
        raise UsageError(
            f"scenario {scenario.name}: apply_within_s = {within:g}: with polling.{key} = {interval:g} and the latency of meter "
            f"{evse.meter} of rig {rig.name} it is known to {width:.3g} s when a limit was reached; a quarter of the time limit, "
            f"{widest:g} s, is needed: {cure}"
        )
