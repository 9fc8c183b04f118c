"""The fault seam of the emulator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from firmware_sim import faults
from firmware_sim.faults import FaultSeam, describe_faults
from firmware_sim.limiter import Ruling


def ruling(limit: float, unit: str = "W") -> Ruling:
    """Return a ruling limit; 230 V, three phases."""
    return Ruling(limit if unit == "A" else limit / 690, limit, unit, 3, 1, "TxProfile")


def apply(seam: FaultSeam, one: Ruling | None, amps: float) -> float:
    """Ask the seam what EVSE 1, of 16 A, applies."""
    changed: float = seam.apply("limit_a", 1, 0.0, one, 16.0, value=amps)
    return changed


def test_the_ignored_limit_leaves_the_one_before_in_force() -> None:
    """10 kW, then 4.2 kW which is ignored, then 6.9 kW which is not."""
    seam = FaultSeam()
    seam.seed("station.ignores-limit", {"limit": 4200, "unit": "W"})
    assert apply(seam, ruling(10_000), 14.49) == 14.49
    assert apply(seam, ruling(4200), 6.08) == 14.49
    assert apply(seam, ruling(6900), 10.0) == 10.0


def test_with_nothing_before_it_the_station_takes_its_own_maximum() -> None:
    """The first limit of all is the ignored one."""
    seam = FaultSeam()
    seam.seed("station.ignores-limit", {"limit": 6, "unit": "A"})
    assert apply(seam, ruling(6, "A"), 6.0) == 16.0
    assert apply(seam, ruling(6, "W"), 0.0) == 0.0


@pytest.mark.parametrize(
    ("fault_id", "params", "reason"),
    [
        ("station.unheard-of", {}, "unknown fault 'station.unheard-of'; did you mean: station"),
        ("station.ignores-limit", {"limit": 6}, "wrong or missing: unit"),
        ("station.ignores-limit", {"limit": 6, "unit": "A", "when": 1}, "wrong or missing: when"),
        ("station.ignores-limit", {"limit": "6", "unit": "A"}, "limit = '6'"),
        ("station.ignores-limit", {"limit": -1, "unit": "A"}, "limit = -1"),
        ("station.ignores-limit", {"limit": 6, "unit": "kW"}, "unit = 'kW'"),
        ("station.jumps-on-repeat", {"times": 1}, "times = 1"),
        ("station.offers-more", {"amps": 0}, "amps = 0"),
        ("station.offline-drop", {"purpose": "None"}, "purpose = 'None'"),
        ("station.wrong-phases-conversion", {"phases": 4}, "phases = 4"),
        ("station.accepts-anything", {"rule": ""}, "rule = ''"),
    ],
)
def test_an_unknown_fault_or_a_wrong_parameter_is_refused(fault_id: str, params: dict[str, Any], reason: str) -> None:
    """The message says what is known and what is wrong."""
    with pytest.raises(ValueError, match=reason):
        FaultSeam().seed(fault_id, params)


def test_faults_act_in_the_order_of_seeding_where_they_have_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault without the method of a point leaves its value alone."""

    class Doubles:
        PARAMS: ClassVar[dict[str, str]] = {}

        def ev_current(self, evse_id: int, t: float, amps: float) -> float:
            return 2 * amps

    class AddsOne(Doubles):
        def ev_current(self, evse_id: int, t: float, amps: float) -> float:
            return amps + 1

    monkeypatch.setattr(faults, "FAULTS", {"a": Doubles, "b": AddsOne})
    seam = FaultSeam()
    seam.seed("a", {})
    seam.seed("b", {})
    assert seam.apply("ev_current", 1, 0.0, value=5.0) == 11.0
    assert seam.apply("registers", "m1", 0.0, value={"frequency": 50.0}) == {"frequency": 50.0}


def test_the_catalogue_says_what_can_be_seeded() -> None:
    """Each entry has id, layer, text and the meaning of each parameter."""
    found = {one["id"]: one for one in describe_faults()}
    only = found["station.ignores-limit"]
    assert (only["layer"], list(only["params"])) == ("station", ["limit", "unit"])
    assert all(one["text"] and one["layer"] in ("station", "ev", "EV", "meter", "network") for one in found.values())
    assert len(found) == len(faults.FAULTS)


def test_each_fault_has_an_id_of_its_own() -> None:
    """Two classes with one id would hide one another."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path("firmware_sim/faults").glob("*.py"))
    ids = re.findall(r'^    ID: ClassVar = "([^"]+)"', sources, flags=re.MULTILINE)
    assert sorted(ids) == sorted(set(ids))
