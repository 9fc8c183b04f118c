"""Files of a German meter in the Smart Message Language 1.04 (BSI TR-03109-1, annex IV), transport version 1."""

from __future__ import annotations

from typing import Final

from firmware_sim.instruments.serial_meter import Shown

INTERVAL_S: Final = 1.0
_ESCAPE: Final = b"\x1b\x1b\x1b\x1b"
_SERVER: Final = bytes.fromhex("0a01454d550000000001")
_WATT, _WATT_HOUR, _AMPERE, _VOLT, _HERTZ = 27, 30, 33, 35, 44


def telegram(shown: Shown) -> bytes:
    """Return one file: energy in 0.1 Wh, power in 0.1 W, U in 0.1 V, I in 0.01 A, f in 0.1 Hz."""
    entries = [
        _entry(1, 8, _WATT_HOUR, shown.energy_import_wh), _entry(2, 8, _WATT_HOUR, 0.0),
        _entry(16, 7, _WATT, sum(shown.power_w)), _entry(14, 7, _HERTZ, 50.0),
    ]  # fmt: skip
    for index in range(3):
        entries += [
            _entry(36 + 20 * index, 7, _WATT, shown.power_w[index]),
            _entry(32 + 20 * index, 7, _VOLT, shown.voltage_v[index]),
            _entry(31 + 20 * index, 7, _AMPERE, shown.current_a[index], digits=2),
        ]
    opening = _list(b"\x01", b"\x01", _octets(b"\x00\x01"), _octets(_SERVER), b"\x01", b"\x01")
    values = _list(b"\x01", _octets(_SERVER), b"\x01", b"\x01", _list(*entries), b"\x01", b"\x01")
    body = _message(1, 0x0101, opening) + _message(2, 0x0701, values) + _message(3, 0x0201, _list(b"\x01"))
    body = body.replace(_ESCAPE, _ESCAPE * 2)
    padding = -len(body) % 4
    whole = _ESCAPE + b"\x01\x01\x01\x01" + body + bytes(padding) + _ESCAPE + b"\x1a" + bytes([padding])
    return whole + crc16(whole).to_bytes(2, "little")


def crc16(data: bytes) -> int:
    """Return CRC-16/X-25."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF


def _message(number: int, tag: int, body: bytes) -> bytes:
    head = b"\x76" + _octets(bytes([number])) + b"\x62\x00\x62\x00" + b"\x72\x63" + tag.to_bytes(2, "big") + body
    return head + b"\x63" + crc16(head).to_bytes(2, "little") + b"\x00"


def _entry(measured: int, kind: int, unit: int, value: float, *, digits: int = 1) -> bytes:
    number = b"\x59" + round(value * 10**digits).to_bytes(8, "big", signed=True)
    name = bytes([1, 0, measured, kind, 0, 255])
    scaler = b"\x52" + (-digits).to_bytes(1, "big", signed=True)
    return _list(_octets(name), b"\x01", b"\x01", bytes([0x62, unit]), scaler, number, b"\x01")


def _list(*elements: bytes) -> bytes:
    count = len(elements)
    head = bytes([0x70 | count]) if count < 16 else bytes([0xF0 | count >> 4, count & 0x0F])
    return head + b"".join(elements)


def _octets(data: bytes) -> bytes:
    return bytes([len(data) + 1]) + data


def _step(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x8408 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_step(byte) for byte in range(256))
