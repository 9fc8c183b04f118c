"""DSMR P1, the customer port of a smart meter: bytes to telegrams, a telegram to a reading.

Sources: DSMR P1 companion standard 2.2, 4.2 and 5.0.2, chapter 5 and 6 (`/XXX5id`, lines of OBIS code and value, `!` and, from
version 4 on, CRC-16 over `/` to `!`); e-MUCS P1 (Fluvius). Parsing and checksum: dsmr-parser.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final, Literal, cast

from bench.domain.meter import MeterReading
from bench.wire.telegrams import Telegram

P1Version = Literal["2.2", "4", "5", "fluvius", "luxembourg", "sweden"]
MAX_TELEGRAM: Final = 1 << 18
"""Bytes after which what began as a telegram is given up."""
_BEGIN: Final = re.compile(rb"/[A-Za-z]{3}[0-9]")
_NUMBERS: Final = (re.compile(rb"^0-0:96\.1\.1\(([^()]*)\)", re.M), re.compile(rb"^0-0:96\.1\.0\(([^()]*)\)", re.M))
_STAMP: Final = re.compile(rb"^0-0:1\.0\.0\((\d{12})([SW])\)", re.M)
_LINE: Final = re.compile(r"(\d-\d:[\d.]+(\([^()]*\))+|\([^()]*\)|[/!].*)?")
_UNITS: Final = {"kW": 1000, "W": 1, "kWh": 1000, "Wh": 1, "V": 1, "A": 1}
_PHASES: Final = ("L1", "L2", "L3")
_IMPORT: Final = ("ELECTRICITY_USED_TARIFF_1", "ELECTRICITY_USED_TARIFF_2")
_POWER: Final = ("CURRENT_ELECTRICITY_USAGE", "CURRENT_ELECTRICITY_DELIVERY")
_WANTED: Final = re.compile(
    r"CURRENT_ELECTRICITY_(USAGE|DELIVERY)|ELECTRICITY_USED_TARIFF_[12]|ELECTRICITY_IMPORTED_TOTAL"
    r"|INSTANTANEOUS_(VOLTAGE|CURRENT)_L[123]|INSTANTANEOUS_ACTIVE_POWER_L[123]_(POSITIVE|NEGATIVE)"
)
logging.getLogger("dsmr_parser").addHandler(logging.NullHandler())  # what it has to say becomes a reason here


@dataclass(frozen=True, slots=True)
class Wire:
    """How the port of a version is set."""

    baud: int
    data_bits: Literal[7, 8]
    parity: Literal["N", "E"]


WIRES: Final[Mapping[P1Version, Wire]] = {
    "2.2": Wire(9600, 7, "E"),
    "4": Wire(115_200, 7, "E"),
    "5": Wire(115_200, 8, "N"),
    "fluvius": Wire(115_200, 8, "N"),
    "luxembourg": Wire(115_200, 8, "N"),
    "sweden": Wire(115_200, 8, "N"),
}
_SPECIFICATIONS: Final[Mapping[P1Version, str]] = {
    "2.2": "V2_2", "4": "V4", "5": "V5", "fluvius": "BELGIUM_FLUVIUS", "luxembourg": "LUXEMBOURG_SMARTY", "sweden": "SWEDEN",
}  # fmt: skip


class P1Framer:
    """Finds telegrams line by line. A new beginning drops what was not finished."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._telegram = bytearray()
        self._position = self._start = 0

    def feed(self, data: bytes) -> list[Telegram]:
        """Take the next bytes of the stream and return the telegrams that they complete."""
        found: list[Telegram] = []
        for part in data.splitlines(keepends=True):
            self._line += part
            self._position += len(part)
            if part.endswith(b"\n"):
                self._end_of_line(found)
                self._line.clear()
        if len(self._line) + len(self._telegram) > MAX_TELEGRAM:
            self._line.clear()
            self._telegram.clear()
        return found

    def _end_of_line(self, found: list[Telegram]) -> None:
        begin = _BEGIN.search(self._line)
        if begin is not None:
            self._telegram[:] = self._line[begin.start() :]
            self._start = self._position - len(self._telegram)
        elif self._telegram:
            self._telegram += self._line
            if self._line.startswith(b"!"):
                found.append(Telegram(bytes(self._telegram), self._start, self._position))
                self._telegram.clear()


def decode_p1(raw: bytes, version: P1Version, requested: datetime, received: datetime) -> MeterReading:
    """Return what a telegram says: power and phase powers are import less export, energy is the sum of the tariffs.

    The current has no sign, and whole amperes at many meters; version 2.2 tells neither it nor the voltage, version 4 no voltage.
    Raises: ValueError with the reason for a wrong checksum, a broken telegram or one without power.
    """
    values = _values(raw, version)
    for name in _POWER:
        if name not in values:
            raise ValueError(f"the telegram has no {'1.7.0' if name == _POWER[0] else '2.7.0'} (power)")
    import_wh = values.get("ELECTRICITY_IMPORTED_TOTAL")
    if import_wh is None and any(name in values for name in _IMPORT):
        import_wh = sum(values.get(name, 0.0) for name in _IMPORT)
    return MeterReading(
        requested, received,
        voltage_v=_triple(*(values.get(f"INSTANTANEOUS_VOLTAGE_{one}") for one in _PHASES)),
        current_a=_triple(*(values.get(f"INSTANTANEOUS_CURRENT_{one}") for one in _PHASES)),
        power_w=values[_POWER[0]] - values[_POWER[1]],
        phase_power_w=_triple(*(_phase_power(values, one) for one in _PHASES)),
        energy_import_wh=import_wh,
        frequency_hz=None,
        registers={"p1": raw.hex()},
        stamp=p1_stamp(raw),
    )  # fmt: skip


def p1_stamp(raw: bytes) -> str:
    """Return the telegram's own time (0-0:1.0.0, Central European: S in summer, W else), to the second; empty without one."""
    found = _STAMP.search(raw)
    if found is None:
        return ""
    try:
        moment = datetime.strptime(found[1].decode("ascii"), "%y%m%d%H%M%S")  # noqa: DTZ007  its zone is the letter
    except ValueError:
        return ""
    return moment.replace(tzinfo=timezone(timedelta(hours=2 if found[2] == b"S" else 1))).isoformat()


def p1_serial_number(raw: bytes) -> str:
    """Return the meter's number: of 0-0:96.1.1, else 96.1.0, whose hexadecimal digits stand for text; empty where it has none."""
    for pattern in _NUMBERS:
        found = pattern.search(raw)
        if found and found[1]:
            number = found[1].decode("ascii", errors="replace")
            with suppress(ValueError):
                text = bytes.fromhex(number).decode("ascii")
                if text.isprintable():
                    return text.strip()
            return number
    return ""


def _phase_power(values: Mapping[str, float], phase: str) -> float | None:
    taken, given = (values.get(f"INSTANTANEOUS_ACTIVE_POWER_{phase}_{sign}") for sign in ("POSITIVE", "NEGATIVE"))
    return None if taken is None or given is None else taken - given


def _triple(l1: float | None, l2: float | None, l3: float | None) -> tuple[float | None, float | None, float | None]:
    return (l1, l2, l3)


def _values(raw: bytes, version: P1Version) -> dict[str, float]:
    """Return the quantities by dsmr-parser's names, in V, A, W and Wh. Raises ValueError."""
    from dsmr_parser.exceptions import InvalidChecksumError

    try:
        text = raw.decode("ascii")
        if version == "2.2":
            _check_lines(text)
        telegram = _parser(version).parse(text, throw_ex=True)
    except UnicodeDecodeError:
        raise ValueError("the telegram has bytes that are no ASCII: disturbed, or another version") from None
    except InvalidChecksumError:
        raise ValueError("the checksum (CRC) of the telegram is wrong") from None
    except Exception as error:  # the parser meets whatever a meter sends
        raise ValueError(f"the telegram cannot be read: {type(error).__name__}: {error}") from None
    found: dict[str, float] = {}
    for name, entry in telegram:
        if _WANTED.fullmatch(name):
            found[name] = _number(name, entry)
    return found


def _number(name: str, entry: Any) -> float:
    if entry.unit not in _UNITS or entry.value is None:
        raise ValueError(f"{name} is {entry.value} {entry.unit}: no such unit is known")
    value = float(entry.value * _UNITS[entry.unit])
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {entry.value}: no number")
    return value


def _check_lines(text: str) -> None:
    """Stand in for the checksum that version 2.2 does not have: each line well-formed, nothing told twice."""
    seen: set[str] = set()
    for line in text.split("\r\n"):
        code = line.partition("(")[0]
        if not _LINE.fullmatch(line) or (code and code in seen):
            raise ValueError(f"line {line[:60]!r} is broken or told twice")
        seen.add(code)


@lru_cache
def _parser(version: P1Version) -> Any:
    """Return a parser of the lines that a reading needs; the others are under the checksum all the same."""
    from dsmr_parser import telegram_specifications
    from dsmr_parser.parsers import TelegramParser

    whole = cast(dict[str, Any], getattr(telegram_specifications, _SPECIFICATIONS[version]))
    return TelegramParser({**whole, "objects": [one for one in whole["objects"] if _WANTED.fullmatch(one["value_name"])]})
