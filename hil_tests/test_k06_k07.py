"""Procedures on charging while the CSMS is away (K06, K07): the meter shows what the station goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

AWAY_S = 75
METERED = ["installed", "power"]


def full_a(procedure: Procedure) -> float:
    """Return the demand in A with which an EV takes some 10 kW: on three phases, or on DC at 400 V."""
    return 25 if procedure.station.features.current_type == "DC" else 16


@pytest.mark.requirement("K06.FR.01")
async def test_offline_the_tx_profile_goes_on(run: Run) -> None:
    """The network is cut while a TxProfile limits: its periods are followed as if nothing had happened."""
    async with run(title="Offline under a TxProfile", checks=METERED) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 12), (45, 6)]) == "Accepted"
        await procedure.cut_network(AWAY_S)
        assert await procedure.wait_for_power(below=5000, within=70)
        await procedure.wait(AWAY_S)
        await procedure.wait_online()


@pytest.mark.requirement("K06.FR.02")
async def test_offline_without_any_profile_charging_goes_on(run: Run) -> None:
    """The network is cut while an EV charges without any profile: it goes on as before."""
    async with run(title="Offline without a profile", checks=["conduct"]) as procedure:
        await procedure.demand(full_a(procedure))
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        await procedure.read_back()
        await procedure.wait(10)
        await procedure.cut_network(30)
        assert not await procedure.wait_for_power(below=8000, within=30)
        await procedure.wait_online()


@pytest.mark.requirement("K07.FR.01")
async def test_offline_the_default_goes_on(run: Run) -> None:
    """The network is cut before any TxProfile has come: the TxDefaultProfile and its periods are followed."""
    async with run(title="Offline under a TxDefaultProfile", checks=METERED) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 12), (60, 6)], purpose="TxDefaultProfile") == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=7000, within=40)
        await procedure.cut_network(AWAY_S)
        assert await procedure.wait_for_power(below=5000, within=70)
        await procedure.wait(AWAY_S)
        await procedure.wait_online()


@pytest.mark.requirement("K07.FR.01")
async def test_a_transaction_that_begins_offline_obeys_the_default(run: Run) -> None:
    """The network is cut before the card is shown: the installed TxDefaultProfile limits the transaction from its begin."""
    async with run(title="A transaction that begins offline", checks=METERED) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 8)], purpose="TxDefaultProfile") == "Accepted"
        await procedure.plug()
        await procedure.cut_network(AWAY_S)
        await procedure.wait(5)
        await procedure.authorise(within_s=2 * AWAY_S)
        await procedure.wait(10)
