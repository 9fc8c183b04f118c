"""Procedures on TxProfiles: the same file runs on the emulated rig and, with --rig, on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run

SESSION = ["delivery", "meter_values", "transactions", "status", "time", "energy"]
"""What any session has to show, beside the limit."""


@pytest.mark.requirement("K01.FR.07")
async def test_station_follows_a_lowered_limit(run: Run) -> None:
    """Lower the limit twice while charging: power settles under it each time, and the station reports it so."""
    async with run("lowered-limit", watch=SESSION) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        await procedure.wait(10)
        assert await procedure.set_profile([(0, 12), (20, 8), (40, 0)], unit="A") == "Accepted"
        await procedure.composite(60, "A")
        await procedure.wait(60)
