"""What a scenario will take, and what a rig allows."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.runs.plan import plan_of, refuse_beyond_budget
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings


def scenario(*steps: dict[str, Any], duration_s: float = 3600) -> ScenarioSettings:
    """Return a scenario of these steps."""
    content = {"schema": 1, "name": "s", "title": "S", "duration_s": duration_s, "step": list(steps)}
    return ScenarioSettings.model_validate(content)


def emulated(**changes: Any) -> RigSettings:
    """Return the emulated rig, changed."""
    rig = find_rig("emulated")[1]
    return RigSettings.model_validate(rig.model_dump(by_alias=True) | changes)


def test_energy_is_what_the_car_can_draw() -> None:
    """230 V, three phases, 16 A for half an hour: 5520 Wh, whatever the limits are."""
    plan = plan_of(emulated(), scenario({"at_s": 1800, "do": "authorise"}))
    assert plan.energy_wh == pytest.approx(230 * 3 * 16 * 0.5)


def test_writes_and_contactor_cycles_are_counted() -> None:
    """A profile that is sent three times with one pause each: three writes, and a start and three pauses of the contactor."""
    repeated = {"at_s": 2, "do": "set_profile", "periods": [[0, 0]], "repeat": 3}
    plan = plan_of(emulated(), scenario({"at_s": 1, "do": "authorise"}, repeated))
    assert (plan.profile_writes, plan.contactor_cycles) == (3, 1 + 3 + 1)


def test_steps_by_hand_are_told_where_a_person_takes_them() -> None:
    """On an emulated rig nobody has anything to do; at an [operator] rig each plug is told with its time."""
    plug = {"at_s": 5, "do": "plug"}
    assert plan_of(emulated(), scenario(plug)).by_hand == ()
    content = emulated().model_dump(by_alias=True) | {"emulator": None, "operator": {}}
    for meter in content["meters"].values():
        meter["port"] = 502
    content["meters"]["evse2"]["host"] = "127.0.0.2"
    by_hand = RigSettings.model_validate(content)
    assert plan_of(by_hand, scenario(plug)).by_hand == ("5 s: plug in",)


def test_what_goes_beyond_the_budget_is_refused() -> None:
    """The refusal names the key, what is allowed and what would be taken."""
    rig = emulated(budget={"profile_writes": 2})
    _, stair = find_scenario("single-profile")
    with pytest.raises(UsageError, match=r"budget\.profile_writes = 2: this takes up to 4, most of it by single-profile"):
        refuse_beyond_budget(rig, [plan_of(rig, stair)])
