"""Nothing ticks: an emulated rig that has nothing to do leaves virtual time alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.adapters.clock import LoopClock, VirtualLoop
from bench.adapters.ids import SeededIds
from bench.adapters.journal import open_journal
from bench.rig.compose import open_bench
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import VIRTUAL_EPOCH, Order


def test_an_idle_rig_hardly_wakes_the_loop(tmp_path: Path) -> None:
    """CSMS, OCPI platform, SCSP, station, meters, all idle: fewer than 1,000 iterations per virtual hour."""

    async def iterations_of_an_hour() -> int:
        scenario_path, scenario = find_scenario("scsp-day-ahead")
        rig_path, rig = find_rig("emulated")
        order = Order(scenario, scenario_path, rig, rig_path, tmp_path)
        clock, ids = LoopClock(VIRTUAL_EPOCH), SeededIds(1, "idle")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with open_journal(tmp_path / "journal.jsonl", clock, b"key") as journal:
            async with open_bench(order, clock, journal, ids) as bench:
                station = bench.csms.stations["CS-EMU-1"]
                assert await bench.csms.wait_until(lambda: station.booted is not None, 60)
                await clock.sleep(60)
                before = loop.iterations
                await clock.sleep(3600)
                assert station.online
                return loop.iterations - before

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert 0 < runner.run(iterations_of_an_hour()) < 1000
