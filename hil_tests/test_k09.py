"""Procedures on reporting charging profiles (K09); the same file runs on the emulated rig and, with --rig, on hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

CHECKS: Final = ["installed"]
"""Nothing charges here: what counts are the messages."""


async def furnish(procedure: Procedure) -> dict[str, int]:
    """Install a profile of the station's, one for all EVSEs, and two of the EVSE under test; return the id of each by name."""
    own = procedure.evse.id
    wanted: dict[str, dict[str, Any]] = {
        "max": {"periods": [(0, 30)], "purpose": "ChargingStationMaxProfile", "evse_id": 0},
        "shared": {"periods": [(0, 14)], "purpose": "TxDefaultProfile", "evse_id": 0},
        "low": {"periods": [(0, 12)], "purpose": "TxDefaultProfile", "evse_id": own, "stack_level": 1},
        "high": {"periods": [(0, 10)], "purpose": "TxDefaultProfile", "evse_id": own, "stack_level": 2},
    }
    ids = {}
    for name, settings in wanted.items():
        ids[name] = procedure.course.fresh_id()
        assert await procedure.set_profile(**settings, profile_id=ids[name], read_back=name == "high") == "Accepted"
    return ids


def ids_of(found: list[dict[str, Any]]) -> set[int]:
    """Return the ids of reported profiles."""
    return {one["profile"]["id"] for one in found}


@pytest.mark.octt("TC_K_29_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.05")
async def test_evse_0_reports_what_the_station_itself_owns(run: Run) -> None:
    """Ask for EVSE 0: the station's maximum and the default of all EVSEs are reported, and no EVSE's own profile."""
    async with run(title="The profiles of the station itself are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        found = ids_of(await procedure.report(evse_id=0, purpose="TxDefaultProfile"))
        assert ids["shared"] in found
        assert {ids["low"], ids["high"]}.isdisjoint(found)
        assert ids["max"] in ids_of(await procedure.report(evse_id=0, purpose="ChargingStationMaxProfile"))


@pytest.mark.octt("TC_K_30_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.04")
async def test_an_evse_reports_its_own_profiles(run: Run) -> None:
    """Ask for one EVSE and one purpose: both of its profiles are reported; the station's maximum is not."""
    async with run(title="The profiles of one EVSE are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        found = ids_of(await procedure.report(evse_id=procedure.evse.id, purpose="TxDefaultProfile"))
        assert {ids["low"], ids["high"]} <= found
        assert ids["max"] not in found


@pytest.mark.octt("TC_K_31_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.02", "K09.FR.06")
async def test_without_an_evse_all_profiles_are_reported(run: Run) -> None:
    """Ask for one purpose and no EVSE: the station's and the EVSE's profiles come, in one report for each at least."""
    async with run(title="The profiles of all EVSEs are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        found = ids_of(await procedure.report(purpose="TxDefaultProfile"))
        assert {ids["shared"], ids["low"], ids["high"]} <= found
        assert ids["max"] not in found


@pytest.mark.octt("TC_K_32_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.06")
async def test_profiles_are_reported_by_their_ids(run: Run) -> None:
    """Ask for one id, for two, and for one that is not there: those are reported, and nothing else."""
    async with run(title="Profiles are reported by id", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        assert ids_of(await procedure.report(ids=[ids["low"]])) == {ids["low"]}
        assert ids_of(await procedure.report(ids=[ids["max"], ids["high"]])) == {ids["max"], ids["high"]}
        assert await procedure.report(ids=[procedure.course.fresh_id()]) == []


@pytest.mark.octt("TC_K_33_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.04")
async def test_an_evse_reports_by_stack_level(run: Run) -> None:
    """Ask one EVSE for a stack level: the profile on the other level is left out."""
    async with run(title="The profiles of one stack level are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        found = ids_of(await procedure.report(evse_id=procedure.evse.id, stack_level=2))
        assert ids["high"] in found
        assert ids["low"] not in found


@pytest.mark.octt("TC_K_34_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.04")
async def test_an_evse_reports_by_source(run: Run) -> None:
    """Ask one EVSE for what the CSMS has set, and for what another source has: all of it, and nothing of it."""
    async with run(title="The profiles of one source are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        own = procedure.evse.id
        assert {ids["low"], ids["high"]} <= ids_of(await procedure.report(evse_id=own, sources=["CSO"]))
        assert {ids["low"], ids["high"]}.isdisjoint(ids_of(await procedure.report(evse_id=own, sources=["Other"])))


@pytest.mark.octt("TC_K_35_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.04")
async def test_an_evse_reports_by_purpose(run: Run) -> None:
    """Ask one EVSE for its default profiles, and for its TxProfiles, of which there are none: the defaults, and nothing of it."""
    async with run(title="The profiles of one purpose are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        own = procedure.evse.id
        assert {ids["low"], ids["high"]} <= ids_of(await procedure.report(evse_id=own, purpose="TxDefaultProfile"))
        assert await procedure.report(evse_id=own, purpose="TxProfile") == []


@pytest.mark.octt("TC_K_36_CS")
@pytest.mark.requirement("K09.FR.01", "K09.FR.04")
async def test_an_evse_reports_by_purpose_and_stack_level(run: Run) -> None:
    """Ask one EVSE for a purpose on a stack level: both have to fit."""
    async with run(title="The profiles of one purpose and stack level are reported", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        found = ids_of(await procedure.report(evse_id=procedure.evse.id, purpose="TxDefaultProfile", stack_level=1))
        assert ids["low"] in found
        assert ids["high"] not in found


@pytest.mark.requirement("K09.FR.01", "K09.FR.02", "K09.FR.06")
async def test_a_report_in_parts_says_that_more_follows(run: Run) -> None:
    """Fill all stack levels of the EVSE: however the station cuts its report, all but the last part say that more follows."""
    async with run(title="A report comes in parts", checks=CHECKS) as procedure:
        await procedure.needs("smart_charging")
        ids = await furnish(procedure)
        features = procedure.station.features
        levels = range(3, min(features.profile_stack_level, features.entries - len(ids) - 1, 8) + 1)
        for level in levels:
            profile: dict[str, Any] = {"purpose": "TxDefaultProfile", "stack_level": level, "read_back": False}
            assert await procedure.set_profile([(0, 9)], **profile) == "Accepted"
        found = await procedure.read_back()
        assert set(ids.values()) <= ids_of(found)
        assert len(found) >= len(ids) + len(levels)
