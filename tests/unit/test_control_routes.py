"""What a run asks of the rig's control is there over HTTP too."""

from __future__ import annotations

import inspect
from typing import Any

from bench.ports import RigControl
from firmware_sim.faults import FAULTS, POINTS
from firmware_sim.http_control import control_app


class Anything:
    """Stands for a StationControl: every attribute is a coroutine function."""

    def __getattr__(self, name: str) -> Any:
        async def act(**_: Any) -> None: ...

        return act


def test_each_act_of_the_port_has_a_route() -> None:
    """An act that the emulator in a process of its own does not know would end each run on such a rig."""
    control: Any = Anything()
    routes = {route.path.lstrip("/") for route in control_app(control).routes}  # type: ignore[attr-defined]
    acts = {name for name, _ in inspect.getmembers(RigControl, inspect.isfunction) if not name.startswith("_")}
    assert acts - routes == set()


def test_each_fault_acts_at_points_that_are_asked() -> None:
    """A method under another name would never be called."""
    for fault in FAULTS.values():
        methods = {name for name, _ in inspect.getmembers(fault, inspect.isfunction) if not name.startswith("_")}
        assert methods, fault.ID
        assert methods <= POINTS, fault.ID
