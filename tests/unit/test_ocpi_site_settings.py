"""The [ocpi] table of a rig file: the location and the tariffs that the bench tells."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bench.settings.ocpi import OcpiSettings

DAY_1, DAY_2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
ENERGY = {"price_components": [{"type": "ENERGY", "price": 0.25}]}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"location": {"time_zone": "Europe/Nowhere"}}, "time_zone"),
        ({"location": {"latitude": "52"}}, "latitude"),
        ({"tariff": [{"id": "A", "elements": []}]}, "elements"),
        ({"tariff": [{"id": "A", "elements": [ENERGY]}, {"id": "a", "elements": [ENERGY]}]}, "an id of its own"),
        ({"tariff": [{"id": "A", "elements": [ENERGY], "start_date_time": "2026-01-01T00:00:00"}]}, "need an offset"),
        ({"tariff": [{"id": "A", "elements": [ENERGY], "start_date_time": DAY_2, "end_date_time": DAY_1}]}, "must come after"),
        ({"tariff": [{"id": "A", "elements": [{"price_components": [{"type": "ENERGY", "price": -1}]}]}]}, "price"),
        ({"session_update_s": 0}, "session_update_s"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(content: dict[str, Any], names: str) -> None:
    """Key and reason of what cannot be told to a peer."""
    with pytest.raises(ValidationError, match=names):
        OcpiSettings.model_validate(content)


def test_a_tariff_is_written_as_ocpi_has_it() -> None:
    """Elements with components and restrictions, as in mod_tariffs of 2.3.0."""
    rules = {"start_time": "07:00:00", "end_time": "19:00:00", "day_of_week": ["MONDAY"]}
    (tariff,) = OcpiSettings.model_validate({"tariff": [{"id": "A", "elements": [ENERGY | {"restrictions": rules}]}]}).tariff
    restrictions = tariff.elements[0].restrictions
    assert restrictions is not None
    assert (str(restrictions.start_time), restrictions.day_of_week) == ("07:00:00", ("MONDAY",))
