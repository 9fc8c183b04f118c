"""Register maps of Modbus meters, read from the files that describe them.

A map has `block`s (what may be read in one request: `function`, `address`, `count`) and `quantity` entries (`function` input or
holding, `address`, `type`, `scale`: registers x scale = the quantity in V, A, W, Wh or Hz), and a `word_order`, big or little,
for the file or a quantity. `serial_number` says where that stands. With `sunspec` the addresses count from a model's first
register: the emulated meter then has the whole chain (SunSpec Device Information Model Specification 1.1, section 6).
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FUNCTIONS: Final = {"holding": 3, "input": 4}
_FORMATS: Final = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "acc32": "I", "float32": "f", "float64": "d",
}  # fmt: skip
SERIAL_NUMBER: Final = "10000001"
"""What an emulated meter tells when nothing else is said."""
_SUNSPEC: Final = 40_000
_COMMON_LENGTH: Final = 66
_LENGTHS: Final = {**dict.fromkeys((201, 202, 203, 204), 105), **dict.fromkeys((211, 212, 213, 214), 124)}
_POWERS: Final = {"voltage": -1, "current": -2, "power": 0, "energy": 0, "frequency": -2}
"""Scale factors of an emulated SunSpec meter."""
QUANTITIES: Final = (
    *(f"{what}_l{phase}" for what in ("voltage", "current", "power") for phase in (1, 2, 3)),
    "power_total", "frequency", "energy_import", "energy_export",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Register:
    """Where one quantity stands and how it is written."""

    function: int
    address: int
    count: int
    scale: float
    _format: str
    _little: bool
    not_available: tuple[int, ...] = ()
    """The words by which the meter says that it has no value; empty where it cannot."""

    def encode(self, value: float) -> tuple[int, ...]:
        """Return the registers for a value in V, A, W, Wh or Hz; integers stop at the ends of their range."""
        raw: float | int = value / self.scale
        if self._format not in "fd":
            bits = 16 * self.count
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self._format.islower() else (0, 2**bits - 1)
            raw = min(high, max(low, round(raw))) if math.isfinite(raw) else low
        words = struct.unpack(f">{self.count}H", struct.pack(">" + self._format, raw))
        return words[::-1] if self._little else words


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """All that a meter shows."""

    registers: Mapping[str, Register]
    """By the quantity's name."""
    readable: Mapping[int, tuple[tuple[int, int], ...]]
    """By Modbus function: first address and count of each range, ascending and disjoint."""
    fixed: Mapping[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    """By Modbus function and first address: words that never change (serial number, scale factors, the chain of SunSpec)."""


def read_register_map(path: Path, serial_number: str = SERIAL_NUMBER) -> RegisterMap:
    """Read a register map file. Raises ValueError that names file, key and reason; OSError when it cannot be read."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        fixed: dict[tuple[int, int], tuple[int, ...]] = {}
        base = 0
        if "sunspec" in content:
            identity = int(content["sunspec"]["models"][-1])
            base = _SUNSPEC + 2 + 2 + _COMMON_LENGTH
            fixed |= _chain(content, identity, base, serial_number)
        little = {"big": False, "little": True}[content.get("word_order", "big")]
        registers: dict[str, Register] = {}
        for name, entry in content["quantity"].items():
            registers[name] = _register(name, entry, little, base)
            if "scale_register" in entry:
                power = _POWERS[name.partition("_")[0]]
                fixed[FUNCTIONS[entry["function"]], base + int(entry["scale_register"])] = (power & 0xFFFF,)
        if "serial_number" in content:
            entry = content["serial_number"]
            fixed[FUNCTIONS[entry["function"]], int(entry["address"])] = _written(entry, serial_number)
        ranges: dict[int, list[tuple[int, int]]] = {function: [] for function in FUNCTIONS.values()}
        for block in content.get("block", []):
            ranges[FUNCTIONS[block["function"]]].append((base + int(block["address"]), int(block["count"])))
        for register in registers.values():
            ranges[register.function].append((register.address, register.count))
        for (function, address), words in fixed.items():
            ranges[function].append((address, len(words)))
        return RegisterMap(registers, {key: _union(one) for key, one in ranges.items()}, fixed)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: missing or wrong: {error}") from None


def _register(name: str, entry: Mapping[str, Any], little: bool, base: int) -> Register:
    if name not in QUANTITIES:
        raise KeyError(f"quantity.{name}: unknown; known: {', '.join(QUANTITIES)}")
    if entry["type"] not in _FORMATS:
        raise KeyError(f"quantity.{name}.type = {entry['type']!r}; known: {', '.join(_FORMATS)}")
    code = _FORMATS[entry["type"]]
    count = struct.calcsize(">" + code) // 2
    scale = float(entry.get("scale", 1))
    if "scale_register" in entry:
        scale *= 10.0 ** _POWERS[name.partition("_")[0]]
    little = {"big": False, "little": True}[entry["word_order"]] if "word_order" in entry else little
    absent: tuple[int, ...] = ()
    if code in "fd":
        absent = struct.unpack(f">{count}H", struct.pack(">" + code, math.nan))
    elif entry["type"] == "acc32":
        absent = (0, 0)
    elif entry.get("not_available"):
        absent = struct.unpack(f">{count}H", int(entry["not_available"][0]).to_bytes(2 * count))
    absent = absent[::-1] if little else absent
    return Register(FUNCTIONS[entry["function"]], base + int(entry["address"]), count, scale, code, little, absent)


def _written(entry: Mapping[str, Any], text: str) -> tuple[int, ...]:
    """Return the words of a serial number."""
    count = int(entry["count"])
    match entry["type"]:
        case "ascii":
            content = text.encode("ascii")[: 2 * count].ljust(2 * count, b"\0")
        case "bcd" | "hex":
            content = bytes.fromhex(text.rjust(4 * count, "0")[-4 * count :])
        case _:
            content = (int(text) % (1 << 16 * count)).to_bytes(2 * count)
    words = struct.unpack(f">{count}H", content)
    return words[::-1] if entry.get("word_order") == "little" else words


def _chain(content: Mapping[str, Any], identity: int, base: int, serial_number: str) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return the mark, the common model, the head of the meter's model and the end."""
    common = _SUNSPEC + 2
    texts = ((2, 16, str(content.get("maker") or "Emulated")), (18, 16, f"Model {identity}"), (50, 16, serial_number))
    words = [0] * (2 + _COMMON_LENGTH)
    words[:2] = 1, _COMMON_LENGTH
    for offset, count, text in texts:
        words[offset : offset + count] = _written({"type": "ascii", "count": count}, text)
    length = _LENGTHS[identity]
    holding = FUNCTIONS["holding"]
    return {
        (holding, _SUNSPEC): (0x5375, 0x6E53),
        (holding, common): tuple(words),
        (holding, base): (identity, length),
        (holding, base + 2 + length): (0xFFFF, 0),
    }


def _union(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return overlapping and touching ranges as one, ascending."""
    merged: list[tuple[int, int]] = []
    for address, count in sorted(ranges):
        if merged and address <= sum(merged[-1]):
            first = merged[-1][0]
            merged[-1] = (first, max(sum(merged[-1]), address + count) - first)
        else:
            merged.append((address, count))
    return tuple(merged)
