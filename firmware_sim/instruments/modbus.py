"""Modbus as a device and its line see it: PDUs, frames, and the time that bytes take on a wire.

One small responder of our own serves all framings. pymodbus' server cannot be a bus: it answers for units that are not there,
and lets a later request overtake a delayed one; a second implementation beside it would only be a second thing to be wrong.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Protocol

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
NO_SUCH_TARGET: Final = 11
"""Exception codes: MODBUS Application Protocol V1.1b3, section 7."""
MOST_REGISTERS: Final = 125
"""In one read request; section 6.3."""
_LONGEST_FRAME: Final = 256


class Device(Protocol):
    """A device on a line."""

    @property
    def name(self) -> str:
        """As faults and logs name it."""
        ...

    def answer(self, pdu: bytes) -> bytes | None:
        """Return the reply to a request, both PDUs that begin with the function code; None: the device stays silent."""
        ...


def refusal(pdu: bytes, code: int) -> bytes:
    """Return the exception reply to a request."""
    return bytes([pdu[0] | 0x80, code])


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply on its way to the line."""

    frame: bytes
    """As it is sent; empty: nothing is sent."""
    delay_s: float = 0.0
    """How much later than the device's usual turnaround it comes."""
    rtu: bool = True
    """Whether the frame ends with a CRC."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How long things take on a line; all zero: no time."""

    character_s: float = 0.0
    turnaround_s: float = 0.0
    """From the end of a request to the begin of its reply."""

    @classmethod
    def serial(cls, baud: int, parity: str, stop_bits: int, turnaround_s: float) -> Wire:
        """Return a serial line with 8 data bits: 10 to 12 bits per character."""
        return cls((9 + (parity != "N") + stop_bits) / baud, turnaround_s)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was taken from a line."""

    unit: int
    pdu: bytes
    size: int
    """Bytes of its whole frame."""
    tag: bytes = b""
    """What the frame of the reply has to repeat."""


class RtuFraming:
    """Unit, PDU, CRC. Source: MODBUS over Serial Line V1.02, 2.5.1; the end of a frame is known by its length and its CRC."""

    rtu: Final = True

    def take(self, buffer: bytearray) -> Request | None:
        """Take the next whole request from the buffer, and what is before it; None where there is none yet."""
        while len(buffer) >= 4:
            if not 1 <= buffer[1] <= 127:  # no function code
                del buffer[0]
                continue
            length = _request_length(buffer)
            ends = [length] if length else range(4, min(len(buffer), _LONGEST_FRAME) + 1)
            if length and len(buffer) < length <= _LONGEST_FRAME:
                return None
            for end in ends:
                if crc16(buffer[: end - 2]) == bytes(buffer[end - 2 : end]):
                    request = Request(buffer[0], bytes(buffer[1 : end - 2]), end)
                    del buffer[:end]
                    return request
            if not length and len(buffer) < _LONGEST_FRAME:
                return None
            del buffer[0]
        return None

    def frame(self, request: Request, pdu: bytes) -> bytes:
        """Return the frame of a reply."""
        body = bytes([request.unit]) + pdu
        return body + crc16(body)


class TcpFraming:
    """MBAP header and PDU. Source: MODBUS Messaging on TCP/IP V1.0b, 3.1.3."""

    rtu: Final = False

    def take(self, buffer: bytearray) -> Request | None:
        """Take the next whole request from the buffer; None where there is none yet. Raises ValueError on what is not Modbus."""
        if len(buffer) < 8:
            return None
        transaction, protocol, length, unit = struct.unpack_from(">HHHB", buffer)
        if protocol or not 2 <= length <= 254:
            raise ValueError("not Modbus TCP")
        if len(buffer) < 6 + length:
            return None
        request = Request(unit, bytes(buffer[7 : 6 + length]), 6 + length, struct.pack(">H", transaction))
        del buffer[: 6 + length]
        return request

    def frame(self, request: Request, pdu: bytes) -> bytes:
        """Return the frame of a reply."""
        return request.tag + struct.pack(">HHB", 0, 1 + len(pdu), request.unit) + pdu


Framing = RtuFraming | TcpFraming


def crc16(data: bytes | bytearray) -> bytes:
    """Return the CRC of a frame, low byte first. Source: MODBUS over Serial Line V1.02, 6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


_CRC: Final = tuple(_table_entry(value) for value in range(256))


def _request_length(buffer: bytearray) -> int:
    """Return the length of the RTU request that the buffer begins with; 0 where the function does not tell it."""
    if 1 <= buffer[1] <= 6:
        return 8
    if buffer[1] in (15, 16):
        return 9 + buffer[6] if len(buffer) > 6 else 9
    return 0
