"""The shipped register maps: what the emulator writes by them, the bench reads by them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.errors import RigError
from bench.settings.base import load
from bench.settings.meter import MeterMap
from bench.wire.registers import SLOTS, text_of
from bench.wire.sunspec import find_meter
from firmware_sim.register_map import RegisterMap, read_register_map
from tests.support import EPOCH

FILES = sorted((Path(__file__).parents[2] / "config" / "meters").glob("*.toml"))
VALUES = {
    "voltage_l1": 229.5, "voltage_l2": 230.5, "voltage_l3": 231.25, "current_l1": 6.25, "current_l2": 15.5, "current_l3": 0.0,
    "power_l1": 1430.0, "power_l2": 3570.0, "power_l3": -10.0, "power_total": 4990.0, "frequency": 50.0,
    "energy_import": 1_234_000.0, "energy_export": 7000.0,
}  # fmt: skip
FUNCTIONS = {"holding": 3, "input": 4}


def image(found: RegisterMap) -> dict[tuple[int, int], int]:
    """Return all registers of an emulated meter that shows VALUES."""
    written = {}
    for name, register in found.registers.items():
        for place, word in enumerate(register.encode(VALUES[name])):
            written[register.function, register.address + place] = word
    for (function, address), words in found.fixed.items():
        written |= {(function, address + place): word for place, word in enumerate(words)}
    return written


def located(meter_map: MeterMap, content: dict[tuple[int, int], int]) -> MeterMap:
    """Return the map with its place in the chain of models."""
    if meter_map.sunspec is None:
        return meter_map

    async def read(address: int, count: int) -> Sequence[int]:
        if (3, address) not in content:
            raise RigError("illegal data address")
        return [content.get((3, address + place), 0) for place in range(count)]

    meter = asyncio.run(find_meter(read, meter_map.sunspec.models))
    assert meter.serial_number == "10000001"
    return meter_map.at(meter.base)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_the_emulator_writes_the_bench_reads(file: Path) -> None:
    """Each quantity comes back within half a step of its register, from two decoders that share the file alone."""
    found, meter_map = read_register_map(file), load(MeterMap, file)
    content = image(found)
    plan = located(meter_map, content).plan()
    replies = [
        [content.get((FUNCTIONS[block.function], block.address + place), 0) for place in range(block.count)]
        for block in plan.blocks
    ]
    reading = plan.decode(replies, EPOCH, EPOCH)
    assert reading.quality == "ok"
    shown = (
        *reading.voltage_v,
        *reading.current_a,
        *reading.phase_power_w,
        reading.power_w,
        reading.energy_import_wh,
        reading.frequency_hz,
    )
    for name, value in zip(SLOTS, shown, strict=True):
        if name in found.registers:
            register = found.registers[name]
            step = abs(register.scale) if register.encode(register.scale) == register.encode(register.scale * 1.4) else 0.0
            assert value == pytest.approx(VALUES[name], rel=1e-7, abs=step / 2 + 1e-9), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_map_can_be_identified(file: Path) -> None:
    """The probed quantity is mapped, and one request never asks for more registers than the meter is said to have."""
    meter_map = load(MeterMap, file)
    assert meter_map.probe.quantity in meter_map.quantities
    assert meter_map.maker
    assert meter_map.minimum_gap_s >= 0.1


def can_say_nothing(file: Path) -> bool:
    """Say whether the power's register has a content for "no value"."""
    return bool(
        read_register_map(file)
        .registers["power_total" if "sdm120" not in file.stem and "sdm220" not in file.stem else "power_l1"]
        .not_available
    )


@pytest.mark.parametrize("file", [one for one in FILES if can_say_nothing(one)], ids=lambda file: file.stem)
def test_what_is_not_available_is_none(file: Path) -> None:
    """The content by which the emulator says "no value" is no value to the bench."""
    found, meter_map = read_register_map(file), load(MeterMap, file)
    content = image(found)
    register = found.registers["power_total" if "power_total" in found.registers else "power_l1"]
    content |= {(register.function, register.address + place): word for place, word in enumerate(register.not_available)}
    plan = located(meter_map, content).plan()
    replies = [
        [content.get((FUNCTIONS[one.function], one.address + place), 0) for place in range(one.count)] for one in plan.blocks
    ]
    reading = plan.decode(replies, EPOCH, EPOCH)
    assert reading.quality == "incomplete"


@pytest.mark.parametrize("file", [one for one in FILES if load(MeterMap, one).serial_number], ids=lambda file: file.stem)
def test_the_serial_number_is_read_as_it_was_written(file: Path) -> None:
    """The emulated meter's number comes back as text."""
    where = load(MeterMap, file).serial_number
    assert where is not None
    words = read_register_map(file, "20304050").fixed[FUNCTIONS[where.function], where.address]
    assert len(words) == where.count
    assert text_of(words, where.type, where.word_order) == "20304050"


async def test_a_chain_without_a_meter_is_refused() -> None:
    """The message tells which models there are."""
    chain = [0x5375, 0x6E53, 1, 66, *[0] * 66, 103, 50, *[0] * 50, 0xFFFF, 0]

    async def read(address: int, count: int) -> Sequence[int]:
        return chain[address - 40_000 :][:count]

    with pytest.raises(RigError, match="no model 201 or 203; it has 1, 103"):
        await find_meter(read, (201, 203))


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ([203, 50, *[0] * 50, 0xFFFF, 0], "model 203 at 40070 has 50 registers, which cannot be"),
        ([7, 0] * 5000, "has no end"),
        ([103, 25_400, *[0] * 25_400, 203, 105], "model 203 at 65472 has 105 registers, which cannot be"),
    ],
    ids=["short", "endless", "beyond the last register"],
)
async def test_a_chain_that_cannot_be_is_refused(tail: list[int], reason: str) -> None:
    """What a device says of its own registers is believed only as far as it can be true, and it is not asked for ever."""
    chain, asked = [0x5375, 0x6E53, 1, 66, *[0] * 66, *tail], 0

    async def read(address: int, count: int) -> Sequence[int]:
        nonlocal asked
        asked += 1
        return chain[address - 40_000 :][:count]

    with pytest.raises(RigError, match=reason):
        await find_meter(read, (203,))
    assert asked < 100


async def test_a_device_that_is_no_sunspec_device_is_refused() -> None:
    """Other registers at the three places are no chain."""

    async def read(address: int, count: int) -> Sequence[int]:
        if address == 50_000:
            raise RigError("refused with exception 2")
        return [0] * count

    with pytest.raises(RigError, match=r'no "SunS" at 40000, 0, 50000: .*exception 2'):
        await find_meter(read, (203,))
