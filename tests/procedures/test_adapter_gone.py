"""Runs in which the meters' serial adapter falls out of its socket: terminal and stable name vanish, later they are back."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Document, Kind
from bench.domain.verdicts import RunState, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, run_scenario
from bench.settings.base import check
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault
from tests.support import DEEP

BEGIN_S = 47
"""From the first request on: about second 18 of the scenario, while the car charges with 12 A."""
CHARGING_W = 7500


def run(folder: Path, gone_s: float, *, contactor: bool = True) -> tuple[Outcome, list[Document]]:
    """Run a scenario on the emulated RS-485 bus, whose adapter is gone for so long."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated-bus")
    values = rig.model_dump(by_alias=True)
    values["emulator"]["contactor"] = contactor
    rig = check(RigSettings, values, rig_path)
    fault = Fault(id="meter.adapter-gone", params={"meter": "evse1", "from_s": BEGIN_S, "for_s": gone_s})
    outcome = run_scenario(Order(scenario, scenario_path, rig, rig_path, folder / "run", faults=(fault,), pages=DEEP))
    return outcome, read_journal(folder / "run" / "journal.jsonl").documents


def of(documents: list[Document], kind: Kind) -> list[Document]:
    """Return what one meter showed, or failed to show."""
    return [one for one in documents if one.kind == kind and one.data["meter"] == "evse1"]


def stopped(documents: list[Document]) -> dict[str, tuple[bool, Any]]:
    """Return what the stop of the run did, and what was read back."""
    return {
        one.data["action"]: (one.data["ok"], one.data["read_back"])
        for one in documents
        if one.kind == Kind.SAFE_STATE and one.data["stop"]
    }


def test_an_adapter_that_is_gone_for_3_s_costs_a_gap_only(tmp_path: Path) -> None:
    """PASS as ever: no sample while it is gone, and the power of the charging car right before and after, never a zero."""
    outcome, documents = run(tmp_path, 3)
    assert (outcome.judgement.verdict.verdict, stopped(documents)["begin"][1]["aborted"]) == (Verdict.PASS, False)
    gaps = of(documents, Kind.METER_GAP)
    begin, end = gaps[0].t - timedelta(seconds=1), gaps[0].t + timedelta(seconds=6)
    samples = [one for one in of(documents, Kind.METER_SAMPLE) if begin < one.t < end]
    assert min(one.data["power_w"] for one in samples) > CHARGING_W
    silent_s = max((after.t - before.t).total_seconds() for before, after in pairwise(samples))
    assert 3 <= silent_s < 6
    assert gaps[-1].t < gaps[0].t + timedelta(seconds=silent_s)


@pytest.mark.parametrize("contactor", [True, False])
def test_an_adapter_that_is_gone_for_30_s_ends_the_run_softly(tmp_path: Path, contactor: bool) -> None:
    """Longer than `meter_loss_s`: 0 A, the transaction ended, the contactor open where there is one; INCONCLUSIVE."""
    outcome, documents = run(tmp_path, 30, contactor=contactor)
    verdict = outcome.judgement.verdict
    assert (verdict.state, verdict.verdict) == (RunState.COMPLETED, Verdict.INCONCLUSIVE)
    assert "meter evse1 was silent for 10 s" in verdict.headline
    assert of(documents, Kind.METER_SAMPLE)[-1].data["power_w"] > CHARGING_W
    done = stopped(documents)
    assert (done["begin"][1]["aborted"], done["0 A profile"][0], done["stop transactions"][0]) == (True, True, True)
    assert list(done["stop transactions"][1]["stopped"].values()) == ["Accepted"]
    assert any('"eventType":"Ended"' in one.data["raw"] for one in documents if one.kind == Kind.OCPP_FRAME)
    assert done.get("open contactor", (None, None))[1] == ({"closed": False} if contactor else None)
