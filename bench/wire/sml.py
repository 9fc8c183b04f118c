"""SML, what a German meter sends by itself: bytes to telegrams, a telegram to a reading.

Sources: BSI TR-03109-1, annex IV (Smart Message Language 1.04): escape sequence, transport version 1, CRC-16/X-25;
OBIS codes by IEC 62056-61. Framing, checksum and parsing: smllib.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bench.domain.meter import MeterReading
from bench.wire.telegrams import Telegram

_UNITS: Final = {27: "W", 30: "Wh", 33: "A", 35: "V", 44: "Hz"}
"""DLMS unit codes (IEC 62056-62)."""
_CODES: Final = {
    "0100010700ff": "W", "0100020700ff": "W", "0100100700ff": "W", "0100240700ff": "W", "0100380700ff": "W", "01004c0700ff": "W",
    "0100010800ff": "Wh", "01001f0700ff": "A", "0100330700ff": "A", "0100470700ff": "A",
    "0100200700ff": "V", "0100340700ff": "V", "0100480700ff": "V", "01000e0700ff": "Hz",
}  # fmt: skip


class SmlFramer:
    """Finds the files between escape sequences, also those whose checksum is wrong."""

    def __init__(self) -> None:
        from smllib.reader import SmlStreamReader

        self._reader = SmlStreamReader()
        self._position = 0

    def feed(self, data: bytes) -> list[Telegram]:
        """Take the next bytes of the stream and return the telegrams that they complete."""
        from smllib.errors import CrcError

        self._reader.add(data)
        self._position += len(data)
        found: list[Telegram] = []
        while True:
            try:
                frame = self._reader.get_frame()
                raw = None if frame is None else frame.msg_ctx
            except CrcError as error:
                raw = error.msg
            if raw is None:
                return found
            end = self._position - len(self._reader.bytes)
            found.append(Telegram(raw, end - len(raw), end))


def decode_sml(raw: bytes, requested: datetime, received: datetime) -> MeterReading:
    """Return what a telegram says; power has its sign (import positive), phases as far as the meter tells them.

    Raises: ValueError with the reason for a wrong checksum, a broken telegram or one without power.
    """
    values = _values(raw)
    power = values.get("0100100700ff")
    if power is None and "0100010700ff" in values and "0100020700ff" in values:
        power = values["0100010700ff"] - values["0100020700ff"]
    if power is None:
        raise ValueError("the telegram has no 16.7.0 (power): many meters tell it only after the PIN and with InF on")
    get = values.get
    return MeterReading(
        requested, received,
        voltage_v=(get("0100200700ff"), get("0100340700ff"), get("0100480700ff")),
        current_a=(get("01001f0700ff"), get("0100330700ff"), get("0100470700ff")),
        power_w=power,
        phase_power_w=(get("0100240700ff"), get("0100380700ff"), get("01004c0700ff")),
        energy_import_wh=get("0100010800ff"),
        frequency_hz=get("01000e0700ff"),
        registers={"sml": raw.hex()},
    )  # fmt: skip


def sml_serial_number(raw: bytes) -> str:
    """Return the server id (DIN 43863-5) of a sound telegram as hexadecimal digits; empty where the meter tells none."""
    from smllib.reader import SmlStreamReader

    reader = SmlStreamReader()
    reader.add(raw)
    frame = reader.get_frame()
    for message in [] if frame is None else frame.parse_frame():
        if number := getattr(message.message_body, "server_id", None):
            return str(number).upper()
    return ""


def _values(raw: bytes) -> dict[str, float]:
    """Return the quantities by OBIS code, in V, A, W, Wh and Hz. Raises ValueError."""
    from smllib.errors import CrcError
    from smllib.reader import SmlStreamReader

    reader = SmlStreamReader()
    reader.add(raw)
    found: dict[str, float] = {}
    try:
        frame = reader.get_frame()
        entries = [] if frame is None else frame.get_obis()
    except CrcError:
        raise ValueError("the checksum (CRC) of the telegram is wrong") from None
    except Exception as error:  # the parser meets whatever a meter sends
        raise ValueError(f"the telegram cannot be read: {type(error).__name__}: {error}") from None
    for entry in entries:
        code = str(entry.obis)
        if code not in _CODES or entry.value is None:
            continue
        if _UNITS.get(entry.unit or 0) != _CODES[code] or isinstance(entry.value, str) or code in found:
            raise ValueError(f"{entry.obis.obis_code} has unit {entry.unit}, or is told twice: must be {_CODES[code]}")
        scaler = entry.scaler or 0
        found[code] = float(entry.value * 10**scaler) if scaler >= 0 else entry.value / 10**-scaler
    return found
