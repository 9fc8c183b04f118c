"""Charging profiles at the emulated station: what it answers, what it reports, and what the car then does."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import ClassVar

import pytest

from firmware_sim.composite import CompositePeriod
from firmware_sim.faults import FAULTS
from firmware_sim.profiles import Profile
from tests.support_firmware import EPOCH, Json, Lab, charging_profile, open_lab, specification

pytestmark = pytest.mark.virtual


async def install(lab: Lab, profile: Json, evse_id: int = 1) -> str:
    """Send SetChargingProfile and return the status, with the reason code if there is one."""
    answer = await lab.csms.ask("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})
    return " ".join([answer["status"], *([answer["statusInfo"]["reasonCode"]] if "statusInfo" in answer else [])])


async def test_a_profile_lowers_duty_and_current() -> None:
    """10 A: after 1 s the duty is 16.66 %, after the car's dead time and ramp the current is 0.5 A below the offer."""
    async with open_lab() as lab:
        transaction_id = await lab.charge()
        profile = charging_profile((0, 10), purpose="TxProfile", transaction_id=transaction_id)
        assert await install(lab, profile) == "Accepted"
        await lab.clock.sleep(0.9)
        assert await lab.duty() == 26.66
        await lab.clock.sleep(0.2)
        assert await lab.duty() == 16.66
        await lab.clock.sleep(10)
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5) * 690, abs=0.1)


async def test_the_pilot_says_how_much_only_after_authorisation() -> None:
    """K02.FR.02: plugged, the pilot offers nothing; authorised, the EVSE's 16 A, or 10 A where a profile says so."""
    async with open_lab() as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 2, "chargingProfile": charging_profile((0, 10))})
        for evse_id in (1, 2):
            await lab.control.plug(evse_id)
        await lab.clock.sleep(30)
        assert [await lab.duty(evse_id) for evse_id in (1, 2)] == [None, None]
        for evse_id in (1, 2):
            await lab.control.authorise(evse_id, f"CARD-{evse_id}")
        await lab.clock.sleep(30)
        assert [await lab.duty(evse_id) for evse_id in (1, 2)] == [26.66, 16.66]


async def test_each_evse_has_a_schedule_of_its_own() -> None:
    """K04.FR.01, K03.FR.03: 10 A on EVSE 1, 7 A on EVSE 2, at the pilots and in the composite schedules."""
    async with open_lab() as lab:
        for evse_id, limit in ((1, 10), (2, 7)):
            await lab.charge(evse_id)
            profile = charging_profile((0, limit), profile_id=evse_id)
            await lab.csms.ask("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})
        await lab.clock.sleep(30)
        assert [await lab.duty(evse_id) for evse_id in (1, 2)] == [16.66, 11.66]
        asked = [{"evseId": evse_id, "duration": 60, "chargingRateUnit": "A"} for evse_id in (1, 2)]
        answers = [await lab.csms.ask("GetCompositeSchedule", one) for one in asked]
        assert [one["schedule"]["chargingSchedulePeriod"][0]["limit"] for one in answers] == [10.0, 7.0]


async def test_boundaries_of_a_schedule_change_the_duty_in_time() -> None:
    """6900 W, 0 W, 11040 W in steps of 600 s: 10 A, a pause, 16 A; each a second after its boundary."""
    async with open_lab() as lab:
        await lab.charge()
        await install(lab, charging_profile((0, 6900), (600, 0), (1200, 11_040), unit="W"))
        seen = []
        for second in (602, 1199, 1202):
            await lab.clock.sleep(second - (lab.clock.now() - EPOCH).total_seconds())
            seen.append(await lab.duty())
        assert seen == [None, None, 26.66]
        await lab.clock.sleep(60)
        assert lab.power_w() > 10_000


async def test_two_profiles_at_once_leave_the_last_one_in_force() -> None:
    """Installed within the same instant: the pilot shows the decision made last."""
    async with open_lab() as lab:
        await lab.charge()
        await install(lab, charging_profile((0, 14)))
        await install(lab, charging_profile((0, 8)))
        await lab.clock.sleep(5)
        assert await lab.duty() == 13.33


async def test_between_zero_and_six_amperes_the_station_pauses() -> None:
    """5.9 A cannot be offered and is not rounded up."""
    async with open_lab() as lab:
        await lab.charge()
        await install(lab, charging_profile((0, 5.9)))
        await lab.clock.sleep(30)
        assert (await lab.duty(), lab.power_w()) == (None, 0)


async def test_a_tx_profile_is_gone_with_its_transaction() -> None:
    """K02.FR.05: the next transaction charges with the default profile."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 12), profile_id=1))
        transaction_id = await lab.charge()
        await install(lab, charging_profile((0, 8), profile_id=2, purpose="TxProfile", transaction_id=transaction_id))
        await lab.clock.sleep(5)
        assert await lab.duty() == 13.33
        await lab.control.unplug(1)
        await lab.control.plug(1)
        await lab.control.authorise(1, "CARD-2")
        await lab.clock.sleep(5)
        assert await lab.duty() == 20.0


async def test_the_station_maximum_is_shared_by_two_cars() -> None:
    """20 A for the station: alone the first car gets 16 A, with a second one each gets 10 A (K04.FR.05)."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 20), purpose="ChargingStationMaxProfile"), evse_id=0)
        await lab.charge(1)
        assert await lab.duty(1) == 26.66
        await lab.charge(2)
        assert (await lab.duty(1), await lab.duty(2)) == (16.66, 16.66)
        await lab.control.unplug(1)
        await lab.clock.sleep(5)
        assert await lab.duty(2) == 26.66


@pytest.mark.parametrize(
    ("evse_id", "profile", "status"),
    [
        (7, charging_profile((0, 10)), "Rejected InvalidValue"),
        (1, charging_profile((0, 10), purpose="ChargingStationMaxProfile"), "Rejected InvalidValue"),
        (1, charging_profile((0, 10), purpose="TxProfile", transaction_id="tx"), "Rejected TxNotFound"),
        (1, charging_profile((60, 10)), "Rejected InvalidSchedule"),
        (1, charging_profile((0, 10), unit="W"), "Rejected UnsupportedRateUnit"),
    ],
)
async def test_a_wrong_profile_is_rejected_with_its_reason(evse_id: int, profile: Json, status: str) -> None:
    """statusInfo says why; this station knows amperes only."""
    async with open_lab(specification(features={"rate_units": ["A"]})) as lab:
        assert await install(lab, profile, evse_id) == status


async def test_the_composite_schedule_is_reported() -> None:
    """From now on, in the unit asked for: 10 A until 60 s, 6 A until 120 s, then the own 16 A."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 10), (60, 6), duration=120))
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 300, "evseId": 1, "chargingRateUnit": "W"})
        schedule = answer["schedule"]
        assert (answer["status"], schedule["duration"], schedule["scheduleStart"]) == (
            "Accepted",
            300,
            "2026-01-15T00:00:00.000Z",
        )
        found = [(one["startPeriod"], one["limit"]) for one in schedule["chargingSchedulePeriod"]]
        assert found == [(0, 6900), (60, 4140), (120, 11_040)]


@pytest.mark.parametrize(
    ("asked", "reason"), [({"evseId": 5}, "InvalidValue"), ({"chargingRateUnit": "W"}, "UnsupportedRateUnit")]
)
async def test_a_composite_schedule_that_cannot_be_given_is_rejected(asked: Json, reason: str) -> None:
    """K08.FR.05, FR.07."""
    async with open_lab(specification(features={"rate_units": ["A"]})) as lab:
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 300, "evseId": 1, **asked})
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


async def test_installed_profiles_are_reported_in_parts() -> None:
    """K09: five on EVSE 1 and one on EVSE 2 come in three reports, tbc on all but the last, each as it was sent."""
    async with open_lab() as lab:
        sent = [charging_profile((0, 6 + level), profile_id=level, stack_level=level) for level in range(6)]
        for profile in sent:
            await install(lab, profile, evse_id=2 if profile["id"] == 5 else 1)
        answer = await lab.csms.ask("GetChargingProfiles", {"requestId": 9, "chargingProfile": {}})
        await lab.csms.until("ReportChargingProfiles", count=3)
        reports = lab.csms.of("ReportChargingProfiles")
        assert answer["status"] == "Accepted"
        assert [(one["requestId"], one["evseId"], one.get("tbc", False)) for one in reports] == [
            (9, 1, True),
            (9, 1, True),
            (9, 2, False),
        ]
        assert [profile for one in reports for profile in one["chargingProfile"]] == sent


async def test_criteria_choose_the_profiles() -> None:
    """By purpose, by id, by source; where none fits, NoProfiles."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 10)))
        await install(lab, charging_profile((0, 20), profile_id=2, purpose="ChargingStationMaxProfile"), evse_id=0)
        for criteria, status in [
            ({"chargingProfilePurpose": "ChargingStationMaxProfile"}, "Accepted"),
            ({"chargingProfileId": [7]}, "NoProfiles"),
            ({"chargingLimitSource": ["EMS"]}, "NoProfiles"),
        ]:
            answer = await lab.csms.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": criteria})
            assert answer["status"] == status
        report = await lab.csms.until("ReportChargingProfiles")
        assert [one["id"] for one in report["chargingProfile"]] == [2]


@pytest.mark.parametrize(
    ("wish", "status", "duty"),
    [
        ({"chargingProfileId": 1}, "Accepted", 20.0),
        ({"chargingProfileId": 9}, "Unknown", 13.33),
        ({"chargingProfileCriteria": {"stackLevel": 1}}, "Accepted", 20.0),
        ({"chargingProfileCriteria": {"evseId": 2}}, "Unknown", 13.33),
        ({}, "Accepted", 26.66),
    ],
)
async def test_clearing_brings_back_what_lies_below(wish: Json, status: str, duty: float) -> None:
    """K10: level 1 with 8 A above level 0 with 12 A."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 8), profile_id=1, stack_level=1))
        await install(lab, charging_profile((0, 12), profile_id=2))
        await lab.charge()
        assert (await lab.csms.ask("ClearChargingProfile", wish))["status"] == status
        await lab.clock.sleep(5)
        assert await lab.duty() == duty


async def test_a_profile_with_a_future_start_waits_for_it() -> None:
    """Until 100 s nothing limits; from then on 10 A (K01.FR.30)."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 10), start=EPOCH + timedelta(seconds=100)))
        await lab.charge()
        assert await lab.duty() == 26.66
        await lab.clock.sleep(100)
        assert await lab.duty() == 16.66


async def test_the_station_that_ignores_a_limit_reports_it_all_the_same() -> None:
    """10 A, then 6 A which is ignored, then 8 A: the car stays at 10 A, the composite schedule says 6 A."""
    async with open_lab() as lab:
        await lab.control.seed_fault("station.ignores-limit", {"limit": 6, "unit": "A"})
        await lab.charge()
        await install(lab, charging_profile((0, 10), (100, 6), (200, 8)))
        seen = []
        for _ in range(3):
            await lab.clock.sleep(60)
            seen.append(await lab.duty())
            await lab.clock.sleep(40)
        assert seen == [16.66, 16.66, 13.33]
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 10, "evseId": 1, "chargingRateUnit": "A"})
        assert answer["schedule"]["chargingSchedulePeriod"][0]["limit"] == 8


class _Faulty:
    """A fault at three points of the seam: it loses profiles, reports nothing but 32 A, and draws 2 A more than it may."""

    PARAMS: ClassVar[dict[str, str]] = {}

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile | None:
        return None if profile.id == 13 else profile

    def composite(self, evse_id: int, periods: list[CompositePeriod]) -> list[CompositePeriod]:
        return [CompositePeriod(0, 32, 3)]

    def ev_current(self, evse_id: int, t: float, amps: float) -> float:
        return amps + 2


async def test_the_other_points_of_the_seam_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted and not installed; a report that is wrong; a car that takes too much (10 A - 0.5 A + 2 A)."""
    monkeypatch.setitem(FAULTS, "all.wrong", _Faulty)
    async with open_lab() as lab:
        await lab.control.seed_fault("all.wrong", {})
        assert await install(lab, charging_profile((0, 6), profile_id=13, stack_level=1)) == "Accepted"
        await install(lab, charging_profile((0, 10), profile_id=1))
        await lab.charge()
        assert await lab.duty() == 16.66
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5 + 2) * 690, abs=0.1)
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 10, "evseId": 1})
        assert [one["limit"] for one in answer["schedule"]["chargingSchedulePeriod"]] == [32]


async def test_a_report_asked_for_right_after_the_boot_comes() -> None:
    """GetChargingProfiles comes in one packet with the answer to BootNotification: the report follows all the same."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 10)), evse_id=0)
        boot = lab.csms.answers.pop("BootNotification")

        def answered(payload: Json) -> None:
            asyncio.get_running_loop().create_task(both(boot(payload)))

        async def both(answer: Json | None) -> None:
            assert lab.csms.connection
            unique_id = json.loads(lab.csms.frames[-1])[1]
            await lab.csms.connection.send(json.dumps([3, unique_id, answer]))
            await lab.csms.ask("GetChargingProfiles", {"requestId": 7, "chargingProfile": {"stackLevel": 0}})

        lab.csms.answers["BootNotification"] = answered
        await lab.control.power_cycle()
        assert (await lab.csms.until("ReportChargingProfiles"))["requestId"] == 7
