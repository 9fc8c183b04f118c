"""The proof of the meters through whole runs: what a record is bound to, and what a coarse register leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import CheckResult, Layer, RunVerdict, Verdict
from bench.errors import SettingsError
from bench.rig.files import find_rig, find_scenario
from bench.rig.proof import make_record, proof_records, record_s
from bench.rig.session import Order, run_scenario
from bench.settings.base import check
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault

RIG_PATH, _ = find_rig("emulated")


def rig(tmp_path: Path, **meter: Any) -> RigSettings:
    """Return the emulated rig with a record in this folder, and its first meter changed."""
    values = find_rig("emulated")[1].model_dump(by_alias=True)
    resolution_wh = meter.pop("resolution_wh", 0)
    values["emulator"]["meter_errors"] = {"evse1": {"resolution_wh": resolution_wh}}
    values["meters"]["evse1"] |= meter
    values["proof"] = {"file": str(tmp_path / "proof.json")}
    return check(RigSettings, values, RIG_PATH)


def judged(tmp_path: Path, there: RigSettings, proof: str, *faults: Fault) -> tuple[RunVerdict, dict[str, CheckResult]]:
    """Run a step, judged by power and energy as well, and return what became of it."""
    path, scenario = find_scenario("field-step")
    scenario = scenario.model_copy(update={"proof": proof, "checks": ("power", "energy", "meter_values")})
    verdict = run_scenario(Order(scenario, path, there, RIG_PATH, tmp_path / "run", faults=faults, pages=False)).judgement.verdict
    return verdict, {one.check: one for one in verdict.checks}


def test_a_record_tells_age_clock_and_wiring_and_proves_the_runs_after_it(tmp_path: Path) -> None:
    """Made once, cited by a run, which looks at the station's clock anew."""
    there = rig(tmp_path)
    record = make_record(there, RIG_PATH, tmp_path / "baseline")
    assert (record.proven, "shows a step within" in " ".join(record.lines)) == (True, True)
    verdict, found = judged(tmp_path, there, "file")
    assert (verdict.verdict, found["proof"].verdict) == (Verdict.PASS, Verdict.PASS)
    assert {one.name for one in found["proof"].measurements} == {"clock_offset_of_station", "age_of_evse1"}
    proof = next(one.data for one in read_journal(tmp_path / "run" / "journal.jsonl").documents if one.kind == Kind.PROOF)
    assert (proof["by"], proof["phases"], proof["side"]) == ("file", [1, 2, 3], "AC")
    assert abs(proof["clock"]["offset_s"]) < 1


def test_a_record_of_another_wiring_proves_nothing(tmp_path: Path) -> None:
    """The same name, but the EVSE hangs on other phases of its meter now."""
    make_record(rig(tmp_path), RIG_PATH, tmp_path / "baseline")
    values = rig(tmp_path).model_dump(by_alias=True)
    values["station"][0]["evse"][0]["phases"] = (2, 3, 1)
    verdict, found = judged(tmp_path, check(RigSettings, values, RIG_PATH), "file")
    assert (verdict.verdict, found["power"].verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert "its proof is of phases L1, L2, L3, and this run has L2, L3, L1" in found["proof"].headline


def test_a_record_of_another_rig_is_refused(tmp_path: Path) -> None:
    """A file that was copied from the rig beside it."""
    there = rig(tmp_path)
    make_record(there, RIG_PATH, tmp_path / "baseline")
    with pytest.raises(SettingsError, match="is a record of rig emulated"):
        proof_records(there.model_copy(update={"name": "lab-b"}), RIG_PATH)


def test_a_coarse_register_is_given_the_time_that_it_needs(tmp_path: Path) -> None:
    """Steps of 100 Wh take eleven minutes of 11 kW, which the rig file lets be known beforehand; then the energy is judged."""
    there = rig(tmp_path, resolution_wh=100, energy_step_wh=100)
    assert 660 < record_s(there, RIG_PATH) < 720
    verdict, found = judged(tmp_path, there, "run")
    assert (verdict.verdict, found["proof"].warnings, found["energy"].verdict) == (Verdict.PASS, (), Verdict.PASS)


def test_a_register_too_coarse_leaves_the_energy_open_and_the_power_judged(tmp_path: Path) -> None:
    """Steps of 500 Wh would take an hour: a station above its limit is convicted by its power, and by no energy."""
    there = rig(tmp_path, resolution_wh=500, energy_step_wh=500)
    ignores = Fault(id="station.ignores-limit", params={"limit": 6, "unit": "A"})
    verdict, found = judged(tmp_path, there, "run", ignores)
    assert (verdict.verdict, found["power"].verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert found["energy"].verdict is Verdict.INCONCLUSIVE
    assert "the energy register is not proven" in found["energy"].headline
    assert [one.code for one in found["proof"].warnings] == ["energy-not-proven"]


@pytest.mark.parametrize("every_s", [1, 5])
def test_a_meter_that_refreshes_more_slowly_than_declared_is_not_proven(tmp_path: Path, every_s: float) -> None:
    """A value each few seconds against 0.2 s in the rig file: INCONCLUSIVE, by the meter, and the figure to write down."""
    held = Fault(id="meter.held", params={"meter": "evse1", "every_s": every_s})
    verdict, found = judged(tmp_path, rig(tmp_path), "run", held)
    assert (verdict.verdict, found["proof"].blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,))
    assert any("write latency_s = [0, " in one for one in found["proof"].reasons)


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("points", "many", "points: input should be a valid list"),
        ("points", [{}], "points.0.at: field required"),
        ("made", "yesterday", "made: value error"),
        ("load_percent", "x", "load_percent: input should be"),
        ("energy_step_wh", "a", "energy_step_wh: input should be"),
    ],
)
def test_a_record_that_nobody_can_read_is_refused_before_the_run(tmp_path: Path, key: str, value: Any, place: str) -> None:
    """The key is named; no run begins that could not be judged."""
    there = rig(tmp_path)
    sound = {"made": "2026-01-01T00:00:00Z", "load_percent": 1.0, "failed": "", "points": []}
    content = {"schema": 1, "rig": there.name, "meters": {"evse1": sound | {key: value}}}
    (tmp_path / "proof.json").write_text(json.dumps(content))
    with pytest.raises(SettingsError) as refused:
        proof_records(there, RIG_PATH)
    assert f"meters.evse1.{place}" in str(refused.value)
