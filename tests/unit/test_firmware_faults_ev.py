"""Habits of EVs at the emulator's seam: an EV on three phases, offered 16 A unless the test says otherwise."""

from __future__ import annotations

import pytest

from firmware_sim.faults import FaultSeam
from firmware_sim.physics import EvsePhysics
from firmware_sim.pilot import duty_for


def physics(fault: str, offer_a: float = 16, **params: float) -> EvsePhysics:
    """Return an EVSE whose EV is plugged in at second 0 under this offer, and has the habit."""
    seam = FaultSeam()
    seam.seed(fault, params)
    evse = EvsePhysics(1, 0.0, phases=3, voltage_v=230.0, seam=seam)
    evse.plug(0.0)
    evse.offer(0.0, duty_for(offer_a))
    return evse


def test_an_ev_with_a_minimum_stops_below_it_and_starts_above() -> None:
    """`EV.minimum` of 8 A: 10 A charge, 7 A leave the pilot in B, 8 A charge again."""
    evse = physics("EV.minimum", 10, amps=8)
    shown = []
    for at, following in ((30.0, 7.0), (60.0, 8.0), (90.0, 8.0)):
        shown.append((round(evse.truth(at).current_a[0], 1), evse.pilot_state()))
        evse.offer(at, duty_for(following))
    assert shown == [(9.5, "C"), (0.0, "B"), (7.5, "C")]


def test_an_ev_takes_more_than_is_offered() -> None:
    """`EV.overdraw` of 8 % and 0.5 A: 17.8 A of 16 A."""
    assert physics("EV.overdraw", share=0.08, amps=0.5).truth(30.0).current_a[0] == pytest.approx(17.78, abs=0.02)


def test_an_ev_on_two_phases_leaves_the_third() -> None:
    """`EV.phases` from the start."""
    assert [round(one, 1) for one in physics("EV.phases", phases=2, from_s=0).truth(30.0).current_a] == [15.5, 15.5, 0.0]


def test_an_ev_drops_phases_later() -> None:
    """`EV.phases` from 60 s after it first charged, by itself."""
    evse = physics("EV.phases", phases=1, from_s=60)
    assert [sum(one > 1 for one in evse.truth(at).current_a) for at in (30.0, 59.0, 63.0)] == [3, 3, 1]


def test_an_ev_starts_in_attempts_on_a_high_offer() -> None:
    """`EV.start-cycling`: 6 s on, 30 s off, twice, and then it charges."""
    evse = physics("EV.start-cycling", threshold_a=10, cycles=2, on_s=6, off_s=30)
    draws = "".join("1" if evse.truth(float(at)).current_a[0] > 1 else "0" for at in range(0, 120, 4))
    assert draws.count("01") == 3
    assert draws.endswith("1" * 10)


def test_a_low_first_offer_keeps_it_from_cycling() -> None:
    """`EV.start-cycling` above 10 A: it starts on 6 A and goes on with 16 A."""
    evse = physics("EV.start-cycling", 6, threshold_a=10, cycles=2, on_s=6, off_s=30)
    evse.truth(20.0)
    evse.offer(20.0, duty_for(16))
    assert all(evse.truth(float(at)).current_a[0] > 5 for at in range(8, 120, 4))


def test_an_ev_that_is_nearly_full_takes_less_and_less() -> None:
    """`EV.taper`: it falls by itself, without a change of the offer."""
    evse = physics("EV.taper", from_percent=80)
    currents = [evse.truth(at).current_a[0] for at in (20.0, 120.0, 240.0, 340.0)]
    assert currents == sorted(currents, reverse=True)
    assert currents[0] > 14
    assert currents[-1] < 2


def test_a_car_of_one_current_draws_it_to_the_last_digit() -> None:
    """`EV.draws`: whatever is offered."""
    assert physics("EV.draws", amps=12.3456).truth(30.0).current_a[0] == pytest.approx(12.3456, abs=1e-9)


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("EV.minimum", {"amps": 5}), ("EV.minimum", {"amps": True}), ("EV.overdraw", {"share": -1, "amps": 0}),
        ("EV.phases", {"phases": 4, "from_s": 0}), ("EV.phases", {"phases": 1.5, "from_s": 0}),
        ("EV.start-cycling", {"threshold_a": 10, "cycles": 0, "on_s": 6, "off_s": 30}), ("EV.taper", {"from_percent": 100}),
        ("EV.draws", {"amps": 81}), ("EV.draws", {"amps": True}),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(fault: str, params: dict[str, float]) -> None:
    """The text says which one, and what it must be."""
    with pytest.raises(ValueError, match=r"must be a (whole )?number from"):
        FaultSeam().seed(fault, params)
