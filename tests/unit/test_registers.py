"""Registers to quantities, on vectors worked by hand."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.domain.meter import MeterReading
from bench.wire.registers import FORMATS, Block, Register, RegisterPlan, RegisterType, WordOrder, width
from tests.support import EPOCH

BLOCK = Block("input", 0x10, 8)


def decode(registers: Sequence[Register], content: Sequence[int], word_order: WordOrder = "big") -> MeterReading:
    """Decode one block of eight registers from 0x10, padded with a pattern that no test expects to see."""
    padded = [*content, *[0xDEAD] * (8 - len(content))]
    return RegisterPlan([BLOCK], registers, word_order).decode([padded], EPOCH, EPOCH)


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [
        ("int16", [0xFFFE], -2),
        ("uint16", [0xFFFE], 65534),
        ("int32", [0xFFFF, 0xFFFE], -2),
        ("uint32", [0x0001, 0x0002], 65538),
        ("int64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2),
        ("uint64", [0x0000, 0x0001, 0x0000, 0x0002], 4294967298),
        ("float32", [0x4366, 0x8000], 230.5),  # 2^7 * 1.80078125
        ("float64", [0x406C, 0xD000, 0x0000, 0x0000], 230.5),
    ],
)
@pytest.mark.parametrize("word_order", ["big", "little"])
def test_each_type_in_each_word_order(
    kind: RegisterType, content: list[int], value: float, word_order: WordOrder
) -> None:
    """The same number stands high word first or low word first; bytes inside a word never change places."""
    words = content if word_order == "big" else content[::-1]
    reading = decode([Register("power_total", "input", 0x10, kind)], words, word_order)
    assert reading.power_w == value


def test_values_land_at_their_own_offsets_when_the_low_word_comes_first() -> None:
    """A little-endian block is decoded in one go: neighbours of different width keep apart."""
    registers = [
        Register("voltage_l1", "input", 0x11, "int32", 0.1),
        Register("frequency", "input", 0x13, "uint16", 0.1),
        Register("power_total", "input", 0x14, "int32", 0.1),
    ]
    reading = decode(registers, [0xBEEF, 0x0901, 0x0000, 0x01F3, 0xFFFF, 0xFFFF], "little")
    assert (reading.voltage_v[0], reading.frequency_hz, reading.power_w) == (230.5, 49.9, -0.1)


def test_a_scale_of_a_tenth_gives_decimal_values() -> None:
    """2307 * 0.1 is 230.70000000000002 in binary; 2307 / 10 is what the meter meant."""
    reading = decode([Register("voltage_l2", "input", 0x10, "uint16", 0.1)], [2307])
    assert reading.voltage_v == (None, 230.7, None)


def test_a_scale_above_one_multiplies() -> None:
    """Registers in kWh become Wh."""
    reading = decode([Register("energy_import", "input", 0x10, "float32", 1000)], [0x3FC0, 0x0000])
    assert reading.energy_import_wh == 1500.0


def test_a_negative_scale_turns_the_sign() -> None:
    """A meter that counts export positive is mapped to import positive."""
    reading = decode([Register("power_total", "input", 0x10, "int16", -10)], [0xFFFF])
    assert reading.power_w == 10


@pytest.mark.parametrize("content", [[0x7FC0, 0x0000], [0xFFC0, 0x0001], [0x7F80, 0x0000], [0xFF80, 0x0000]])
def test_a_float_that_is_no_number_is_none(content: list[int]) -> None:
    """NaN and the infinities are absence, never a value and never zero."""
    reading = decode([Register("power_total", "input", 0x10, "float32")], content)
    assert reading.power_w is None
    assert reading.quality == "incomplete"


@pytest.mark.parametrize(
    ("kind", "sentinel", "content"),
    [
        ("int16", 0x8000, [0x8000]),
        ("int32", 0x7FFFFFFF, [0x7FFF, 0xFFFF]),
        ("int32", 0x80000000, [0x8000, 0x0000]),
        ("uint32", 0xFFFFFFFF, [0xFFFF, 0xFFFF]),
        ("uint64", 0xFFFFFFFFFFFFFFFF, [0xFFFF] * 4),
    ],
)
def test_a_sentinel_is_none(kind: RegisterType, sentinel: int, content: list[int]) -> None:
    """A map writes a sentinel as the raw content, also where the type is signed."""
    reading = decode([Register("power_total", "input", 0x10, kind, not_available=(sentinel,))], content)
    assert reading.power_w is None


def test_a_quantity_without_a_register_is_none_and_lowers_no_quality() -> None:
    """A meter without frequency is complete as it is."""
    reading = decode([Register("current_l1", "input", 0x10, "uint16", 0.001)], [16000])
    assert reading.current_a == (16.0, None, None)
    assert (reading.frequency_hz, reading.quality) == (None, "ok")


@pytest.mark.parametrize(("power", "watts"), [(2, 700.0), (0xFFFF, 0.7), (10, 7e10), (11, None), (0x8000, None)])
def test_a_scale_register_is_a_power_of_ten(power: int, watts: float | None) -> None:
    """-10 to 10; anything else is no scale factor, and the value is none (SunSpec, sunssf)."""
    reading = decode([Register("power_total", "input", 0x10, "int16", scale_register=0x11)], [7, power])
    assert (reading.power_w, reading.quality) == (watts, "ok" if watts is not None else "incomplete")


def test_a_sunspec_counter_of_nought_is_none() -> None:
    """acc32: 0 where the meter does not count."""
    register = Register("energy_import", "input", 0x10, "acc32")
    assert [decode([register], [0, count]).energy_import_wh for count in (0, 1)] == [None, 1.0]


def test_raw_registers_are_kept_as_read() -> None:
    """The journal keeps the words in the order of the wire, by block, so that they can be decoded again."""
    reading = decode([Register("power_total", "input", 0x10, "int32")], [1, 0xABCD], "little")
    assert reading.registers == {"input:0x0010": "0001abcd" + "dead" * 6}


def test_quantities_of_two_blocks() -> None:
    """A meter with holding and input registers is read in two requests and decoded into one reading."""
    blocks = [Block("input", 0, 1), Block("holding", 0, 2)]
    registers = [Register("energy_import", "holding", 0, "uint32", 10), Register("power_total", "input", 0, "int16")]
    reading = RegisterPlan(blocks, registers, "big").decode([[7], [0, 3]], EPOCH, EPOCH)
    assert (reading.power_w, reading.energy_import_wh) == (7, 30)
    assert list(reading.registers) == ["input:0x0000", "holding:0x0000"]


def test_a_register_outside_all_blocks_is_refused() -> None:
    """A quantity that no request reads can have no value."""
    with pytest.raises(ValueError, match="power_total lies in no block"):
        RegisterPlan([BLOCK], [Register("power_total", "input", 0x17, "int32")], "big")


@given(
    kind=st.sampled_from(sorted(set(FORMATS) - {"acc32"})),
    offset=st.integers(0, 4),
    content=st.lists(st.integers(0, 0xFFFF), min_size=8, max_size=8),
    word_order=st.sampled_from(["big", "little"]),
)
def test_any_content_decodes_as_its_words_read_one_by_one(
    kind: RegisterType, offset: int, content: list[int], word_order: WordOrder
) -> None:
    """Differential: the plan for a whole block agrees with the textbook decoding of the one value."""
    reading = decode([Register("power_total", "input", 0x10 + offset, kind)], content, word_order)
    words = content[offset : offset + width(kind)]
    ordered = words if word_order == "big" else words[::-1]
    (value,) = struct.unpack(f">{FORMATS[kind]}", b"".join(word.to_bytes(2, "big") for word in ordered))
    expected = float(value) if math.isfinite(value) else None
    assert reading.power_w == expected
