"""Serial ports: their bytes, why one cannot be opened, and what to do about it."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import serial

from bench.errors import RigError

BY_ID = Path("/dev/serial/by-id")
CHUNK: Final = 65_536
REOPEN_S: Final = 0.5
"""How often a port that has gone is looked for."""


def why_not(port: str, error: OSError) -> str:
    """Return in words why a port cannot be opened, and what mends it."""
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"there is no such device: {plugged_in()}"
        case errno.EACCES | errno.EPERM:
            group = _group(port)
            return f"not permitted: `sudo usermod -aG {group} $USER` and a new login put you into the group {group}"
        case errno.EBUSY | errno.EAGAIN:
            return f"is taken by another program or another run: `fuser -v {port}` names it"
        case _:
            return f"cannot be opened: {error}"


def plugged_in() -> str:
    """Return which serial adapters there are, by their stable names."""
    names = sorted(str(one) for one in BY_ID.iterdir()) if BY_ID.is_dir() else []
    return f"adapters that are plugged in: {', '.join(names)}" if names else "no serial adapter is plugged in"


def _group(port: str) -> str:
    try:
        return Path(port).group()
    except (OSError, KeyError):
        return "dialout"


@dataclass(frozen=True, slots=True)
class PortSettings:
    """How a serial port is set."""

    port: str
    baud: int
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1


class SerialStream:
    """The bytes that come in at a serial port, which nobody else may use meanwhile; opened anew when the adapter comes back."""

    def __init__(self, settings: PortSettings, receive: Callable[[bytes], None]) -> None:
        self._settings, self._receive = settings, receive
        self._loop = asyncio.get_running_loop()
        self._port: serial.Serial | None = None
        self._retry: asyncio.TimerHandle | None = None
        self.lost = ""
        """Why no bytes can come; empty while the port is open."""

    def open(self) -> None:
        """Open the port. Raises RigError that says why not and what mends it."""
        one = self._settings
        try:
            port = serial.Serial(
                one.port, one.baud, bytesize=one.data_bits, parity=one.parity, stopbits=one.stop_bits, timeout=0, exclusive=True
            )
        except (OSError, ValueError, termios.error) as error:
            reason = why_not(one.port, error) if isinstance(error, OSError) else f"cannot be opened: {error}"
            raise RigError(f"serial port {one.port} {reason}") from error
        if one.parity != "N":
            _check_parity(port.fileno())
        self._port, self.lost = port, ""
        self._loop.add_reader(port.fileno(), self._readable)

    def close(self) -> None:
        """Close the port and try no more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._port is not None:
            self._loop.remove_reader(self._port.fileno())
            self._port.close()
            self._port = None

    def _readable(self) -> None:
        assert self._port is not None
        try:
            data = os.read(self._port.fileno(), CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._vanished(str(error))
            return
        if not data:
            self._vanished("the device has gone")
            return
        in_flight = getattr(self._loop, "in_flight", None)
        if in_flight is not None:
            in_flight.read(len(data))
        self._receive(data)

    def _vanished(self, reason: str) -> None:
        self.close()
        self.lost = reason
        self._retry = self._loop.call_later(REOPEN_S, self._reopen)

    def _reopen(self) -> None:
        self._retry = None
        try:
            self.open()
        except RigError as error:
            self._vanished(str(error))


def _check_parity(fd: int) -> None:
    """Let a character of wrong parity be read as NUL; pyserial sets the parity and has nobody look at it (termios(3), INPCK)."""
    attributes = termios.tcgetattr(fd)
    attributes[0] |= termios.INPCK
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


@contextmanager
def open_serial_stream(settings: PortSettings, receive: Callable[[bytes], None]) -> Iterator[SerialStream]:
    """Call `receive` with the bytes that come in at a port, until the end. Raises RigError where it cannot be opened."""
    stream = SerialStream(settings, receive)
    stream.open()
    try:
        yield stream
    finally:
        stream.close()
