"""Meters that speak by themselves on a serial port: P1 and SML."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from bench.adapters.identity import identity_of
from bench.adapters.serial_port import PortSettings, SerialStream, open_serial_stream
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.ports import Clock
from bench.settings.instruments import P1Meter, SmlMeter
from bench.wire.p1 import WIRES, P1Framer, decode_p1, p1_serial_number
from bench.wire.sml import SmlFramer, decode_sml, sml_serial_number
from bench.wire.telegrams import Framer

BITS_PER_CHARACTER: Final = 10
Decode = Callable[[bytes, datetime, datetime], MeterReading]
Settings = P1Meter | SmlMeter


class PushMeter:
    """Hands out each telegram once: the latest one, or the next where there is none.

    `requested` and `received` of a reading are the moments of the telegram's first and last byte, so that its time on the wire
    at the port's speed is part of the interval in which the reading lies; how old the values in it are is the meter's latency.
    """

    def __init__(self, name: str, settings: Settings, port: PortSettings, framer: Framer, decode: Decode, clock: Clock) -> None:
        self.name = name
        self._settings, self._timeout_s = settings, settings.timeout_s
        self._port, self._framer, self._decode, self._clock = port, framer, decode, clock
        self._chunks: deque[tuple[int, datetime]] = deque()
        self._position = self._told = 0
        self._latest: tuple[bytes, datetime, datetime] | None = None
        self._news = asyncio.Event()
        self.stream: SerialStream | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes of the port."""
        now = self._clock.now()
        self._position += len(data)
        self._chunks.append((self._position, now))
        for telegram in self._framer.feed(data):
            self._latest = (telegram.raw, self._moment(telegram.start), self._moment(telegram.end - 1))
            self._told = self._position
            self._news.set()
            while self._chunks and self._chunks[0][0] < telegram.end:
                self._chunks.popleft()
        while len(self._chunks) > 10_000:
            self._chunks.popleft()

    async def read(self) -> MeterReading:
        """Return the latest telegram, or wait for the next. Raises RigError after the time-out, or for a bad telegram."""
        raw, began, ended = await self._telegram()
        self._latest = None
        try:
            return self._decode(raw, began, ended)
        except ValueError as error:
            raise RigError(f"{self._where()}: {error}") from None

    async def identify(self) -> dict[str, Any]:
        """Return a METER_IDENTITY's data with the number that the meter's telegram tells. Raises RigError as `read` does.

        The telegram is still there to be read; a bad one is passed over once, for it may have been cut off.
        """
        for last in (False, True):
            raw, began, ended = await self._telegram()
            try:
                self._decode(raw, began, ended)
                break
            except ValueError as error:
                if last:
                    raise RigError(f"{self._where()}: {error}") from None
                self._latest = None
        told = p1_serial_number(raw) if isinstance(self._settings, P1Meter) else sml_serial_number(raw)
        return identity_of(self.name, self._settings, None, told)

    async def _telegram(self) -> tuple[bytes, datetime, datetime]:
        try:
            async with asyncio.timeout(self._timeout_s):
                while self._latest is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise RigError(f"{self._where()}: no telegram within {self._timeout_s:g} s: {self._why()}") from None
        return self._latest

    def _moment(self, position: int) -> datetime:
        """Return when the byte at this place of the stream came: so long before its chunk was read as the wire needs."""
        for end, at in self._chunks:
            if position < end:
                return at - timedelta(seconds=(end - 1 - position) * BITS_PER_CHARACTER / self._port.baud)
        return self._clock.now()

    def _where(self) -> str:
        return f"meter {self.name} at {self._port.port}"

    def _why(self) -> str:
        if self.stream is not None and self.stream.lost:
            return self.stream.lost
        came = self._position - self._told
        if came:
            return f"{came} bytes came that are none: wrong version, speed or parity, an inverted signal, or encrypted"
        return "not one byte came: is the cable in the meter's port, and does the meter send (data request, InF on)?"


@asynccontextmanager
async def _opened(meter: PushMeter, port: PortSettings) -> AsyncIterator[PushMeter]:
    if not port.port:
        raise RigError(f"meter {meter.name}: port is missing: only an emulated meter chooses its own")
    with open_serial_stream(port, meter.receive) as meter.stream:
        yield meter


@asynccontextmanager
async def open_p1_meter(name: str, settings: P1Meter, clock: Clock, port: str | None = None) -> AsyncIterator[PushMeter]:
    """Listen to a P1 port until the end.

    Args:
        port: takes the place of the settings' port, for an emulated meter that chose its own.
    Raises: RigError where the port cannot be opened.
    """
    wire = WIRES[settings.version]
    place = PortSettings(port or settings.port, wire.baud, wire.data_bits, wire.parity)
    decode = partial(_decode_p1, settings)
    async with _opened(PushMeter(name, settings, place, P1Framer(), decode, clock), place) as meter:
        yield meter


def _decode_p1(settings: P1Meter, raw: bytes, requested: datetime, received: datetime) -> MeterReading:
    return decode_p1(raw, settings.version, requested, received)


@asynccontextmanager
async def open_sml_meter(name: str, settings: SmlMeter, clock: Clock, port: str | None = None) -> AsyncIterator[PushMeter]:
    """Listen to an SML port until the end; `port` and errors as for P1."""
    place = PortSettings(port or settings.port, settings.baud)
    async with _opened(PushMeter(name, settings, place, SmlFramer(), decode_sml, clock), place) as meter:
        yield meter
