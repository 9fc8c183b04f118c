"""A run that is killed leaves the station as it happens to be; `bench restore` gives back what was found before it."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SystemIds
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.rig.files import find_rig
from tests.support import MemoryJournal

ROOT = Path(__file__).parents[2]
STATION = "CS-EMU-1"
KILLS = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 1
MOVING = ("DateTime", "AvailabilityState")
"""What a device model tells of the present moment."""
RELAY = """
[lines.supply]
kind = "modbus-tcp"
port = 9300
[actuators.contactor]
kind = "modbus-relay"
line = "supply"
watchdog_s = 2.0
"""
SCENARIO = """
schema = 1
name = "touches-everything"
title = "Touches all that a restoration gives back"
duration_s = 3
proof = "none"
checks = ["installed"]
[[step]]
at_s = 0
do = "set_variable"
name = "TxCtrlr.EVConnectionTimeOut"
value = "77"
[[step]]
at_s = 0.1
do = "set_profile"
purpose = "TxDefaultProfile"
stack_level = 3
periods = [[0, 10]]
[[step]]
at_s = 0.2
do = "demand"
amperes = 16
[[step]]
at_s = 0.2
do = "plug"
[[step]]
at_s = 0.3
do = "authorise"
[[step]]
at_s = 0.5
do = "set_profile"
periods = [[0, 12], [1, 8]]
[[step]]
at_s = 0.6
do = "clear"
id = 501
[[step]]
at_s = 0.7
do = "set_variable"
name = "SampledDataCtrlr.TxUpdatedInterval"
value = "11"
[[step]]
at_s = 0.8
do = "clear"
[[step]]
at_s = 1.5
do = "report"
"""


def free_port() -> int:
    """Return a port that nobody has, and that no connection gets by chance before the bench listens on it."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)  # below what Linux gives to whoever asks for any
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


@contextmanager
def station(folder: Path, *more: str) -> Iterator[Path]:
    """Run the emulated station as a process of its own; gives the rig file that reaches it.

    Args: more: arguments; with a relay board the rig has it for its contactor.
    """
    csms = free_port()
    command = [sys.executable, "-m", "firmware_sim", "--csms", f"ws://127.0.0.1:{csms}/ocpp", "--control", "0", *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            ports = [process.stdout.readline().strip().rpartition(":")[2] for _ in range(4 if "--relay-port" in more else 3)]
            text = (ROOT / "config/rigs/two-processes.toml").read_text().replace("../meters", str(ROOT / "config/meters"))
            if "--relay-port" in more:
                text = text.replace('kind = "http"', 'kind = "http"\ncontactor = false') + RELAY
            for old, new in zip(("9000", "9100", "9200", "9201", "9300"), (str(csms), *ports), strict=False):
                text = text.replace(old, new)
            text = text.replace('name = "two-processes"', f'name = "station-{csms}"')  # one run at a time on a rig
            (folder / "rig.toml").write_text(text)
            (folder / "scenario.toml").write_text(SCENARIO)
            yield folder / "rig.toml"
        finally:
            process.kill()


@asynccontextmanager
async def csms_for(rig_path: Path) -> AsyncIterator[Csms]:
    """Be the station's CSMS for a moment, apart from any run."""
    rig = find_rig(str(rig_path))[1]
    csms = Csms(LoopClock(wall_now()), MemoryJournal(), SystemIds(), rig)
    async with open_ocpp_server(rig, csms.attach, csms.knock, virtual=False, folder=rig_path.parent):
        assert await csms.wait_until(lambda: csms.stations[STATION].online, 60)
        await csms.wait_until(lambda: csms.stations[STATION].booted is not None, 1)
        yield csms
        await csms.close()


async def holdings(csms: Csms) -> dict[str, Any]:
    """Return what the station holds: profiles by id, and its whole device model but for what moves by itself."""
    profiles = await csms.installed_profiles(STATION)
    told = await csms.device.base_report(STATION, "FullInventory")
    return {
        "profiles": sorted((one["evse_id"], str(sorted(one["profile"].items()))) for one in profiles),
        "variables": sorted(str(one) for one in told if one.variable not in MOVING),
    }


async def furnish(csms: Csms) -> None:
    """Install what a station could hold before the bench comes: a station maximum and a default with validTo."""
    for identity, purpose, unit in ((500, "ChargingStationMaxProfile", "W"), (501, "TxDefaultProfile", "A")):
        schedule = {"id": identity, "startSchedule": "2026-01-01T00:00:00Z", "chargingRateUnit": unit,
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9000 if unit == "W" else 14.5}]}  # fmt: skip
        profile = {"id": identity, "stackLevel": 1, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute",
                   "validTo": "2100-01-01T00:00:00Z", "chargingSchedule": [schedule]}  # fmt: skip
        answer = await csms.call(STATION, "SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        assert answer["status"] == "Accepted"


def bench(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the bench in a folder, where its runs are kept."""
    command = [sys.executable, "-m", "bench", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip


def written(journal: Path) -> int:
    """Return how many documents a journal has so far."""
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


async def kill_after(process: subprocess.Popen[str], journal: Path, documents: int) -> None:
    """Kill a run as soon as its journal has so many documents; one that ends before that has ended by itself."""
    while process.poll() is None:
        if written(journal) >= documents:
            break
        await asyncio.sleep(0.002)
    process.kill()
    await asyncio.to_thread(process.communicate)


async def test_restore_gives_back_what_a_killed_run_found(tmp_path: Path) -> None:
    """Killed at any moment, also several times in a row: store and device model are again what they were before."""
    chance = random.Random(int(os.environ.get("RESTORE_SEED", "7")))
    with station(tmp_path) as rig:
        async with csms_for(rig) as csms:
            await furnish(csms)
            before = await holdings(csms)
        for number in range(KILLS):
            for again in range(1 if KILLS == 1 else chance.choice((1, 1, 2))):
                run = f"runs/{number:02}-{again}"
                process = bench(tmp_path, "run", "scenario.toml", "--rig", "rig.toml", "--quiet", "--out", run)
                await kill_after(process, tmp_path / run / "journal.jsonl", chance.randint(55 if KILLS == 1 else 8, 150))
            restoring = bench(tmp_path, "restore", "rig.toml")
            said, _ = await asyncio.to_thread(restoring.communicate)
            assert restoring.returncode == 0, said
            async with csms_for(rig) as csms:
                assert await holdings(csms) == before, said


def test_nothing_unfinished_is_nothing_to_restore(tmp_path: Path) -> None:
    """Exit code 0, and no station is waited for."""
    process = bench(tmp_path, "restore", str(ROOT / "config/rigs/two-processes.toml"))
    said, _ = process.communicate()
    assert (process.returncode, said.startswith("nothing to restore")) == (0, True)


@pytest.mark.parametrize(
    ("rig", "more", "reason"),
    [("emulated", (), "lives within a run"), ("two-processes", ("--run", "nowhere"), "is no run")],
)
def test_a_wrong_order_to_restore_is_refused(tmp_path: Path, rig: str, more: tuple[str, ...], reason: str) -> None:
    """Exit code 2, and a reason."""
    process = bench(tmp_path, "restore", str(ROOT / f"config/rigs/{rig}.toml"), *more)
    said, _ = process.communicate()
    assert (process.returncode, reason in said) == (2, True)
