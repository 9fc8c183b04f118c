"""Procedures on setting charging profiles (K01): what is taken over, replaced, and kept over a reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

STORED = ["installed", "composite"]
"""Judged where no EV is charging: the store and what the station says that it will do."""


@pytest.mark.octt("TC_K_01_CS")
@pytest.mark.requirement("K01.FR.07", "K01.FR.15")
async def test_a_default_profile_of_one_evse(run: Run) -> None:
    """A TxDefaultProfile of one EVSE is stored and reported there, and limits its next transaction from the start."""
    async with run(title="A TxDefaultProfile on one EVSE", must_exercise={"limits": 1, "lowerings": 1}) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 12), (50, 6)], purpose="TxDefaultProfile", profile_id=71) == "Accepted"
        assert [one["evse_id"] for one in await procedure.report(ids=[71])] == [procedure.evse.id]
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=6000, within=40)
        await procedure.composite(60, "A")
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(15)


@pytest.mark.octt("TC_K_03_CS")
@pytest.mark.requirement("K01.FR.07", "K08.FR.02")
async def test_a_station_maximum_is_stored(run: Run) -> None:
    """A ChargingStationMaxProfile is reported on EVSE 0, and the composite schedule of each EVSE is bound by it."""
    async with run(title="A ChargingStationMaxProfile is stored", checks=STORED) as procedure:
        assert await procedure.set_profile([(0, 6)], purpose="ChargingStationMaxProfile", profile_id=73) == "Accepted"
        assert [one["evse_id"] for one in await procedure.report(ids=[73])] == [0]
        await procedure.composite(60, "A")


@pytest.mark.octt("TC_K_04_CS")
@pytest.mark.requirement("K01.FR.05")
async def test_a_known_id_replaces(run: Run) -> None:
    """A profile with the id of an installed one takes its place, with another limit and then on another EVSE."""
    async with run(title="A profile of a known id replaces", checks=STORED) as procedure:
        for limit, evse_id in ((6, procedure.evse.id), (10, procedure.evse.id), (8, 0)):
            answer = await procedure.set_profile([(0, limit)], purpose="TxDefaultProfile", evse_id=evse_id, profile_id=74)
            assert answer == "Accepted"
            assert [one["evse_id"] for one in await procedure.report(ids=[74])] == [evse_id]
            await procedure.composite(60, "A")


@pytest.mark.octt("TC_K_10_CS")
@pytest.mark.requirement("K01.FR.07", "K01.FR.14")
async def test_a_default_profile_on_evse_0_limits_every_evse(run: Run) -> None:
    """A TxDefaultProfile of the whole station stands before the transaction and limits it from its first second."""
    async with run(title="A TxDefaultProfile on EVSE 0", must_exercise={"limits": 1, "lowerings": 1}) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 16), (60, 8)], purpose="TxDefaultProfile", evse_id=0) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=5000, within=50)
        assert await procedure.wait_for_power(below=6000, within=90)
        await procedure.composite(120, "A")
        await procedure.wait(30)


@pytest.mark.octt("TC_K_13_CS")
@pytest.mark.requirement("K01.FR.27")
async def test_profiles_survive_a_reset(run: Run) -> None:
    """TxDefaultProfile and ChargingStationMaxProfile are there again after a reset."""
    async with run(title="Profiles survive a reset", checks=STORED) as procedure:
        await store(procedure)
        assert await procedure.reset() == "Accepted"
        await procedure.read_back()
        await procedure.composite(60, "A")


@pytest.mark.octt("TC_K_13_CS")
@pytest.mark.requirement("K01.FR.27")
async def test_profiles_survive_a_loss_of_power(run: Run) -> None:
    """TxDefaultProfile and ChargingStationMaxProfile are there again after the power was away."""
    async with run(title="Profiles survive a loss of power", checks=STORED) as procedure:
        await store(procedure)
        await procedure.power_cycle()
        await procedure.read_back()
        await procedure.composite(60, "A")


async def store(procedure: Procedure) -> None:
    """Let the station hold one profile of each purpose that outlives a transaction."""
    assert await procedure.set_profile([(0, 6)], purpose="TxDefaultProfile") == "Accepted"
    assert await procedure.set_profile([(0, 20)], purpose="ChargingStationMaxProfile") == "Accepted"


@pytest.mark.octt("TC_K_28_CS")
@pytest.mark.requirement("K01.FR.32", "K01.FR.07")
async def test_a_default_profile_during_a_transaction(run: Run) -> None:
    """A TxDefaultProfile that comes while the EV charges limits it at once, and the transaction goes on."""
    async with run(title="A TxDefaultProfile while charging") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        answer = await procedure.set_profile(
            [(0, 6)], purpose="TxDefaultProfile", duration_s=300, valid_from_in_s=0, valid_to_in_s=300
        )
        assert answer == "Accepted"
        assert await procedure.wait_for_power(below=5000, within=30)
        await procedure.composite(200, "A")
        await procedure.wait(20)
        assert procedure.transaction is not None


@pytest.mark.octt("TC_K_60_CS")
@pytest.mark.requirement("K01.FR.04", "K01.FR.07")
async def test_a_tx_profile_during_a_transaction(run: Run) -> None:
    """A Relative TxProfile for the running transaction is reported back and limits it."""
    async with run(title="A TxProfile while charging") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 6)], kind="Relative", profile_id=76) == "Accepted"
        assert [one["evse_id"] for one in await procedure.report(ids=[76])] == [procedure.evse.id]
        assert await procedure.wait_for_power(below=5000, within=30)
        await procedure.composite(60, "A")
        await procedure.wait(20)
