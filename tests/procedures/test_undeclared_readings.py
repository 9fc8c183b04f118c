"""A station may read the text in its own way where nobody declared it, if its report and its plug agree on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.domain.verdicts import FaultClass, Layer, RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.scenario import Fault
from firmware_sim.faults import FAULTS
from firmware_sim.limiter import Situation
from firmware_sim.profiles import TX_DEFAULT, Profile

pytestmark = pytest.mark.virtual


def verdict_on(folder: Path, name: str, fault: str, **params: Any) -> RunVerdict:
    """Run a scenario of the field on the emulated rig with one fault."""
    (scenario_path, scenario), (rig_path, rig) = find_scenario(name), find_rig("emulated")
    faults = (Fault(id=fault, params=params),)
    order = Order(scenario, scenario_path, rig, rig_path, folder / "run", faults=faults, pages=False)
    return run_scenario(order).judgement.verdict


@pytest.mark.parametrize(
    ("shift_s", "named"),
    [(-59, "plugging in"), (118, "the start of charging"), (120, "the start of charging")],
)
def test_a_moment_of_the_session_that_report_and_plug_share_is_no_defect(tmp_path: Path, shift_s: float, named: str) -> None:
    """Whatever happened in the session may be the anchor, and a finding names what it was."""
    verdict = verdict_on(tmp_path, "field-relative", "station.relative-anchor", shift_s=shift_s, reported=True)
    assert (verdict.verdict, [one.code for one in verdict.warnings]) == (Verdict.PASS, ["relative-anchor"])
    assert f"count from {named}, " in verdict.warnings[0].text


def test_receipt_is_as_good_an_anchor_as_the_start(tmp_path: Path) -> None:
    """Where nothing is declared both are accepted, and nothing is told of it."""
    verdict = verdict_on(tmp_path, "field-relative", "station.relative-anchor", shift_s=140, reported=True)
    assert (verdict.verdict, verdict.warnings) == (Verdict.PASS, ())


@pytest.mark.parametrize("shift_s", [-30, 60, 160])
def test_an_anchor_at_which_nothing_happened_is_a_defect(tmp_path: Path, shift_s: float) -> None:
    """Report and plug agree, and the step comes at a moment that is none of the session's."""
    verdict = verdict_on(tmp_path, "field-relative", "station.relative-anchor", shift_s=shift_s, reported=True)
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.TIMING, (Layer.STATION,))
    assert any("nothing of the session happened then" in reason for check in verdict.leading for reason in check.reasons)


def test_an_anchor_that_only_the_plug_has_is_a_defect(tmp_path: Path) -> None:
    """The lower limit comes a minute later than the station itself says."""
    verdict = verdict_on(tmp_path, "field-relative", "station.relative-anchor", shift_s=60, reported=False)
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.TIMING, (Layer.STATION,))


class DefaultAtPlugLater:
    """A default that is reported at once and applied to the next transaction."""

    ID: ClassVar = "station.default-at-plug-later"
    PARAMS: ClassVar[dict[str, str]] = {}

    def applied(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Leave out what came later than the transaction."""
        began = now.transaction_start or 0.0
        return [one for one in seen if one.purpose != TX_DEFAULT or one.received_at is None or one.received_at <= began]


def test_a_default_that_is_reported_has_to_be_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The composite schedule says 8 A, 16 A are drawn; beside a report that leaves it out nothing would be decided."""
    monkeypatch.setitem(FAULTS, DefaultAtPlugLater.ID, DefaultAtPlugLater)
    verdict = verdict_on(tmp_path, "field-default-midsession", DefaultAtPlugLater.ID)
    assert (verdict.verdict, verdict.fault_class, verdict.blamed) == (Verdict.FAIL, FaultClass.OVER_LIMIT, (Layer.STATION,))
