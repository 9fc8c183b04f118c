"""An EVSE that is not under test and breaks its limit is not passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from bench.domain.verdicts import Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.base import check
from bench.settings.scenario import Fault
from firmware_sim.faults import FAULTS

STEPS: Final[tuple[dict[str, Any], ...]] = (
    {"at_s": 3, "do": "demand", "evse": 2, "amperes": 16},
    {"at_s": 3, "do": "plug", "evse": 2},
    {"at_s": 4, "do": "authorise", "evse": 2},
    {"at_s": 19, "do": "set_profile", "evse": 2, "periods": [[0, 6]]},
)


class Generous:
    """A station that offers EVSE 2 more than its limit."""

    ID, LAYER, TEXT = "station.generous", "station", "EVSE 2 offers 4 A more"
    PARAMS: Final[dict[str, str]] = {}

    def limit_a(self, evse_id: int, _t: float, _ruling: Any, max_a: float, amps: float) -> float:
        return min(max_a, amps + 4) if evse_id == 2 else amps


def verdict_of(out: Path, *faults: Fault) -> Any:
    """Run field-step with a second car under a limit of 6 A on EVSE 2."""
    path, settings = find_scenario("field-step")
    values = settings.model_dump(by_alias=True)
    steps = sorted([*values["step"], *STEPS], key=lambda one: float(one["at_s"]))
    values |= {"step": steps, "checks": ("installed", "composite", "power"), "proof": "none"}
    rig_path, rig = find_rig("emulated")
    return run_scenario(Order(check(type(settings), values, path), path, rig, rig_path, out, faults=faults)).judgement.verdict


def test_a_breach_at_the_other_evse_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EVSE 1 obeys, EVSE 2 draws 10 A under 6 A: the station is convicted."""
    monkeypatch.setitem(FAULTS, Generous.ID, Generous)
    verdict = verdict_of(tmp_path, Fault(id=Generous.ID))
    assert verdict.verdict is Verdict.FAIL
    assert "EVSE 2 exceeded its limit of 6.0 A" in verdict.headline
    names = [one.get("name") for one in ET.parse(tmp_path / "junit.xml").iter("testcase")]
    assert names == ["installed", "composite", "power", "power of EVSE 2"]


def test_two_obedient_evses_pass(tmp_path: Path) -> None:
    """The second car changes nothing in the verdict on the first."""
    assert verdict_of(tmp_path).verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS)
