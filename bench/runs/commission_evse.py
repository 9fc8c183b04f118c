"""Observes one EVSE with an independent meter: stand-by, the real maximum, how it follows a step, and what 0 A does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

from bench.domain.documents import Kind
from bench.domain.quantities import seconds
from bench.domain.settling import CurrentSample, plateau, settling_interval
from bench.domain.uncertainty import accuracy_of
from bench.errors import RigError, StationError
from bench.ports import Meter
from bench.runs.procedure import Procedure

INTERVAL_S: Final = 0.5
"""Between two readings."""
WINDOW_S: Final = 30.0
"""How long a step is watched at least: a station may wait before it acts at all."""
PATIENCE_S: Final = 120.0
"""How long a plateau may take to come."""
HOLD_S: Final = 8.0
SPREAD_A: Final = 0.5
"""A plateau: so long within so much."""
STANDBY_S: Final = 10.0
TOLERANCE_A: Final = 0.5
"""How close to its plateau a current counts as settled, beside the meter's uncertainty."""
CHARGING_A: Final = 1.0
"""Above this an EV charges."""
HIGH_A: Final = 16.0
LOW_A: Final = 8.0
EV_A: Final = 80.0
"""What the EV is told to want: more than any EVSE gives."""


@dataclass(slots=True)
class Observed:
    """What was seen of an EVSE, by the names of the target file; what was not, in words."""

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class EvseWatch:
    """Observes the EVSE of one procedure."""

    def __init__(self, procedure: Procedure, meter: Meter, unit: str) -> None:
        self._procedure, self._meter, self._unit = procedure, meter, unit
        self._bench, self._evse = procedure.bench, procedure.evse
        settings = self._bench.settings.meters[procedure.evse.meter]
        self._latency = settings.latency_s
        self._accuracy = self._bench.identities.get(procedure.evse.meter, {}).get("accuracy") or {}
        self._key = ("TxDefaultProfile", procedure.evse.id, 0, "")
        self._answered = 0.0
        self.found = Observed()

    async def standby(self) -> None:
        """Measure the power without an EV; the caller knows that there is none. Raises RigError."""
        async with self._procedure.step("observe_standby", evse=self._evse.id):
            samples = await self._watch(STANDBY_S)
        powers = [one.power_w for one in samples if one.power_w is not None]
        if not powers:
            self._not("stand-by power", "the meter tells no power")
        elif max(one.current_a for one in samples) > CHARGING_A:
            self._not("stand-by power", "a current flows without an EV")
        else:
            self.found.values["standby_w"] = round(fmean(powers), 1)

    async def charging(self) -> None:
        """Plug in, charge, step the limit down, up and to 0 A, and leave no profile behind. Raises RigError, StationError."""
        procedure = self._procedure
        await procedure.vehicle({"phases": 3, "max_current_a": EV_A, "battery_wh": 100_000, "soc_percent": 20})
        await procedure.demand(EV_A)
        await procedure.plug()
        try:
            await procedure.authorise()
            await self._maximum()
            await self._steps()
        finally:
            await self._clear()
            await procedure.unplug()

    async def _maximum(self) -> None:
        async with self._procedure.step("observe_maximum", evse=self._evse.id):
            samples = await self._settled()
        current = plateau(samples, HOLD_S, SPREAD_A)
        if current is None or current <= CHARGING_A:
            self._not("the highest current", "the EV did not charge steadily")
            return
        self.found.values["max_current_a"] = round(current, 2)
        held = [one.power_w for one in samples if one.received >= samples[-1].received - HOLD_S and one.power_w is not None]
        if held:
            self.found.values["max_power_w"] = round(fmean(held), 0)

    async def _steps(self) -> None:
        highest = self.found.values.get("max_current_a")
        high = min(HIGH_A, highest or 0.0)
        if high < LOW_A + 2 * TOLERANCE_A:
            self._not("settling", f"the EV has to draw more than {LOW_A + 2 * TOLERANCE_A:g} A without a profile")
            return
        if not await self._limit(HIGH_A):
            return
        for name, limit in (("settle_down_s", LOW_A), ("settle_up_s", HIGH_A)):
            async with self._procedure.step("observe_settling", evse=self._evse.id, amperes=limit):
                first = await self._read()
                if not await self._limit(limit, watch=False):
                    return
                accepted = self._answered
                samples = [first, *await self._settled()]
            self._settling(name, samples, limit, accepted)
            await self._procedure.read_back()
        await self._zero()

    def _settling(self, name: str, samples: list[CurrentSample], limit: float, accepted: float) -> None:
        accuracy = accuracy_of(self._accuracy, "current", "a")
        if not accuracy.known:
            self._not(name, f"the accuracy of meter {self._meter.name} is not known: give it in the rig file")
            return
        final = plateau(samples, HOLD_S, SPREAD_A)
        reach = TOLERANCE_A + accuracy.expanded(HIGH_A)
        if final is None:
            self._not(name, "the current did not come to rest")
        elif final > limit + reach:
            self._not(name, f"the current stayed at {final:.1f} A under a limit of {limit:g} A")
        elif name == "settle_up_s" and final < LOW_A + reach:
            self._not(name, f"the current stayed at {final:.1f} A after the limit rose to {limit:g} A")
        else:
            interval = settling_interval(samples, final, reach, self._latency, accepted)
            if interval is not None:
                self.found.values[name] = (round(interval[0], 2), round(interval[1], 2))

    async def _zero(self) -> None:
        async with self._procedure.step("observe_zero", evse=self._evse.id):
            status = await self._set(0.0)
            if status != "Accepted":
                self.found.values["zero_ampere"] = "refused"
                self.found.notes.append(f"EVSE {self._evse.id}: a limit of 0 {self._unit} was answered {status}")
                return
            current = plateau(await self._settled(), HOLD_S, SPREAD_A)
            if current is None:
                self._not("zero_ampere", "the current did not come to rest")
                return
            self.found.values["zero_ampere"] = "keeps charging" if current > CHARGING_A else "pauses"
            if current > CHARGING_A or not await self._limit(HIGH_A, watch=False):
                return
            current = plateau(await self._settled(), HOLD_S, SPREAD_A)
            self.found.values["resumes"] = current is not None and current > CHARGING_A

    async def _limit(self, amperes: float, *, watch: bool = True) -> bool:
        """Limit the EVSE, and wait for the plateau; False where the station refuses."""
        status = await self._set(amperes)
        if status != "Accepted":
            self._not("settling", f"a TxDefaultProfile of {amperes:g} A was answered {status}")
            return False
        if watch:
            await self._settled()
        return True

    async def _set(self, amperes: float) -> str:
        """Send the limit as a TxDefaultProfile from now on; return the answer's status, and remember when it came."""
        procedure, features = self._procedure, self._procedure.station.features
        limit = amperes if self._unit == "A" else amperes * features.nominal_voltage_v * features.supply_phases
        status = await procedure.set_profile([(0, limit)], unit=self._unit, purpose="TxDefaultProfile", read_back=False)
        self._answered = seconds(self._bench.clock.now())
        return status

    async def _clear(self) -> None:
        """Take the own profile away and read back that it is gone."""
        station, csms = self._procedure.station.id, self._bench.csms
        identity = self._procedure.course.profile_ids.get(self._key)
        if identity is None:
            return
        with suppress(StationError):
            await csms.call(station, "ClearChargingProfile", {"chargingProfileId": identity})
        left = [one for one in await self._procedure.read_back() if one["profile"].get("id") == identity]
        if left:
            self.found.notes.append(f"EVSE {self._evse.id}: profile {identity} is still in the store after it was cleared")

    async def _settled(self) -> list[CurrentSample]:
        """Watch for the shortest window, and on until there is a plateau or patience ends."""
        samples = await self._watch(WINDOW_S)
        begin = samples[0].requested
        while plateau(samples, HOLD_S, SPREAD_A) is None and samples[-1].received - begin < PATIENCE_S:
            samples += await self._watch(HOLD_S)
        return samples

    async def _watch(self, for_s: float) -> list[CurrentSample]:
        clock = self._bench.clock
        until = clock.monotonic() + for_s
        samples = [await self._read()]
        while clock.monotonic() < until:
            await clock.sleep(INTERVAL_S)
            samples.append(await self._read())
        return samples

    async def _read(self) -> CurrentSample:
        reading = await self._meter.read()
        self._bench.journal.write(Kind.METER_SAMPLE, reading.as_document(self._meter.name))
        currents = [one for phase in self._evse.phases if (one := reading.current_a[phase - 1]) is not None]
        if not currents:
            raise RigError(f"meter {self._meter.name} tells no current on the phases of EVSE {self._evse.id}")
        return CurrentSample(seconds(reading.requested), seconds(reading.received), max(currents), reading.power_w)

    def _not(self, what: str, why: str) -> None:
        self.found.notes.append(f"EVSE {self._evse.id}: not observed: {what}: {why}")
