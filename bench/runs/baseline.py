"""The proof of the bench: known loads behind an EVSE's meter, before anything is judged by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.meter import MeterReading
from bench.domain.proof_energy import CLOSE_LOOKS, LEAST_HOLD_S, Look, hold_s, wants_more
from bench.domain.quantities import seconds
from bench.errors import RigError, StationError
from bench.ports import Meter
from bench.runs.bench import Bench
from bench.runs.station_clock import measure_clock
from bench.settings.rig import EvseSettings, RigSettings, StationSettings
from bench.settings.scenario import ScenarioSettings, under_test

MOST_A: Final = 16.0
_MARGIN_S: Final = 0.3
"""Beside its latency, what a meter is given to show a load."""
_SET_UP_S: Final = 15.0
"""What connecting, reading the store, arming the safe state and reading the clock take at most in virtual time."""
_LOOK_S: Final = 0.1
"""Between looks for a step."""
_LATE_S: Final = 15.0
"""For so long a step is looked for that did not show in time, to tell how late it is."""
_HELD_S: Final = 0.5
"""Between looks at a load that stays the same; after `CLOSE_LOOKS` of them ten times as long."""
_TRIES: Final = 3
"""On a bus that others use as well a reply may get lost; so many in a row are more than that."""


def loads(evse: EvseSettings, most_a: float) -> list[tuple[float, ...]]:
    """Return the known loads, A per phase of the EVSE.

    One phase after the other, each with another current, tells the phases apart; then five steps on all of them. The highest
    comes twice: the first time the meter is watched while it shows it, the second time it is held for the energy.
    """
    phases = len(evse.phases)
    singles = [tuple(amps if one == phase else 0.0 for one in range(phases))
               for phase, amps in zip(range(phases), (6.0, 10.0, most_a), strict=False)]  # fmt: skip
    together = [most_a, most_a, 0.0, 10.0, 0.0, 6.0, 0.0]
    return [tuple(min(one, most_a) for one in step) for step in (*singles, *((one,) * phases for one in together))]


def lead_s(rig: RigSettings, scenario: ScenarioSettings, energy_steps: Mapping[str, float] | None = None) -> float:
    """Return how much earlier a run in virtual time begins, so that its steps are taken when the scenario says.

    Args: energy_steps: step of each meter's energy register in Wh, where it is known.
    """
    takes = baseline_s(rig, scenario, energy_steps)
    return float(math.ceil(round(_SET_UP_S + takes, 3))) if takes else 0.0


def baseline_s(rig: RigSettings, scenario: ScenarioSettings, energy_steps: Mapping[str, float] | None = None) -> float:
    """Return how long the known loads take at the begin of a run, about; 0 where there are none."""
    if proof_wanted(rig, scenario) != "run":
        return 0.0
    station, evse = under_test(rig, scenario)
    volts = station.features.nominal_voltage_v
    return sum(_takes_s(rig, one, volts, energy_steps or {}) for one in _proven(station, evse, scenario))


def _takes_s(rig: RigSettings, evse: EvseSettings, volts: float, energy_steps: Mapping[str, float]) -> float:
    meter = rig.meters.get(evse.meter)
    if meter is None:
        return 0.0
    most_a = _most_a(rig, evse)
    held = hold_s(energy_steps.get(evse.meter, 0.0), volts * most_a * len(evse.phases))
    return held + len(loads(evse, most_a)) * (meter.latency_s[1] + _MARGIN_S + 0.1)


def _most_a(rig: RigSettings, evse: EvseSettings) -> float:
    return min(MOST_A, evse.max_current_a, rig.safety.max_current_a or MOST_A)


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
    shown = [await _baseline(bench, station, one) for one in _proven(station, evse, scenario)]
    clock = await station_offset(bench, station.id) if shown else None
    for one in shown:
        bench.journal.write(Kind.PROOF, {**one, "clock": clock})


async def cite(bench: Bench, scenario: ScenarioSettings, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down the earlier proof of each meter that the run is judged by, as far as there is one, and the clock of today."""
    station, evse = under_test(bench.settings, scenario)
    known = [one.meter for one in _proven(station, evse, scenario) if one.meter in records]
    clock = await station_offset(bench, station.id) if known else None
    for meter in known:
        bench.journal.write(Kind.PROOF, {**records[meter], "by": "file", "clock": clock})


async def station_offset(bench: Bench, station: str) -> dict[str, Any]:
    """Return how far the station's clock is from the bench's, beside what it is shifted on purpose; `why` where nobody knows."""
    shift_s = bench.csms.stations[station].clock_shift.total_seconds()
    try:
        found = await measure_clock(bench.csms, bench.clock, station, rollovers=0)
    except StationError as error:
        return {"offset_s": None, "uncertainty_s": None, "why": str(error)}
    offset_s = round(found.offset_s - shift_s, 6)
    return {"offset_s": offset_s, "uncertainty_s": round(found.uncertainty_s, 6), "why": ""}


async def _baseline(bench: Bench, station: StationSettings, evse: EvseSettings) -> dict[str, Any]:
    control, meter, settings = bench.controls.get(station.id), bench.meters[evse.meter], bench.settings.meters[evse.meter]
    identity = bench.identities.get(evse.meter, {})
    in_time_s, step_wh = settings.latency_s[1] + _MARGIN_S, identity.get("energy_step_wh", 0.0)
    began = bench.clock.now()
    points, responses, held, failed = list[Any](), list[Any](), list[Look](), ""
    if control is None:
        raise RigError(f"{station.id}: nothing can put a known load on EVSE {evse.id}, so its meter cannot be proven (proof)")
    before = (0.0,) * len(evse.phases)
    highest = len(evse.phases)
    try:
        for number, amperes in enumerate(loads(evse, _most_a(bench.settings, evse))):
            asked = seconds(bench.clock.now())
            try:
                await control.reference_load(evse.id, list(amperes))
            except RigError:
                if len(set(amperes)) == 1:
                    raise
                continue  # a load that is the same on all phases does not tell them apart
            begun = bench.clock.monotonic()
            try:
                if number in (highest, highest + 2):
                    look = _Watch(bench, meter, evse, before, amperes)
                    responses.append(await look.until_shown(asked, in_time_s))
                await bench.clock.sleep(max(0.0, begun + in_time_s - bench.clock.monotonic()))
                if number == highest + 1:
                    held = await _held(bench, meter, step_wh)
                points.append(_point(asked, amperes, evse.phases, await _read(meter)))
            except RigError as error:
                failed = str(error)
            before = amperes
    finally:
        await control.reference_load(evse.id, [0.0] * len(evse.phases))
    return {
        "station": station.id, "evse": evse.id, "meter": evse.meter, "by": "run", "made": began, "load_percent": 0.0,
        "phases": list(evse.phases), "side": settings.side, "model": identity.get("model", ""),
        "serial_number": identity.get("serial_number") or settings.serial_number, "energy_step_wh": step_wh,
        "points": points, "responses": responses, "held": [_look(one) for one in held], "failed": failed,
    }  # fmt: skip


class _Watch:
    """Watches a meter after a step of the load."""

    def __init__(
        self, bench: Bench, meter: Meter, evse: EvseSettings, before: Sequence[float], after: Sequence[float]
    ) -> None:
        self._bench, self._meter, self._phases, self._before, self._after = bench, meter, evse.phases, before, after

    async def until_shown(self, asked: float, in_time_s: float) -> dict[str, Any]:
        """Look until the step is shown, and for a while beyond its time; return the moments. Raises RigError."""
        clock = self._bench.clock
        done, missed, shown = seconds(clock.now()), None, None
        while shown is None and seconds(clock.now()) - done < in_time_s + _LATE_S:
            reading = await _read(self._meter)
            if self._shows(reading):
                shown = seconds(reading.received)
            else:
                missed = seconds(reading.requested)
                await clock.sleep(_LOOK_S)
        return {"asked": asked, "set": done, "missed": missed, "shown": shown}

    def _shows(self, reading: MeterReading) -> bool:
        """Say whether each phase that changed is nearer to its new current than to the one before."""
        for phase, before, after in zip(self._phases, self._before, self._after, strict=True):
            amps = reading.current_a[phase - 1]
            if amps is not None and abs(amps - before) < abs(amps - after):
                return False
        return True


async def _read(meter: Meter) -> MeterReading:
    """Read a meter; what gets lost on the way is asked for again. Raises RigError."""
    for left in reversed(range(_TRIES)):
        try:
            return await meter.read()
        except RigError:
            if not left:
                raise
    raise AssertionError  # the last try returns or raises


async def _held(bench: Bench, meter: Meter, step_wh: float) -> list[Look]:
    """Look at a load that stays the same until its energy register is proven, or cannot be. Raises RigError."""
    looks, raw, began = list[Look](), dict[str, str](), bench.clock.monotonic()
    while True:
        reading = await _read(meter)
        moments = seconds(reading.requested), seconds(reading.received)
        looks.append(Look(*moments, reading.power_w, reading.energy_import_wh, renewed=reading.registers != raw))
        raw = reading.registers
        if bench.clock.monotonic() - began >= LEAST_HOLD_S and not wants_more(looks, step_wh):
            return looks
        await bench.clock.sleep(_HELD_S if len(looks) < CLOSE_LOOKS else 10 * _HELD_S)


def _look(one: Look) -> dict[str, Any]:
    return {
        "requested": one.requested, "received": one.received, "power_w": one.power_w, "energy_wh": one.energy_wh,
        "renewed": one.renewed,
    }  # fmt: skip


def _point(at: float, amperes: Sequence[float], phases: Sequence[int], reading: MeterReading) -> dict[str, Any]:
    """Return what was set and shown, on the phases of the EVSE."""
    return {
        "at": at, "set_a": list(amperes), "requested": seconds(reading.requested), "received": seconds(reading.received),
        "shown_a": [reading.current_a[phase - 1] for phase in phases],
        "voltage_v": [reading.voltage_v[phase - 1] for phase in phases],
        "power_w": reading.power_w, "energy_wh": reading.energy_import_wh, "stamp": reading.stamp,
    }  # fmt: skip
