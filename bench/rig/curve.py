"""The operating curve: whole runs with a current of a known size and a meter that errs, counted by their verdict."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal

from bench.domain.decision import DecisionRule
from bench.domain.operating_curve import WORDS, Spread, predicted
from bench.domain.uncertainty import accuracy_of
from bench.domain.verdicts import Verdict
from bench.report.curve import Curve, Point
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.runs.checks.plateaus import Scale
from bench.runs.checks.sureness import READINGS, detectable
from bench.settings.instruments import MeterAccuracy
from bench.settings.rig import MeterError, RigSettings
from bench.settings.scenario import Fault, ScenarioSettings

SCENARIO: Final = "field-curve"
RIG: Final = "emulated"
METER: Final = "evse1"
LIMIT_A: Final = 12.0
"""Of the scenario, and exactly a duty cycle."""
NOISE_A: Final = 0.02
"""Standard deviation of single readings."""
PERCENTS: Final = (0.2, 2.0)
"""Data sheets that the curve is drawn for: the rig file's own meter, and class B of EN 50470-3."""
_HIGHEST: Final = (0.846, 0.748)
"""Mean and standard deviation of the highest of three standard normal draws: the phase that has most is judged."""
_ROUNDS: Final = 6
Errors = Literal["normal", "even"]
"""normal: with the standard uncertainty that the meter has. even: anywhere within the bounds of its data sheet."""
_POINTS: Final[tuple[tuple[str, Errors], ...]] = (
    ("up to the limit", "even"), ("limit", "even"),
    ("limit - U", "normal"), ("limit", "normal"), ("limit + U/2", "normal"), ("limit + U", "normal"),
    ("detection limit", "normal"), ("detection limit", "even"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """One point of the curve: a meter, a true current, and how the meter errs."""

    percent: float
    name: str
    errors: Errors

    @property
    def scale(self) -> Scale:
        """Return how far the meter is said to be trusted."""
        return Scale(accuracy_of(_accuracy(self.percent).model_dump(), "current", "a"), scatter=NOISE_A / LIMIT_A)

    @property
    def true_a(self) -> float:
        """Return the true current, A per phase; the highest one where it differs from run to run."""
        uncertainty = self.scale.expanded(LIMIT_A, NOISE_A / sqrt(READINGS))
        excess = detectable(LIMIT_A, self.scale, DecisionRule.FOUR_WAY) - LIMIT_A
        return LIMIT_A + {
            "limit - U": -uncertainty, "limit + U/2": uncertainty / 2, "limit + U": uncertainty,
            "detection limit": excess,
        }.get(self.name, 0.0)  # fmt: skip

    @property
    def sound(self) -> bool:
        """Say whether nothing exceeds the limit."""
        return self.true_a <= LIMIT_A

    def predicted(self) -> dict[Verdict, float]:
        """Return how often the decision rule gives each word, by the model of the uncertainty; nothing for no single current."""
        if self.name == "up to the limit":
            return {}
        scale, repeatability = self.scale, NOISE_A / sqrt(READINGS)
        passes = fails = LIMIT_A
        for _ in range(_ROUNDS):
            passes = LIMIT_A - scale.expanded(passes, repeatability)
            fails = LIMIT_A + scale.guard(fails, repeatability)
        shift, noise = _HIGHEST[0] * repeatability, _HIGHEST[1] * repeatability
        bound = self.percent / 100 * self.true_a
        normal = self.errors == "normal"
        spread = Spread(0.0 if normal else bound, sqrt(noise**2 + (bound**2 / 3 if normal else 0.0)))
        return predicted(self.true_a + shift, (passes, LIMIT_A, fails), spread)


@dataclass(frozen=True, slots=True)
class CurveRun:
    """One run of the curve."""

    place: Place
    seed: int

    def drawn(self) -> tuple[float, float]:
        """Return the true current in A and the meter's error in percent."""
        draw, place = random.Random(f"{self.place}/{self.seed}"), self.place
        even = place.errors == "even"
        error = draw.uniform(-place.percent, place.percent) if even else draw.gauss(0, place.percent / sqrt(3))
        return (draw.uniform(0.9, 1) * LIMIT_A if place.name == "up to the limit" else place.true_a), error


def places() -> list[Place]:
    """Return the points of the curve."""
    return [Place(percent, name, errors) for percent in PERCENTS for name, errors in _POINTS]


def run_curve(wanted: Sequence[Place], seeds: int, jobs: int | None = None) -> Curve:
    """Run each point with so many seeds, side by side, one process per core unless told otherwise."""
    counts = {place: dict.fromkeys(Verdict, 0) for place in wanted}
    said: dict[Place, str] = {}
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[tuple[Verdict, str]], Place] = {
            pool.submit(run_one, CurveRun(place, seed)): place for place in wanted for seed in range(1, seeds + 1)
        }
        for future in as_completed(waiting):
            place = waiting[future]
            verdict, headline = future.result()
            counts[place][verdict] += 1
            if verdict not in WORDS:
                said.setdefault(place, headline)
    return Curve(
        LIMIT_A, NOISE_A,
        [Point(one.percent, one.name, one.errors, one.true_a, one.sound, counts[one], one.predicted(), said.get(one, ""))
         for one in wanted],
    )  # fmt: skip


def run_one(run: CurveRun) -> tuple[Verdict, str]:
    """Run it in a folder that is thrown away; return the verdict of the whole run and its headline."""
    scenario_path, scenario, rig_path, rig = _files()
    true_a, error_percent = run.drawn()
    faults = [
        Fault(id="EV.draws", params={"amps": true_a}),
        Fault(id="meter.noise", params={"meter": METER, "amps": NOISE_A, "seed": run.seed}),
    ]
    if not run.place.sound:
        faults.append(Fault(id="station.offers-more", params={"amps": true_a - LIMIT_A}))
    with tempfile.TemporaryDirectory(prefix="bench-curve-") as folder:
        order = Order(
            scenario, scenario_path, _erring(rig, run.place.percent, error_percent), rig_path, Path(folder) / "run",
            seed=run.seed, faults=tuple(faults), pages=False,
        )  # fmt: skip
        verdict = run_scenario(order).judgement.verdict
    return verdict.verdict, verdict.headline


@cache
def _files() -> tuple[Path, ScenarioSettings, Path, RigSettings]:
    return (*find_scenario(SCENARIO), *find_rig(RIG))


def _accuracy(percent: float) -> MeterAccuracy:
    return MeterAccuracy(current_percent=percent, power_percent=percent)


def _erring(rig: RigSettings, percent: float, error_percent: float) -> RigSettings:
    """Return the rig with a meter of this accuracy that errs by this much."""
    assert rig.emulator is not None
    meters = rig.meters | {METER: rig.meters[METER].model_copy(update={"accuracy": _accuracy(percent)})}
    emulator = rig.emulator.model_copy(update={"meter_errors": {METER: MeterError(gain_percent=error_percent)}})
    return rig.model_copy(update={"meters": meters, "emulator": emulator})
