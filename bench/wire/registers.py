"""Registers of a meter to quantities: a plan is made once for a register map and then decodes a reading in microseconds.

Source for the types and their order: MODBUS Application Protocol V1.1b3, 4.3 (registers are big-endian 16-bit words); the order
of the words of a longer type is the maker's choice and stands in the map.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isclose, isfinite
from typing import Any, Final, Literal, NamedTuple

from bench.domain.meter import MeterReading

Function = Literal["input", "holding"]
RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
WordOrder = Literal["big", "little"]

FORMATS: Final[dict[RegisterType, str]] = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
SLOTS: Final = (
    "voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
    "power_l1", "power_l2", "power_l3", "power_total", "energy_import", "frequency",
)  # fmt: skip
"""The quantities of a reading; any other quantity of a map stays in the raw registers."""


def width(kind: RegisterType) -> int:
    """Return how many registers a type takes."""
    return struct.calcsize(FORMATS[kind]) // 2


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are read by one request: `count` from `address` (0-based, as in the PDU)."""

    function: Function
    address: int
    count: int

    @property
    def name(self) -> str:
        """Return the name under which a journal keeps the raw registers."""
        return f"{self.function}:0x{self.address:04X}"


@dataclass(frozen=True, slots=True)
class Register:
    """Where one quantity stands. Value = register times `scale`, in V, A, W, Wh or Hz."""

    quantity: str
    function: Function
    address: int
    kind: RegisterType
    scale: float = 1.0
    not_available: tuple[int, ...] = ()
    """Raw contents, as unsigned integers, by which the meter says that it has no value; NaN always says so."""

    def inside(self, block: Block) -> bool:
        """Return whether this block covers the quantity wholly."""
        end = self.address + width(self.kind)
        return self.function == block.function and block.address <= self.address and end <= block.address + block.count


class _Slot(NamedTuple):
    """How a decoded number becomes a value of the reading. A scale of 1/n divides, so that 2305 tenths are 230.5 and no more."""

    slot: int
    times: float
    over: float
    missing: frozenset[int]


class RegisterPlan:
    """Decodes the replies of a meter by its map."""

    def __init__(self, blocks: Iterable[Block], registers: Iterable[Register], word_order: WordOrder) -> None:
        """Make the plan. Raises ValueError for a register that lies in no block."""
        self.blocks = tuple(blocks)
        known = [register for register in registers if register.quantity in SLOTS]
        self._reversed = word_order == "little"
        self._words = [struct.Struct(f">{block.count}H") for block in self.blocks]
        self._fields: list[struct.Struct] = []
        found: list[Register] = []
        for index, block in enumerate(self.blocks):
            here = [one for one in known if self._block_of(one) == index]
            here.sort(key=lambda one: self._offset(one, block))
            self._fields.append(struct.Struct(self._format(here, block)))
            found += here
        self._slots = [_slot(register) for register in found]
        self.mapped = len(found)

    def decode(self, replies: Sequence[Sequence[int]], requested: datetime, received: datetime) -> MeterReading:
        """Return the reading that these registers hold, one reply of exactly `count` registers for each block.

        A register without a value gives None and the quality `incomplete`.
        """
        numbers: list[float] = []
        values: list[Any] = [None] * len(SLOTS)
        raw: dict[str, str] = {}
        for block, words, fields, reply in zip(self.blocks, self._words, self._fields, replies, strict=True):
            content = words.pack(*reply)
            raw[block.name] = content.hex()
            numbers += fields.unpack(words.pack(*reply[::-1]) if self._reversed else content)
        for number, (slot, times, over, missing) in zip(numbers, self._slots, strict=True):
            if isfinite(number) and number not in missing:
                values[slot] = number * times / over
        return MeterReading(
            requested=requested,
            received=received,
            voltage_v=tuple(values[0:3]),
            current_a=tuple(values[3:6]),
            power_w=values[9],
            phase_power_w=tuple(values[6:9]),
            energy_import_wh=values[10],
            frequency_hz=values[11],
            registers=raw,
            quality="ok" if len(values) - values.count(None) == self.mapped else "incomplete",
        )

    def _block_of(self, register: Register) -> int:
        for index, block in enumerate(self.blocks):
            if register.inside(block):
                return index
        raise ValueError(f"{register.quantity} lies in no block")

    def _offset(self, register: Register, block: Block) -> int:
        """Return the place of a quantity in its block, counted from the block's end when the low word comes first.

        A block whose registers are reversed holds each value high word first, at the mirrored place.
        """
        offset = register.address - block.address
        return block.count - offset - width(register.kind) if self._reversed else offset

    def _format(self, registers: Sequence[Register], block: Block) -> str:
        form, at = ">", 0
        for register in registers:
            offset = self._offset(register, block)
            form += f"{2 * (offset - at)}x{FORMATS[register.kind]}"
            at = offset + width(register.kind)
        return f"{form}{2 * (block.count - at)}x"


def _slot(register: Register) -> _Slot:
    over = round(1 / register.scale) if 0 < register.scale < 1 else 1
    exact = over > 1 and isclose(over * register.scale, 1.0, rel_tol=1e-12)
    times, divisor = (1.0, float(over)) if exact else (register.scale, 1.0)
    bits = 16 * width(register.kind)
    signed = register.kind.startswith("int")
    missing = frozenset(value - (1 << bits) if signed and value >> (bits - 1) else value for value in register.not_available)
    return _Slot(SLOTS.index(register.quantity), times, divisor, missing)
