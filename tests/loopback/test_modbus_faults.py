"""A line on which everything goes wrong gives not one wrong value."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.modbus_line import ModbusLine, open_modbus_line
from bench.errors import RigError
from bench.settings.lines import SerialLine
from tests.rtu_bus import UNITS, Saying, answer, register, rtu_bus, with_crc
from tests.support import EPOCH

READS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 2_000
TIMEOUT_S = DRAIN_S = 0.2
LINE = SerialLine(kind="serial", baud=115_200, timeout_s=TIMEOUT_S, drain_s=DRAIN_S)
FAULTS = ("late", "stray", "tail", "crc", "truncated", "silent", "chopped", "shorter", "longer", "other unit", "other function",
          "noise", "exception", "twice")  # fmt: skip
MUCH_LATER = ("much later", "truncated", "silent", "twice")
"""A device that falls behind by more than the line's silence; it knows its own address."""


class Mischief:
    """Answers soundly half of the time; else with one of the faults."""

    def __init__(self, chance: random.Random, faults: Sequence[str]) -> None:
        self._chance, self._faults = chance, faults
        self.done = Counter[str]()

    def __call__(self, request: bytes) -> Saying:
        fault = self._chance.choice(self._faults) if self._chance.random() < 0.5 else "none"
        self.done[fault] += 1
        return self._says(fault, request, answer(request))

    def _says(self, fault: str, request: bytes, reply: bytes) -> Saying:
        chance = self._chance
        match fault:
            case "late":
                return [(TIMEOUT_S + chance.uniform(0.001, 0.95) * DRAIN_S, reply)]
            case "much later":
                return [(chance.uniform(1, 6) * (TIMEOUT_S + DRAIN_S), reply)]
            case "stray":
                return [(0.0, bytes(chance.choices((0x00, 0xFF, 0xFE, request[0], request[1]), k=chance.randint(1, 4))) + reply)]
            case "tail":
                return [(0.0, reply + bytes([chance.choice((0x00, 0xFF))]))]
            case "crc":
                at = chance.randrange(len(reply))
                return [(0.0, reply[:at] + bytes([reply[at] ^ 1 << chance.randrange(8)]) + reply[at + 1 :])]
            case "truncated":
                return [(0.0, reply[: chance.randrange(1, len(reply))])]
            case "silent":
                return []
            case "chopped":
                return [(0.002, reply[at : at + 3]) for at in range(0, len(reply), 3)]
            case "shorter" | "longer":
                count = int.from_bytes(request[4:6]) + (1 if fault == "longer" else -1)
                return [(0.0, answer(request[:4] + count.to_bytes(2)))]
            case "other unit":
                return [(0.0, answer(bytes([3 - request[0]]) + request[1:]))]
            case "other function":
                return [(0.0, answer(request[:1] + bytes([7 - request[1]]) + request[2:]))]
            case "noise":
                return [(0.0, chance.randbytes(chance.randint(1, 300)))]
            case "exception":
                return [(0.0, with_crc(bytes([request[0], request[1] | 0x80, 6])))]
            case "twice":
                return [(0.0, reply + reply)]
        return [(chance.uniform(0, 0.9) * TIMEOUT_S, reply)]


async def reader(line: ModbusLine, unit: int, reads: int, chance: random.Random) -> Counter[str]:
    """Read registers of a unit, giving up on some of the readings before they are over; count how they ended."""
    ended = Counter[str]()
    for _ in range(reads):
        function, code = chance.choice((("input", 4), ("holding", 3)))
        address, count = chance.randrange(0x700), chance.choice((2, 38))
        patience = chance.uniform(0, 2 * TIMEOUT_S) if chance.random() < 0.15 else None
        try:
            async with asyncio.timeout(patience):
                reply = await line.read(unit, function, address, count)  # type: ignore[arg-type]
        except TimeoutError:
            ended["given up"] += 1
        except RigError:
            ended["error"] += 1
        else:
            ended["read"] += 1
            assert reply.registers == tuple(register(unit, code, address + number) for number in range(count))
    return ended


@pytest.mark.virtual
@pytest.mark.parametrize(("faults", "sound"), [(FAULTS, 0.2), (MUCH_LATER, 0.1)], ids=["all", "much later"])
async def test_no_fault_of_the_line_makes_a_wrong_value(faults: Sequence[str], sound: float) -> None:
    """Late, cut, garbled, doubled, misdirected replies and readers who give up: each reading is right, or none."""
    chance = random.Random(int(os.environ.get("LINE_SEED", "4")))
    mischief = Mischief(chance, faults)
    async with rtu_bus(mischief) as bus, open_modbus_line("bus", LINE, LoopClock(EPOCH), bus.device) as line:
        counts = await asyncio.gather(*(reader(line, unit, READS // len(UNITS), chance) for unit in UNITS))
    ended = sum(counts, Counter[str]())
    assert ended.total() == READS
    assert min(ended["read"], ended["error"]) > READS * sound
    assert ended["given up"] > READS / 50
    assert set(mischief.done) == {"none", *faults}
