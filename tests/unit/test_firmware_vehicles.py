"""Named EVs."""

from __future__ import annotations

import pytest

from bench.settings.scenario import Vehicle
from firmware_sim.ev import ElectricVehicle
from firmware_sim.vehicles import VEHICLES, with_model


@pytest.mark.parametrize("model", VEHICLES)
def test_each_named_ev_is_one(model: str) -> None:
    """Its properties are within their ranges."""
    assert ElectricVehicle().changed(with_model({"model": model})).phases == VEHICLES[model]["phases"]


def test_what_is_said_beside_a_model_counts() -> None:
    """A two-phase car with a small charger."""
    settings = with_model({"model": "two-phase-7kw", "max_current_a": 10})
    assert (settings["phases"], settings["max_current_a"]) == (2, 10)


def test_an_unknown_model_is_refused() -> None:
    """The text names the models that there are."""
    with pytest.raises(ValueError, match="model = 'fast': must be one of three-phase-11kw"):
        with_model({"model": "fast"})


def test_a_scenario_names_a_model_and_what_differs() -> None:
    """Defaults of the scenario file do not hide the model's own."""
    assert Vehicle(model="two-phase-7kw", soc_percent=30).properties() == {"model": "two-phase-7kw", "soc_percent": 30}
    assert Vehicle().properties()["phases"] == 3
