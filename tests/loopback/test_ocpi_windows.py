"""A schedule longer than the station can hold: it goes out in windows, no failed renewal raises power (mod_charging_profiles)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.errors import CallTimeoutError
from tests.ocpi_rig import OcpiRig, open_ocpi_rig, rig_settings

pytestmark = pytest.mark.virtual

LIMITS = (16.0, 10.0, 12.0, 8.0, 14.0)
PROFILE: dict[str, Any] = {
    "start_date_time": "2026-01-15T00:00:00Z",
    "duration": 4500,
    "charging_rate_unit": "A",
    "min_charging_rate": 6.0,
    "charging_profile_period": [{"start_period": index * 900, "limit": limit} for index, limit in enumerate(LIMITS)],
}
REFUSED = {"status": "Rejected", "statusInfo": {"reasonCode": "NoMemory"}}


@pytest.fixture
async def rig() -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, with a station that holds three periods."""
    async with open_ocpi_rig(settings=rig_settings(periods_per_schedule=3)) as opened:
        yield opened


async def _place(rig: OcpiRig, profile: dict[str, Any] = PROFILE) -> str:
    session_id = await rig.session()
    order = await rig.scsp.send_plan(session_id, profile)
    assert order.answer["result"] == "ACCEPTED"
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    return session_id


def _windows(rig: OcpiRig) -> list[tuple[str, list[tuple[int, float]]]]:
    """Return startSchedule and the limits of each SetChargingProfile."""
    schedules = [one["chargingProfile"]["chargingSchedule"][0] for one in rig.stations.sent("SetChargingProfile")]
    return [
        (one["startSchedule"][11:19], [(period["startPeriod"], period["limit"]) for period in one["chargingSchedulePeriod"]])
        for one in schedules
    ]


async def test_a_long_schedule_goes_out_in_windows_renewed_before_the_last_period_begins(rig: OcpiRig) -> None:
    """Three of five: the third slot holds the lowest that is left, and the next window comes a minute before it begins."""
    await _place(rig)
    await asyncio.sleep(1730)
    assert _windows(rig) == [("00:00:00", [(0, 16.0), (900, 10.0), (1800, 8.0)])]
    await asyncio.sleep(20)
    assert _windows(rig)[1:] == [("00:15:00", [(0, 10.0), (900, 12.0), (1800, 8.0)])]
    await asyncio.sleep(900)
    assert _windows(rig)[2:] == [("00:30:00", [(0, 12.0), (900, 8.0), (1800, 14.0)])]
    await asyncio.sleep(7200)
    assert len(_windows(rig)) == 3


async def test_no_window_begins_when_it_is_sent() -> None:
    """Two of five: a station that is a minute behind has a profile all the same, between two slots the lower one."""
    async with open_ocpi_rig(settings=rig_settings(periods_per_schedule=2)) as rig:
        await _place(rig)
        await asyncio.sleep(1800)
    assert _windows(rig) == [
        ("00:00:00", [(0, 16.0), (900, 8.0)]),
        ("00:00:00", [(0, 10.0), (1800, 8.0)]),
        ("00:15:00", [(0, 10.0), (900, 8.0)]),
        ("00:15:00", [(0, 10.0), (1800, 8.0)]),
    ]


async def test_the_windows_replace_one_another(rig: OcpiRig) -> None:
    """One id and one level, so that at no moment two apply (K01.FR.05, FR.39), and the end stays that of the schedule."""
    await _place(rig)
    await asyncio.sleep(2700)
    sent = [one["chargingProfile"] for one in rig.stations.sent("SetChargingProfile")]
    assert len({(one["id"], one["stackLevel"], one["transactionId"]) for one in sent}) == 1
    assert [one["chargingSchedule"][0]["duration"] for one in sent] == [4500, 3600, 2700]
    assert {one["chargingSchedule"][0]["minChargingRate"] for one in sent} == {6.0}


async def test_a_failed_renewal_is_told_and_tried_again(rig: OcpiRig) -> None:
    """What the station holds goes on, which is less and never more; a minute later the window is there."""
    await _place(rig)
    rig.stations.answers["SetChargingProfile"] = REFUSED
    await asyncio.sleep(1850)
    assert ["NoMemory" in text for text in rig.found("renewal_failed")] == [True]
    rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
    await asyncio.sleep(60)
    assert len(rig.found("renewal_failed")) == 1  # and not once for each try
    assert _windows(rig)[-1] == ("00:30:00", [(0, 12.0), (900, 8.0), (1800, 14.0)])


async def test_what_is_brought_again_in_vain_is_no_next_part(rig: OcpiRig) -> None:
    """After an order without an answer the station is given what counts: the finding tells that, and promises no lowest limit."""
    session_id = await _place(rig)
    rig.stations.answers["SetChargingProfile"] = CallTimeoutError("no answer")
    order = await rig.scsp.send_plan(session_id, PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": 6.0}]})
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
    await asyncio.sleep(1)
    wanted = f"session {session_id}: what counts there is not at the station: no answer; it is tried again every 60 s"
    assert rig.found("renewal_failed") == [wanted]


@pytest.mark.parametrize("ends", ["session", "delete", "replaced"])
async def test_no_window_outlives_its_schedule(rig: OcpiRig, ends: str) -> None:
    """After the end of the session, after a DELETE, or behind a shorter profile nothing is renewed."""
    session_id = await _place(rig)
    if ends == "session":
        rig.stations.transaction("Ended")
    elif ends == "delete":
        order = await rig.scsp.delete(session_id)
        await rig.scsp.wait_result(order.response_id, 60)
    else:
        order = await rig.scsp.send_plan(session_id, PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": 6.0}]})
        await rig.scsp.wait_result(order.response_id, 60)
    known = len(_windows(rig))
    await asyncio.sleep(7200)
    assert len(_windows(rig)) == known


async def test_a_refused_successor_leaves_the_windows_of_what_is_installed(rig: OcpiRig) -> None:
    """The station keeps the former profile, so its next window is still due."""
    session_id = await _place(rig)
    rig.stations.answers["SetChargingProfile"] = REFUSED
    order = await rig.scsp.send_plan(session_id, PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": 16.0}]})
    assert await rig.scsp.wait_result(order.response_id, 60) == {"result": "REJECTED"}
    rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
    await asyncio.sleep(1750)
    assert _windows(rig)[-1] == ("00:15:00", [(0, 10.0), (900, 12.0), (1800, 8.0)])


async def test_a_long_relative_schedule_counts_from_the_begin_of_the_transaction(rig: OcpiRig) -> None:
    """Each window is absolute: a relative one would begin anew."""
    await _place(rig, {key: value for key, value in PROFILE.items() if key != "start_date_time"})
    kinds = {one["chargingProfile"]["chargingProfileKind"] for one in rig.stations.sent("SetChargingProfile")}
    assert (kinds, _windows(rig)[0][0]) == ({"Absolute"}, "00:00:00")


async def test_a_long_relative_schedule_without_a_known_begin_is_not_supported(rig: OcpiRig) -> None:
    """The transaction began before the CSO looked: nobody knows from when to count."""
    rig.stations.transaction("Updated", wh=1000)
    session = await rig.scsp.wait_session(lambda one: True, 10)
    order = await rig.scsp.send_plan(session["id"], {key: value for key, value in PROFILE.items() if key != "start_date_time"})
    assert order.answer == {"result": "NOT_SUPPORTED", "timeout": 0}
    assert rig.stations.calls == []


async def test_a_renewed_window_is_pushed_to_the_writer(rig: OcpiRig) -> None:
    """What is installed has changed, and the ActiveChargingProfile comes from the station's composite schedule."""
    await _place(rig)
    await rig.scsp.wait_until(lambda: len(rig.scsp.pushes) == 1, 10)
    later = {"startPeriod": 900, "limit": 12.0}
    composite = rig.stations.answers["GetCompositeSchedule"]["schedule"]
    changed = composite | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}, later]}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": changed}
    assert await rig.scsp.wait_until(lambda: len(rig.scsp.pushes) == 2, 1800)
