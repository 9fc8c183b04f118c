"""The emulated EV."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from firmware_sim import ev
from firmware_sim.ev import ElectricVehicle


def test_it_stays_an_offset_below_the_offer() -> None:
    """Offered 10 A it settles at 9.5 A; offered more than it can take, at its own limit."""
    car = ElectricVehicle(max_current_a=16, offset_a=0.5)
    assert car.goal_a(10, 20) == pytest.approx(9.5)
    assert car.goal_a(32, 20) == 16


def test_it_does_not_charge_below_six_amperes() -> None:
    """5.99 A offered is no offer; 6 A is."""
    car = ElectricVehicle(offset_a=0.5)
    assert car.goal_a(5.99, 20) == 0
    assert car.goal_a(6, 20) == pytest.approx(5.5)


def test_above_eighty_percent_it_tapers() -> None:
    """Half way from 80 % to 100 % the battery takes half of the on-board charger's current; full, nothing."""
    car = ElectricVehicle(max_current_a=16)
    assert car.goal_a(32, 80) == 16
    assert car.goal_a(32, 90) == pytest.approx(8)
    assert car.goal_a(32, 100) == 0


def test_what_it_asks_for_does_not_depend_on_the_offer() -> None:
    """Demand is the lower of what the driver wants and what the charger can."""
    assert ElectricVehicle(max_current_a=16, wants_a=10).asks_for_a(20) == 10
    assert ElectricVehicle(max_current_a=16).asks_for_a(20) == 16
    assert ElectricVehicle(wants_a=0).asks_for_a(20) == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"phases": 4}, "from 1 to 3"),
        ({"phases": 1.5}, "must be 1, 2 or 3"),
        ({"wants_a": -1}, "from 0 to 80"),
        ({"wants_a": math.nan}, "from 0 to 80"),
        ({"soc_percent": "80"}, "must be a number"),
        ({"efficiency": True}, "must be a number"),
    ],
)
def test_a_wrong_property_is_refused_with_key_and_reason(settings: dict[str, float], reason: str) -> None:
    """The message alone lets one mend the call."""
    with pytest.raises(ValueError, match=reason):
        ElectricVehicle().changed(settings)


def test_every_property_has_a_range() -> None:
    """A property without a range could not be set; what the EV agreed is none."""
    assert {field.name for field in fields(ElectricVehicle)} == {*ev._RANGES, "plan_a"}
