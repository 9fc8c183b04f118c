"""Limits from outside at the emulated station: K11, K12, K13, and what a CSMS may not do to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support_firmware import Json, Lab, charging_profile, open_lab, specification

pytestmark = pytest.mark.virtual
NOTIFY, CLEARED = "NotifyChargingLimit", "ClearedChargingLimit"


def station() -> Json:
    """Return a rig whose station has an input for external limits."""
    return specification(features={"external_limits": True})


async def set_variable(lab: Lab, name: str, value: str) -> str:
    """Set a variable of SmartChargingCtrlr and return the status."""
    data = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": name}, "attributeValue": value}
    answer = await lab.csms.ask("SetVariables", {"setVariableData": [data]})
    return str(answer["setVariableResult"][0]["attributeStatus"])


async def report(lab: Lab, **criteria: Any) -> list[Json]:
    """Ask for charging profiles and return the reports."""
    before = len(lab.csms.of("ReportChargingProfiles"))
    answer = await lab.csms.ask("GetChargingProfiles", {"requestId": 1, "chargingProfile": criteria})
    await lab.clock.sleep(1)
    reports = lab.csms.of("ReportChargingProfiles")[before:]
    assert (answer["status"] == "Accepted") == bool(reports)
    return reports


def rates(lab: Lab) -> int:
    """Return how many TransactionEvents told a changed rate."""
    return sum(one["triggerReason"] == "ChargingRateChanged" for one in lab.csms.of("TransactionEvent"))


async def test_an_external_limit_lowers_a_transaction_and_is_told() -> None:
    """K11.FR.01 to FR.05: 8 A of the EMS instead of 16 A; announced with its schedule, and the changed rate told."""
    async with open_lab(station()) as lab:
        await lab.charge()
        before = rates(lab)
        await lab.control.external_limit(8, "A", source="EMS")
        notice = await lab.csms.until(NOTIFY)
        assert notice["chargingLimit"] == {"chargingLimitSource": "EMS", "isGridCritical": False}
        assert notice["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 8.0}]
        await lab.clock.sleep(15)
        assert (await lab.duty(), rates(lab) - before) == (13.33, 1)
        assert lab.power_w() == pytest.approx((0.6 * 13.33 - 0.5) * 690, abs=0.1)


async def test_the_total_of_all_evses_stays_within_the_external_limit() -> None:
    """K12.FR.01: set before any transaction; two EVSEs of 16 A share 20 A."""
    async with open_lab(station()) as lab:
        await lab.control.external_limit(20, "A", source="SO")
        await lab.charge(1)
        await lab.charge(2)
        assert [await lab.duty(1), await lab.duty(2)] == [16.66, 16.66]
        assert (await lab.csms.until(NOTIFY))["chargingLimit"] == {"chargingLimitSource": "SO", "isGridCritical": True}


async def test_the_lowest_of_several_sources_counts() -> None:
    """SC.01: 12 A of the EMS and 9 A of the system operator; released, the other one is left."""
    async with open_lab(station()) as lab:
        await lab.charge()
        await lab.control.external_limit(12, source="EMS")
        await lab.control.external_limit(9, source="SO")
        await lab.clock.sleep(5)
        assert await lab.duty() == 15.0
        await lab.control.external_limit(None, source="SO")
        await lab.clock.sleep(5)
        assert await lab.duty() == 20.0


async def test_the_schedule_is_left_out_where_the_variable_says_so() -> None:
    """K11.FR.03 holds with NotifyChargingLimitWithSchedules only."""
    async with open_lab(station()) as lab:
        assert await set_variable(lab, "NotifyChargingLimitWithSchedules", "false") == "Accepted"
        await lab.control.external_limit(8)
        assert "chargingSchedule" not in await lab.csms.until(NOTIFY)


async def test_small_changes_are_told_when_they_add_up() -> None:
    """SC.03 with 10 %: from 10 A told, 9.5 A is obeyed in silence, 8.9 A (11 % below 10 A) is told."""
    async with open_lab(station()) as lab:
        assert await set_variable(lab, "LimitChangeSignificance", "10") == "Accepted"
        await lab.charge()
        seen = []
        for limit in (10, 9.5, 8.9):
            await lab.control.external_limit(limit)
            await lab.clock.sleep(5)
            seen.append((len(lab.csms.of(NOTIFY)), rates(lab), await lab.duty()))
        assert seen == [(1, 2, 16.66), (1, 2, 15.83), (2, 3, 14.83)]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("LimitChangeSignificance", "12.5", "Accepted"),
        ("LimitChangeSignificance", "-1", "Rejected"),
        ("LimitChangeSignificance", "101", "Rejected"),
        ("LimitChangeSignificance", "some", "Rejected"),
        ("NotifyChargingLimitWithSchedules", "true", "Accepted"),
        ("NotifyChargingLimitWithSchedules", "maybe", "Rejected"),
    ],
)
async def test_its_variables_take_what_they_can(name: str, value: str, status: str) -> None:
    """A percentage with decimals, and a boolean."""
    async with open_lab(station()) as lab:
        assert await set_variable(lab, name, value) == status


async def test_a_limit_over_time_is_followed() -> None:
    """From now on 10 A, after 600 s a pause, after 1,200 s 6 A."""
    async with open_lab(station()) as lab:
        await lab.charge()
        await lab.control.external_limit(10, periods=[(600, 0), (1200, 6)])
        seen = []
        for _ in range(3):
            await lab.clock.sleep(300)
            seen.append(await lab.duty())
            await lab.clock.sleep(300)
        assert seen == [16.66, None, 10.0]


async def test_a_pause_is_told_as_a_changed_rate() -> None:
    """K11.FR.04: from 16 A to nothing is a change of the rate as well as of the state."""
    async with open_lab(station()) as lab:
        await lab.charge()
        before = rates(lab)
        await lab.control.external_limit(0)
        await lab.clock.sleep(20)
        assert rates(lab) == before + 1
        assert lab.csms.of("TransactionEvent")[-1]["transactionInfo"]["chargingState"] == "SuspendedEVSE"


async def test_it_is_reported_under_its_source() -> None:
    """K11.FR.06, K12.FR.05: purpose and source, a negative id; other sources do not show it."""
    async with open_lab(station()) as lab:
        await lab.control.external_limit(8, source="SO")
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 10))})
        (own, external) = await report(lab, chargingLimitSource=["SO", "CSO"])
        assert (own["chargingLimitSource"], external["chargingLimitSource"]) == ("CSO", "SO")
        (profile,) = external["chargingProfile"]
        assert profile["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
        assert profile["id"] < 0
        assert len(await report(lab, chargingProfilePurpose="ChargingStationExternalConstraints")) == 1
        assert await report(lab, chargingLimitSource=["EMS"]) == []


async def test_a_csms_can_neither_clear_nor_replace_it() -> None:
    """K10.FR.04, FR.08, FR.09 and K01.FR.05."""
    async with open_lab(station()) as lab:
        await lab.control.external_limit(8, source="EMS")
        ((profile,),) = [one["chargingProfile"] for one in await report(lab, chargingLimitSource=["EMS"])]
        for request in (
            {"chargingProfileId": profile["id"]},
            {"chargingProfileCriteria": {"chargingProfilePurpose": "ChargingStationExternalConstraints"}},
            {"chargingProfileCriteria": {"evseId": 0}},
        ):
            assert (await lab.csms.ask("ClearChargingProfile", request))["status"] == "Unknown"
        replacement = charging_profile((0, 16), profile_id=profile["id"])
        answer = await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": replacement})
        assert answer["status"] == "Rejected"
        assert len(await report(lab, chargingLimitSource=["EMS"])) == 1


@pytest.mark.parametrize("running", [False, True])
async def test_the_release_is_told_and_lifts_the_limit(running: bool) -> None:
    """K13.FR.01 to FR.03 with errata 2025-01: also without a transaction; releasing nothing says nothing."""
    async with open_lab(station()) as lab:
        if running:
            await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(15)
        before = rates(lab)
        await lab.control.external_limit(None)
        assert await lab.csms.until(CLEARED) == {"chargingLimitSource": "EMS"}
        await lab.clock.sleep(15)
        assert (rates(lab) - before, await report(lab, chargingLimitSource=["EMS"])) == (int(running), [])
        await lab.control.external_limit(None)
        await lab.clock.sleep(5)
        assert len(lab.csms.of(CLEARED)) == 1
        assert (await lab.duty()) == (26.66 if running else None)


async def test_what_changed_offline_is_obeyed_at_once_and_told_afterwards() -> None:
    """SC.02: of two limits set without network the last is told, and the changed rates are told as offline."""
    async with open_lab(station()) as lab:
        await lab.charge()
        await lab.control.cut_network(300)
        await lab.control.external_limit(8)
        await lab.clock.sleep(10)
        assert await lab.duty() == 13.33
        await lab.control.external_limit(7)
        await lab.csms.until(NOTIFY)
        await lab.clock.sleep(5)
        assert [one["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] for one in lab.csms.of(NOTIFY)] == [7.0]
        late = [one for one in lab.csms.of("TransactionEvent") if one["triggerReason"] == "ChargingRateChanged"][-2:]
        assert [one.get("offline") for one in late] == [True, True]


async def test_it_survives_a_loss_of_power() -> None:
    """The station goes on within it."""
    async with open_lab(station()) as lab:
        await lab.control.external_limit(8)
        await lab.control.power_cycle()
        await lab.csms.until("BootNotification", count=2)
        await lab.charge()
        assert await lab.duty() == 13.33


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"limit": 8, "source": "CSO"}, "source = 'CSO': must be one of EMS, SO, Other"),
        ({"limit": 8, "source": ["EMS"]}, "must be one of EMS"),
        ({"limit": 10**400}, "must be a number from 0"),
        ({"limit": 8, "periods": [(10**400, 6.0)]}, "whole number of seconds from 0"),
        ({"limit": 8, "unit": "kW"}, "unit = 'kW': must be A or W"),
        ({"limit": -1}, "limit = -1: must be a number"),
        ({"limit": float("nan")}, "limit = nan"),
        ({"limit": None, "periods": [(5, 6.0)]}, "must begin at 0"),
        ({"limit": 8, "periods": [(5, 6.0), (5, 7.0)]}, "must ascend"),
        ({"limit": 8, "periods": [(1.5, 6.0)]}, "whole number"),
        ({"limit": 8, "periods": [6]}, "must be a pair"),
        ({"limit": 8, "periods": 7}, "must be a list"),
    ],
)
async def test_a_wrong_limit_is_refused(arguments: dict[str, Any], reason: str) -> None:
    """The message says which argument is wrong, and nothing is told."""
    async with open_lab(station()) as lab:
        with pytest.raises(ValueError, match=reason):
            await lab.control.external_limit(**arguments)
        await lab.clock.sleep(2)
        assert not lab.csms.of(NOTIFY)


async def test_a_station_without_the_input_says_so() -> None:
    """Undeclared, unsupported."""
    async with open_lab() as lab:
        with pytest.raises(ValueError, match="this station has no input for it"):
            await lab.control.external_limit(8)


async def test_a_station_told_not_to_listen_does_not() -> None:
    """ExternalControlSignalsEnabled false: no limit, no notice."""
    async with open_lab(station()) as lab:
        await lab.charge()
        assert await set_variable(lab, "ExternalControlSignalsEnabled", "false") == "Accepted"
        await lab.control.external_limit(8, "A", source="EMS")
        await lab.clock.sleep(15)
        assert (await lab.duty(), lab.csms.of(NOTIFY)) == (26.66, [])
