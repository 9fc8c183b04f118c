"""What the emulated station does about phases, DC, shared supplies, clocks and changed defaults, seen at pilot and meter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from firmware_sim.clock import text_of
from tests.support_firmware import EPOCH, Json, Lab, charging_profile, open_lab, specification

pytestmark = pytest.mark.virtual


async def install(lab: Lab, profile: Json, evse_id: int = 1) -> str:
    """Send SetChargingProfile and return the status, with the reason code if there is one."""
    answer = await lab.csms.ask("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})
    return " ".join([answer["status"], *([answer["statusInfo"]["reasonCode"]] if "statusInfo" in answer else [])])


def on_phases(number: int, limit: float = 16, line: int | None = None, **fields: Any) -> Json:
    """Return a default profile of one period with numberPhases, and with phaseToUse where a line is given."""
    profile = charging_profile((0, limit), **fields)
    period = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
    period["numberPhases"] = number
    if line is not None:
        period["phaseToUse"] = line
    return profile


def currents(lab: Lab) -> list[float]:
    """Return the true current of EVSE 1 on L1, L2, L3."""
    found: list[float] = lab.control.state()["evses"][0]["current_a"]
    return found


async def test_fewer_phases_come_with_a_pause() -> None:
    """Three phases, 10 s without PWM, then one; taken back, the same again (K01.FR.43, FR.47)."""
    async with open_lab(specification(features={"phases_3to1": True})) as lab:
        await lab.charge()
        assert currents(lab)[1] > 10
        assert await install(lab, on_phases(1, 10)) == "Accepted"
        await lab.clock.sleep(5)
        assert (await lab.duty(), currents(lab)) == (None, [0, 0, 0])
        await lab.clock.sleep(20)
        assert currents(lab) == [pytest.approx(0.6 * 16.66 - 0.5, abs=0.01), 0, 0]
        await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1})
        await lab.clock.sleep(5)
        assert await lab.duty() is None
        await lab.clock.sleep(30)
        assert min(currents(lab)) > 10


async def test_a_limit_that_changes_during_the_pause_counts_after_it() -> None:
    """One phase at 16 A, then at 8 A while the station still switches."""
    async with open_lab(specification(features={"phases_3to1": True})) as lab:
        await lab.charge()
        await install(lab, on_phases(1, 16))
        await lab.clock.sleep(4)
        await install(lab, on_phases(1, 8))
        await lab.clock.sleep(4)
        assert await lab.duty() is None
        await lab.clock.sleep(20)
        assert (await lab.duty(), currents(lab)[1]) == (13.33, 0)


async def test_the_phase_asked_for_is_used() -> None:
    """phaseToUse 2 (K01.FR.46), from the start of the transaction without a pause."""
    async with open_lab(specification(features={"ac_phase_switching": True})) as lab:
        assert await install(lab, on_phases(1, 16, 2)) == "Accepted"
        await lab.charge()
        assert [one > 10 for one in currents(lab)] == [False, True, False]


@pytest.mark.parametrize("features", [{}, {"phases_3to1": True}])
async def test_a_phase_that_cannot_be_used_is_refused(features: Json) -> None:
    """K01.FR.43, FR.48."""
    async with open_lab(specification(features=features)) as lab:
        assert await install(lab, on_phases(1, 16, 2)) == "Rejected InvalidSchedule"


async def test_watts_on_one_phase_become_amperes_of_that_phase() -> None:
    """2300 W with numberPhases 1 are 10 A on one phase: 2300 W less what the car stays below (K01.FR.50)."""
    async with open_lab(specification(features={"phases_3to1": True})) as lab:
        await install(lab, on_phases(1, 2300, unit="W"))
        await lab.charge()
        assert await lab.duty() == 16.66
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5) * 230, abs=1)


async def test_dc_counts_at_the_grid() -> None:
    """6000 W at the grid for a car that takes 16 A at 400 V behind 95 %: 6737 W; numberPhases says nothing (K01.FR.44)."""
    async with open_lab(specification(features={"current_type": "DC", "rate_units": ["W", "A"]})) as lab:
        await lab.charge()
        assert lab.power_w() == pytest.approx(16 * 400 / 0.95, abs=1)
        assert await install(lab, on_phases(1, 6000, unit="W")) == "Accepted"
        await lab.clock.sleep(30)
        assert lab.power_w() == pytest.approx(6000, abs=1)
        assert currents(lab) == pytest.approx([6000 / 690] * 3, abs=0.01)
        told = lab.csms.of("TransactionEvent")[-1]["meterValue"][0]["sampledValue"]
        assert [one["value"] for one in told if one["measurand"] == "Power.Offered"] == [pytest.approx(6000, abs=1)]
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": 60, "evseId": 1, "chargingRateUnit": "W"})
        assert answer["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 6000}]


async def test_dc_goes_below_six_amperes() -> None:
    """A limit of 2 A is agreed with the car, 0 A is a pause; the pilot shows 5 %."""
    async with open_lab(specification(features={"current_type": "DC"})) as lab:
        await lab.charge()
        await install(lab, charging_profile((0, 2), (60, 0)))
        await lab.clock.sleep(20)
        assert await lab.duty() == 5.0
        assert lab.power_w() == pytest.approx(2 * 400 / 0.95, abs=1)
        await lab.clock.sleep(60)
        assert lab.power_w() == 0


async def test_the_supply_of_the_station_is_shared() -> None:
    """A fuse of 20 A for two EVSEs of 16 A: the second car halves the first one's share (K04.FR.02)."""
    async with open_lab(specification(max_current_a=20)) as lab:
        await lab.charge(1)
        assert await lab.duty(1) == 26.66
        await lab.charge(2)
        assert (await lab.duty(1), await lab.duty(2)) == (16.66, 16.66)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": charging_profile((0, 10))}),
        ("ClearChargingProfile", {"chargingProfileId": 1}),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}),
        ("GetCompositeSchedule", {"duration": 60, "evseId": 1}),
    ],
)
async def test_without_smart_charging_it_says_so(action: str, payload: Json) -> None:
    """CALLERROR NotSupported (K01.FR.29)."""
    async with open_lab(specification(features={"smart_charging": False})) as lab:
        assert (await lab.csms.ask(action, payload))[:2] == ["CALLERROR", "NotSupported"]


@pytest.mark.parametrize(("smart", "duty"), [(True, 10.0), (False, 26.66)])
async def test_the_profile_of_a_remote_start_rules_from_the_first_second(smart: bool, duty: float) -> None:
    """6 A where the station does smart charging, ignored where it does not (K05.FR.03, FR.04)."""
    async with open_lab(specification(features={"smart_charging": smart})) as lab:
        await lab.control.plug(1)
        profile = charging_profile((0, 6), purpose="TxProfile")
        token = {"idToken": "APP", "type": "Central"}
        payload = {"idToken": token, "remoteStartId": 1, "evseId": 1, "chargingProfile": profile}
        assert (await lab.csms.ask("RequestStartTransaction", payload))["status"] == "Accepted"
        seen = []
        for _ in range(8):
            await lab.clock.sleep(0.5)
            seen.append(await lab.duty())
        assert set(seen) == {None, duty}


async def test_a_new_default_reaches_a_running_transaction() -> None:
    """K01.FR.32: 10 A, replaced by 8 A; cleared, the car gets its 16 A again (K10.FR.05, FR.07)."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 10)))
        await lab.charge()
        seen = [await lab.duty()]
        await install(lab, charging_profile((0, 8)))
        await lab.clock.sleep(5)
        seen.append(await lab.duty())
        await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": 1})
        await lab.clock.sleep(5)
        assert [*seen, await lab.duty()] == [16.66, 13.33, 26.66]


async def test_a_change_of_the_rate_is_told_when_it_is_large_enough() -> None:
    """With LimitChangeSignificance 20 %: 16 A to 14 A is not told, on to 10 A it is (SC.03)."""
    async with open_lab() as lab:
        await lab.charge()
        data = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "LimitChangeSignificance"}}
        await lab.csms.ask("SetVariables", {"setVariableData": [{**data, "attributeValue": "20"}]})
        told = []
        for limit in (14, 10):
            await install(lab, charging_profile((0, limit)))
            await lab.clock.sleep(30)
            told.append(sum(one["triggerReason"] == "ChargingRateChanged" for one in lab.csms.of("TransactionEvent")))
        assert told == [1, 2]


async def shift(lab: Lab, hours: float) -> None:
    """Let the CSMS tell another time from now on, and have the station ask for it."""
    lab.csms.answers["Heartbeat"] = lambda _: {"currentTime": text_of(lab.clock.now() + timedelta(hours=hours))}
    await lab.csms.ask("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await lab.clock.sleep(5)


@pytest.mark.parametrize(("source", "duty"), [("Heartbeat", 16.66), ("RealTimeClock", 26.66)])
async def test_the_clock_follows_the_csms_where_that_is_its_source(source: str, duty: float) -> None:
    """A default that begins in six hours rules at once when the CSMS's time is six hours ahead (B01.FR.06, G02.FR.06)."""
    async with open_lab() as lab:
        await lab.charge()
        await install(lab, charging_profile((0, 10), start=EPOCH + timedelta(hours=6)))
        data = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeSource"}, "attributeValue": source}
        await lab.csms.ask("SetVariables", {"setVariableData": [data]})
        await shift(lab, 6.1)
        assert await lab.duty() == duty


async def test_a_relative_profile_outlasts_a_step_of_the_clock() -> None:
    """16 A for ten minutes, then 8 A: counted in time that has passed, not in what the clock says."""
    async with open_lab() as lab:
        relative = charging_profile((0, 16), (600, 8), chargingProfileKind="Relative")
        del relative["chargingSchedule"][0]["startSchedule"]
        await install(lab, relative)
        await lab.charge()
        await shift(lab, -6)
        assert await lab.duty() == 26.66
        await lab.clock.sleep(600)
        assert await lab.duty() == 13.33


async def test_a_power_cut_ends_the_tx_profile_and_keeps_the_default() -> None:
    """K01.FR.27 and K02.FR.05."""
    async with open_lab() as lab:
        await install(lab, charging_profile((0, 12), profile_id=1))
        transaction_id = await lab.charge()
        await install(lab, charging_profile((0, 8), profile_id=2, purpose="TxProfile", transaction_id=transaction_id))
        await lab.control.power_cycle()
        await lab.csms.until("StatusNotification", count=4)
        await lab.csms.ask("GetChargingProfiles", {"requestId": 3, "chargingProfile": {}})
        report = await lab.csms.until("ReportChargingProfiles")
        assert [one["id"] for one in report["chargingProfile"]] == [1]


async def test_expired_profiles_make_room() -> None:
    """Two entries, one expired: a third profile takes its place; while both are valid it is refused."""
    async with open_lab(specification(features={"entries": 2})) as lab:
        soon = text_of(EPOCH + timedelta(seconds=60))
        await install(lab, charging_profile((0, 12), profile_id=1, validTo=soon))
        await install(lab, charging_profile((0, 12), profile_id=2, stack_level=1))
        third = charging_profile((0, 12), profile_id=3, stack_level=2)
        assert await install(lab, third) == "Rejected TooManyElements"
        await lab.clock.sleep(60)
        assert await install(lab, third) == "Accepted"


@pytest.mark.parametrize("duration", [0, 3_155_760_000])
async def test_no_time_and_a_century_are_answered(duration: int) -> None:
    """At least one period, and no more than a message may carry."""
    async with open_lab() as lab:
        daily = charging_profile((0, 10), (3600, 6), chargingProfileKind="Recurring", recurrencyKind="Daily")
        assert await install(lab, daily) == "Accepted"
        answer = await lab.csms.ask("GetCompositeSchedule", {"duration": duration, "evseId": 1})
        periods = answer["schedule"]["chargingSchedulePeriod"]
        assert (answer["status"], periods[0]["limit"]) == ("Accepted", 10)
        assert 1 <= len(periods) <= 1024
        assert answer["schedule"]["duration"] <= duration


async def test_the_device_model_is_reported_in_parts() -> None:
    """B07: numbered from 0, tbc on all but the last; the configuration is what can be set."""
    async with open_lab() as lab:
        found = {}
        for request_id, base in enumerate(("FullInventory", "ConfigurationInventory", "SummaryInventory")):
            answer = await lab.csms.ask("GetBaseReport", {"requestId": request_id, "reportBase": base})
            assert answer["status"] == "Accepted"
            await lab.clock.sleep(1)
            parts = [one for one in lab.csms.of("NotifyReport") if one["requestId"] == request_id]
            assert [one["seqNo"] for one in parts] == list(range(len(parts)))
            assert [one.get("tbc", False) for one in parts] == [True] * (len(parts) - 1) + [False]
            found[base] = [one for part in parts for one in part["reportData"]]
        settable = [one for one in found["FullInventory"] if one["variableAttribute"][0]["mutability"] == "ReadWrite"]
        assert found["ConfigurationInventory"] == settable
        assert {one["variable"]["name"] for one in found["SummaryInventory"]} == {"AvailabilityState"}
        (entries,) = [one for one in found["FullInventory"] if one["variable"].get("instance") == "ChargingProfiles"]
        assert entries["variableCharacteristics"]["maxLimit"] == 100
        assert len(found["FullInventory"]) > 70


async def test_more_variables_than_a_message_may_name_are_refused() -> None:
    """DeviceDataCtrlr.ItemsPerMessage is 50."""
    async with open_lab() as lab:
        one = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}
        answer = await lab.csms.ask("GetVariables", {"getVariableData": [one] * 51})
        assert answer[:2] == ["CALLERROR", "OccurrenceConstraintViolation"]
