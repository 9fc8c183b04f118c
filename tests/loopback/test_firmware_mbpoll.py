"""An independent Modbus master, mbpoll, reads every meter of config/meters over TCP and over RTU, to the last digit."""

from __future__ import annotations

import asyncio
import struct
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from firmware_sim.clock import RealClock
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.line import ModbusBus, open_pty, open_tcp
from firmware_sim.instruments.modbus import Device, RtuFraming, TcpFraming, Wire
from firmware_sim.register_map import Register, read_register_map
from tests.support_bus import meter

MAPS = sorted((Path(__file__).parents[2] / "config" / "meters").glob("*.toml"))
MOST = 100
TABLES = {3: "4", 4: "3"}
"""mbpoll's number of the table by the function code."""


@asynccontextmanager
async def open_lines() -> AsyncIterator[dict[str, list[str]]]:
    """Put every mapped meter, as units 1, 2 …, on a TCP line and on an RTU line; yield mbpoll's arguments for each."""
    clock = RealClock()
    devices: dict[int, Device] = {unit: meter(clock, path.stem, path) for unit, path in enumerate(MAPS, 1)}
    async with AsyncExitStack() as stack:
        wire = Wire.serial(115_200, "N", 1, 0.0)
        rtu = await stack.enter_async_context(open_pty(ModbusBus(devices, RtuFraming(), clock, FaultSeam(), wire)))
        tcp = await stack.enter_async_context(
            open_tcp(ModbusBus(devices, TcpFraming(), clock, FaultSeam()), host="127.0.0.1", port=0)
        )
        yield {"tcp": ["-m", "tcp", "-p", str(tcp), "127.0.0.1"], "rtu": ["-m", "rtu", "-b", "115200", "-P", "none", rtu]}


async def poll(line: list[str], unit: int, kind: str, address: int, count: int = 1, *, big: bool = False) -> list[str]:
    """Return what mbpoll shows, one text per value."""
    arguments = ["-a", str(unit), "-t", kind, "-r", str(address + 1), "-c", str(count), *(["-B"] if big else []), "-1", "-q"]
    process = await asyncio.create_subprocess_exec("mbpoll", *arguments, *line, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return [row.partition("]:")[2].split()[0] for row in output.decode().splitlines() if row.startswith("[")]


def in_figures(register: Register, kind: str, value: float) -> str:
    """Return a value as mbpoll shows it."""
    raw = value / register.scale
    return f"{struct.unpack('f', struct.pack('f', raw))[0]:g}" if kind == "float32" else str(round(raw))


@pytest.mark.outside("mbpoll")
@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_an_independent_master_reads_each_register(transport: str) -> None:
    """All registers of all quantities, bit by bit, as the truth has them."""
    async with open_lines() as lines:
        for unit, path in enumerate(MAPS, 1):
            shown = meter(RealClock(), path=path).values()
            registers = read_register_map(path)
            content: dict[tuple[int, int], str] = {}
            for function, ranges in registers.readable.items():
                for first, count in ranges:
                    for at in range(first, first + count, MOST):
                        words = await poll(lines[transport], unit, f"{TABLES[function]}:hex", at, min(MOST, first + count - at))
                        content |= {(function, at + index): word for index, word in enumerate(words)}
            for name, one in registers.registers.items():
                found = [content.get((one.function, one.address + index)) for index in range(one.count)]
                assert found == [f"0x{word:04X}" for word in one.encode(shown[name])], f"{path.stem}: {name}"


@pytest.mark.outside("mbpoll")
@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_an_independent_master_shows_the_same_figures(transport: str) -> None:
    """Its own reading of 32-bit integers and floats, with the word order that the map's file tells."""
    kinds = {"float32": "float", "int32": "int", "uint32": "int"}
    async with open_lines() as lines:
        for unit, path in enumerate(MAPS, 1):
            content, registers = tomllib.loads(path.read_text()), read_register_map(path).registers
            shown = meter(RealClock(), path=path).values()
            for name in ("power_total", "voltage_l3", "energy_import"):
                entry = content["quantity"].get(name, {})
                if entry.get("type") in kinds:
                    one, big = registers[name], entry.get("word_order", content.get("word_order", "big")) == "big"
                    kind = f"{TABLES[one.function]}:{kinds[entry['type']]}"
                    figures = await poll(lines[transport], unit, kind, one.address, big=big)
                    assert figures == [in_figures(one, entry["type"], shown[name])], f"{path.stem}: {name}"
