"""The station's clock: read around the roll-over of its seconds, and shifted by the time that the CSMS serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from bench.cso.csms import Csms
from bench.domain.clock_offset import ClockOffset, ClockReading, estimate_offset, wait_for_rollover
from bench.domain.documents import STATION_CLOCK, Kind
from bench.domain.quantities import seconds
from bench.errors import CallRejectedError, RigError, StationError
from bench.ports import Clock, Journal
from bench.runs.bench import Bench

ROLLOVERS: Final = 5
"""So many changes of the station's second are met before its clock counts as measured."""
FIRST_S: Final = (0.0, 0.37, 0.34)
"""Waits before the first readings: at no round distance, so that a clock that shows fractions shows one."""
FOLLOW_TOLERANCE_S: Final = 2.0
"""How far the clock may stay from the served time and still count as following it."""
FOLLOW_PATIENCE_S: Final = 20.0
PROBE_S: Final = 100.0
PROBE_PATIENCE_S: Final = 10.0
_BETWEEN_S: Final = 0.3
_MOST_READINGS: Final = 24
HEARTBEAT: Final = "Heartbeat"


async def get_variable(csms: Csms, station: str, component: str, variable: str) -> str | None:
    """Return a variable's value; None where the station has none or does not say. Raises StationError but for a refusal."""
    asked = {"getVariableData": [{"component": {"name": component}, "variable": {"name": variable}}]}
    try:
        answer = await csms.call(station, "GetVariables", asked)
    except CallRejectedError:
        return None
    result = answer["getVariableResult"][0]
    value = result.get("attributeValue") if result["attributeStatus"] == "Accepted" else None
    return None if value is None else str(value)


async def read_clock(csms: Csms, clock: Clock, station: str) -> ClockReading:
    """Read ClockCtrlr.DateTime once. Raises StationError."""
    sent = seconds(clock.now())
    text = await get_variable(csms, station, "ClockCtrlr", "DateTime")
    received = seconds(clock.now())
    if text is None:
        raise StationError(f"{station}: does not tell ClockCtrlr.DateTime")
    reading = ClockReading(sent, received, text)
    try:
        estimate_offset([reading])
    except ValueError:
        raise StationError(f"{station}: ClockCtrlr.DateTime = {text[:60]!r} is no date-time") from None
    return reading


async def measure_clock(csms: Csms, clock: Clock, station: str, *, rollovers: int = ROLLOVERS) -> ClockOffset:
    """Measure the clock: read it a few times, then each time when its next second is thought to begin. Raises StationError."""
    readings: list[ClockReading] = []
    for wait in FIRST_S:
        await clock.sleep(wait)
        readings.append(await read_clock(csms, clock, station))
    met = 0
    while met < rollovers and len(readings) < _MOST_READINGS:
        await clock.sleep(_BETWEEN_S)
        trip = min(one.received - one.sent for one in readings)
        wait = wait_for_rollover(readings, seconds(clock.now()), lead_s=trip / 2)
        await clock.sleep(wait)
        readings.append(await read_clock(csms, clock, station))
        met = estimate_offset(readings).rollovers
    return estimate_offset(readings)


class StationClock:
    """Shifts one station's clock for a run, and sets it right again."""

    def __init__(self, csms: Csms, clock: Clock, journal: Journal, station: str) -> None:
        self._csms, self._clock, self._journal, self._station = csms, clock, journal, station

    @property
    def shift_s(self) -> float:
        """Return how far the served time is ahead of the bench's."""
        return self._csms.stations[self._station].clock_shift.total_seconds()

    async def take_effect(self) -> ClockOffset:
        """See to it that the station goes by the served time, read it back and journal it.

        Raises: RigError where the station takes its time from elsewhere, StationError where its clock does not follow.
        """
        source = await get_variable(self._csms, self._station, "ClockCtrlr", "TimeSource")
        if source is not None and HEARTBEAT.lower() not in [part.strip().lower() for part in source.split(",")]:
            raise RigError(
                f"{self._station} takes its time from {source[:60]}, not from Heartbeat: its clock cannot be shifted by the "
                "CSMS. Set ClockCtrlr.TimeSource to Heartbeat, or run without --station-clock."
            )
        if source is None:
            text = "the station does not tell ClockCtrlr.TimeSource: only DateTime shows whether its clock follows Heartbeat"
            self._csms.finding(self._station, "time_source_unknown", text)
        found = await self._followed()
        if found is None:
            raise StationError(f"{self._station}: its clock does not follow the served time: see ClockCtrlr.DateTime")
        return found

    async def restore(self) -> None:
        """Serve the true time again, see to it that the station takes it, read it back, journal it; StationError is a finding."""
        self._csms.shift_clock(self._station, timedelta(0))
        if not self._csms.stations[self._station].online:
            text = "the station is offline: it gets the true time with its next BootNotification or Heartbeat"
            self._csms.finding(self._station, "clock_not_restored", text)
            return
        try:
            found = await self._followed()
        except StationError as error:
            self._csms.finding(self._station, "clock_not_restored", f"the station's clock could not be set right: {error}")
            return
        if found is None:
            self._csms.finding(self._station, "clock_not_restored", "the station's clock does not go back to the true time")

    async def follows_heartbeat(self) -> bool:
        """Say whether the clock follows a Heartbeat that tells a time 100 s ahead, then set it right. Raises StationError."""
        self._csms.shift_clock(self._station, timedelta(seconds=PROBE_S))
        try:
            await self._trigger(HEARTBEAT)
            return await self._shows_shift(PROBE_PATIENCE_S)
        finally:
            await self.restore()

    async def _shows_shift(self, patience_s: float) -> bool:
        """Read the clock until it shows the served time, for at most so long."""
        deadline = self._clock.monotonic() + patience_s
        while self._clock.monotonic() < deadline:
            reading = await read_clock(self._csms, self._clock, self._station)
            if abs(estimate_offset([reading]).offset_s - self.shift_s) <= FOLLOW_TOLERANCE_S:
                return True
            await self._clock.sleep(1.0)
        return False

    async def _followed(self) -> ClockOffset | None:
        """Trigger messages whose answer tells the time until the clock shows it; None where it does not."""
        for message in (HEARTBEAT, "BootNotification"):
            await self._trigger(message)
            if await self._shows_shift(FOLLOW_PATIENCE_S):
                return await self._journalled()
        return None

    async def _trigger(self, message: str) -> None:
        try:
            await self._csms.call(self._station, "TriggerMessage", {"requestedMessage": message})
        except CallRejectedError:  # it may send one by itself meanwhile; its clock will show
            return

    async def _journalled(self) -> ClockOffset:
        found = await measure_clock(self._csms, self._clock, self._station, rollovers=1)
        value: dict[str, Any] = {
            "station": self._station,
            "offset_s": self.shift_s,
            "measured_s": round(found.offset_s, 6),
            "uncertainty_s": round(found.uncertainty_s, 6),
        }
        self._journal.write(Kind.SETTING, {"what": STATION_CLOCK, "value": value, "origin": "station"})
        return found


@asynccontextmanager
async def open_station_clock(bench: Bench, station: str) -> AsyncIterator[StationClock]:
    """Give the clock of one station; at the end serve the true time again, whatever happened.

    Open it around the procedure, so that the safe state comes before the clock.
    """
    clock = StationClock(bench.csms, bench.clock, bench.journal, station)
    shifted = bool(clock.shift_s)
    try:
        yield clock
    finally:
        if shifted or clock.shift_s:
            await clock.restore()


@asynccontextmanager
async def open_shifted_clocks(csms: Csms, clock: Clock, journal: Journal, shift: timedelta) -> AsyncIterator[None]:
    """Serve every station a shifted time; read each one's clock back after its boot, and set it right at the end.

    A station whose clock does not follow is a finding: whoever serves goes on.
    """
    reading: dict[str, asyncio.Task[None]] = {}
    clocks = {station: StationClock(csms, clock, journal, station) for station in csms.stations}

    async def take_effect(station: str) -> None:
        try:
            await clocks[station].take_effect()
        except (RigError, StationError) as error:
            csms.finding(station, "clock_not_shifted", str(error))

    def booted(station: str) -> None:
        if station in clocks and (station not in reading or reading[station].done()):
            reading[station] = asyncio.create_task(take_effect(station), name=f"clock of {station}")

    def listen(event: Mapping[str, Any]) -> None:
        if event["event"] == "boot" and event["reason"] != "Triggered":
            booted(event["station"])

    for station in clocks:
        csms.shift_clock(station, shift)
        if csms.stations[station].booted is not None:
            booted(station)
    unsubscribe = csms.subscribe(listen)
    try:
        yield
    finally:
        unsubscribe()
        for task in reading.values():
            task.cancel()
        if reading:
            await asyncio.wait(reading.values())
        await asyncio.gather(*(one.restore() for station, one in clocks.items() if station in reading))
