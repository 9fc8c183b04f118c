"""Procedures on the station's own maximum (K04): where it may be set, and that all EVSEs together obey it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

MAXIMUM = "ChargingStationMaxProfile"


def full_a(procedure: Procedure) -> float:
    """Return the demand in A with which an EV takes some 10 kW: on three phases, or on DC at 400 V."""
    return 25 if procedure.station.features.current_type == "DC" else 16


@pytest.mark.requirement("K04.FR.03")
async def test_a_station_maximum_on_an_evse_is_refused(run: Run) -> None:
    """A ChargingStationMaxProfile for one EVSE is refused, and the EV there is free of it."""
    async with run(title="A ChargingStationMaxProfile on an EVSE", checks=["installed"]) as procedure:
        await procedure.demand(full_a(procedure))
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        answer = await procedure.set_profile([(0, 6)], purpose=MAXIMUM, evse_id=procedure.evse.id, broken=True)
        assert answer != "Accepted"
        assert not await procedure.wait_for_power(below=6000, within=15)


@pytest.mark.requirement("K04.FR.05")
async def test_all_evses_together_obey_the_station_maximum(run: Run) -> None:
    """Two EVs charge; their sum goes under the station's maximum, and under the lower one that follows."""
    async with run(title="The station's maximum with two EVs", checks=["installed", "station_power"]) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.needs(evses=2)
        second = procedure.at(next(one.id for one in procedure.station.evse if one.id != procedure.evse.id))
        for view in (procedure, second):
            await view.demand(16)
            await view.plug()
            await view.authorise()
        for view in (procedure, second):
            assert await view.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 22), (40, 14)], purpose=MAXIMUM) == "Accepted"
        assert await procedure.wait_for_power(below=9500, within=30)
        await procedure.wait(60)
