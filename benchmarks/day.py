"""The day: `scsp-day-ahead` in virtual time, against the same loop doing only as many bare meter polls.

    python benchmarks/day.py [ROUNDS]

The baseline reads the same block of 76 registers from a pymodbus server with constant registers, in virtual time, as often
as the run read its meter: no OCPP, no OCPI, no journal, no judge, no report.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario

REGISTERS = 76
GOAL = 3.0


async def bare_polls(count: int) -> None:
    """Read a block of constant registers so many times, ten virtual seconds apart."""
    data = SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)
    server: Any = ModbusTcpServer(SimDevice(1, simdata=[data]), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    await client.connect()
    for _ in range(count):
        answer = await client.read_input_registers(0, count=REGISTERS, device_id=1)
        assert len(answer.registers) == REGISTERS
        await asyncio.sleep(10)
    client.close()
    await server.shutdown()


def main() -> None:
    """Print the seconds of both and their ratio; exit 1 where the goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    scenario_path, scenario = find_scenario("scsp-day-ahead")
    rig_path, rig = find_rig("emulated")
    days, bares, ratios = [], [], []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            begin = time.perf_counter()
            outcome = run_scenario(Order(scenario, scenario_path, rig, rig_path, out))
            took = time.perf_counter() - begin
            polls = sum(document.kind == "meter.sample" for document in read_journal(out / "journal.jsonl").documents)
        if number == 0:
            print(f"first run of a process, imports included: {took:.2f} s")
            continue
        days.append(took)
        begin = time.perf_counter()
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(bare_polls(polls))
        bares.append(time.perf_counter() - begin)
        ratios.append(days[-1] / bares[-1])
    print(f"verdict {outcome.judgement.verdict.verdict}, {polls} meter polls")
    print(f"bare polls  {statistics.median(bares):6.2f} s")
    ratio = statistics.median(ratios)
    print(f"the day     {statistics.median(days):6.2f} s  {ratio:.2f}x  (goal: at most {GOAL:g}x; aim: 20 s)")
    sys.exit(ratio > GOAL)


if __name__ == "__main__":
    main()
