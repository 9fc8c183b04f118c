"""Procedures on setting charging profiles (K01); the same file runs on the emulated rig and, with --rig, on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run


@pytest.mark.octt("TC_K_11_CS")
@pytest.mark.requirement("K01.FR.16")
async def test_a_tx_profile_on_evse_0_is_refused(run: Run) -> None:
    """A TxProfile for the whole station is refused and limits nobody: the EV goes on under the profile that it had."""
    async with run(title="A TxProfile on EVSE 0 is refused", checks=["power"]) as procedure:
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 10)]) == "Accepted"
        await procedure.wait(30)
        assert await procedure.set_profile([(0, 6)], evse_id=0, profile_id=78, broken=True) != "Accepted"
        assert not await procedure.wait_for_power(below=6000, within=20)


@pytest.mark.octt("TC_K_10_CS")
@pytest.mark.requirement("K01.FR.14")
async def test_a_default_profile_on_evse_0_limits_every_evse(run: Run) -> None:
    """A TxDefaultProfile of the whole station stands before the transaction and limits it from its first second."""
    async with run(title="A TxDefaultProfile on EVSE 0", must_exercise={"limits": 1, "lowerings": 1}) as procedure:
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 16), (60, 8)], purpose="TxDefaultProfile", evse_id=0) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=5000, within=50)
        assert await procedure.wait_for_power(below=6000, within=90)
        await procedure.composite(120, "A")
        await procedure.wait(30)
