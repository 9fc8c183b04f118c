"""The recovery ladder: the gentlest means that brings a station back to where a scenario can begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.adapters.clock import VirtualLoop
from bench.rig.files import find_rig
from bench.rig.session import Order, open_run
from bench.rig.suite import RECOVERY
from bench.runs.procedure import Procedure
from bench.runs.recovery import Rung, recover, what_hinders
from bench.settings.scenario import Fault


def climb(folder: Path, before: Callable[[Procedure], Awaitable[set[int]]], *faults: Fault) -> list[Rung]:
    """Bring the emulated station into a state, and let it be recovered."""

    async def run() -> list[Rung]:
        rig_path, rig = find_rig("emulated")
        async with open_run(Order(RECOVERY, Path("recovery"), rig, rig_path, folder, faults=faults, pages=False)) as opened:
            left = await before(opened.procedure)
            return await recover(opened.procedure, left)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


async def charging(procedure: Procedure) -> set[int]:
    """Let the station charge under a profile, and return the profile's id."""
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()
    await procedure.set_profile([(0, 10)], purpose="TxDefaultProfile", profile_id=77)
    return {77}


def test_nothing_is_done_to_a_station_that_is_ready(tmp_path: Path) -> None:
    """No rung is taken where nothing hinders."""

    async def idle(procedure: Procedure) -> set[int]:
        assert await what_hinders(procedure) == ""
        return set()

    assert climb(tmp_path / "run", idle) == []


def test_a_transaction_is_ended_and_a_profile_cleared(tmp_path: Path) -> None:
    """The ladder stops at the rung after which nothing hinders: no reset where ending and clearing are enough."""
    rungs = climb(tmp_path / "run", charging)
    assert [one.name for one in rungs] == ["end transaction", "clear profiles"]
    assert rungs[0].ready == "profile 77 of an earlier run is installed"
    assert rungs[-1].ready == ""


def test_what_a_clear_does_not_do_the_next_rungs_try(tmp_path: Path) -> None:
    """A station that says Accepted and clears nothing is brought on: replugged, reset, switched off and on."""
    rungs = climb(tmp_path / "run", charging, Fault(id="station.clear-nothing"))
    assert [one.name for one in rungs][:3] == ["end transaction", "clear profiles", "replug"]
    assert rungs[-1].name == "power cycle"
