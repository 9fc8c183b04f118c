"""Reads one EVSE's meter and witness, closely around each change of the limit, and writes all of it down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from bench.domain.documents import Kind
from bench.domain.meter import MeterReading
from bench.domain.quantities import seconds
from bench.errors import RigError
from bench.ports import Clock, Journal, Meter, Witness
from bench.runs.live import LiveLimits
from bench.settings.scenario import Polling


class Sampler:
    """One task per meter. An outage is a gap, never a zero; a lost meter is told to the run."""

    def __init__(
        self, clock: Clock, journal: Journal, meter: Meter, limits: LiveLimits, polling: Polling, *, loss_s: float
    ) -> None:
        self._clock, self._journal, self.meter = clock, journal, meter
        self._limits, self._polling, self._loss_s = limits, polling, loss_s
        self._replan = asyncio.Event()
        self._witness: tuple[Witness, str, int] | None = None
        self._seen: dict[str, object] = {}
        self._watched = 0
        self.power_w: float | None = None
        """The last reading, in W; None before the first, and while the meter is silent."""
        self.lost = asyncio.Event()
        """Set when sampling ended, at the latest when the meter was silent for longer than `loss_s`."""
        self.on_reading: Callable[[MeterReading], None] | None = None
        """Called with each reading; where it is set, the meter is read closely all the time."""
        limits.on_change = self._replan.set

    def watch(self, witness: Witness, station: str, evse_id: int) -> None:
        """Look at the control pilot after each reading as well."""
        self._witness = (witness, station, evse_id)

    async def run(self) -> None:
        """Sample until cancelled; whatever else ends it, the meter is lost."""
        begin = self._clock.monotonic()
        silent_since: float | None = None
        try:
            while True:
                if await self.read():
                    silent_since = None
                elif silent_since is None:
                    silent_since = self._clock.monotonic()
                elif self._clock.monotonic() - silent_since >= self._loss_s:
                    return
                await self._pause(begin, fast=silent_since is not None)
        finally:
            self.lost.set()

    async def wait_for(self, holds: Callable[[float], bool], within_s: float) -> float | None:
        """Read fast until the power (W) is as wanted and return it; None where that did not come within so many seconds."""
        end = self._clock.monotonic() + within_s
        self.power_w = None  # what was read before counts no more
        self._watched += 1
        self._replan.set()
        try:
            while self._clock.monotonic() < end:
                if self.power_w is not None and holds(self.power_w):
                    return self.power_w
                await self._clock.sleep(min(self._polling.fast_s, max(0.0, end - self._clock.monotonic())))
            return self.power_w if self.power_w is not None and holds(self.power_w) else None
        finally:
            self._watched -= 1

    async def read(self) -> bool:
        """Read once and write the sample or the gap; say whether there was a reading, with a power or a current in it."""
        requested = self._clock.now()
        try:
            reading = await self.meter.read()
        except RigError as error:
            self.power_w = None
            self._journal.write(Kind.METER_GAP, {"meter": self.meter.name, "requested": requested, "reason": str(error)})
            return False
        self.power_w = reading.power_w
        self._journal.write(Kind.METER_SAMPLE, reading.as_document(self.meter.name))
        if self.on_reading is not None:
            self.on_reading(reading)
        await self._look()
        return any(value is not None for value in (reading.power_w, *reading.current_a))

    async def _look(self) -> None:
        if self._witness is None:
            return
        witness, station, evse_id = self._witness
        try:
            seen = dict(await witness.look(evse_id))
        except RigError as error:  # a blind moment of the witness is no reason to stop measuring
            seen = {"state": None, "duty_percent": None, "ev_wants_a": None, "reason": str(error)}
        if seen != self._seen:
            self._seen = seen
            self._journal.write(Kind.PILOT_SAMPLE, {"station": station, "evse": evse_id, **seen})

    async def _pause(self, begin: float, *, fast: bool) -> None:
        """Wait for the next moment of the raster; a new plan is looked at within one fast interval."""
        polling, now = self._polling, seconds(self._clock.now())
        elapsed = self._clock.monotonic() - begin
        if fast or self._watched or self.on_reading is not None or self._limits.near(now, polling.before_s, polling.after_s):
            await self._clock.sleep(_to_next(elapsed, polling.fast_s))
            return
        wait = _to_next(elapsed, polling.slow_s)
        change = self._limits.next_change(now)
        if change is not None:
            wait = min(wait, max(0.0, change - polling.before_s - now))
        self._replan.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._replan.wait()


def _to_next(elapsed: float, interval: float) -> float:
    """Return how long it is to the next whole multiple of the interval."""
    rest = interval - elapsed % interval
    return rest if rest > interval * 1e-6 else interval
