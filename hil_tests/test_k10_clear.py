"""Procedures on clearing charging profiles (K10); the same file runs on the emulated rig and, with --rig, on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run


@pytest.mark.octt("TC_K_05_CS")
@pytest.mark.requirement("K10.FR.03", "K10.FR.05")
async def test_a_cleared_profile_limits_no_more(run: Run) -> None:
    """Clear a profile by its id while it limits: the store is empty of it, and power rises again at the plug."""
    async with run(title="A profile is cleared by its id") as procedure:
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 8)], profile_id=77) == "Accepted"
        assert await procedure.wait_for_power(below=6000, within=30)
        await procedure.composite(60, "A")
        await procedure.wait(30)
        assert await procedure.clear(77) == "Accepted"
        assert await procedure.report(ids=[77]) == []
        assert await procedure.wait_for_power(above=8000, within=60)
        await procedure.wait(20)
