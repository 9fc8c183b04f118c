"""Named EVs, as cars on the road behave: how far below the offer they stay, how fast they follow, on how many phases.

Numbers are of the kind seen in the field: 0.2 to 2 A below the offer, ramps of 2 to 10 A/s, a dead time of 0.5 to 3 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

VEHICLES: Final[Mapping[str, Mapping[str, float]]] = {
    "three-phase-11kw": {
        "phases": 3, "max_current_a": 16, "dead_time_s": 1, "ramp_up_a_s": 4, "ramp_down_a_s": 8, "offset_a": 0.5,
    },
    "three-phase-22kw": {
        "phases": 3, "max_current_a": 32, "dead_time_s": 0.5, "ramp_up_a_s": 10, "ramp_down_a_s": 10, "offset_a": 0.2,
    },
    "two-phase-7kw": {
        "phases": 2, "max_current_a": 16, "dead_time_s": 1.5, "ramp_up_a_s": 3, "ramp_down_a_s": 6, "offset_a": 0.7,
    },
    "one-phase-7kw": {
        "phases": 1, "max_current_a": 32, "dead_time_s": 1, "ramp_up_a_s": 5, "ramp_down_a_s": 10, "offset_a": 0.4,
    },
    "one-phase-4kw": {
        "phases": 1, "max_current_a": 16, "dead_time_s": 2, "ramp_up_a_s": 2, "ramp_down_a_s": 5, "offset_a": 0.6,
    },
    "sluggish": {
        "phases": 3, "max_current_a": 16, "dead_time_s": 3, "ramp_up_a_s": 2, "ramp_down_a_s": 5, "offset_a": 0.8,
    },
    "modest": {
        "phases": 3, "max_current_a": 16, "dead_time_s": 1, "ramp_up_a_s": 4, "ramp_down_a_s": 8, "offset_a": 1.4,
    },
}  # fmt: skip
"""Each by its name: what `ElectricVehicle.changed` takes."""


def with_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which `model` is replaced by what it stands for; what is said beside it counts instead of the model's.

    Raises: ValueError that names the models that there are.
    """
    told = dict(settings)
    name = told.pop("model", None)
    if name is None:
        return told
    if name not in VEHICLES:
        raise ValueError(f"vehicle: model = {name!r}: must be one of {', '.join(VEHICLES)}")
    return {**VEHICLES[name], **told}
