"""Lines on which instruments hang: Modbus over TCP or a serial port, and the serial port of a meter that speaks by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.settings.base import Settings

Parity = Literal["N", "E", "O"]


class TcpLine(Settings):
    """Modbus over a TCP connection: Modbus TCP, or RTU frames through a serial device server."""

    kind: Literal["modbus-tcp", "rtu-over-tcp"]
    host: str = "127.0.0.1"
    port: int = Field(default=502, ge=0, le=65535)
    """0 on an emulated rig: the emulator chooses a free one."""
    timeout_s: float = Field(default=1.0, gt=0, le=30)
    """How long a reply may take."""
    drain_s: float = Field(default=1.0, ge=0, le=30)
    """After a time-out or a broken-off request, how long the line must be silent before it is used again (RTU only)."""


class SerialLine(Settings):
    """Modbus RTU on a serial port, with one or several meters on the bus; the bench uses the port alone."""

    kind: Literal["serial"]
    port: str = ""
    """Device by its stable name, such as /dev/serial/by-id/…; empty on an emulated rig."""
    baud: int = Field(default=9600, ge=300, le=921_600)
    parity: Parity = "N"
    stop_bits: Literal[1, 2] = 1
    local_echo: bool = False
    """The adapter gives back what it sends."""
    timeout_s: float = Field(default=1.0, gt=0, le=30)
    """How long a reply may take."""
    drain_s: float = Field(default=1.0, ge=0, le=30)
    """After a time-out or a broken-off request, how long the line must be silent before it is used again."""


Line = Annotated[TcpLine | SerialLine, Field(discriminator="kind")]
