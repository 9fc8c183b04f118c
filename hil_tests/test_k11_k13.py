"""Procedures on limits from outside (K11, K12, K13); the same file runs on an emulated rig and, with --rig, on hardware.

They need a station that an external system can limit: `--rig emulated-full`, or a target with external_limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

WITH_SCHEDULES = "SmartChargingCtrlr.NotifyChargingLimitWithSchedules"
AC: dict[str, Any] = {"current_type": "AC", "phases": 3, "unit": "A"}
TWO = {"limits": 2, "lowerings": 2}
EXTERNAL = "ChargingStationExternalConstraints"


async def charge(procedure: Procedure) -> None:
    """Let an EV that wants 16 A charge with more than 8 kW."""
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()
    assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.requirement("K11.FR.01", "K11.FR.02", "K11.FR.03", "K11.FR.04", "K11.FR.05", "K11.FR.06")
async def test_an_external_limit_lowers_a_transaction(run: Run) -> None:
    """While the EV charges an external system allows less: power falls under it, and the CSMS is told what and by whom."""
    async with run(title="An external limit during a transaction", checks=["composite", "power"]) as procedure:
        await procedure.needs("external_limits", **AC)
        await procedure.set_variables({WITH_SCHEDULES: "true"})
        await charge(procedure)
        await procedure.external_limit(10)
        assert await procedure.wait_for_power(below=7400, within=30)
        await procedure.wait(10)
        await procedure.read_back()
        await procedure.composite(60, "A")
        await procedure.wait(20)


@pytest.mark.requirement("K11.FR.01", "K11.FR.02", "K11.FR.04")
async def test_an_external_limit_is_lowered_again(run: Run) -> None:
    """A new external limit takes the place of the old one, which the station tells again."""
    async with run(title="An external limit replaces another", checks=["power"], must_exercise=TWO) as procedure:
        await procedure.needs("external_limits", **AC)
        await charge(procedure)
        await procedure.external_limit(12)
        assert await procedure.wait_for_power(below=8700, within=30)
        await procedure.wait(20)
        await procedure.external_limit(7)
        assert await procedure.wait_for_power(below=5300, within=30)
        await procedure.wait(20)
        await procedure.read_back()


@pytest.mark.requirement("K11.FR.01", "K11.FR.02")
async def test_the_lower_of_external_limit_and_profile_rules(run: Run) -> None:
    """An external limit above the TxProfile changes nothing, one below it does: no limit is ever raised from outside (SC.01)."""
    async with run(title="External limit and TxProfile", checks=["installed", "power"], must_exercise=TWO) as procedure:
        await procedure.needs("external_limits", **AC)
        await charge(procedure)
        assert await procedure.set_profile([(0, 10)]) == "Accepted"
        await procedure.wait(20)
        await procedure.external_limit(14)
        assert not await procedure.wait_for_power(above=7400, within=20)
        await procedure.external_limit(7)
        assert await procedure.wait_for_power(below=5300, within=30)
        await procedure.wait(20)
        await procedure.read_back()


@pytest.mark.requirement("K13.FR.01", "K13.FR.02", "K13.FR.03")
async def test_a_released_limit_limits_no_more(run: Run) -> None:
    """The external system lets go during the transaction: power rises again, and the CSMS is told."""
    async with run(title="An external limit is released during a transaction", checks=["power"]) as procedure:
        await procedure.needs("external_limits", **AC)
        await charge(procedure)
        await procedure.external_limit(8)
        assert await procedure.wait_for_power(below=6000, within=30)
        await procedure.wait(20)
        await procedure.external_limit(None)
        assert await procedure.wait_for_power(above=8000, within=60)
        await procedure.wait(20)


@pytest.mark.requirement("K13.FR.01", "K13.FR.02")
async def test_a_limit_released_without_a_transaction_limits_no_more(run: Run) -> None:
    """Set and released while nobody charges: the next transaction is free of it."""
    async with run(title="An external limit is released without a transaction", checks=["conduct"]) as procedure:
        await procedure.needs("external_limits", **AC)
        await procedure.external_limit(8)
        await procedure.wait(15)
        await procedure.external_limit(None)
        await procedure.wait(15)
        await charge(procedure)
        await procedure.wait(20)


@pytest.mark.octt("TC_K_52_CS")
@pytest.mark.requirement("K12.FR.02", "K12.FR.03", "K12.FR.04", "K12.FR.05")
async def test_an_external_limit_is_in_the_profile_report(run: Run) -> None:
    """Without a transaction: the limit is announced with its schedule, and reported as ChargingStationExternalConstraints."""
    async with run(title="External limit in the profile report", checks=["conduct"]) as procedure:
        await procedure.needs("external_limits", **AC)
        await procedure.set_variables({WITH_SCHEDULES: "true"})
        await procedure.external_limit(10)
        await procedure.wait(10)
        await procedure.report(purpose=EXTERNAL)
        await procedure.read_back()
        await procedure.wait(5)


@pytest.mark.requirement("K12.FR.01", "K12.FR.02")
async def test_two_evs_stay_under_an_external_limit_together(run: Run) -> None:
    """The limit comes before any transaction; then two EVs charge under it: the sum of both meters counts."""
    async with run(title="Two EVs under one external limit", checks=["station_power"]) as procedure:
        await procedure.needs("external_limits", evses=2, **AC)
        await procedure.external_limit(18)
        await procedure.wait(10)
        for evse in (procedure, procedure.at(2)):
            await evse.demand(16)
            await evse.plug()
            await evse.authorise()
        await procedure.wait(60)
        await procedure.read_back()


@pytest.mark.requirement("K11.FR.01", "K11.FR.02")
async def test_what_an_external_system_said_offline_is_told_afterwards(run: Run) -> None:
    """The limit comes while the network is away: it holds at once, and the CSMS learns of it later (SC.02)."""
    async with run(title="An external limit while offline", checks=["power"]) as procedure:
        await procedure.needs("external_limits", **AC)
        await charge(procedure)
        await procedure.cut_network(60)
        await procedure.wait(10)
        await procedure.external_limit(8)
        assert await procedure.wait_for_power(below=6000, within=30)
        await procedure.wait_online(180)
        await procedure.wait(20)
        await procedure.read_back()
