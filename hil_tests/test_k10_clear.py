"""Procedures on clearing charging profiles (K10); the same file runs on the emulated rig and, with --rig, on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run

CHECKS: Final = ["installed"]
"""Where nothing charges: what counts are the messages."""
DEFAULT: Final = "TxDefaultProfile"


@pytest.mark.octt("TC_K_05_CS")
@pytest.mark.requirement("K10.FR.03", "K10.FR.05")
async def test_a_cleared_profile_limits_no_more(run: Run) -> None:
    """Clear a profile by its id while it limits: it alone is gone, and power rises again at the plug, under the next limit."""
    async with run(title="A profile is cleared by its id") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT, read_back=False) == "Accepted"
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 8)], profile_id=77) == "Accepted"
        assert await procedure.wait_for_power(below=6000, within=30)
        await procedure.composite(60, "A")
        await procedure.wait(15)
        assert await procedure.clear(77) == "Accepted"
        assert await procedure.report(ids=[77]) == []
        assert await procedure.wait_for_power(above=8000, within=60)
        await procedure.composite(60, "A")
        await procedure.wait(5)


@pytest.mark.requirement("K10.FR.05")
async def test_a_lower_limit_takes_over_after_a_clear(run: Run) -> None:
    """A TxProfile allows more than the default below it; once it is cleared, power settles under the default."""
    async with run(title="The limit below a cleared profile takes over") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 8)], purpose=DEFAULT, read_back=False) == "Accepted"
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.set_profile([(0, 13)], profile_id=77) == "Accepted"
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.clear(77) == "Accepted"
        assert await procedure.wait_for_power(below=6000, within=30)
        await procedure.composite(60, "A")
        await procedure.wait(15)


@pytest.mark.octt("TC_K_06_CS")
@pytest.mark.requirement("K10.FR.04")
async def test_a_profile_is_cleared_by_stack_level_and_purpose(run: Run) -> None:
    """Both criteria have to fit: the default of the other stack level and the station's maximum of this one stay."""
    async with run(title="A profile is cleared by stack level and purpose", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        maximum: dict[str, Any] = {"purpose": "ChargingStationMaxProfile", "stack_level": 1, "read_back": False}
        assert await procedure.set_profile([(0, 30)], **maximum) == "Accepted"
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT, stack_level=2, read_back=False) == "Accepted"
        assert await procedure.set_profile([(0, 8)], purpose=DEFAULT, stack_level=1) == "Accepted"
        assert await procedure.clear(purpose=DEFAULT, stack_level=1) == "Accepted"
        assert await procedure.report(purpose=DEFAULT, stack_level=1) == []


@pytest.mark.octt("TC_K_24_CS")
@pytest.mark.requirement("K10.FR.04")
async def test_all_profiles_of_a_stack_level_and_purpose_are_cleared(run: Run) -> None:
    """Defaults on the same stack level of two EVSEs go with one message; the one on another level stays."""
    async with run(title="Several profiles are cleared by stack level and purpose", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging", evses=2)
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT, evse_id=1, stack_level=2, read_back=False) == "Accepted"
        for evse_id in (1, 2):
            profile: dict[str, Any] = {"purpose": DEFAULT, "evse_id": evse_id, "stack_level": 1}
            assert await procedure.set_profile([(0, 8)], **profile) == "Accepted"
        assert await procedure.clear(purpose=DEFAULT, stack_level=1) == "Accepted"
        assert await procedure.report(purpose=DEFAULT, stack_level=1) == []


@pytest.mark.octt("TC_K_07_CS")
@pytest.mark.requirement("K10.FR.01")
async def test_criteria_that_fit_nothing_clear_nothing(run: Run) -> None:
    """A default stands on stack level 1, and a station's maximum is named on stack level 0: Unknown, and the default stays."""
    async with run(title="Criteria that fit no profile", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 14)], purpose=DEFAULT, stack_level=1, profile_id=77) == "Accepted"
        await procedure.clear(purpose="ChargingStationMaxProfile")  # what stood there before the run
        assert await procedure.clear(purpose="ChargingStationMaxProfile", stack_level=0) == "Unknown"
        assert len(await procedure.report(ids=[77])) == 1


@pytest.mark.octt("TC_K_08_CS")
@pytest.mark.requirement("K10.FR.01")
async def test_an_empty_store_has_nothing_to_clear(run: Run) -> None:
    """Nothing is installed: neither an id nor a purpose with its stack level clears anything, and the answer is Unknown."""
    async with run(title="Nothing is installed that could be cleared", checks=["conduct"]) as procedure:
        await procedure.needs("smart_charging")
        for purpose in (DEFAULT, "ChargingStationMaxProfile", "TxProfile"):
            await procedure.clear(purpose=purpose)
        assert await procedure.clear(procedure.course.fresh_id()) == "Unknown"
        assert await procedure.clear(purpose=DEFAULT, stack_level=0) == "Unknown"


@pytest.mark.octt("TC_K_09_CS")
@pytest.mark.requirement("K10.FR.05", "K10.FR.07")
async def test_a_transaction_goes_on_without_its_cleared_default(run: Run) -> None:
    """Clear the default that a transaction began under: it goes on, and draws what the station's maximum leaves it."""
    async with run(title="A TxDefaultProfile is cleared during a transaction") as procedure:
        await procedure.needs(current_type="AC")
        await procedure.needs("smart_charging")
        assert await procedure.set_profile([(0, 14)], purpose="ChargingStationMaxProfile", read_back=False) == "Accepted"
        assert await procedure.set_profile([(0, 13), (40, 8)], purpose=DEFAULT) == "Accepted"
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=40)
        assert await procedure.wait_for_power(below=6000, within=60)
        await procedure.composite(60, "A")
        await procedure.wait(15)
        assert await procedure.clear(purpose=DEFAULT, evse_id=procedure.evse.id) == "Accepted"
        assert await procedure.wait_for_power(above=8000, within=60)
        await procedure.composite(60, "A")
        await procedure.wait(5)
        assert procedure.transaction is not None


@pytest.mark.requirement("K10.FR.09")
async def test_an_external_limit_is_not_cleared_by_its_id(run: Run) -> None:
    """The station reports the limit of an external system under an id; clearing that id is answered Unknown, and it stays."""
    async with run(title="The id of an external limit", checks=["conduct"]) as procedure:
        await procedure.needs("smart_charging", "external_limits")
        await procedure.external_limit(10)
        await procedure.wait(5)
        external = [one for one in await procedure.read_back() if one["source"] != "CSO"]
        assert external
        assert await procedure.clear(external[0]["profile"]["id"]) == "Unknown"


@pytest.mark.requirement("K10.FR.08")
async def test_criteria_that_fit_only_an_external_limit_clear_nothing(run: Run) -> None:
    """Only the limit of an external system stands on its stack level of EVSE 0: Unknown, and it stays."""
    async with run(title="Criteria that fit an external limit alone", checks=["conduct"]) as procedure:
        await procedure.needs("smart_charging", "external_limits")
        await procedure.external_limit(10)
        await procedure.wait(5)
        found = await procedure.read_back()
        external = next(one for one in found if one["source"] != "CSO")
        level = external["profile"]["stackLevel"]
        for one in found:  # what stood there before the run
            if one["source"] == "CSO" and (one["evse_id"], one["profile"]["stackLevel"]) == (external["evse_id"], level):
                await procedure.clear(one["profile"]["id"])
        assert await procedure.clear(evse_id=external["evse_id"], stack_level=level) == "Unknown"
