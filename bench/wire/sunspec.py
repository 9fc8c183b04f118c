"""Finds a meter in the chain of SunSpec models: "SunS", then [ID, length, data] until ID 0xFFFF.

Source: SunSpec Device Information Model Specification 1.1, section 6 (chain, base addresses); model 1 (common).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.errors import RigError
from bench.wire.registers import text_of

Read = Callable[[int, int], Awaitable[Sequence[int]]]
"""Gives so many holding registers from an address; raises RigError."""
BASES: Final = (40_000, 0, 50_000)
MARK: Final = [0x5375, 0x6E53]
END: Final = 0xFFFF
COMMON: Final = 1
_LENGTHS: Final = {**dict.fromkeys(range(201, 205), 105), **dict.fromkeys(range(211, 215), 124)}
"""Registers of the meter models behind ID and length."""
_MOST_MODELS: Final = 64
"""A chain that does not end is broken."""
_MAKER, _MODEL, _SERIAL = (2, 16), (18, 16), (50, 16)
"""Offset from the ID word, and registers (model 1)."""


@dataclass(frozen=True, slots=True)
class SunSpecMeter:
    """Where a meter's model begins, and what the common model says of the device; empty where it says nothing."""

    model_id: int
    base: int
    """Address of the model's ID word."""
    maker: str = ""
    model: str = ""
    serial_number: str = ""
    serial_at: int = 0
    """Address of the registers of the serial number, where there is one."""
    serial_content: tuple[int, ...] = ()


async def find_meter(read: Read, wanted: Iterable[int]) -> SunSpecMeter:
    """Return the first of these models in the chain. Raises RigError where there is no chain, no such model, or no end."""
    address = await _begin(read)
    told = {"maker": "", "model": "", "serial_number": ""}
    serial_at, content = 0, tuple[int, ...]()
    models, seen = set(wanted), list[int]()
    for _ in range(_MOST_MODELS):
        identity, length = await read(address, 2)
        if identity == END:
            known = ", ".join(map(str, seen)) or "none"
            raise RigError(f"its SunSpec chain has no model {' or '.join(map(str, sorted(models)))}; it has {known}")
        if identity in models:
            if length < _LENGTHS.get(identity, 0) or address + 2 + length > END + 1:
                raise RigError(f"its SunSpec model {identity} at {address} has {length} registers, which cannot be")
            return SunSpecMeter(identity, address, **told, serial_at=serial_at, serial_content=content)
        if identity == COMMON:
            for name, (offset, count) in zip(told, (_MAKER, _MODEL, _SERIAL), strict=True):
                serial_at, content = address + offset, tuple(await read(address + offset, count))
                told[name] = text_of(content, "ascii")
        seen.append(identity)
        address += 2 + length
        if address > END - 1:
            break
    raise RigError("its SunSpec chain has no end")


async def _begin(read: Read) -> int:
    """Return the address behind the mark."""
    reason = ""
    for base in BASES:
        try:
            if list(await read(base, 2)) == MARK:
                return base + 2
        except RigError as error:
            reason = f" ({error})"
    raise RigError(f'no "SunS" at {", ".join(map(str, BASES))}: it is no SunSpec device{reason}')
