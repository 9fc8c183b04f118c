"""Faults of meters that send telegrams by themselves, and of the serial adapter that meters hang on."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from firmware_sim.faults.network import number


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


class AdapterGone:
    """The USB adapter falls out of its socket, and comes back under the same stable name."""

    ID: ClassVar = "meter.adapter-gone"
    LAYER: ClassVar = "meter"
    TEXT: ClassVar = "the serial adapter of a meter is gone for a while: its terminal and its stable name vanish, then are back"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": "name of the meter, * for all",
        "from_s": "begin, in s from the first request to this meter on",
        "for_s": "how long, in s",
    }

    def __init__(self, meter: str, from_s: float, for_s: float) -> None:
        if not isinstance(meter, str) or not meter:
            raise ValueError(f"meter = {meter!r}: must be the name of a meter, or *")
        self._meter = meter
        self._from_s, self._for_s = number("from_s", from_s), number("for_s", for_s)
        self._began: float | None = None

    def adapter_gone(self, meter: str, t: float, gone_s: float) -> float:
        """Say how long it is gone from this request on."""
        if self._meter not in ("*", meter):
            return gone_s
        self._began = t if self._began is None else self._began
        age = t - self._began
        return max(gone_s, self._from_s + self._for_s - age) if age >= self._from_s else gone_s


SERIAL_METER_FAULTS: Final[tuple[Any, ...]] = (TelegramCrc, TelegramSilence, AdapterGone)
