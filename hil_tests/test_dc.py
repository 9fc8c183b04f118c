"""Procedures on a DC station; the same file runs on `--rig emulated-dc` and, with --rig, on hardware.

The meter stands in the AC supply: it sees W, converter losses included, and not the current at the EV. So only limits in W are
put to the test by the meter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

TWO = {"limits": 2, "lowerings": 2}


async def charge(procedure: Procedure) -> None:
    """Let a DC EV charge with more than 20 kW."""
    await procedure.needs(current_type="DC", unit="W")
    await procedure.demand(60)
    await procedure.plug()
    await procedure.authorise()
    assert await procedure.wait_for_power(above=20_000, within=60)


@pytest.mark.requirement("K01.FR.07")
async def test_a_limit_in_watts_holds_at_the_supply(run: Run) -> None:
    """Lower the limit in W twice: what the station takes from the grid stays under it."""
    async with run(title="Limits in W on DC", must_exercise=TWO) as procedure:
        await charge(procedure)
        assert await procedure.set_profile([(0, 15_000), (40, 8_000)], unit="W") == "Accepted"
        await procedure.composite(100, "W")
        await procedure.wait(80)


@pytest.mark.requirement("K11.FR.01", "K11.FR.02", "K13.FR.02")
async def test_an_external_limit_holds_at_the_supply(run: Run) -> None:
    """An external system limits the station in W while it charges, and lets go again."""
    async with run(title="An external limit in W on DC", checks=["power"]) as procedure:
        await procedure.needs("external_limits")
        await charge(procedure)
        await procedure.external_limit(9_000, "W")
        assert await procedure.wait_for_power(below=9_200, within=30)
        await procedure.wait(30)
        await procedure.external_limit(None)
        assert await procedure.wait_for_power(above=20_000, within=60)


@pytest.mark.requirement("K15.FR.01", "K15.FR.06", "K15.FR.09", "K15.FR.10")
async def test_a_dc_ev_charges_by_the_schedule_that_was_agreed(run: Run) -> None:
    """A DC EV tells its needs with DC parameters, gets a schedule in W and answers one inside of it."""
    async with run(title="Load levelling of a DC EV", checks=["installed", "composite"]) as procedure:
        await procedure.needs("iso15118", current_type="DC", unit="W")
        await procedure.vehicle({"iso15118": 1, "departure_s": 3600, "energy_wh": 12_000, "ev_profile": "inside"})
        await procedure.demand(60)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_ev_schedule()
        assert await procedure.wait_for_power(above=7_000, within=60)
        await procedure.composite(60, "W")
