"""The physical truth of an EVSE, by hand: three phases of 230 V."""

from __future__ import annotations

import math

import pytest

from firmware_sim.physics import EvsePhysics


def charging(duty: float = 50.0, **vehicle: float) -> EvsePhysics:
    """Return an EVSE at t = 100 s with a car of 16 A, no offset, 1 s dead time, 4 A/s up and 8 A/s down, long settled."""
    physics = EvsePhysics(1, 0.0, phases=3, voltage_v=230.0)
    physics.vehicle(0.0, {"offset_a": 0, "max_current_a": 16, **vehicle})
    physics.plug(0.0)
    physics.offer(10.0, duty)
    physics.advance(100.0)
    return physics


def test_the_car_reacts_after_its_dead_time_and_ramps() -> None:
    """Offered 16 A at 10 s: nothing until 11 s, 8 A at 13 s, 16 A from 15 s on."""
    physics = charging()
    fresh = EvsePhysics(1, 0.0, phases=3, voltage_v=230.0)
    fresh.vehicle(0.0, {"offset_a": 0})
    fresh.plug(0.0)
    assert fresh.pilot_state() == "B"
    fresh.offer(10.0, 50.0)
    assert [fresh.truth(t).current_a[0] for t in (10.99, 12.0, 13.0, 15.0, 99.0)] == pytest.approx([0, 4, 8, 16, 16])
    assert physics.pilot_state() == "C"
    assert physics.truth(100.0).power_w == pytest.approx(16 * 230 * 3)


def test_energy_is_exact_over_a_ramp() -> None:
    """From 16 A to 6 A at 8 A/s: 1.25 s at 11 A on average, 11 x 690 x 1.25 / 3600 Wh."""
    physics = charging()
    physics.offer(200.0, 10.0)
    before, after = physics.truth(201.0), physics.truth(202.25)
    assert after.current_a[0] == pytest.approx(6)
    assert after.energy_wh - before.energy_wh == pytest.approx(11 * 690 * 1.25 / 3600)


def test_energy_counts_the_voltage_that_was_there() -> None:
    """16 A for 10 s at 230 V and 10 s at 200 V; the second before the dip is still seen as it was."""
    physics = charging()
    before = physics.truth(200.0).energy_wh
    physics.supply(210.0, 200.0)
    after = physics.truth(220.0)
    assert after.voltage_v[0] == 200.0
    assert after.power_w == pytest.approx(16 * 600)
    assert after.energy_wh - before == pytest.approx(16 * (690 + 600) * 10 / 3600)
    assert physics.truth(209.0).voltage_v[0] == 230.0


def test_reading_changes_nothing() -> None:
    """A thousand polls and none give the same truth afterwards, to the last bit."""
    polled, quiet = charging(), charging()
    for index in range(1000):
        polled.truth(100 + index * 0.37)
    for physics in (polled, quiet):
        physics.offer(600.0, 20.0)
    assert polled.truth(700.0) == quiet.truth(700.0)


def test_the_past_can_be_seen() -> None:
    """A slow meter asks for the truth of some seconds ago: at 202 s, one second into the ramp, it was 8 A."""
    physics = charging()
    physics.offer(200.0, 10.0)
    physics.advance(300.0)
    assert physics.truth(202.0).current_a[0] == pytest.approx(8)
    assert physics.truth(150.0).current_a[0] == 16


def test_a_pause_stops_the_car_before_the_contactor_is_forced() -> None:
    """PWM off: the car ramps down after its dead time, opens S2 and the contactor opens without load."""
    physics = charging()
    physics.offer(200.0, None)
    assert physics.truth(201.5).current_a[0] == pytest.approx(12)
    assert (physics.pilot_state(), physics.contactor_closed) == ("C", True)
    physics.advance(203.0)
    assert (physics.pilot_state(), physics.contactor_closed) == ("B", False)


def test_a_car_that_ignores_the_pause_is_cut_off_after_six_seconds() -> None:
    """With 30 s of dead time the EVSE opens the contactor under load at 6 s (IEC 61851-1, sequence 10.2)."""
    physics = charging(dead_time_s=30)
    physics.offer(200.0, None)
    assert physics.truth(205.9).current_a[0] == 16
    assert physics.truth(206.0).current_a[0] == 0


@pytest.mark.parametrize("phases", [1, 2, 3])
def test_a_car_draws_on_its_own_phases_only(phases: int) -> None:
    """Two-phase cars exist."""
    truth = charging(phases=phases).truth(100.0)
    assert truth.current_a == tuple(16.0 if phase < phases else 0.0 for phase in range(3))
    assert truth.power_w == pytest.approx(16 * 230 * phases)


def test_the_battery_fills_and_the_car_stops_asking() -> None:
    """50 kWh from 70 %, 90 % efficient: 16 A to 80 %, then less and less; all that the grid gave beyond losses is stored."""
    physics = charging(soc_percent=70, battery_wh=50_000, efficiency=0.9)
    start = physics.truth(100.0).energy_wh
    first = physics.soc_percent(100.0)
    t = 100.0
    while physics.next_event != math.inf:
        t = physics.next_event
        physics.advance(t)
    assert physics.pilot_state() == "B"
    assert physics.soc_percent(t) == pytest.approx(100, abs=0.1)
    stored = 50_000 * (physics.soc_percent(t) - first) / 100
    assert (physics.truth(t).energy_wh - start) * 0.9 == pytest.approx(stored)


def test_at_half_of_the_taper_the_car_draws_half() -> None:
    """At 90 % of a taper from 80 % on, 8 A of 16 A."""
    physics = charging(soc_percent=90)
    assert physics.truth(100.0).current_a[0] == pytest.approx(8, abs=0.1)


def test_without_supply_there_is_no_pilot() -> None:
    """State E, no duty cycle and no current while the station is off; the voltage upstream stays."""
    physics = charging()
    physics.energise(200.0, False)
    assert (physics.pilot_state(), physics.visible_duty()) == ("E", None)
    assert physics.truth(200.0).current_a[0] == 0
    assert physics.truth(200.0).voltage_v[0] == 230


def test_the_contactor_of_the_rig_takes_the_current_only() -> None:
    """Pilot and duty stay; closed again, the car goes on."""
    physics = charging()
    physics.load_switch(200.0, False)
    assert (physics.truth(200.0).power_w, physics.visible_duty()) == (0, 50.0)
    physics.load_switch(300.0, True)
    assert physics.truth(310.0).current_a[0] == 16


def test_an_unplugged_car_keeps_its_charge() -> None:
    """The state of charge goes on from where it was when the cable comes back."""
    physics = charging()
    before = physics.soc_percent(100.0)
    physics.unplug(100.0)
    assert physics.truth(100.0).power_w == 0
    physics.plug(200.0)
    assert physics.soc_percent(200.0) == pytest.approx(before)


def test_an_unavailable_evse_shows_f() -> None:
    """State F ends the charging; the car comes back when the EVSE does."""
    physics = charging()
    physics.make_available(200.0, False)
    assert (physics.pilot_state(), physics.truth(200.0).power_w) == ("F", 0)
    physics.make_available(300.0, True)
    assert physics.truth(310.0).current_a[0] == 16


def test_a_car_slower_than_the_changes_follows_them_late() -> None:
    """Offered 12 A and 6 A in turn each 4 s with 5 s dead time, it still does what was offered 5 s ago."""
    physics = charging(dead_time_s=5)
    for index in range(10):
        physics.offer(200.0 + 4 * index, 10.0 if index % 2 else 20.0)
    assert [physics.truth(t).current_a[0] for t in (204.9, 208.9, 212.9, 240.9, 300.0)] == pytest.approx([16, 12, 6, 12, 6])
