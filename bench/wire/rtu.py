"""Modbus RTU: the reply to a request, found in what a line brought.

Source: MODBUS over Serial Line V1.02, 2.5.1 (unit, PDU, CRC-16 with the low byte first); MODBUS Application Protocol V1.1b3, 6.
"""

from __future__ import annotations

from typing import Final

SHORTEST_FRAME: Final = 5
"""Bytes of the shortest reply: unit, function code with its highest bit set, exception code, CRC."""
_LENGTH_FOLLOWS: Final = range(1, 5)
"""Function codes whose reply says how many bytes follow."""
_CONFIRMATION: Final = 8
"""Bytes of the reply to a request that writes."""


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_TABLE: Final = _table()


def crc16(data: bytes) -> int:
    """Return the CRC-16 of a frame; it is sent with the low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def reply_in(received: bytes, request: bytes, *, echoed: bool = False) -> bytes:
    """Return the frame that answers a request, cut out of the stray bytes around it; b"" where there is none (yet).

    Its unit and function code are the request's, its CRC is right. Whether it has as many registers as were asked for is for
    the caller to say.

    Args:
        echoed: the line gives back what it was sent; only what follows the echo is looked at.
    """
    start = 0
    if echoed:
        echo = received.find(request)
        if echo < 0:
            return b""
        start = echo + len(request)
    while (start := received.find(request[:1], start)) >= 0:
        size = _size(received[start:], request[1])
        frame = received[start : start + size]
        if size and len(frame) == size and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
            return frame
        start += 1
    return b""


def _size(received: bytes, function_code: int) -> int:
    """Return how long a frame that starts here has to be; 0 where none answers this function code."""
    if len(received) < SHORTEST_FRAME:
        return 0
    if received[1] == function_code | 0x80:
        return SHORTEST_FRAME
    if received[1] != function_code:
        return 0
    return SHORTEST_FRAME + received[2] if function_code in _LENGTH_FOLLOWS else _CONFIRMATION
