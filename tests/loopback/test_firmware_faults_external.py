"""The seeded defects of external limits and of ISO 15118: each changes what it says, and nothing else."""

from __future__ import annotations

import pytest

from tests.loopback.test_firmware_external import CLEARED, NOTIFY, report, station
from tests.support_firmware import open_lab
from tests.support_iso15118 import NEEDS, SCHEDULE, begin, begin_told, composite, install, iso_lab, tx_profile

pytestmark = pytest.mark.virtual


async def test_an_ignored_external_limit_is_announced_and_reported() -> None:
    """station.ignores-external-limit: 16 A at the pilot while 8 A is told, reported and in the composite schedule."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.ignores-external-limit", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.csms.until(NOTIFY)
        await lab.clock.sleep(15)
        assert (await lab.duty(), await composite(lab)) == (26.66, [(0, 8.0)])
        assert len(await report(lab, chargingLimitSource=["EMS"])) == 1


async def test_a_silent_external_limit_is_obeyed_and_its_release_told() -> None:
    """station.silent-external-limit."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.silent-external-limit", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(15)
        assert (await lab.duty(), lab.csms.of(NOTIFY)) == (13.33, [])
        await lab.control.external_limit(None)
        await lab.csms.until(CLEARED)


async def test_the_wrong_source_is_named() -> None:
    """station.external-source-cso."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.external-source-cso", {})
        await lab.control.external_limit(8)
        assert (await lab.csms.until(NOTIFY))["chargingLimit"]["chargingLimitSource"] == "CSO"


async def test_the_release_is_not_told() -> None:
    """station.no-cleared-limit: the limit is gone all the same."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.no-cleared-limit", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(5)
        await lab.control.external_limit(None)
        await lab.clock.sleep(15)
        assert (await lab.duty(), len(lab.csms.of(NOTIFY)), lab.csms.of(CLEARED)) == (26.66, 1, [])


async def test_the_external_limit_is_not_reported() -> None:
    """station.external-not-reported: announced, and absent from GetChargingProfiles."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.external-not-reported", {})
        await lab.control.external_limit(8)
        await lab.csms.until(NOTIFY)
        assert await report(lab, chargingProfilePurpose="ChargingStationExternalConstraints") == []


async def test_a_csms_clears_the_external_limit() -> None:
    """station.external-clearable: Accepted, and the limit is gone."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.external-clearable", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(5)
        assert (await lab.csms.ask("ClearChargingProfile", {"chargingProfileId": -1}))["status"] == "Accepted"
        await lab.clock.sleep(5)
        assert await lab.duty() == 26.66


async def test_a_released_limit_stays() -> None:
    """station.external-stays: told as released, and 8 A at the pilot as before."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.external-stays", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(5)
        await lab.control.external_limit(None)
        await lab.csms.until(CLEARED)
        await lab.clock.sleep(15)
        assert await lab.duty() == 13.33


async def test_the_limit_is_told_without_its_schedule() -> None:
    """station.external-without-schedule, although NotifyChargingLimitWithSchedules is true."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.external-without-schedule", {})
        place = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "NotifyChargingLimitWithSchedules"}}
        await lab.csms.ask("SetVariables", {"setVariableData": [{**place, "attributeValue": "true"}]})
        await lab.control.external_limit(8)
        assert "chargingSchedule" not in await lab.csms.until(NOTIFY)


async def test_a_changed_rate_is_not_told() -> None:
    """station.no-rate-change: the EV is down at 8 A, and no TransactionEvent says ChargingRateChanged."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.no-rate-change", {})
        await lab.charge()
        await lab.control.external_limit(8)
        await lab.clock.sleep(15)
        reasons = {one["triggerReason"] for one in lab.csms.of("TransactionEvent")}
        assert (await lab.duty(), "ChargingRateChanged" in reasons) == (13.33, False)


async def test_a_limit_of_the_offline_time_is_forgotten() -> None:
    """station.forgets-external-offline: it limits, and is not told once the network is back."""
    async with open_lab(station()) as lab:
        await lab.control.seed_fault("station.forgets-external-offline", {})
        await lab.charge()
        await lab.control.cut_network(30)
        await lab.clock.sleep(5)
        await lab.control.external_limit(8)
        await lab.clock.sleep(120)
        assert (await lab.duty(), lab.csms.of(NOTIFY)) == (13.33, [])


async def test_needs_are_not_told() -> None:
    """station.no-needs: after 60 s the EV charges with what there is."""
    async with iso_lab() as lab:
        await lab.control.seed_fault("station.no-needs", {})
        await begin(lab)
        await lab.clock.sleep(90)
        assert (lab.csms.of(NEEDS), lab.power_w() > 10_000) == ([], True)


@pytest.mark.parametrize("mode", ["AC_three_phase", "DC"])
async def test_needs_carry_both_parameters(mode: str) -> None:
    """station.needs-both-parameters, whatever the EV is."""
    async with iso_lab(requested_mode=mode, energy_wh=1000) as lab:
        await lab.control.seed_fault("station.needs-both-parameters", {})
        await begin_told(lab)
        content = lab.csms.of(NEEDS)[0]["chargingNeeds"]
        assert {"acChargingParameters", "dcChargingParameters"} <= set(content)
        assert content["acChargingParameters" if mode != "DC" else "dcChargingParameters"]["energyAmount"] == 1000


async def test_the_ev_schedule_is_not_forwarded() -> None:
    """station.no-ev-schedule: the EV follows it all the same."""
    async with iso_lab(ev_profile="inside") as lab:
        await lab.control.seed_fault("station.no-ev-schedule", {})
        await install(lab, tx_profile(await begin_told(lab), [(0, 10)]))
        await lab.clock.sleep(30)
        assert lab.csms.of(SCHEDULE) == []
        assert lab.power_w() == pytest.approx(8 * 690, abs=0.1)


async def test_an_unchecked_ev_schedule_lifts_the_limit() -> None:
    """station.ev-schedule-unchecked: 12.5 A at the pilot where the CSMS allows 10 A."""
    async with iso_lab(ev_profile="outside", schedule="Rejected") as lab:
        await lab.control.seed_fault("station.ev-schedule-unchecked", {})
        await install(lab, tx_profile(await begin_told(lab), [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.clock.sleep(20)
        assert await lab.duty() == 20.83
        assert lab.power_w() == pytest.approx((0.6 * 20.83 - 0.5) * 690, abs=0.1)


async def test_needs_are_told_again_when_the_csms_renegotiates() -> None:
    """station.needs-during-csms-renegotiation: and the EV waits for a profile once more."""
    async with iso_lab() as lab:
        await lab.control.seed_fault("station.needs-during-csms-renegotiation", {})
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await install(lab, tx_profile(transaction_id, [(0, 8)]))
        await lab.csms.until(NEEDS, count=2)
        await install(lab, tx_profile(transaction_id, [(0, 8)]))
        await lab.csms.until(SCHEDULE, count=2)


async def test_the_ev_draws_more_than_it_said() -> None:
    """station.ev-exceeds-schedule: 8 A told and reported, 9.5 A drawn, which is what 10 A at the pilot allows."""
    async with iso_lab(ev_profile="inside") as lab:
        await lab.control.seed_fault("station.ev-exceeds-schedule", {})
        await install(lab, tx_profile(await begin_told(lab), [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.clock.sleep(20)
        assert await composite(lab) == [(0, 8.0)]
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5) * 690, abs=0.1)


async def test_one_ev_schedule_is_forwarded_and_no_other() -> None:
    """station.ev-schedule-once: the CSMS lowers the limit, and the EV's second schedule stays untold."""
    async with iso_lab(ev_profile="inside") as lab:
        await lab.control.seed_fault("station.ev-schedule-once", {})
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await install(lab, tx_profile(transaction_id, [(0, 8)]))
        await lab.clock.sleep(30)
        assert len(lab.csms.of(SCHEDULE)) == 1


async def test_needs_are_told_once() -> None:
    """station.needs-once: the EV changes them, and the CSMS does not hear of it."""
    async with iso_lab() as lab:
        await lab.control.seed_fault("station.needs-once", {})
        await install(lab, tx_profile(await begin_told(lab), [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.control.renegotiate(1, {"energy_wh": 5000})
        await lab.clock.sleep(30)
        assert len(lab.csms.of(NEEDS)) == 1


async def test_a_second_profile_of_a_transaction_is_rejected() -> None:
    """station.keeps-first-schedule."""
    async with iso_lab() as lab:
        await lab.control.seed_fault("station.keeps-first-schedule", {})
        transaction_id = await begin_told(lab)
        assert await install(lab, tx_profile(transaction_id, [(0, 10)])) == "Accepted"
        assert await install(lab, tx_profile(transaction_id, [(0, 8)])) == "Rejected Occupied"
