"""Register maps of Modbus meters, read from the files that describe them.

A map has `block`s (what may be read in one request: `function`, `address`, `count`) and `quantity` entries (`function` input or
holding, `address`, `type`, `scale`: registers x scale = the quantity in V, A, W, Wh or Hz), and a `word_order`, big or little.
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FUNCTIONS: Final = {"holding": 3, "input": 4}
_FORMATS: Final = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
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


def read_register_map(path: Path) -> RegisterMap:
    """Read a register map file. Raises ValueError that names file, key and reason; OSError when it cannot be read."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        little = {"big": False, "little": True}[content.get("word_order", "big")]
        registers = {name: _register(name, entry, little) for name, entry in content["quantity"].items()}
        ranges: dict[int, list[tuple[int, int]]] = {function: [] for function in FUNCTIONS.values()}
        for block in content.get("block", []):
            ranges[FUNCTIONS[block["function"]]].append((int(block["address"]), int(block["count"])))
        for register in registers.values():
            ranges[register.function].append((register.address, register.count))
        return RegisterMap(registers, {key: _union(one) for key, one in ranges.items()})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: missing or wrong: {error}") from None


def _register(name: str, entry: Mapping[str, Any], little: bool) -> Register:
    if name not in QUANTITIES:
        raise KeyError(f"quantity.{name}: unknown; known: {', '.join(QUANTITIES)}")
    if entry["type"] not in _FORMATS:
        raise KeyError(f"quantity.{name}.type = {entry['type']!r}; known: {', '.join(_FORMATS)}")
    code = _FORMATS[entry["type"]]
    scale = float(entry.get("scale", 1))
    return Register(FUNCTIONS[entry["function"]], int(entry["address"]), struct.calcsize(">" + code) // 2, scale, code, little)


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
