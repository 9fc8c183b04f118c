"""Telegrams of a smart meter's customer port as the DSMR P1 companion standard 5.0.2 lays them out, and its relatives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from firmware_sim.instruments.serial_meter import Shown

BAUD: Final = {"2.2": 9600}
INTERVAL_S: Final = {"2.2": 10.0, "4": 10.0, "sweden": 10.0}
"""Every second for the others."""
_HEADS: Final = {
    "2.2": "/EMU2\\22-0001", "4": "/EMU5\\42-0001", "5": "/EMU5\\50-0001", "fluvius": "/EMU5\\253-0001",
    "luxembourg": "/EMU5\\352-0001", "sweden": "/EMU5\\46-0001",
}  # fmt: skip
_METER_ID: Final = "454D553030303030303031"


def telegram(shown: Shown, version: str) -> bytes:
    """Return what the meter sends: W in kW with three decimals, U in 0.1 V, I in whole A (Sweden: 0.1 A), Wh in kWh."""
    lines = [_HEADS[version], ""]
    taken, given = max(0.0, sum(shown.power_w)), max(0.0, -sum(shown.power_w))
    energy = shown.energy_import_wh / 1000
    if version == "2.2":
        lines += [f"0-0:96.1.1({_METER_ID})", f"1-0:1.8.1({energy:09.3f}*kWh)", "1-0:1.8.2(00000.000*kWh)"]
        lines += ["1-0:2.8.1(00000.000*kWh)", "1-0:2.8.2(00000.000*kWh)", "0-0:96.14.0(0001)"]
        lines += [f"1-0:1.7.0({taken / 1000:07.2f}*kW)", f"1-0:2.7.0({given / 1000:07.2f}*kW)", "0-0:96.13.0()"]
        return ("\r\n".join([*lines, "!"]) + "\r\n").encode()
    lines += ["1-3:0.2.8(50)"] if version != "sweden" else []
    lines += [f"0-0:1.0.0({local_time(shown.at)})"]
    if version == "sweden":
        lines += [f"1-0:1.8.0({energy:012.3f}*kWh)", "1-0:2.8.0(00000000.000*kWh)"]
    else:
        lines += [f"0-0:96.1.1({_METER_ID})", f"1-0:1.8.1({energy:010.3f}*kWh)", "1-0:1.8.2(000000.000*kWh)"]
        lines += ["1-0:2.8.1(000000.000*kWh)", "1-0:2.8.2(000000.000*kWh)", "0-0:96.14.0(0001)"]
    lines += [f"1-0:1.7.0({taken / 1000:06.3f}*kW)", f"1-0:2.7.0({given / 1000:06.3f}*kW)"]
    for index, first in enumerate((20, 40, 60)):
        power, amperes = shown.power_w[index], abs(shown.current_a[index])
        if version != "4":
            lines += [f"1-0:{first + 12}.7.0({shown.voltage_v[index]:05.1f}*V)"]
        current = f"{amperes:05.1f}" if version == "sweden" else f"{amperes:03.0f}"
        lines += [f"1-0:{first + 11}.7.0({current}*A)"]
        lines += [f"1-0:{first + 1}.7.0({max(0.0, power) / 1000:06.3f}*kW)"]
        lines += [f"1-0:{first + 2}.7.0({max(0.0, -power) / 1000:06.3f}*kW)"]
    body = ("\r\n".join([*lines, "!"])).encode()
    return body + f"{crc16(body):04X}\r\n".encode()


def crc16(data: bytes) -> int:
    """Return CRC-16 of the polynomial x16+x15+x2+1, least significant bit first, beginning with 0 (5.2 of the standard)."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def local_time(moment: datetime) -> str:
    """Return Central European time as YYMMDDhhmmss and S in summer, W in winter."""
    summer = _last_sunday(moment.year, 3) <= moment < _last_sunday(moment.year, 10)
    return f"{moment.astimezone(UTC) + timedelta(hours=2 if summer else 1):%y%m%d%H%M%S}{'S' if summer else 'W'}"


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_entry(byte) for byte in range(256))
