"""A meter that sends telegrams by itself on a pseudo-terminal, as long as somebody has the port open."""

from __future__ import annotations

import asyncio
import os
import select
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from firmware_sim.clock import Clock
from firmware_sim.distortion import Distortion
from firmware_sim.faults import FaultSeam
from firmware_sim.plant import EvsePlant

BITS_PER_CHARACTER: Final = 10
Wired = Sequence[tuple[EvsePlant, Sequence[int]]]


class InFlight(Protocol):
    """Is told of bytes that were written to a line which the kernel serves late."""

    def written(self, count: int) -> None:
        """Tell that so many bytes were written."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What a meter sees at one moment: V, A, W of L1 to L3 (import positive) and Wh."""

    at: datetime
    voltage_v: tuple[float, ...]
    current_a: tuple[float, ...]
    power_w: tuple[float, ...]
    energy_import_wh: float


class Sight:
    """What a meter sees of the EVSEs wired to it, and of a constant load beside them that is spread over L1 to L3."""

    def __init__(self, clock: Clock, wired: Wired, distortion: Distortion, supply_v: float, beside_w: float = 0.0) -> None:
        self._clock, self._wired, self._distortion = clock, wired, distortion
        self._supply_v, self._beside_w, self._since = supply_v, beside_w, clock.monotonic()

    def look(self) -> Shown:
        """Return what the meter shows now."""
        voltage, power = [self._supply_v] * 3, [self._beside_w / 3] * 3
        current = [self._beside_w / 3 / self._supply_v] * 3
        energy = self._beside_w * (self._clock.monotonic() - self._since) / 3600
        for plant, phases in self._wired:
            truth = plant.metered(self._distortion.latency_s)
            energy += truth.energy_wh
            for index, phase in enumerate(phases):
                voltage[phase - 1] = truth.voltage_v[index]
                current[phase - 1] += self._distortion.current(truth.current_a[index])
                power[phase - 1] += self._distortion.power(truth, index)
        return Shown(self._clock.now(), tuple(voltage), tuple(current), tuple(power), self._distortion.energy(energy))


class SerialMeter:
    """Sends what `telegram` makes of the truth every `interval_s`; its last byte comes a telegram's wire time later."""

    def __init__(
        self, name: str, sight: Sight, telegram: Callable[[Shown], bytes], faults: FaultSeam, *,
        interval_s: float, baud: int, in_flight: InFlight | None,
    ) -> None:  # fmt: skip
        self._name, self._sight, self._telegram, self._faults = name, sight, telegram, faults
        self._interval_s, self._baud, self._in_flight = interval_s, baud, in_flight

    async def run(self, master: int, clock: Clock) -> None:
        """Send for ever on this terminal."""
        begin, turn = clock.monotonic(), 0
        watch = select.poll()
        watch.register(master, 0)
        while True:
            turn += 1
            await clock.sleep(begin + turn * self._interval_s - clock.monotonic())
            if watch.poll(0):
                continue  # nobody has the port open
            raw: bytes = self._faults.apply("telegram", self._name, value=self._telegram(self._sight.look()))
            if not raw:
                continue
            await clock.sleep(len(raw) * BITS_PER_CHARACTER / self._baud)
            if not watch.poll(0):
                self._write(master, raw)

    def _write(self, master: int, raw: bytes) -> None:
        try:
            count = os.write(master, raw)
        except BlockingIOError:
            return  # nobody reads: what does not fit is lost, as on a wire
        if self._in_flight is not None:
            self._in_flight.written(count)


@asynccontextmanager
async def open_serial_meter(meter: SerialMeter, clock: Clock) -> AsyncIterator[str]:
    """Let the meter send on a terminal of its own and yield the device's path."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    device = os.ttyname(slave)
    os.close(slave)  # from now on the master tells whether somebody has it open
    task = asyncio.create_task(meter.run(master, clock), name=f"meter at {device}")
    try:
        yield device
    finally:
        task.cancel()
        await asyncio.wait([task])
        os.close(master)
