"""Procedures on a profile beside others (K01): defaults that exclude one another, and what lies ahead or is out of date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run

DEFAULT = "TxDefaultProfile"
STORED = ["installed", "composite"]
HOUR_S = 3600
DAY_S = 86_400


@pytest.mark.requirement("K01.FR.52")
async def test_a_default_of_the_station_beside_one_of_an_evse_is_refused(run: Run) -> None:
    """One EVSE has a TxDefaultProfile of that stack level: another id on EVSE 0 is a duplicate."""
    async with run(title="A TxDefaultProfile on EVSE 0 beside one on an EVSE", checks=["installed"]) as procedure:
        assert await procedure.set_profile([(0, 10)], purpose=DEFAULT) == "Accepted"
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, evse_id=0, broken=True) == "Rejected"


@pytest.mark.requirement("K01.FR.53")
async def test_a_default_of_an_evse_beside_one_of_the_station_is_refused(run: Run) -> None:
    """The station has a TxDefaultProfile of that stack level: another id on one EVSE is a duplicate."""
    async with run(title="A TxDefaultProfile on an EVSE beside one on EVSE 0", checks=["installed"]) as procedure:
        assert await procedure.set_profile([(0, 10)], purpose=DEFAULT, evse_id=0) == "Accepted"
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, broken=True) == "Rejected"


@pytest.mark.octt("TC_K_19_CS")
@pytest.mark.requirement("K01.FR.30")
async def test_a_daily_schedule_does_not_count_before_its_first_day(run: Run) -> None:
    """The first day of a daily schedule is tomorrow: today the lower stack level counts."""
    async with run(title="A daily schedule from tomorrow on", checks=STORED) as procedure:
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT) == "Accepted"
        daily = await procedure.set_profile(
            [(0, 8)], purpose=DEFAULT, stack_level=1,
            kind="Recurring", recurrency="Daily", duration_s=2 * HOUR_S, start_in_s=DAY_S - HOUR_S,
        )  # fmt: skip
        assert daily == "Accepted"
        await procedure.composite(DAY_S, "A")


@pytest.mark.octt("TC_K_19_CS")
@pytest.mark.requirement("K01.FR.13")
async def test_a_weekly_schedule_comes_back_each_week(run: Run) -> None:
    """A schedule of two hours each week began a month ago: it is there in this week's and the next one's composite schedule."""
    async with run(title="A weekly schedule", checks=STORED) as procedure:
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT) == "Accepted"
        weekly = await procedure.set_profile(
            [(0, 10), (HOUR_S, 8)], purpose=DEFAULT, stack_level=1,
            kind="Recurring", recurrency="Weekly", duration_s=2 * HOUR_S, start_in_s=-28 * DAY_S - HOUR_S / 2,
        )  # fmt: skip
        assert weekly == "Accepted"
        await procedure.composite(8 * DAY_S, "A")


@pytest.mark.requirement("K02.FR.08")
async def test_a_tx_profile_that_is_no_longer_valid_leaves_the_default(run: Run) -> None:
    """At validTo the TxProfile of a running transaction is over: the meter shows the TxDefaultProfile again."""
    async with run(title="A TxProfile is no longer valid", checks=["installed", "power"]) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        assert await procedure.set_profile([(0, 8)], purpose=DEFAULT) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=4500, within=60)
        assert await procedure.set_profile([(0, 12)], valid_to_in_s=40) == "Accepted"
        assert await procedure.wait_for_power(above=7000, within=25)
        assert await procedure.wait_for_power(below=6000, within=45)
        await procedure.wait(15)
