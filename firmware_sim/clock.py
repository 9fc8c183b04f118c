"""Time is given to the emulator, never taken; only its own process, in real time, reads the wall clock here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


class Clock(Protocol):
    """What the emulator asks of time. Its seconds are those of the running event loop, so that timers agree with it."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return the event loop's seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds; at once for zero or less."""
        ...


class RealClock:
    """Real time for the standalone process: the wall clock once, then the loop's seconds, so that it never goes back."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = datetime.now(UTC)  # noqa: TID251  the one place that reads the wall clock
        self._origin = self._loop.time()

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self._epoch + timedelta(seconds=self._loop.time() - self._origin)

    def monotonic(self) -> float:
        """Return the event loop's seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(max(0.0, seconds))


class StationClock:
    """The station's own clock: the given one, set to the CSMS's time where that is its source (B01.FR.06, G02.FR.06).

    A difference of up to a second stays: that much a CSMS that tells whole seconds is off anyway.
    """

    TOLERANCE_S: Final = 1.0

    def __init__(self, clock: Clock) -> None:
        self._clock, self._ahead = clock, timedelta()

    def now(self) -> datetime:
        """Return the station's time, aware, in UTC."""
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        """Return the event loop's seconds."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds; at once for zero or less."""
        await self._clock.sleep(seconds)

    def set(self, text: str) -> float:
        """Put the clock to a timestamp; return by how many seconds it went forward, 0 for one that is absurd."""
        try:
            told = datetime.fromisoformat(text)
        except ValueError:
            return 0.0
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        if not 1970 <= told.year < 9000:
            return 0.0
        step = told - self.now()
        if abs(step.total_seconds()) <= self.TOLERANCE_S:
            return 0.0
        self._ahead += step
        return step.total_seconds()


def seconds_of(moment: datetime) -> float:
    """Return seconds since 1970 UTC."""
    return moment.timestamp()


def text_of(moment: datetime) -> str:
    """Return a moment as OCPP writes it, with milliseconds: 2026-01-15T00:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
