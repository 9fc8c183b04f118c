"""The main job on the emulated rig: a day in virtual time, sound and disobedient."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.verdicts import Layer, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, run_scenario
from bench.rig.verify import verify_run


def run(name: str, out: Path, seed: int = 1) -> Outcome:
    """Run a shipped scenario on the emulated rig."""
    scenario_path, scenario = find_scenario(name)
    rig_path, rig = find_rig("emulated")
    return run_scenario(Order(scenario, scenario_path, rig, rig_path, out, seed=seed))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A day on the sound station."""
    return run("scsp-day-ahead", tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture(scope="module")
def disobedient(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A day on the station that ignores its 4.2 kW."""
    return run("scsp-day-ahead-disobedient", tmp_path_factory.mktemp("disobedient") / "run")


def test_the_sound_station_passes(sound: Outcome) -> None:
    """Relayed, installed, reported and obeyed: each level and each lowering exercised, exit code 0."""
    verdict = sound.judgement.verdict
    assert (verdict.verdict, sound.exit_code) == (Verdict.PASS, 0)
    assert [check.verdict for check in verdict.checks] == [Verdict.PASS] * 5
    power = verdict.checks[-1]
    assert {period.limit for period in power.periods if period.exercised} == {0.0, 4200.0, 6900.0, 10000.0}
    assert all(period.exercised for period in power.periods)


def test_the_plan_of_the_scsp_is_the_cheapest(sound: Outcome) -> None:
    """By hand from the 24 prices: 13 to 16 h local at 10 kW, 11 to 13 h at 6.9 kW, 10 h and 16 h at 4.2 kW."""
    limits = [(period.start, period.limit) for period in sound.judgement.verdict.checks[-1].periods]
    midnight = 1688248800.0  # 2023-07-01T22:00Z, midnight in the Netherlands
    assert [((at - midnight) / 3600, limit) for at, limit in limits][1:] == [
        (10, 4200.0),
        (11, 6900.0),
        (13, 10000.0),
        (16, 4200.0),
        (17, 0.0),
    ]


def test_the_disobedient_station_is_convicted(disobedient: Outcome) -> None:
    """FAIL, by how much and when, and the station alone is blamed; its report was right, so only the meter shows it."""
    verdict = disobedient.judgement.verdict
    checks = {check.check: check for check in verdict.checks}
    assert (verdict.verdict, disobedient.exit_code) == (Verdict.FAIL, 1)
    assert checks["power"].blamed == (Layer.STATION,)
    assert checks["composite"].verdict is Verdict.PASS
    assert "exceeded its limit of 4.20 kW by 5.4" in verdict.headline
    assert "from 2023-07-02 14:00:1" in verdict.headline
    assert "the station is to blame" in verdict.headline


def test_both_runs_verify(sound: Outcome, disobedient: Outcome) -> None:
    """The chain is whole and the verdict follows from the journal alone."""
    for outcome in (sound, disobedient):
        verification = verify_run(outcome.folder)
        assert verification.sound, verification.findings


def test_the_judge_never_reads_what_was_seeded(disobedient: Outcome) -> None:
    """Without the documents that tell of the fault the verdict is the same."""
    from bench.runs.judge import judge

    documents = read_journal(disobedient.folder / "journal.jsonl").documents
    innocent = [one for one in documents if one.kind != "fault.seeded"]
    assert len(innocent) == len(documents) - 1
    innocent[0].data["scenario"].pop("fault")
    assert judge(innocent).verdict == disobedient.judgement.verdict


def test_no_token_reaches_the_evidence(sound: Outcome) -> None:
    """Neither the driver's token nor OCPI's stand in the journal in clear: a keyed hash is in their place."""
    text = (sound.folder / "journal.jsonl").read_text()
    drivers = re.findall(r'\\"idToken\\":\\"([^"\\]+)', text)
    peers = re.findall(r'"authorization":"([^"]+)"', text, re.IGNORECASE)
    assert drivers
    assert peers
    assert [one for one in drivers if not one.startswith("hmac:")] == []
    assert [one for one in peers if "hmac:" not in one] == []


@pytest.mark.parametrize("name", ["lowered-limit", "scsp-day-ahead"])
def test_two_runs_with_one_seed_write_the_same_journal(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Another process and another PYTHONHASHSEED: byte for byte the same."""
    here = request.getfixturevalue("sound") if name == "scsp-day-ahead" else run(name, tmp_path / "here")
    command = [sys.executable, "-m", "bench", "run", name, "--quiet", "--out", str(tmp_path / "there"), "--seed", "1"]
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
    assert (here.folder / "journal.jsonl").read_bytes() == (tmp_path / "there/journal.jsonl").read_bytes()


def test_another_seed_writes_another_journal(tmp_path: Path) -> None:
    """Ids and tokens of the emulated parties come from the seed."""
    first, second = run("lowered-limit", tmp_path / "1", seed=1), run("lowered-limit", tmp_path / "2", seed=2)
    assert first.head != second.head
    assert first.judgement.verdict.verdict is second.judgement.verdict.verdict
