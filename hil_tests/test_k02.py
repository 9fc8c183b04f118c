"""Procedures on central smart charging (K02): TxProfile and TxDefaultProfile, from the plug to the next transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run

DEFAULT = "TxDefaultProfile"
METERED = ["installed", "power"]


@pytest.mark.requirement("K02.FR.02")
async def test_the_maximum_is_on_the_pilot_after_authorisation(run: Run) -> None:
    """From the first second after authorisation the pilot offers what the profile allows, and the EV takes no more."""
    async with run(title="The maximum on the pilot after authorisation", checks=METERED) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 10), (50, 7)], purpose=DEFAULT) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=6000, within=40)
        assert await procedure.wait_for_power(below=5500, within=60)
        await procedure.wait(20)


@pytest.mark.requirement("K02.FR.04", "K01.FR.07")
async def test_a_tx_profile_overrules_the_default(run: Run) -> None:
    """A TxProfile counts instead of the TxDefaultProfile, where it is higher and where it is lower."""
    async with run(title="TxProfile over TxDefaultProfile") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 8)], purpose=DEFAULT) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=4500, within=60)
        await procedure.wait(10)
        assert await procedure.set_profile([(0, 13), (40, 6)]) == "Accepted"
        await procedure.composite(60, "A")
        assert await procedure.wait_for_power(above=7500, within=30)
        assert await procedure.wait_for_power(below=4800, within=60)
        await procedure.wait(20)


@pytest.mark.requirement("K02.FR.05")
async def test_a_tx_profile_goes_with_its_transaction(run: Run) -> None:
    """The TxProfile limits its transaction, is gone when that ends, and the next transaction is free of it."""
    async with run(title="The TxProfile goes with its transaction", checks=METERED) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 6)], profile_id=72) == "Accepted"
        assert await procedure.wait_for_power(below=5000, within=30)
        await procedure.wait(15)
        await procedure.unplug()
        await procedure.read_back()
        assert await procedure.report(ids=[72]) == []
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.requirement("K02.FR.08")
async def test_after_the_tx_profile_the_default_counts(run: Run) -> None:
    """The TxProfile runs out while the EV charges: from then on the lower TxDefaultProfile limits it."""
    async with run(title="TxProfile runs out: TxDefaultProfile") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.set_profile([(0, 14)], duration_s=45) == "Accepted"
        await procedure.composite(90, "A")
        assert await procedure.wait_for_power(above=8000, within=40)
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(20)


@pytest.mark.requirement("K02.FR.08")
async def test_after_the_tx_profile_the_station_maximum_counts(run: Run) -> None:
    """Without a default, the station's maximum limits the EV once the TxProfile has run out, and so it did before."""
    async with run(title="TxProfile runs out: ChargingStationMaxProfile") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 10)], purpose="ChargingStationMaxProfile") == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=6000, within=60)
        assert await procedure.set_profile([(0, 6)], duration_s=40) == "Accepted"
        await procedure.composite(90, "A")
        assert await procedure.wait_for_power(below=4800, within=30)
        assert await procedure.wait_for_power(above=6000, within=60)
        await procedure.wait(20)
