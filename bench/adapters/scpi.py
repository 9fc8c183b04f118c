"""Instruments that speak SCPI over TCP or a serial port, told and asked by a command map.

Commands and answers are lines (IEEE 488.2). An answer that comes late would pass for the answer to the next question: after
anything amiss the connection is given up, and made anew by the next request.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import serial

from bench.adapters.serial_port import why_not
from bench.errors import RigError
from bench.settings.actuators import ScpiInstrument
from bench.settings.instrument_map import InstrumentMap

LONGEST_ANSWER: Final = 4096
MOST_ERRORS: Final = 20
"""More than an error queue holds; one that never ends is no queue."""
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.+-]*")
"""What may be put into a command."""


class _Wire(asyncio.Protocol):
    """Bytes that came, as lines; and where bytes go."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = False
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._port: serial.Serial | None = None

    async def open(self, settings: ScpiInstrument, port: int) -> None:
        loop = asyncio.get_running_loop()
        if not settings.serial_port:
            await loop.create_connection(lambda: self, settings.host, port)
            return
        self._port = serial.Serial(settings.serial_port, settings.baud, timeout=0, write_timeout=0, exclusive=True)
        loop.add_reader(self._port.fileno(), self._readable)
        await asyncio.sleep(settings.timeout_s / 4)  # an answer to an earlier question may still be on its way
        self.received.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if len(self.received) <= LONGEST_ANSWER:
            self.received += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._news.set()

    def _readable(self) -> None:
        assert self._port is not None
        try:
            data = os.read(self._port.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.data_received(data)
        else:
            asyncio.get_running_loop().remove_reader(self._port.fileno())
            self.connection_lost(None)

    def send(self, line: str) -> None:
        data = line.encode("ascii") + b"\n"
        if self._transport is not None:
            self._transport.write(data)
        elif self._port is not None:
            self._port.write(data)

    async def line(self) -> str:
        while b"\n" not in self.received:
            if self.lost:
                raise RigError("the connection is lost")
            if len(self.received) > LONGEST_ANSWER:
                raise RigError(f"the answer is longer than {LONGEST_ANSWER} bytes")
            self._news.clear()
            await self._news.wait()
        answer, _, rest = bytes(self.received).partition(b"\n")
        self.received[:] = rest
        if len(answer) > LONGEST_ANSWER:
            raise RigError(f"the answer is longer than {LONGEST_ANSWER} bytes")
        return answer.decode("ascii", errors="backslashreplace").strip()

    def close(self) -> None:
        self.lost = True
        if self._transport is not None:
            self._transport.abort()
        if self._port is not None:
            asyncio.get_running_loop().remove_reader(self._port.fileno())
            self._port.close()
            self._port = None


class Scpi:
    """One instrument, one request at a time. Every method raises RigError that names the actuator, the command and the reason."""

    def __init__(self, name: str, settings: ScpiInstrument, commands: InstrumentMap, port: int) -> None:
        self.name, self._settings, self._map, self._port = name, settings, commands, port
        self._lock = asyncio.Lock()
        self._wire: _Wire | None = None
        place = settings.serial_port or f"{settings.host}:{port}"
        self._where = f"actuators.{name} ({commands.model} at {place})"

    def can(self, action: str) -> bool:
        """Say whether the command map has an action."""
        return action in self._map.action

    async def connect(self) -> None:
        """Open the connection, and check who is at its other end."""
        async with self._lock:
            await self._connected()

    async def do(self, action: str, **arguments: float | str) -> None:
        """Carry out an action: all of its commands, then the error queue."""
        if action not in self._map.action:
            raise RigError(f"{self._where}: its command map has no action {action}")
        commands = [self._filled(one, arguments) for one in self._map.action[action]]
        async with self._lock:
            for command in commands:
                await self._exchange(command, answered=False)
            await self._check_errors(", ".join(commands))

    async def ask(self, query: str, **arguments: float | str) -> str | None:
        """Return the value that a query finds, None where the map does not have it."""
        settings = self._map.query.get(query)
        if settings is None:
            return None
        command = self._filled(settings.command, arguments)
        async with self._lock:
            answer = await self._exchange(command, answered=True)
            found = re.search(settings.pattern, answer)
            if found is None:
                self.close()
                raise RigError(f"{self._where}: {command}: answers {answer[:80]!r}, in which {settings.pattern} finds nothing")
        text = (found[1] if found.re.groups else found[0]).strip()
        if settings.values:
            if text not in settings.values:
                raise RigError(f"{self._where}: {command}: answers {text[:80]!r}; known: {', '.join(settings.values)}")
            return settings.values[text]
        return text if settings.scale == 1.0 else str(number(text, f"{self._where}: {command}") * settings.scale)

    def close(self) -> None:
        """Give the connection up; the next request makes it anew."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> _Wire:
        if self._wire is not None and not self._wire.lost and not self._wire.received:
            return self._wire
        self.close()
        wire = _Wire()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await wire.open(self._settings, self._port)
        except TimeoutError:
            wire.close()
            raise RigError(f"{self._where}: no connection within {self._settings.timeout_s:g} s") from None
        except OSError as error:
            wire.close()
            serial_port = self._settings.serial_port
            raise RigError(f"{self._where}: {why_not(serial_port, error) if serial_port else error}") from error
        self._wire = wire
        if self._map.identify:
            said = await self._exchange(self._map.identify, answered=True)
            if not re.search(self._map.expect, said):
                self.close()
                raise RigError(f"{self._where}: says that it is {said[:80]!r}, and {self._map.expect!r} was expected")
        return wire

    async def _exchange(self, command: str, *, answered: bool) -> str:
        wire = self._wire if command == self._map.identify and self._wire is not None else await self._connected()
        sound = False
        try:
            wire.send(command)
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await wire.line() if answered else ""
            sound = True
            return answer
        except TimeoutError:
            came = f"; what came: {bytes(wire.received[:40])!r}" if wire.received else ""
            raise RigError(f"{self._where}: {command}: no answer within {self._settings.timeout_s:g} s{came}") from None
        except (RigError, OSError) as error:
            raise RigError(f"{self._where}: {command}: {error}") from error
        finally:
            if not sound:
                self.close()

    async def _check_errors(self, commands: str) -> None:
        if not self._map.error_query:
            return
        errors: list[str] = []
        for _ in range(MOST_ERRORS):
            answer = await self._exchange(self._map.error_query, answered=True)
            if re.search(self._map.no_error, answer):
                break
            errors.append(answer)
        else:
            self.close()
        if errors:
            raise RigError(f"{self._where}: {commands}: {'; '.join(errors)[:200]}")

    def _filled(self, command: str, arguments: dict[str, float | str]) -> str:
        for name, value in arguments.items():
            if isinstance(value, str) and not _HARMLESS.fullmatch(value):
                raise RigError(f"{self._where}: {name} = {value!r}: must be letters, digits, _ . + or - only")
        return command.format(**{name: f"{value:g}" if isinstance(value, float) else value for name, value in arguments.items()})


def number(text: str, where: str) -> float:
    """Return a finite number. Raises RigError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RigError(f"{where}: {text[:80]!r} is no number")
    return value


@asynccontextmanager
async def open_scpi(name: str, settings: ScpiInstrument, commands: InstrumentMap, port: int | None = None) -> AsyncIterator[Scpi]:
    """Connect to an instrument and close the connection at the end.

    Args: port: takes the place of the settings' port, for an emulated instrument.
    Raises: RigError where it does not answer, is another one, or where the map lacks what its roles need.
    """
    lacking = commands.lacks(settings.roles)
    if lacking:
        raise RigError(f"actuators.{name}: {settings.commands}: lacks {', '.join(lacking)}")
    instrument = Scpi(name, settings, commands, port or settings.port)
    try:
        await instrument.connect()
        yield instrument
    finally:
        instrument.close()
        await asyncio.sleep(0)
