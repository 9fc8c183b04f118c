"""Relays and registers on a Modbus line: a contactor that reads back, and limits that a station takes past the CSMS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from bench.adapters.modbus_line import ModbusLine
from bench.errors import NotApplicableError, RigError
from bench.ports import Clock
from bench.settings.actuators import ModbusRegister, ModbusRelay

Report = Callable[[str], None]
Schedule = list[tuple[float, int]]
"""(clock's seconds, register) in order: what holds from when."""


class RelaySwitch:
    """Fits PowerSwitch: a coil that is written, confirmed, and read back. Errors are RigError and name the actuator."""

    def __init__(self, name: str, settings: ModbusRelay, line: ModbusLine) -> None:
        self.name, self._settings, self._line = name, settings, line

    async def arm(self) -> None:
        """Set the relay's own communication watchdog, where it has a register for it."""
        settings = self._settings
        if settings.watchdog_register is not None:
            try:
                await self._line.write_register(settings.unit_id, settings.watchdog_register, settings.watchdog_value)
            except RigError as error:
                raise RigError(f"actuators.{self.name}: its watchdog cannot be armed: {error}") from error

    async def switch(self, closed: bool) -> None:
        """Close or open it; the watchdog is armed before it closes, and never stands in the way of opening."""
        if closed:
            await self.arm()
        try:
            await self._line.write_coil(self._settings.unit_id, self._settings.coil, closed != self._settings.inverted)
        except RigError as error:
            raise RigError(f"actuators.{self.name}: {error}") from error
        if await self.is_closed() != closed:
            raise RigError(
                f"actuators.{self.name}: told to {'close' if closed else 'open'}, and reads back {'open' if closed else 'closed'}"
            )

    async def is_closed(self) -> bool | None:
        """Read the coil; any request keeps the relay's watchdog quiet."""
        try:
            coil = await self._line.read_coil(self._settings.unit_id, self._settings.coil)
        except RigError as error:
            raise RigError(f"actuators.{self.name}: {error}") from error
        return coil != self._settings.inverted


@asynccontextmanager
async def open_relay_switch(name: str, settings: ModbusRelay, line: ModbusLine, clock: Clock) -> AsyncIterator[RelaySwitch]:
    """Arm the relay's own watchdog and, as long as it is held, speak to it three times in each of its silences.

    Raises: RigError where the watchdog cannot be armed.
    """
    switch = RelaySwitch(name, settings, line)
    await switch.arm()

    async def speak(interval_s: float) -> None:
        while True:
            await clock.sleep(interval_s)
            with suppress(RigError):  # the next command tells it; without an answer the relay opens by itself
                await switch.is_closed()

    speaking = asyncio.create_task(speak(settings.watchdog_s / 3), name=f"watchdog {name}") if settings.watchdog_s else None
    try:
        yield switch
    finally:
        if speaking is not None:
            speaking.cancel()
            with suppress(asyncio.CancelledError):
                await speaking


class ContactLimit:
    """A station's input that knows one limit: the contact is closed, or it is not."""

    def __init__(self, settings: ModbusRelay, switch: RelaySwitch) -> None:
        self._settings, self._switch = settings, switch

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Close the contact for its limit, open it for None. Raises NotApplicableError for any other limit; RigError."""
        settings = self._settings
        if periods or (limit is not None and (limit != settings.contact_limit or unit != settings.contact_unit)):
            can = f"{settings.contact_limit:g} {settings.contact_unit}"
            raise NotApplicableError(f"actuators.{self._switch.name}: its contact stands for {can} from now on, nothing else")
        await self._switch.switch(limit is not None)


class RegisterLimit:
    """A holding register that takes a limit; what holds is written again and again, for a controller may forget it."""

    def __init__(self, name: str, settings: ModbusRegister, line: ModbusLine, clock: Clock, report: Report) -> None:
        self._name, self._settings, self._line, self._clock, self._report = name, settings, line, clock, report
        self._schedule: Schedule = []
        self._task: asyncio.Task[None] | None = None

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Write a limit and keep it written; None without periods releases it.

        Raises: NotApplicableError where the register cannot hold such a limit; RigError where the write fails.
        """
        if (limit is not None or periods) and unit != self._settings.unit:
            raise NotApplicableError(f"actuators.{self._name}: takes a limit in {self._settings.unit}, not in {unit}")
        now = self._clock.monotonic()
        first = [] if limit is None else [(now, self._encoded(limit))]
        schedule = first + [(now + start_s, self._encoded(value)) for start_s, value in periods]
        await self.stop()
        if not schedule:
            await self._write(self._settings.released)
            return
        if schedule[0][0] <= now:
            await self._write(next(value for start, value in reversed(schedule) if start <= now))
        self._schedule = schedule
        self._task = asyncio.create_task(self._keep(), name=f"rewrite {self._name}")

    async def stop(self) -> None:
        """Write nothing any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._task = None

    async def close(self) -> None:
        """Release the limit where one holds."""
        if self._task is not None:
            await self.stop()
            await self._write(self._settings.released)

    async def _keep(self) -> None:
        while True:
            now = self._clock.monotonic()
            ahead = [start for start, _ in self._schedule if start > now]
            await self._clock.sleep(min([self._settings.rewrite_s, *(start - now for start in ahead)]))
            value = next((value for start, value in reversed(self._schedule) if start <= self._clock.monotonic()), None)
            try:
                if value is not None:
                    await self._write(value)
            except RigError as error:
                self._report(str(error))

    async def _write(self, value: int) -> None:
        try:
            await self._line.write_register(self._settings.unit_id, self._settings.register_address, value)
        except RigError as error:
            raise RigError(f"actuators.{self._name}: {error}") from error

    def _encoded(self, limit: float) -> int:
        value = round(limit / self._settings.scale)
        if not 0 <= value <= 0xFFFF or value == self._settings.released or abs(value * self._settings.scale - limit) > 1e-6:
            step = f"{self._settings.scale:g} {self._settings.unit}"
            raise NotApplicableError(f"actuators.{self._name}: its register cannot hold {limit:g}, in steps of {step}")
        return value


@asynccontextmanager
async def open_register_limit(
    name: str, settings: ModbusRegister, line: ModbusLine, clock: Clock, report: Report
) -> AsyncIterator[RegisterLimit]:
    """Serve a limit register; at the end the limit is released. `report` gets what goes wrong in between."""
    limit = RegisterLimit(name, settings, line, clock, report)
    try:
        yield limit
    finally:
        try:
            await limit.close()
        except RigError as error:
            report(str(error))
