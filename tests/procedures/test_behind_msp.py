"""An SCSP behind an MSP in a scenario: SCSP, MSP, CSO."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from tests.support import DEEP


@pytest.mark.parametrize("name", ["ocpi-relay", "dso-limit-during-profile"])
def test_orders_pass_through_the_msp(name: str, tmp_path: Path) -> None:
    """PASS as without it; all that the CSO hears comes from the MSP, whose own session ids it never sees."""
    path, scenario = find_scenario(name)
    rig_path, rig = find_rig("emulated")
    assert scenario.scsp is not None
    behind = scenario.model_copy(update={"scsp": scenario.scsp.model_copy(update={"behind_msp": True})})
    outcome = run_scenario(Order(behind, path, rig, rig_path, tmp_path / "run", seed=1, pages=DEEP))
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline
    documents = read_journal(tmp_path / "run/journal.jsonl").documents
    puts = [one.data for one in documents if one.kind == Kind.OCPI_REQUEST and "/chargingprofiles/S-" in one.data["url"]]
    assert {one["from"] for one in puts if "/ocpi/2" in one["url"] and one["to"] == "NL-BEN"} == {"NL-MSP"}
    assert not [one for one in documents if one.kind == Kind.FINDING]
