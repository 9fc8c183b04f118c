"""Faults of profiles seeded in a running station: each point of the seam is where it says, seen from CSMS and pilot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support_firmware import EPOCH, Json, Lab, charging_profile, open_lab, specification

pytestmark = pytest.mark.virtual
MAX = "ChargingStationMaxProfile"


async def install(lab: Lab, *periods: tuple[float, float], evse_id: int = 1, **fields: Any) -> str:
    """Send SetChargingProfile and return the status."""
    payload = {"evseId": evse_id, "chargingProfile": charging_profile(*periods, **fields)}
    answer = await lab.csms.ask("SetChargingProfile", payload)
    return str(answer["status"])


async def composite(lab: Lab, evse_id: int = 1) -> list[float] | str:
    """Return the limits in A of the next ten minutes, or the status when there are none."""
    answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 600, "evseId": evse_id, "chargingRateUnit": "A"})
    return [one["limit"] for one in answer["schedule"]["chargingSchedulePeriod"]] if "schedule" in answer else answer["status"]


async def reported(lab: Lab) -> list[tuple[int, bool, list[int]]]:
    """Return requestId, tbc and profile ids of each report on all profiles, asked for as request 9."""
    await lab.csms.ask("GetChargingProfiles", {"requestId": 9, "chargingProfile": {"stackLevel": 0}})
    await lab.clock.sleep(1)
    reports = lab.csms.of("ReportChargingProfiles")
    return [(one["requestId"], one.get("tbc", False), [p["id"] for p in one["chargingProfile"]]) for one in reports]


async def duty(lab: Lab, evse_id: int = 1) -> float | None:
    """Return the duty cycle once it has settled."""
    await lab.clock.sleep(30)
    return await lab.duty(evse_id)


async def clear_one_of_two(lab: Lab) -> Any:
    await install(lab, (0, 8), profile_id=1)
    await install(lab, (0, 8), profile_id=2, evse_id=2)
    await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1})
    return await reported(lab)


async def clear_two_of_a_level(lab: Lab) -> Any:
    await install(lab, (0, 8), profile_id=1)
    await install(lab, (0, 8), profile_id=2, evse_id=2)
    await lab.csms.ask("ClearChargingProfile", {"chargingProfileCriteria": {"stackLevel": 0}})
    return await reported(lab)


async def clear_nothing(lab: Lab) -> Any:
    return (await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1}))["status"]


async def clear_and_compose(lab: Lab) -> Any:
    await install(lab, (0, 12), evse_id=0, profile_id=2)
    await install(lab, (0, 8), stack_level=1)
    await lab.charge()
    await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1})
    return await composite(lab), await duty(lab)


async def clear_while_charging(lab: Lab) -> Any:
    await install(lab, (0, 8))
    await lab.charge()
    await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1})
    return await duty(lab)


async def lose_power(lab: Lab) -> Any:
    await install(lab, (0, 8))
    await lab.control.power_cycle()
    await lab.csms.until("StatusNotification", count=4)
    return await reported(lab)


async def reset(lab: Lab) -> Any:
    await install(lab, (0, 8))
    await lab.csms.ask("Reset", {"type": "Immediate"})
    await lab.csms.until("StatusNotification", count=4)
    return await reported(lab)


async def second_transaction(lab: Lab) -> Any:
    transaction_id = await lab.charge()
    await install(lab, (0, 8), purpose="TxProfile", transaction_id=transaction_id)
    await lab.control.unplug(1)
    await lab.control.plug(1)
    await lab.control.authorise(1, "CARD-2")
    return await duty(lab)


async def remote_start(lab: Lab) -> Any:
    await lab.control.plug(1)
    profile = charging_profile((0, 8), purpose="TxProfile")
    token = {"idToken": "APP", "type": "Central"}
    payload = {"idToken": token, "remoteStartId": 1, "evseId": 1, "chargingProfile": profile}
    await lab.csms.ask("RequestStartTransaction", payload)
    return await duty(lab)


async def two_cars(lab: Lab) -> Any:
    await install(lab, (0, 20), evse_id=0, purpose=MAX)
    await lab.charge(1)
    await lab.charge(2)
    return await lab.duty(1), await lab.duty(2)


async def one_phase(lab: Lab) -> Any:
    profile = charging_profile((0, 16))
    profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["numberPhases"] = 1
    await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
    await lab.charge()
    answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 60, "evseId": 1})
    said = answer["schedule"]["chargingSchedulePeriod"][0]["numberPhases"]
    return said, sum(one > 0 for one in lab.control.state()["evses"][0]["current_a"])


async def offline(lab: Lab) -> Any:
    transaction_id = await lab.charge()
    await install(lab, (0, 8), purpose="TxProfile", transaction_id=transaction_id)
    await lab.control.cut_network(600)
    return await duty(lab)


async def resume(lab: Lab) -> Any:
    await lab.charge()
    seen = []
    for limit in (0, 8, 9):
        await install(lab, (0, limit))
        seen.append(await duty(lab))
    return seen


async def later_profile(lab: Lab) -> Any:
    await install(lab, (0, 8), start=EPOCH + timedelta(seconds=100))
    return await composite(lab)


async def max_profile(lab: Lab) -> Any:
    await install(lab, (0, 8), evse_id=0, purpose=MAX)
    return await composite(lab)


async def max_on_an_evse(lab: Lab) -> Any:
    return await install(lab, (0, 8), purpose=MAX)


async def unknown_evse(lab: Lab) -> Any:
    return await install(lab, (0, 8), evse_id=7), await composite(lab, 7)


async def two_reports(lab: Lab) -> Any:
    await install(lab, (0, 8), profile_id=1)
    await install(lab, (0, 8), profile_id=2, evse_id=2)
    return await reported(lab)


async def another_level(lab: Lab) -> Any:
    await install(lab, (0, 8), profile_id=1, stack_level=1)
    return await reported(lab)


async def running_default(lab: Lab) -> Any:
    await lab.charge()
    await install(lab, (0, 8))
    return await duty(lab)


CASES: list[tuple[str, dict[str, Any], Callable[[Lab], Awaitable[Any]], Any, Any]] = [
    ("clear-overbroad", {}, clear_one_of_two, [(9, False, [2])], []),
    ("clear-first-only", {}, clear_two_of_a_level, [], [(9, False, [2])]),
    ("clear-always-accepted", {}, clear_nothing, "Unknown", "Accepted"),
    ("clear-not-applied", {}, clear_and_compose, ([12.0], 20.0), ([12.0], 13.33)),
    ("clear-no-reapply", {}, clear_while_charging, 26.66, 13.33),
    ("forgets-on-reboot", {}, lose_power, [(9, False, [1])], []),
    ("forgets-on-reboot", {}, reset, [(9, False, [1])], []),
    ("keeps-txprofile", {}, second_transaction, 26.66, 13.33),
    ("start-profile-ignored", {}, remote_start, 13.33, 26.66),
    ("max-per-evse", {}, two_cars, (16.66, 16.66), (26.66, 26.66)),
    ("ignores-numberphases", {}, one_phase, (1, 1), (1, 3)),
    ("offline-drop", {"purpose": "TxProfile"}, offline, 13.33, 26.66),
    ("zero-resume", {}, resume, [None, 13.33, 15.0], [None, 26.66, 15.0]),
    ("composite-late-period", {}, later_profile, [16, 8], [16]),
    ("composite-ignores-max", {}, max_profile, [8], [16]),
    ("ignores-purpose", {"purpose": MAX}, max_profile, [8], [16]),
    ("accepts-anything", {"rule": "K04.FR.03"}, max_on_an_evse, "Rejected", "Accepted"),
    ("rejects-valid", {"purpose": "TxDefaultProfile"}, running_default, 13.33, 26.66),
    ("unknown-evse-accepted", {}, unknown_evse, ("Rejected", "Rejected"), ("Accepted", [32])),
    ("report-no-tbc", {}, two_reports, [(9, True, [1]), (9, False, [2])], [(9, False, [1]), (9, False, [2])]),
    ("report-wrong-request-id", {}, two_reports, [(9, True, [1]), (9, False, [2])], [(10, True, [1]), (10, False, [2])]),
    ("report-ignores-criteria", {}, another_level, [], [(9, False, [1])]),
    ("txdefault-only-next-transaction", {}, running_default, 13.33, 26.66),
    ("accepts-and-drops", {"purpose": "TxDefaultProfile"}, running_default, 13.33, 26.66),
]


@pytest.mark.parametrize(("fault_id", "params", "story", "sound", "faulty"), CASES)
async def test_a_faulty_station_behaves_otherwise(
    fault_id: str, params: Json, story: Callable[[Lab], Awaitable[Any]], sound: Any, faulty: Any
) -> None:
    """The same story with a sound station and with the fault seeded; 8 A are 13.33 %, the own 16 A are 26.66 %."""
    for seeded, due in ((False, sound), (True, faulty)):
        async with open_lab(specification(features={"phases_3to1": True})) as lab:
            if seeded:
                await lab.control.seed_fault(f"station.{fault_id}", params)
            assert await story(lab) == due
