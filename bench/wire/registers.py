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
RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "acc32", "float32", "float64"]
WordOrder = Literal["big", "little"]

FORMATS: Final[dict[RegisterType, str]] = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "acc32": "I", "float32": "f", "float64": "d",
}  # fmt: skip
"""acc32 is SunSpec's counter: unsigned, 0 where the meter does not have it."""
TextType = Literal["ascii", "uint16", "uint32", "uint64", "bcd", "hex"]
NO_SCALE: Final = 0x8000
"""A scale factor that is not implemented (SunSpec Information Model Specification, sunssf)."""
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
    word_order: WordOrder | None = None
    """None: the meter's."""
    scale_register: int | None = None
    """Address of an int16 with the power of ten that the register is to be multiplied with."""

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
    power_of_ten: tuple[int, int] | None
    """Block and place of the register that holds it."""


class _Pass(NamedTuple):
    """The values of a block that have one word order."""

    block: int
    reversed: bool
    fields: struct.Struct
    slots: tuple[_Slot, ...]


class RegisterPlan:
    """Decodes the replies of a meter by its map."""

    def __init__(self, blocks: Iterable[Block], registers: Iterable[Register], word_order: WordOrder) -> None:
        """Make the plan. Raises ValueError for a register that lies in no block."""
        self.blocks = tuple(blocks)
        known = [register for register in registers if register.quantity in SLOTS]
        self._words = [struct.Struct(f">{block.count}H") for block in self.blocks]
        self._passes: list[_Pass] = []
        placed = [(self._block_of(one), (one.word_order or word_order) == "little", one) for one in known]
        for index, block in enumerate(self.blocks):
            for turned in (False, True):
                here = [one for where, little, one in placed if (where, little) == (index, turned)]
                here.sort(key=lambda one: _offset(one, block, turned))
                if here or not turned:
                    slots = tuple(_slot(one, self._scale_place(one)) for one in here)
                    self._passes.append(_Pass(index, turned, struct.Struct(_format(here, block, turned)), slots))
        self.mapped = len(known)

    def decode(self, replies: Sequence[Sequence[int]], requested: datetime, received: datetime) -> MeterReading:
        """Return the reading that these registers hold, one reply of exactly `count` registers for each block.

        A register without a value gives None and the quality `incomplete`.
        """
        values: list[Any] = [None] * len(SLOTS)
        content = [words.pack(*reply) for words, reply in zip(self._words, replies, strict=True)]
        raw = {block.name: part.hex() for block, part in zip(self.blocks, content, strict=True)}
        for index, turned, fields, slots in self._passes:
            part = self._words[index].pack(*replies[index][::-1]) if turned else content[index]
            for number, (slot, times, over, missing, power_of_ten) in zip(fields.unpack(part), slots, strict=True):
                if not isfinite(number) or number in missing:
                    continue
                if power_of_ten is None:
                    values[slot] = number * times / over
                elif (factor := replies[power_of_ten[0]][power_of_ten[1]]) != NO_SCALE:
                    values[slot] = _shifted(number * times / over, factor)
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

    def _scale_place(self, register: Register) -> tuple[int, int] | None:
        if register.scale_register is None:
            return None
        for index, block in enumerate(self.blocks):
            place = register.scale_register - block.address
            if block.function == register.function and 0 <= place < block.count:
                return index, place
        raise ValueError(f"{register.quantity}: its scale factor lies in no block")


def _offset(register: Register, block: Block, turned: bool) -> int:
    """Return the place of a quantity in its block, counted from the block's end when the low word comes first.

    A block whose registers are reversed holds each value high word first, at the mirrored place.
    """
    offset = register.address - block.address
    return block.count - offset - width(register.kind) if turned else offset


def _format(registers: Sequence[Register], block: Block, turned: bool) -> str:
    form, at = ">", 0
    for register in registers:
        offset = _offset(register, block, turned)
        form += f"{2 * (offset - at)}x{FORMATS[register.kind]}"
        at = offset + width(register.kind)
    return f"{form}{2 * (block.count - at)}x"


def _shifted(number: float, word: int) -> float | None:
    """Return the number times ten to the power of an int16 word, None where that is none of -10 to 10 (SunSpec, sunssf).

    Where it is negative a division keeps decimals exact.
    """
    power = word - 0x10000 if word >= NO_SCALE else word
    if not -10 <= power <= 10:
        return None
    return number * float(10**power) if power >= 0 else number / float(10**-power)


def _slot(register: Register, power_of_ten: tuple[int, int] | None) -> _Slot:
    over = round(1 / register.scale) if 0 < register.scale < 1 else 1
    exact = over > 1 and isclose(over * register.scale, 1.0, rel_tol=1e-12)
    times, divisor = (1.0, float(over)) if exact else (register.scale, 1.0)
    bits = 16 * width(register.kind)
    signed = register.kind.startswith("int")
    missing = frozenset(value - (1 << bits) if signed and value >> (bits - 1) else value for value in register.not_available)
    if register.kind == "acc32":
        missing |= {0}
    return _Slot(SLOTS.index(register.quantity), times, divisor, missing, power_of_ten)


def text_of(registers: Sequence[int], kind: TextType, word_order: WordOrder = "big") -> str:
    """Return a serial number as the meter's plate shows it; empty where the registers hold none (all 0 or all 0xFFFF).

    ascii: two characters in a word, or one in its low byte; what follows a NUL and blanks around it are dropped.
    bcd: four digits in a word; hex: as hexadecimal digits.
    """
    words = registers[::-1] if word_order == "little" else registers
    content = struct.pack(f">{len(words)}H", *words)
    if not content.strip(b"\0") or not content.strip(b"\xff"):
        return ""
    if kind == "ascii":
        if len(content) > 2 and not content[::2].strip(b"\0"):
            content = content[1::2]
        text = content.split(b"\0", 1)[0].decode("ascii", errors="replace")
        return "".join(one for one in text if one.isprintable()).strip()
    if kind == "bcd":
        return content.hex().lstrip("0").upper()
    if kind == "hex":
        return content.hex().upper()
    return str(int.from_bytes(content))
