"""A day's plan at a station that holds three periods: it goes out in windows, and the plug obeys the plan all the same."""

from __future__ import annotations

from pathlib import Path

from bench.adapters.journal_reader import read_journal
from bench.domain.verdicts import Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.target import TargetFeatures
from tests.support import DEEP


def test_a_plan_in_windows_is_relayed_installed_reported_and_obeyed(tmp_path: Path) -> None:
    """Six limits in windows of three: each is exercised at the meter, none is exceeded, and none is withheld."""
    scenario_path, scenario = find_scenario("scsp-day-ahead")
    rig_path, rig = find_rig("emulated")
    short = rig.station[0].model_copy(update={"features": TargetFeatures(periods_per_schedule=3)})
    rig = rig.model_copy(update={"station": (short, *rig.station[1:])})
    verdict = run_scenario(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", seed=1, pages=DEEP)).judgement.verdict
    assert (verdict.verdict, [one.verdict for one in verdict.checks]) == (Verdict.PASS, [Verdict.PASS] * 5)
    assert {one.limit for one in verdict.checks[-1].periods if one.exercised} == {0.0, 4200.0, 6900.0, 10000.0}
    documents = read_journal(tmp_path / "run" / "journal.jsonl").documents
    assert len([one for one in documents if '"SetChargingProfile"' in str(one.data.get("raw"))]) == 4
