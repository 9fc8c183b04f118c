"""The proof of the bench: known loads behind an EVSE's meter, before anything is judged by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.meter import MeterReading
from bench.domain.quantities import seconds
from bench.errors import RigError
from bench.runs.bench import Bench
from bench.settings.rig import EvseSettings, RigSettings, StationSettings
from bench.settings.scenario import ScenarioSettings, under_test

MOST_A: Final = 16.0
_MARGIN_S: Final = 0.3
"""Beside its latency, what a meter is given to show a load."""
_HOLD_S: Final = 10.0
"""How long the highest load stays, for the energy."""
_SET_UP_S: Final = 15.0
"""What connecting, reading the store and arming the safe state take at most in virtual time."""


def loads(evse: EvseSettings, most_a: float) -> list[tuple[tuple[float, ...], float]]:
    """Return the known loads, A per phase of the EVSE, and how long each is held at least after the meter has had its time.

    One phase after the other, each with another current, tells the phases apart; then five steps on all of them.
    """
    phases = len(evse.phases)
    singles = [tuple(amps if one == phase else 0.0 for one in range(phases))
               for phase, amps in zip(range(phases), (6.0, 10.0, most_a), strict=False)]  # fmt: skip
    together = [(most_a,) * phases, (most_a,) * phases, (0.0,) * phases, (10.0,) * phases, (0.0,) * phases]
    steps = [*singles, *together, (6.0,) * phases, (0.0,) * phases]
    held = [_HOLD_S if index == len(singles) + 1 else 0.0 for index in range(len(steps))]
    return [(tuple(min(one, most_a) for one in step), hold) for step, hold in zip(steps, held, strict=True)]


def lead_s(rig: RigSettings, scenario: ScenarioSettings) -> float:
    """Return how much earlier a run in virtual time begins, so that its steps are taken when the scenario says."""
    if proof_wanted(rig, scenario) != "run":
        return 0.0
    station, evse = under_test(rig, scenario)
    return float(math.ceil(_SET_UP_S + sum(_takes_s(rig, one) for one in _proven(station, evse, scenario))))


def _takes_s(rig: RigSettings, evse: EvseSettings) -> float:
    meter = rig.meters.get(evse.meter)
    return 0.0 if meter is None else sum(meter.latency_s[1] + _MARGIN_S + hold + 0.1 for _, hold in loads(evse, MOST_A))


def proof_wanted(rig: RigSettings, scenario: ScenarioSettings) -> str:
    """Return run, file or none: the scenario's word, else a baseline where the rig has a known load, else a record."""
    if scenario.proof is not None:
        return scenario.proof
    meter = rig.meters.get(under_test(rig, scenario)[1].meter)
    seen = meter is None or meter.kind != "mqtt"  # what publishes by MQTT does not see an emulator's loads
    return "run" if seen and (rig.emulator is not None or rig.control is not None) else "file"


def _proven(station: StationSettings, evse: EvseSettings, scenario: ScenarioSettings) -> list[EvseSettings]:
    """Return the EVSEs whose meters the run is judged by."""
    chosen = station.evse if "station_power" in scenario.checks else (evse,)
    return [one for one in chosen if one.meter]


async def prove(bench: Bench, scenario: ScenarioSettings) -> None:
    """Put known loads behind the meters that the run is judged by, and write down what they showed. Raises RigError."""
    station, evse = under_test(bench.settings, scenario)
    for one in _proven(station, evse, scenario):
        bench.journal.write(Kind.PROOF, await _baseline(bench, station.id, one))


def cite(bench: Bench, scenario: ScenarioSettings, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down the earlier proof of each meter that the run is judged by, as far as there is one."""
    station, evse = under_test(bench.settings, scenario)
    for one in _proven(station, evse, scenario):
        if one.meter in records:
            bench.journal.write(Kind.PROOF, {**records[one.meter], "by": "file"})


async def _baseline(bench: Bench, station: str, evse: EvseSettings) -> dict[str, Any]:
    control, meter = bench.controls.get(station), bench.meters[evse.meter]
    latency_s = bench.settings.meters[evse.meter].latency_s[1]
    most_a = min(MOST_A, evse.max_current_a, bench.settings.safety.max_current_a or MOST_A)
    began = bench.clock.now()
    points, failed = [], ""
    if control is None:
        raise RigError(f"{station}: nothing can put a known load on EVSE {evse.id}, so its meter cannot be proven (proof)")
    try:
        for amperes, hold_s in loads(evse, most_a):
            at = seconds(bench.clock.now())
            try:
                await control.reference_load(evse.id, list(amperes))
            except RigError:
                if len(set(amperes)) == 1:
                    raise
                continue  # a load that is the same on all phases does not tell them apart
            await bench.clock.sleep(latency_s + _MARGIN_S + hold_s)
            try:
                points.append(_point(at, amperes, evse.phases, await meter.read()))
            except RigError as error:
                failed = str(error)
    finally:
        await control.reference_load(evse.id, [0.0] * len(evse.phases))
    return {
        "station": station, "evse": evse.id, "meter": evse.meter, "by": "run", "made": began, "load_percent": 0.0,
        "points": points, "failed": failed,
    }  # fmt: skip


def _point(at: float, amperes: Sequence[float], phases: Sequence[int], reading: MeterReading) -> dict[str, Any]:
    """Return what was set and shown, on the phases of the EVSE."""
    return {
        "at": at, "set_a": list(amperes), "requested": seconds(reading.requested),
        "shown_a": [reading.current_a[phase - 1] for phase in phases],
        "voltage_v": [reading.voltage_v[phase - 1] for phase in phases],
        "power_w": reading.power_w, "energy_wh": reading.energy_import_wh,
    }  # fmt: skip
