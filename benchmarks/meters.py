"""What reading meters costs, and how much of an RS-485 bus the bench uses.

    python benchmarks/meters.py [SECONDS]

First: 20 meters on Modbus TCP (76 registers each), ten times per second, their servers in a second process. Measured is the CPU
time of the bench's process as a share of one core, beside the same reads by bare pymodbus, in turns. Exits 1 where the bench
takes 25 % of a core or more.

Second: a bus at 9600 baud (a pty in a second process that takes its time as the wire does), polled as fast as the line allows:
once a single meter that needs 100 ms between a reply and the next request, once three of them. The limit is what wire, the
3.5 characters between frames, turnaround and minimum gap allow; the meters of a bus use one another's gaps. Exits 1 where the
bench reaches 80 % of it or less.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import tty
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any, Final

import orjson
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.modbus import ModbusMeter
from bench.adapters.modbus_line import bits_per_character, frame_gap_s, open_modbus_line
from bench.rig.files import find_rig
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.lines import SerialLine, TcpLine
from bench.settings.meter import load_meter_map
from bench.wire.rtu import crc16

METERS: Final = 20
POLLS_PER_S: Final = 10
REGISTERS: Final = 76
CPU_LIMIT: Final = 0.25
USE_LIMIT: Final = 0.8
GAP_S: Final = 0.1
TURNAROUND_S: Final = 0.02
BUS: Final = SerialLine(kind="serial", baud=9600, drain_s=0.1)
Read = Callable[[], Awaitable[object]]


async def serve_tcp() -> None:
    """Run the meters until stdin ends."""
    registers = SimData(0, count=200, values=0, datatype=DataType.REGISTERS)
    servers = [ModbusTcpServer(SimDevice(1, simdata=[registers]), address=("127.0.0.1", 0)) for _ in range(METERS)]
    for server in servers:
        await server.serve_forever(background=True)
    print(orjson.dumps([server.transport.sockets[0].getsockname()[1] for server in servers]).decode(), flush=True)  # type: ignore[attr-defined]
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        await server.shutdown()  # type: ignore[no-untyped-call]


def serve_bus() -> None:
    """Answer each request after the wire's time and the turnaround, one after the other."""
    master, slave = os.openpty()
    for fd in (master, slave):
        tty.setraw(fd)
    print(orjson.dumps([os.ttyname(slave)]).decode(), flush=True)
    character_s = bits_per_character(BUS) / BUS.baud
    request = b""
    while True:
        request += os.read(master, 8 - len(request))
        if len(request) == 8:
            count = int.from_bytes(request[4:6])
            reply = bytes([request[0], request[1], 2 * count]) + bytes(2 * count)
            time.sleep((len(request) + len(reply) + 2) * character_s + TURNAROUND_S)
            os.write(master, reply + crc16(reply).to_bytes(2, "little"))
            request = b""


@asynccontextmanager
async def surroundings(part: str) -> AsyncIterator[list[Any]]:
    """Run a part of this file in a second process; give what it prints first."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, part, stdout=PIPE, stdin=PIPE)
    assert process.stdout is not None
    try:
        yield orjson.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def share_of_a_core(reads: Sequence[Read], seconds: float) -> float:
    """Read all ten times per second; return CPU seconds per second of this process."""
    loop = asyncio.get_running_loop()
    start, used = loop.time(), time.process_time()

    async def poll(read: Read, number: int) -> None:
        due = start + number / METERS / POLLS_PER_S
        while due < start + seconds:
            await asyncio.sleep(due - loop.time())
            await read()
            due += 1 / POLLS_PER_S

    await asyncio.gather(*(poll(read, number) for number, read in enumerate(reads)))
    return (time.process_time() - used) / (loop.time() - start)


async def tcp_meters(seconds: float) -> bool:
    """Measure the CPU share of bench and bare pymodbus; return whether the bench stays under its limit."""
    rig_path, rig = find_rig("emulated")
    settings = rig.meters["evse1"]
    assert isinstance(settings, ModbusTcpMeter)
    register_map, clock = load_meter_map(rig_path, settings), LoopClock(wall_now())
    async with AsyncExitStack() as opened:
        ports = await opened.enter_async_context(surroundings("tcp"))
        meters, bare = list[Read](), list[Read]()
        for number, port in enumerate(ports):
            line = await opened.enter_async_context(open_modbus_line("", TcpLine(kind="modbus-tcp"), clock, port))
            meters.append(ModbusMeter(f"m{number}", settings, register_map, line).read)
            client = AsyncModbusTcpClient("127.0.0.1", port=port)
            await client.connect()
            opened.callback(client.close)
            bare.append(lambda client=client: client.read_input_registers(0, count=REGISTERS))  # type: ignore[misc]
        shares: dict[str, list[float]] = {"bench": [], "pymodbus": []}
        for _ in range(3):
            for name, reads in (("bench", meters), ("pymodbus", bare)):
                shares[name].append(await share_of_a_core(reads, seconds / 6))
    bench, baseline = median(shares["bench"]), median(shares["pymodbus"])
    print(
        f"{METERS} meters on Modbus TCP at {POLLS_PER_S} Hz: {bench:.1%} of a core (goal: under {CPU_LIMIT:.0%}); "
        f"bare pymodbus {baseline:.1%}, ratio {bench / baseline:.2f}"
    )
    return bench < CPU_LIMIT


async def bus(meters: int, seconds: float) -> bool:
    """Poll the meters of a bus as fast as the line allows; return whether it is used well."""
    wire_s = (8 + 5 + 2 * REGISTERS) * bits_per_character(BUS) / BUS.baud + TURNAROUND_S
    limit = meters / max(meters * (wire_s + frame_gap_s(BUS)), wire_s + GAP_S)
    loop = asyncio.get_running_loop()
    async with surroundings("bus") as (device,), open_modbus_line("bus", BUS, LoopClock(wall_now()), device) as line:
        await line.read(1, "input", 0, 1)
        start, polls = loop.time(), 0

        async def poll(unit: int) -> None:
            nonlocal polls
            while loop.time() < start + seconds:
                await line.read(unit, "input", 0, REGISTERS, gap_s=GAP_S)
                polls += loop.time() < start + seconds

        await asyncio.gather(*(poll(unit) for unit in range(1, meters + 1)))
        rate = polls / seconds
    print(
        f"bus at {BUS.baud} baud, {meters} meter{'s' * (meters > 1)}, {REGISTERS} registers, gap {GAP_S * 1000:g} ms: "
        f"{rate:.2f} polls/s of {limit:.2f} that wire and gap allow, {rate / limit:.1%} (goal: over {USE_LIMIT:.0%})"
    )
    return rate > USE_LIMIT * limit


async def measure(seconds: float) -> bool:
    """Measure all; return whether every goal is reached."""
    return all([await tcp_meters(seconds), await bus(1, seconds / 3), await bus(3, seconds / 3)])


def main() -> None:
    """Print what was measured; exit 1 where a goal is missed."""
    if sys.argv[1:2] == ["tcp"]:
        asyncio.run(serve_tcp())
    elif sys.argv[1:2] == ["bus"]:
        serve_bus()
    else:
        sys.exit(not asyncio.run(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 30)))


if __name__ == "__main__":
    main()
