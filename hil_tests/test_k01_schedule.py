"""Procedures on when a profile counts (K01): stack levels, validity, start, duration, recurrence; measured and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

DEFAULT = "TxDefaultProfile"
DAY_S = 86_400


async def charge(procedure: Procedure, limit: float) -> None:
    """Let an EV that wants 16 A charge under a TxDefaultProfile of so many A, the lowest of all."""
    await procedure.needs(current_type="AC")
    await procedure.demand(16)
    assert await procedure.set_profile([(0, limit)], purpose=DEFAULT) == "Accepted"
    await procedure.plug()
    await procedure.authorise()
    assert await procedure.wait_for_power(above=690 * (limit - 1), within=60)


@pytest.mark.requirement("K01.FR.17", "K01.FR.07")
async def test_the_highest_stack_level_leads(run: Run) -> None:
    """Of two TxDefaultProfiles the one with the higher stackLevel leads, first a higher limit and then a lower one."""
    async with run(title="The highest stackLevel leads") as procedure:
        await charge(procedure, 8)
        assert await procedure.set_profile([(0, 13), (40, 6)], purpose=DEFAULT, stack_level=2) == "Accepted"
        assert await procedure.set_profile([(0, 16)], purpose=DEFAULT, stack_level=1) == "Accepted"
        await procedure.composite(60, "A")
        assert await procedure.wait_for_power(above=7500, within=30)
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(20)


@pytest.mark.octt("TC_K_23_CS")
@pytest.mark.requirement("K01.FR.30")
async def test_a_schedule_that_begins_later(run: Run) -> None:
    """A schedule with startSchedule ahead limits nothing before it: the level below goes on until then."""
    async with run(title="startSchedule lies ahead") as procedure:
        await charge(procedure, 12)
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, stack_level=1, start_in_s=40) == "Accepted"
        await procedure.composite(80, "A")
        assert await procedure.wait_for_power(above=7500, within=10)
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(20)


@pytest.mark.octt("TC_K_21_CS", "TC_K_22_CS")
@pytest.mark.requirement("K01.FR.36", "K01.FR.37")
async def test_a_profile_counts_from_valid_from_to_valid_to(run: Run) -> None:
    """Before validFrom and from validTo on the level below leads; in between the higher one does."""
    async with run(title="validFrom and validTo") as procedure:
        await charge(procedure, 12)
        answer = await procedure.set_profile([(0, 6)], purpose=DEFAULT, stack_level=1, valid_from_in_s=30, valid_to_in_s=70)
        assert answer == "Accepted"
        await procedure.composite(120, "A")
        assert await procedure.wait_for_power(below=5000, within=60)
        assert await procedure.wait_for_power(above=7500, within=70)
        await procedure.wait(10)


@pytest.mark.requirement("K01.FR.37")
async def test_after_valid_to_the_lower_limit_below_counts(run: Run) -> None:
    """A profile allows more until its validTo; from then on power stays under the level below."""
    async with run(title="The end of validity at the meter") as procedure:
        await charge(procedure, 7)
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT, stack_level=1, valid_to_in_s=40) == "Accepted"
        await procedure.composite(80, "A")
        assert await procedure.wait_for_power(above=7500, within=30)
        assert await procedure.wait_for_power(below=6000, within=60)
        await procedure.wait(20)


@pytest.mark.requirement("K01.FR.12")
async def test_a_period_lasts_to_the_next_or_to_the_end_of_the_duration(run: Run) -> None:
    """Each period holds until the next begins, the last one until the duration ends; then the level below leads."""
    async with run(title="Periods and duration") as procedure:
        await charge(procedure, 6)
        answer = await procedure.set_profile([(0, 14), (25, 10)], purpose=DEFAULT, stack_level=1, duration_s=50)
        assert answer == "Accepted"
        await procedure.composite(100, "A")
        assert await procedure.wait_for_power(above=8500, within=20)
        assert await procedure.wait_for_power(below=7500, within=30)
        assert await procedure.wait_for_power(below=5000, within=40)
        await procedure.wait(20)


@pytest.mark.requirement("K01.FR.11")
async def test_a_period_beyond_the_duration_is_never_executed(run: Run) -> None:
    """A period that begins after the schedule's duration has no effect: the level below leads instead."""
    async with run(title="A period beyond the duration") as procedure:
        await charge(procedure, 6)
        profile = procedure.profile([(0, 10), (40, 16)], purpose=DEFAULT, stack_level=1, duration_s=30)
        assert await procedure.send_profile(procedure.evse.id, profile, broken=True) == "Accepted"
        await procedure.read_back()
        await procedure.composite(80, "A")
        assert await procedure.wait_for_power(above=5500, within=20)
        assert await procedure.wait_for_power(below=5000, within=40)
        await procedure.wait(30)


@pytest.mark.octt("TC_K_19_CS")
@pytest.mark.requirement("K01.FR.13", "K01.FR.07")
async def test_a_daily_schedule(run: Run) -> None:
    """A schedule that recurs daily from two hours ago for three: it leads now, and over two days it comes back each day."""
    async with run(title="A Recurring profile") as procedure:
        await charge(procedure, 12)
        answer = await procedure.set_profile(
            [(0, 10), (7230, 6)],
            purpose=DEFAULT, stack_level=1, kind="Recurring", recurrency="Daily", start_in_s=-7200, duration_s=10_800,
        )  # fmt: skip
        assert answer == "Accepted"
        await procedure.composite(2 * DAY_S, "A")
        assert await procedure.wait_for_power(below=5000, within=60)
        await procedure.wait(20)
