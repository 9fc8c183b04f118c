"""Procedures on units and phases (K01): W is the total, A is per phase, and how many phases, and which, may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

METERED = ["installed", "power"]


async def charge(procedure: Procedure) -> None:
    """Let an EV that wants 16 A on three phases charge."""
    await procedure.needs(current_type="AC")
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()
    assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.requirement("K01.FR.50")
async def test_a_limit_in_watts_is_the_total(run: Run) -> None:
    """A limit in W for three phases is what all of them take together; it is lowered once more while charging."""
    async with run(title="A limit in W on three phases", checks=METERED) as procedure:
        await procedure.needs(unit="W", phases=3)
        await charge(procedure)
        assert await procedure.set_profile([(0, 6900), (30, 4600)], unit="W", number_phases=3) == "Accepted"
        assert await procedure.wait_for_power(below=7100, within=25)
        assert await procedure.wait_for_power(below=4800, within=40)
        await procedure.wait(15)


@pytest.mark.requirement("K01.FR.49", "K01.FR.50")
async def test_a_limit_in_watts_without_phases_is_for_three(run: Run) -> None:
    """Where numberPhases is left out, a limit in W is for three phases."""
    async with run(title="A limit in W without numberPhases", checks=METERED) as procedure:
        await procedure.needs(unit="W", phases=3)
        await charge(procedure)
        assert await procedure.set_profile([(0, 5520)], unit="W") == "Accepted"
        assert await procedure.wait_for_power(below=5800, within=25)
        await procedure.wait(15)


@pytest.mark.requirement("K01.FR.50", "K01.FR.43")
async def test_a_limit_in_watts_on_one_phase(run: Run) -> None:
    """A limit in W for one phase: 2300 W are 10 A there. The current goes over to one phase."""
    async with run(title="A limit in W on one phase", checks=METERED) as procedure:
        await procedure.needs("phases_3to1", unit="W", phases=3)
        await charge(procedure)
        answer = await procedure.set_profile([(0, 2300)], unit="W", number_phases=1)
        if answer != "Accepted":
            await procedure.refused("phases_3to1", answer)
        assert await procedure.wait_for_power(below=2600, within=60)
        await procedure.wait(20)
        assert await procedure.set_profile([(0, 8)], number_phases=1) == "Accepted"
        await procedure.wait(60)


@pytest.mark.requirement("K01.FR.51")
async def test_a_limit_in_amperes_is_for_each_phase(run: Run) -> None:
    """A limit in A is for each of the three phases, not for their sum: the EV gets it on each, and not more."""
    async with run(title="A limit in A on three phases", checks=METERED) as procedure:
        await procedure.needs(unit="A", phases=3)
        await charge(procedure)
        assert await procedure.set_profile([(0, 9)], number_phases=3) == "Accepted"
        assert await procedure.wait_for_power(below=6500, within=25)
        await procedure.wait(15)
        assert await procedure.wait_for_power(above=4500, within=10)


@pytest.mark.requirement("K01.FR.43")
async def test_fewer_phases_than_the_station_can_guarantee_are_refused(run: Run) -> None:
    """A three-phase station that cannot go over to one phase refuses a profile for one phase, and limits nobody by it."""
    async with run(title="One phase where the station has three", checks=["installed"]) as procedure:
        await procedure.needs(phases=3, unit="A", current_type="AC", without="phases_3to1")
        await procedure.needs(without="ac_phase_switching")
        await charge(procedure)
        assert await procedure.set_profile([(0, 10)], number_phases=1, broken=True) == "Rejected"
        assert not await procedure.wait_for_power(below=6000, within=15)


@pytest.mark.requirement("K01.FR.43")
async def test_a_profile_for_one_phase_is_charged_on_one(run: Run) -> None:
    """A station that can go over from three phases to one does so, and back when the profile is gone."""
    async with run(title="Three phases, one, three", checks=METERED) as procedure:
        await procedure.needs("phases_3to1", unit="A", phases=3)
        await charge(procedure)
        answer = await procedure.set_profile([(0, 13)], number_phases=1, profile_id=79)
        if answer != "Accepted":
            await procedure.refused("phases_3to1", answer)
        assert await procedure.wait_for_power(below=3200, within=60)
        await procedure.wait(60)
        assert await procedure.clear(79) == "Accepted"
        assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.requirement("K01.FR.46")
async def test_the_phase_to_use_is_used(run: Run) -> None:
    """Charging on one phase is on the one that the profile asks for."""
    async with run(title="phaseToUse", checks=METERED) as procedure:
        await procedure.needs("ac_phase_switching", unit="A", phases=3)
        await charge(procedure)
        answer = await procedure.set_profile([(0, 13)], number_phases=1, phase_to_use=2)
        if answer != "Accepted":
            await procedure.refused("ac_phase_switching", answer)
        assert await procedure.wait_for_power(below=3200, within=60)
        await procedure.wait(60)
