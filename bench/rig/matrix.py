"""Runs the catalogue of field bugs, and sound rigs beside it, in virtual time: what is convicted, rightly, and what is not."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from difflib import get_close_matches
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Final

from bench.domain.verdicts import FaultClass, Layer, RunVerdict, Verdict
from bench.errors import UsageError
from bench.report.detection import Detection, Tally
from bench.rig.files import field_bugs, find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.field_bug import Due, FieldBug, Variant
from bench.settings.rig import MeterError, RigSettings
from bench.settings.scenario import ScenarioSettings

CONVICTED: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
ACQUITTED: Final = (Verdict.PASS, Verdict.CONDITIONAL_PASS)
_VOLTS: Final = (212.0, 248.0)
"""Supply voltages that seeds choose from: within 230 V +-10 %, so that no judgement is refused for the supply's sake."""
_PWM_S: Final = (0.5, 4.0)
_CARS: Final = {(3, 16.0): ("three-phase-11kw", "sluggish", "modest"), (1, 16.0): ("one-phase-4kw",)}
"""Models of cars by phases and highest current."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the matrix."""

    bug: str
    """Id in the catalogue."""
    number: int
    """Of the variant, from 0."""
    seed: int
    seeded: bool = True
    """False: the same scenario and rig without the fault."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial came to."""

    trial: Trial
    verdict: Verdict
    check: str
    """The check that leads."""
    blamed: tuple[Layer, ...]
    fault_class: FaultClass | None
    warnings: tuple[str, ...]
    headline: str
    seconds: float

    def meets(self, due: Due) -> bool:
        """Say whether verdict, reason, layers, class and findings are exactly those that are due."""
        return self.convicts(due) and self.right_reason(due) and self.right_layer(due) and self.right_class(due)

    def convicts(self, due: Due) -> bool:
        """Say whether the verdict is the one that is due, and the findings beside it."""
        same = self.verdict is due.verdict or (due.verdict is Verdict.PASS and self.verdict in ACQUITTED)
        return same and set(self.warnings) == set(due.warnings)

    def right_reason(self, due: Due) -> bool:
        """Say whether the check that leads is the one that has to."""
        return not due.check or self.check == due.check

    def right_layer(self, due: Due) -> bool:
        """Say whether exactly the layers that are due are blamed."""
        return set(self.blamed) == set(due.blamed) or (due.verdict is Verdict.INCONCLUSIVE and not due.blamed)

    def right_class(self, due: Due) -> bool:
        """Say whether the class is the one that is due."""
        return self.fault_class is due.fault_class or (due.verdict is Verdict.INCONCLUSIVE and due.fault_class is None)

    def alarms(self) -> bool:
        """Say whether a sound rig would be wronged: convicted, or warned of."""
        return self.verdict in CONVICTED or bool(self.warnings)

    def said(self) -> str:
        """Return the result in words."""
        blamed = ", ".join(self.blamed) or "nobody"
        warned = f"; findings {', '.join(self.warnings)}" if self.warnings else ""
        by = f"{self.verdict} by {self.check or 'no check'}, {self.fault_class or 'no class'}, blames {blamed}"
        return f"{by}{warned}: {self.headline}"


def varied(rig: RigSettings, seed: int) -> RigSettings:
    """Return an emulated rig as it could be: supply voltage, speed of the station, and meters anywhere within their accuracy.

    Seed 1 leaves it as it is.
    """
    if seed == 1 or rig.emulator is None:
        return rig
    draw = random.Random(seed)
    errors = {
        name: MeterError(
            gain_percent=draw.uniform(-1, 1) * min(meter.accuracy.current_percent, meter.accuracy.power_percent),
            latency_s=draw.uniform(*meter.latency_s) * 0.8,
        )
        for name, meter in rig.meters.items()
        if meter.accuracy is not None
    }
    emulator = rig.emulator.model_copy(
        update={
            "supply_voltage_v": round(draw.uniform(*_VOLTS), 1),
            "pwm_delay_s": round(draw.uniform(*_PWM_S), 2),
            "meter_errors": errors,
        }
    )
    return rig.model_copy(update={"emulator": emulator})


def another_car(scenario: ScenarioSettings, seed: int) -> ScenarioSettings:
    """Return the scenario with a car that behaves otherwise and is as strong: how far below the offer, how fast, how late.

    Seed 1 leaves it as it is, and so does a scenario that does not say which car it needs, or is particular about it.
    """
    car = scenario.vehicle
    models = _CARS.get((car.phases, car.max_current_a), ()) if car is not None and car.model is None else ()
    if seed == 1 or not models or car is None:
        return scenario
    model = random.Random(f"{seed}/car").choice(models)
    return scenario.model_copy(update={"vehicle": car.model_copy(update={"model": model})})


def trials(bugs: Sequence[FieldBug], seeds: int, sound_seeds: int) -> Iterator[Trial]:
    """Yield every variant with each seed, then each scenario and rig once more, sound, with each seed."""
    for bug in bugs:
        for number, _ in enumerate(bug.variant):
            yield from (Trial(bug.id, number, seed) for seed in range(1, seeds + 1))
    places: set[tuple[str, str]] = set()
    for bug in bugs:
        for number, variant in enumerate(bug.variant):
            if (variant.scenario, variant.rig) not in places:
                places.add((variant.scenario, variant.rig))
                yield from (Trial(bug.id, number, seed, seeded=False) for seed in range(1, sound_seeds + 1))


def chosen(ids: Sequence[str]) -> list[FieldBug]:
    """Return the bugs with these ids, all where none is given. Raises UsageError."""
    bugs = field_bugs()
    known = {one.id for one in bugs}
    if unknown := [one for one in ids if one not in known]:
        meant = unknown[0][:1].upper() + unknown[0][1:].zfill(2)  # A04 for a4
        near = [meant] if meant in known else get_close_matches(unknown[0].upper(), known, n=3)
        said = f"did you mean: {', '.join(near)}" if near else f"there are {len(known)}: `bench faults` lists them"
        raise UsageError(f"no field bug {', '.join(unknown)}; {said}")
    return [one for one in bugs if not ids or one.id in ids]


def variant_of(trial: Trial) -> Variant:
    """Return the variant that a trial runs."""
    return next(one for one in field_bugs() if one.id == trial.bug).variant[trial.number]


def run_trial(trial: Trial) -> Result:
    """Run one trial in a folder that is thrown away. Raises UsageError where its scenario, rig or fault cannot be found."""
    variant = variant_of(trial)
    scenario_path, scenario = find_scenario(variant.scenario)
    rig_path, rig = find_rig(variant.rig)
    began = perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-matrix-") as folder:
        order = Order(
            another_car(scenario, trial.seed), scenario_path, varied(rig, trial.seed), rig_path, Path(folder) / "run",
            seed=trial.seed,
            faults=variant.fault if trial.seeded else (), pages=False,
        )  # fmt: skip
        verdict = run_scenario(order).judgement.verdict
    return _result(trial, verdict, perf_counter() - began)


def _result(trial: Trial, verdict: RunVerdict, seconds: float) -> Result:
    leading = verdict.leading
    codes = tuple(sorted({one.code for one in verdict.warnings}))
    return Result(
        trial, verdict.verdict, leading[0].check if leading else "", verdict.blamed, verdict.fault_class, codes,
        verdict.headline, seconds,
    )  # fmt: skip


def _run_or_say(trial: Trial) -> Result:
    """Run one trial; what hinders it is its headline."""
    try:
        return run_trial(trial)
    except Exception as error:  # one trial that cannot run must not cost the others
        return Result(trial, Verdict.ERROR, "", (), None, (), f"{type(error).__name__}: {error}", 0.0)


def run_matrix(wanted: Sequence[Trial], jobs: int | None = None, tell: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Run trials side by side, one process per core unless told otherwise; return them in the order given.

    Args: tell: called with each result as it comes.
    """
    workers = jobs or os.cpu_count() or 1
    found: dict[Trial, Result] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: list[Future[Result]] = [pool.submit(_run_or_say, one) for one in wanted]
        for future in as_completed(waiting):
            result = future.result()
            found[result.trial] = result
            tell(result)
    return [found[one] for one in wanted]


def tally(due: Due, results: Sequence[Result]) -> Tally:
    """Return what one variant came to over its seeds."""
    return Tally(
        len(results), sum(one.convicts(due) for one in results), sum(one.right_reason(due) for one in results),
        sum(one.right_layer(due) for one in results), sum(one.right_class(due) for one in results),
        sum(one.meets(due) for one in results), sum(one.seconds for one in results) / max(1, len(results)),
        next((one.said() for one in results if not one.meets(due)), ""),
    )  # fmt: skip


def detection(bugs: Sequence[FieldBug], results: Sequence[Result]) -> Detection:
    """Return the matrix that results amount to."""
    variants = {(bug.id, number): one for bug in bugs for number, one in enumerate(bug.variant)}
    by_variant: dict[tuple[str, int], list[Result]] = {key: [] for key in variants}
    sound = [one for one in results if not one.trial.seeded]
    for one in results:
        if one.trial.seeded:
            by_variant[one.trial.bug, one.trial.number].append(one)

    def told(one: Result) -> str:
        return f"{variants[one.trial.bug, one.trial.number].scenario}, seed {one.trial.seed}: {one.said()}"

    return Detection(
        bugs, {key: tally(variants[key].due, those) for key, those in by_variant.items()}, len(sound),
        [told(one) for one in sound if one.alarms()],
        [told(one) for one in sound if not one.alarms() and one.verdict not in ACQUITTED],
    )  # fmt: skip
