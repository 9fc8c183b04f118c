"""Faults of meters that send telegrams by themselves."""

from __future__ import annotations

from typing import Any, ClassVar, Final


class TelegramCrc:
    """A bit of each telegram is turned over on the wire."""

    ID: ClassVar = "meter.telegram-crc"
    LAYER: ClassVar = "meter"
    TEXT: ClassVar = "each telegram of a P1 or SML meter has a wrong checksum"
    PARAMS: ClassVar[dict[str, str]] = {}

    def telegram(self, meter: str, raw: bytes) -> bytes:
        """Change one digit in the middle."""
        middle = len(raw) // 2
        return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


class TelegramSilence:
    """The meter sends nothing."""

    ID: ClassVar = "meter.telegram-silence"
    LAYER: ClassVar = "meter"
    TEXT: ClassVar = "a P1 or SML meter sends no telegrams any more"
    PARAMS: ClassVar[dict[str, str]] = {}

    def telegram(self, meter: str, raw: bytes) -> bytes:
        """Leave nothing."""
        return b""


SERIAL_METER_FAULTS: Final[tuple[Any, ...]] = (TelegramCrc, TelegramSilence)
