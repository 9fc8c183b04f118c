"""Procedures on composite schedules (K08), and on what shows in them; the same file runs on the emulated rig and on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

CHECKS: Final = ["installed", "composite"]
"""What is compared is what the station reports; only a transaction needs an EV."""
DEFAULT: Final = "TxDefaultProfile"
MAXIMUM: Final = "ChargingStationMaxProfile"


async def empty(procedure: Procedure) -> None:
    """Clear what the CSMS has set at the station; the end of the run gives it back."""
    for purpose in (MAXIMUM, DEFAULT, "TxProfile"):
        await procedure.clear(purpose=purpose)


@pytest.mark.octt("TC_K_39_CS")
@pytest.mark.requirement("K08.FR.02", "K08.FR.03")
async def test_without_profiles_the_station_reports_the_sum_of_its_evses(run: Run) -> None:
    """Nothing is installed: the composite schedule of EVSE 0 is what all EVSEs together may take from the grid."""
    async with run(title="The composite schedule of the station without profiles", checks=["conduct"]) as procedure:
        await procedure.needs("smart_charging")
        await empty(procedure)
        answer = await procedure.composite(300, evse_id=0)
        assert answer["status"] == "Accepted"
        assert answer["schedule"]["duration"] == 300


@pytest.mark.requirement("K08.FR.02", "K08.FR.03", "K08.FR.04")
async def test_the_station_reports_no_more_than_its_maximum(run: Run) -> None:
    """Each EVSE has a default of its own: EVSE 0 reports their sum, and less where the station's maximum is lower."""
    async with run(title="The composite schedule of the station under its maximum", checks=["installed"]) as procedure:
        await procedure.needs("smart_charging", evses=2)
        for evse in procedure.station.evse:
            profile: dict[str, Any] = {"purpose": DEFAULT, "evse_id": evse.id, "read_back": False}
            assert await procedure.set_profile([(0, 10), (120, 7)], **profile) == "Accepted"
        assert await procedure.set_profile([(0, 16), (200, 32)], purpose=MAXIMUM) == "Accepted"
        assert (await procedure.composite(300, "A", evse_id=0))["status"] == "Accepted"


@pytest.mark.octt("TC_K_40_CS")
@pytest.mark.requirement("K08.FR.02", "K08.FR.06", "K01.FR.17")
async def test_the_higher_stack_level_leads_while_it_lasts(run: Run) -> None:
    """Three defaults, one on top of the other: the highest leads, and where it ends the next one does."""
    async with run(title="The composite schedule of stacked profiles", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        stack: dict[str, Any] = {"purpose": DEFAULT, "read_back": False}
        assert await procedure.set_profile([(0, 14), (250, 9)], stack_level=0, **stack) == "Accepted"
        assert await procedure.set_profile([(0, 12), (100, 8)], stack_level=1, duration_s=200, **stack) == "Accepted"
        assert await procedure.set_profile([(0, 10)], purpose=DEFAULT, stack_level=2, duration_s=50) == "Accepted"
        assert (await procedure.composite(300, "A"))["status"] == "Accepted"


@pytest.mark.octt("TC_K_41_CS")
@pytest.mark.requirement("K08.FR.02", "K08.FR.04", "K02.FR.04")
async def test_the_lowest_of_the_purposes_is_reported(run: Run) -> None:
    """Maximum, default and TxProfile cross each other during a transaction: the TxProfile counts, under the maximum."""
    async with run(title="The composite schedule of several purposes", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 10), (200, 16)], purpose=MAXIMUM, read_back=False) == "Accepted"
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, read_back=False) == "Accepted"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.set_profile([(0, 8), (100, 13), (250, 7)], duration_s=280) == "Accepted"
        assert (await procedure.composite(300, "A"))["status"] == "Accepted"


@pytest.mark.octt("TC_K_42_CS")
@pytest.mark.requirement("K08.FR.07")
async def test_a_composite_schedule_in_an_unsupported_unit_is_rejected(run: Run) -> None:
    """Ask in the unit that the station does not take: Rejected, and no schedule comes."""
    async with run(title="A composite schedule in an unsupported unit", checks=["conduct"]) as procedure:
        unit = "W" if "A" in procedure.station.features.rate_units else "A"
        await procedure.needs("smart_charging", without=unit)
        answer = await procedure.composite(300, unit)
        assert answer["status"] == "Rejected"
        assert "schedule" not in answer


@pytest.mark.octt("TC_K_47_CS")
@pytest.mark.requirement("K08.FR.05")
async def test_a_composite_schedule_of_an_unknown_evse_is_rejected(run: Run) -> None:
    """Ask for an EVSE that the station does not have: Rejected, and no schedule comes."""
    async with run(title="The composite schedule of an unknown EVSE", checks=["conduct"]) as procedure:
        await procedure.needs("smart_charging")
        unknown = max(one.id for one in procedure.station.evse) + 1
        answer = await procedure.composite(300, evse_id=unknown)
        assert answer["status"] == "Rejected"
        assert "schedule" not in answer


@pytest.mark.octt("TC_K_21_CS")
@pytest.mark.requirement("K01.FR.36")
async def test_a_profile_counts_from_its_valid_from_on(run: Run) -> None:
    """A Relative default becomes valid in 300 s: until then the composite schedule shows the default below it."""
    async with run(title="validFrom in the composite schedule", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 13)], purpose=DEFAULT, read_back=False) == "Accepted"
        later: dict[str, Any] = {"kind": "Relative", "stack_level": 1, "valid_from_in_s": 300}
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, **later) == "Accepted"
        assert (await procedure.composite(400, "A"))["status"] == "Accepted"


@pytest.mark.octt("TC_K_22_CS")
@pytest.mark.requirement("K01.FR.37")
async def test_a_profile_counts_until_its_valid_to(run: Run) -> None:
    """A Relative default is valid for 300 s more: after that the composite schedule shows the default below it."""
    async with run(title="validTo in the composite schedule", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 13)], purpose=DEFAULT, read_back=False) == "Accepted"
        sooner: dict[str, Any] = {"kind": "Relative", "stack_level": 1, "valid_to_in_s": 300}
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, **sooner) == "Accepted"
        assert (await procedure.composite(400, "A"))["status"] == "Accepted"


@pytest.mark.octt("TC_K_23_CS")
@pytest.mark.requirement("K01.FR.30")
async def test_a_schedule_counts_from_its_start_on(run: Run) -> None:
    """An Absolute default starts in 300 s: until then the composite schedule shows the default below it."""
    async with run(title="startSchedule ahead in the composite schedule", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 13)], purpose=DEFAULT, read_back=False) == "Accepted"
        assert await procedure.set_profile([(0, 6)], purpose=DEFAULT, stack_level=1, start_in_s=300) == "Accepted"
        assert (await procedure.composite(400, "A"))["status"] == "Accepted"
