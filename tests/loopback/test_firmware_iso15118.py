"""Charging with ISO 15118 at the emulated station: needs, schedules, the EV's answer and renegotiation (K15, K16, K17)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support_firmware import EPOCH, charging_profile, open_lab
from tests.support_iso15118 import NEEDS, SCHEDULE, begin, begin_told, composite, install, iso_lab, tx_profile

pytestmark = pytest.mark.virtual


async def test_needs_are_told_after_the_transaction_with_ac_parameters_only() -> None:
    """K15.FR.01, FR.06, FR.16: Started with the idToken, then the needs: 40 kWh of 50, three phases, 16 A."""
    ev: dict[str, Any] = {"departure_s": 7200, "max_schedule_tuples": 6, "battery_wh": 50_000, "soc_percent": 20}
    async with iso_lab(**ev) as lab:
        await begin_told(lab)
        names = [name for name, _ in lab.csms.calls if name in (NEEDS, "TransactionEvent")]
        assert names.index("TransactionEvent") < names.index(NEEDS)
        (needs,) = lab.csms.of(NEEDS)
        departure = datetime.fromisoformat(needs["chargingNeeds"].pop("departureTime"))
        assert timedelta(0) <= departure - EPOCH - timedelta(seconds=7200) < timedelta(seconds=1)
        assert needs == {
            "evseId": 1,
            "maxScheduleTuples": 6,
            "chargingNeeds": {
                "requestedEnergyTransfer": "AC_three_phase",
                "acChargingParameters": {"energyAmount": 40_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400},
            },
        }


async def test_a_dc_ev_tells_dc_parameters_only() -> None:
    """K15.FR.06."""
    async with iso_lab(requested_mode="DC", energy_wh=30_000) as lab:
        await begin_told(lab)
        content = lab.csms.of(NEEDS)[0]["chargingNeeds"]
        assert content["requestedEnergyTransfer"] == "DC"
        assert "acChargingParameters" not in content
        assert content["dcChargingParameters"]["energyAmount"] == 30_000


async def test_the_ev_waits_for_its_schedule_and_follows_it() -> None:
    """K15.FR.07: nothing flows before the profile; then 10 A, told as the schedule that was chosen (K15.FR.19, FR.21)."""
    async with iso_lab() as lab:
        transaction_id = await begin_told(lab)
        await lab.clock.sleep(20)
        assert (lab.power_w(), lab.csms.of(SCHEDULE)) == (0, [])
        assert await install(lab, tx_profile(transaction_id, [(0, 10)])) == "Accepted"
        told = await lab.csms.until(SCHEDULE)
        assert told["chargingSchedule"]["id"] == 11
        assert told["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0, "numberPhases": 3}]
        await lab.clock.sleep(20)
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5) * 690, abs=0.1)


async def test_of_three_schedules_the_ev_takes_the_one_with_most_energy() -> None:
    """The second: 12 A for an hour. The station limits by it and reports it (K15.FR.07, FR.21)."""
    async with iso_lab(departure_s=3600) as lab:
        transaction_id = await begin_told(lab)
        profile = tx_profile(transaction_id, [(0, 8)], [(0, 12)], [(0, 14), (600, 6)])
        assert await install(lab, profile) == "Accepted"
        assert (await lab.csms.until(SCHEDULE))["chargingSchedule"]["id"] == 12
        await lab.clock.sleep(20)
        assert (await lab.duty(), await composite(lab)) == (20.0, [(0, 12.0)])


async def test_several_profiles_are_combined_schedule_by_schedule() -> None:
    """K15.FR.22: the upper profile rules for 600 s; first with first is 8 then 15 A, second with second 14 then 6 A.

    Until departure after an hour: 8 x 600 + 15 x 3,000 is more than 14 x 600 + 6 x 3,000.
    """
    async with iso_lab(departure_s=3600) as lab:
        transaction_id = await begin_told(lab)
        lower = tx_profile(transaction_id, [(0, 15)], [(0, 6)], profile_id=1, stack_level=0)
        upper = tx_profile(transaction_id, [(0, 8)], [(0, 14)], profile_id=2, stack_level=1, duration=600)
        assert [await install(lab, lower), await install(lab, upper)] == ["Accepted", "Accepted"]
        told = await lab.csms.until(SCHEDULE)
        assert [one["limit"] for one in told["chargingSchedule"]["chargingSchedulePeriod"]] == [8.0, 15.0]


async def test_an_ev_inside_its_schedule_is_forwarded_followed_and_reported() -> None:
    """K15.FR.09, FR.10, FR.14, SC.04: the EV asks for 80 % of 10 A, draws that, and the composite schedule says so."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10), (900, 15)]))
        told = await lab.csms.until(SCHEDULE)
        assert [one["limit"] for one in told["chargingSchedule"]["chargingSchedulePeriod"]] == [8.0, 12.0]
        await lab.clock.sleep(20)
        assert lab.power_w() == pytest.approx(8 * 690, abs=0.1)
        assert [limit for _, limit in await composite(lab)] == [8.0, 12.0]
        assert (await composite(lab, 0))[0] == (0, 24.0)
        await lab.clock.sleep(1000)
        assert lab.power_w() == pytest.approx(12 * 690, abs=0.1)


async def test_a_station_that_speaks_of_watts_tells_the_schedule_in_watts() -> None:
    """RateUnit W only: 80 % of 6,900 W, which is 10 A on three phases at 230 V."""
    async with iso_lab(ev_profile="inside", features={"rate_units": ["W"]}) as lab:
        await install(lab, tx_profile(await begin_told(lab), [(0, 6900)], unit="W"))
        schedule = (await lab.csms.until(SCHEDULE))["chargingSchedule"]
        assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"][0]["limit"]) == ("W", 5520.0)


async def test_an_ev_outside_its_schedule_is_forwarded_but_never_exceeds_it() -> None:
    """K15.FR.12: refused by the CSMS it stays out of the composite schedule, and the pilot holds the limit."""
    async with iso_lab(schedule="Rejected", ev_profile="outside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        told = await lab.csms.until(SCHEDULE)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 12.5
        await lab.clock.sleep(20)
        assert lab.power_w() == pytest.approx((0.6 * 16.66 - 0.5) * 690, abs=0.1)
        assert await composite(lab) == [(0, 10.0)]


async def test_after_a_refusal_the_same_profile_renegotiates_and_the_ev_stays_inside() -> None:
    """K15.FR.13, K16.FR.01, FR.02: a profile like the last one is a new negotiation."""
    async with iso_lab(schedule="Rejected", ev_profile="outside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.clock.sleep(1)
        lab.csms.answers[SCHEDULE] = lambda _: {"status": "Accepted"}
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        told = await lab.csms.until(SCHEDULE, count=2)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0
        await lab.clock.sleep(5)
        assert await composite(lab) == [(0, 8.0)]


async def test_a_profile_before_the_needs_is_refused() -> None:
    """K15.FR.17: InvalidMessageSeq; and once the needs are told it is taken."""
    async with iso_lab() as lab:
        transaction_id = await begin(lab)
        assert await install(lab, tx_profile(transaction_id, [(0, 10)])) == "Rejected InvalidMessageSeq"
        await lab.csms.until(NEEDS)
        assert await install(lab, tx_profile(transaction_id, [(0, 10)])) == "Accepted"


async def test_a_profile_that_the_ev_cannot_take_is_refused() -> None:
    """K15.FR.07: more periods than maxScheduleTuples, more than three schedules, or a broken second one."""
    async with iso_lab(max_schedule_tuples=2) as lab:
        transaction_id = await begin_told(lab)
        many = tx_profile(transaction_id, [(0, 8)], [(0, 10), (60, 9), (120, 8)])
        late = tx_profile(transaction_id, [(0, 8)], [(5, 10)])
        assert [await install(lab, one) for one in (many, late)] == ["Rejected InvalidSchedule"] * 2
        four = tx_profile(transaction_id, [(0, 8)], [(0, 8)], [(0, 8)], [(0, 8)])
        answer = await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": four})
        assert answer[0] == "CALLERROR"


async def test_without_iso_15118_a_profile_has_one_schedule() -> None:
    """K01.FR.34: another EV at the same station."""
    async with iso_lab(iso15118=0) as lab:
        transaction_id = await lab.charge()
        assert await install(lab, tx_profile(transaction_id, [(0, 8)], [(0, 10)])) == "Rejected InvalidSchedule"
        assert lab.csms.of(NEEDS) == []


@pytest.mark.parametrize("answer", ["Rejected", "Processing"])
async def test_without_a_schedule_from_the_csms_the_ev_charges_at_once(answer: str) -> None:
    """K15.FR.04, FR.05: what the EVSE can is offered; nothing is forwarded where the EV says nothing."""
    async with iso_lab(answer) as lab:
        await begin_told(lab)
        await lab.clock.sleep(20)
        assert lab.power_w() > 10_000
        assert lab.csms.of(SCHEDULE) == []


async def test_after_a_minute_without_profile_the_default_holds() -> None:
    """K15.FR.08: ISO 15118 waits 60 s; then TxDefaultProfile counts, and a late TxProfile renegotiates (K16)."""
    async with iso_lab() as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 7), profile_id=9)})
        transaction_id = await begin_told(lab)
        await lab.clock.sleep(55)
        assert lab.power_w() == 0
        await lab.clock.sleep(30)
        assert lab.power_w() == pytest.approx((0.6 * 11.66 - 0.5) * 690, abs=0.1)
        await install(lab, tx_profile(transaction_id, [(0, 12)]))
        assert (await lab.csms.until(SCHEDULE))["chargingSchedule"]["id"] == 11
        assert len(lab.csms.of(NEEDS)) == 1


async def test_offline_the_default_profile_makes_the_schedule() -> None:
    """K15.FR.15: the needs are not told later; the EV's own schedule is."""
    async with iso_lab(ev_profile="inside") as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 10), profile_id=9)})
        await lab.control.cut_network(300)
        await lab.control.plug(1)
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(60)
        assert lab.power_w() == pytest.approx(8 * 690, abs=0.1)
        told = await lab.csms.until(SCHEDULE)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0
        assert lab.csms.of(NEEDS) == []


async def test_a_new_profile_renegotiates_without_new_needs_and_lowers_at_once() -> None:
    """K16.FR.01 to FR.05, FR.09, FR.11: the pilot is at 7 A before the EV has answered."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 15)]))
        await lab.clock.sleep(30)
        assert lab.power_w() == pytest.approx(12 * 690, abs=0.1)
        await install(lab, tx_profile(transaction_id, [(0, 7)]))
        await lab.clock.sleep(1.5)
        assert (await lab.duty(), len(lab.csms.of(SCHEDULE))) == (11.66, 1)
        told = await lab.csms.until(SCHEDULE, count=2)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 5.6
        await lab.clock.sleep(20)
        assert lab.power_w() == pytest.approx(5.6 * 690, abs=0.1)
        assert len(lab.csms.of(NEEDS)) == 1


async def test_after_a_renegotiation_the_new_choice_is_told_by_its_id() -> None:
    """K16.FR.13, FR.14: an EV without a profile of its own chose 12 of two schedules; then of two others the first, 11."""
    async with iso_lab(departure_s=3600) as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 8)], [(0, 12)]))
        assert (await lab.csms.until(SCHEDULE))["chargingSchedule"]["id"] == 12
        await lab.clock.sleep(5)
        await install(lab, tx_profile(transaction_id, [(0, 10)], [(0, 7)]))
        told = (await lab.csms.until(SCHEDULE, count=2))["chargingSchedule"]
        assert (told["id"], [one["limit"] for one in told["chargingSchedulePeriod"]]) == (11, [10.0])


@pytest.mark.parametrize(("limit", "allowed"), [(15, 12.0), (7, 5.6)])
async def test_after_a_renegotiation_the_composite_schedule_follows_the_ev(limit: float, allowed: float) -> None:
    """K16.FR.10: 80 % of the new limit, no longer of the 10 A before it."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.clock.sleep(5)
        await install(lab, tx_profile(transaction_id, [(0, limit)]))
        await lab.csms.until(SCHEDULE, count=2)
        await lab.clock.sleep(5)
        assert await composite(lab) == [(0, allowed)]


async def test_an_external_limit_renegotiates_too() -> None:
    """K16.FR.02 as of errata 2025-09: whenever the EVSE's composite schedule changes, and only then."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.clock.sleep(5)
        await lab.control.external_limit(14)
        await lab.clock.sleep(10)
        assert len(lab.csms.of(SCHEDULE)) == 1
        await lab.control.external_limit(8)
        told = await lab.csms.until(SCHEDULE, count=2)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 6.4


async def test_the_ev_renegotiates_with_new_needs() -> None:
    """K17.FR.01, FR.06, FR.09, FR.10, FR.14: new needs, a new profile, a new schedule; meanwhile the old one holds."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.control.renegotiate(1, {"energy_wh": 5000, "departure_s": 1800})
        needs = await lab.csms.until(NEEDS, count=2)
        assert needs["chargingNeeds"]["acChargingParameters"]["energyAmount"] == 5000
        await lab.clock.sleep(20)
        assert lab.power_w() == pytest.approx(8 * 690, abs=0.1)
        await install(lab, tx_profile(transaction_id, [(0, 15)]))
        told = await lab.csms.until(SCHEDULE, count=2)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 12.0
        assert told["chargingSchedule"]["duration"] < 1800
        await lab.clock.sleep(5)
        assert (await composite(lab))[0] == (0, 12.0)


async def test_an_ev_that_wants_more_without_a_profile_of_its_own_tells_its_choice() -> None:
    """K17.FR.16: of 8 A and 12 A, asked for anew, it takes the second."""
    async with iso_lab(departure_s=3600) as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 8)]))
        assert (await lab.csms.until(SCHEDULE))["chargingSchedule"]["id"] == 11
        await lab.control.renegotiate(1, {"energy_wh": 5000})
        await lab.csms.until(NEEDS, count=2)
        await install(lab, tx_profile(transaction_id, [(0, 8)], [(0, 12)]))
        assert (await lab.csms.until(SCHEDULE, count=2))["chargingSchedule"]["id"] == 12


async def test_offline_new_needs_are_met_from_what_the_station_knows() -> None:
    """K17.FR.15: under a default of 10 A the EV is offered that without the CSMS, keeps to 80 % of it; its needs are not told."""
    async with iso_lab(ev_profile="inside") as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 10), profile_id=9)})
        await begin_told(lab)
        lab.csms.answers[SCHEDULE] = lambda _: {"status": "Accepted"}
        await lab.clock.sleep(90)
        before = len(lab.csms.of(NEEDS))
        await lab.control.cut_network(300)
        await lab.clock.sleep(1)
        await lab.control.renegotiate(1, {"energy_wh": 5000, "departure_s": 1800})
        await lab.clock.sleep(30)
        assert lab.power_w() == pytest.approx(8 * 690, abs=0.1)
        told = await lab.csms.until(SCHEDULE, lambda one: one["chargingSchedule"]["duration"] <= 1800)
        assert told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0
        assert len(lab.csms.of(NEEDS)) == before


async def test_renegotiation_needs_a_session() -> None:
    """The message says what is missing."""
    async with iso_lab() as lab:
        with pytest.raises(ValueError, match="EVSE 1 has no agreed ISO 15118 session"):
            await lab.control.renegotiate(1, {"energy_wh": 5000})
        with pytest.raises(ValueError, match="this EV does not speak ISO 15118"):
            await lab.control.renegotiate(2, {})
    async with open_lab() as lab:
        with pytest.raises(ValueError, match="this station does not speak ISO 15118"):
            await lab.control.renegotiate(1, {})


async def test_a_session_ends_with_its_transaction() -> None:
    """The next EV of the same kind is asked afresh, and nothing of the last one's schedule is left."""
    async with iso_lab(ev_profile="inside") as lab:
        transaction_id = await begin_told(lab)
        await install(lab, tx_profile(transaction_id, [(0, 10)]))
        await lab.csms.until(SCHEDULE)
        await lab.control.unplug(1)
        await lab.clock.sleep(5)
        assert await composite(lab) == [(0, 16.0)]
        await lab.control.vehicle(1, {"iso15118": 0})
        await lab.control.plug(1)
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(30)
        assert (lab.power_w() > 10_000, len(lab.csms.of(NEEDS))) == (True, 1)


async def test_a_csms_that_never_answers_the_needs_does_not_stop_the_ev() -> None:
    """Nothing that a peer leaves out may keep the EV from what the EVSE can give."""
    async with iso_lab(None) as lab:
        await begin_told(lab)
        await lab.clock.sleep(100)
        assert lab.power_w() > 10_000


async def test_on_dc_the_ev_keeps_to_its_schedule_too() -> None:
    """80 % of 15 A at the EV; told without phases; 12 A at 400 V and 95 % are 5,053 W at the grid."""
    async with iso_lab(ev_profile="inside", features={"current_type": "DC"}) as lab:
        await install(lab, tx_profile(await begin_told(lab), [(0, 15)]))
        assert lab.csms.of(NEEDS)[0]["chargingNeeds"]["requestedEnergyTransfer"] == "DC"
        told = await lab.csms.until(SCHEDULE)
        assert told["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 12.0}]
        await lab.clock.sleep(60)
        assert lab.power_w() == pytest.approx(12 * 400 / 0.95, abs=0.1)
