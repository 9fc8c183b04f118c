"""Procedures on a remote start with a charging profile (K05)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run


@pytest.mark.octt("TC_K_37_CS")
@pytest.mark.requirement("K05.FR.03", "K01.FR.07")
async def test_the_profile_of_a_remote_start_limits_the_transaction(run: Run) -> None:
    """The TxProfile that comes with RequestStartTransaction is reported, and limits the transaction from its begin."""
    async with run(title="A remote start with a profile", checks=["composite", "power"]) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        profile = procedure.profile([(0, 12), (50, 6)], kind="Relative", profile_id=75)
        assert (await procedure.request_start(profile))["status"] == "Accepted"
        await procedure.wait_for_transaction()
        await procedure.read_back()
        await procedure.composite(120, "A")
        assert [one["evse_id"] for one in await procedure.report(ids=[75])] == [procedure.evse.id]
        assert await procedure.wait_for_power(above=6000, within=45)
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(20)


@pytest.mark.octt("TC_K_38_CS")
@pytest.mark.requirement("K05.FR.04")
async def test_without_smart_charging_the_profile_is_ignored(run: Run) -> None:
    """A station without smart charging starts the transaction and ignores the profile that came with the request."""
    async with run(title="A remote start, the profile ignored", checks=["conduct"]) as procedure:
        await procedure.needs(without="smart_charging")
        await procedure.demand(16)
        await procedure.plug()
        profile = procedure.profile([(0, 6)], kind="Relative")
        assert (await procedure.request_start(profile, broken=True))["status"] == "Accepted"
        await procedure.wait_for_transaction()
        assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.requirement("K05.FR.05")
async def test_a_remote_start_with_an_invalid_profile_is_refused(run: Run) -> None:
    """A profile that is no TxProfile makes the station refuse the start; no transaction begins."""
    async with run(title="A remote start with an invalid profile", checks=["conduct"]) as procedure:
        await procedure.demand(16)
        await procedure.plug()
        profile = procedure.profile([(0, 6)], purpose="TxDefaultProfile")
        assert (await procedure.request_start(profile, broken=True))["status"] == "Rejected"
        await procedure.wait(5)
        assert procedure.transaction is None
        await procedure.read_back()
