"""Suites: one summary of several scenarios, resumed where it stopped, and never better than the first verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench.rig.suite
from bench.cli import main
from bench.domain.verdicts import RunState, RunVerdict, Verdict
from bench.errors import RigError, UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome
from bench.rig.suite import run_suite
from bench.settings.suite import SuiteSettings

SUITE = SuiteSettings.model_validate(
    {"schema": 1, "name": "two", "title": "Two", "scenarios": ["lowered-limit", "single-profile"]}
)


def base(out: Path) -> Order:
    """Return what the runs of a suite have in common."""
    path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    return Order(scenario, path, rig, rig_path, out)


class Judgement:
    """The part of a judgement that a suite looks at."""

    def __init__(self, verdict: Verdict, state: RunState = RunState.COMPLETED) -> None:
        self.verdict = RunVerdict("2", state, verdict, str(verdict))


def saying(*verdicts: Verdict | Exception, asked: list[str] | None = None) -> Callable[[Order], Any]:
    """Return a stand-in for a run that ends in one verdict after the other."""
    left = list(verdicts)

    def run(order: Order) -> Outcome:
        if asked is not None:
            asked.append(order.scenario.name)
        order.out.mkdir()
        said = left.pop(0)
        if isinstance(said, Exception):
            raise said
        state = {Verdict.ERROR: RunState.ERROR, Verdict.ABORTED: RunState.ABORTED}.get(said, RunState.COMPLETED)
        return Outcome(order.out, Judgement(said, state), 0, "")  # type: ignore[arg-type]

    return run


def test_a_suite_sums_up(tmp_path: Path) -> None:
    """Two real runs give a table, JUnit with a case each, and a file that says which verdict counts."""
    outcome = run_suite(SUITE, base(tmp_path / "suite"))
    summary = json.loads((tmp_path / "suite/summary.json").read_text())
    assert summary["verdicts"] == {"lowered-limit": "PASS", "single-profile": "PASS"}
    assert outcome.exit_code() == 0
    assert 'tests="2" failures="0"' in (tmp_path / "suite/junit.xml").read_text()
    assert "2 of 2 scenarios passed" in (tmp_path / "suite/summary.html").read_text()


def test_what_fails_twice_is_an_error_and_the_suite_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scenario breaks twice, the second is run all the same."""
    broken = RigError("the relay is gone")
    monkeypatch.setattr(bench.rig.suite, "run_scenario", saying(broken, Verdict.ERROR, Verdict.PASS))
    outcome = run_suite(SUITE, base(tmp_path / "suite"))
    assert [one.verdict for one in outcome.entries] == [Verdict.ERROR, Verdict.PASS]
    assert [len(one.attempts) for one in outcome.entries] == [2, 1]
    assert outcome.exit_code() == 4


def test_the_first_valid_verdict_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error the second attempt counts, and a FAIL is never tried again for a better one."""
    monkeypatch.setattr(bench.rig.suite, "run_scenario", saying(Verdict.ERROR, Verdict.FAIL, Verdict.FAIL))
    outcome = run_suite(SUITE, base(tmp_path / "suite"))
    assert [[one.verdict for one in entry.attempts] for entry in outcome.entries] == [
        [Verdict.ERROR, Verdict.FAIL],
        [Verdict.FAIL],
    ]
    assert outcome.exit_code() == 1


def test_resume_runs_what_has_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite that was stopped goes on with the scenario that it was stopped in; what has a verdict is left alone."""
    asked: list[str] = []
    monkeypatch.setattr(bench.rig.suite, "run_scenario", saying(Verdict.FAIL, Verdict.ABORTED, Verdict.PASS, asked=asked))
    stopped = run_suite(SUITE, base(tmp_path / "suite"))
    assert (stopped.aborted, stopped.exit_code()) == (True, 5)
    resumed = run_suite(SUITE, base(tmp_path / "suite"), resume=True)
    assert asked == ["lowered-limit", "single-profile", "single-profile"]
    assert [one.verdict for one in resumed.entries] == [Verdict.FAIL, Verdict.PASS]


def test_a_suite_that_is_there_is_not_run_over(tmp_path: Path) -> None:
    """Evidence is never overwritten, and nothing is resumed that is not there."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/x").touch()
    with pytest.raises(UsageError, match="--resume goes on"):
        run_suite(SUITE, base(tmp_path / "old"))
    with pytest.raises(UsageError, match="nothing to resume"):
        run_suite(SUITE, base(tmp_path / "new"), resume=True)


def test_the_command_refuses_what_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither or both of scenario and suite, an unknown suite: exit code 2 with the reason."""
    assert main(["run"]) == 2
    assert main(["run", "lowered-limit", "--suite", "first-twelve"]) == 2
    assert main(["run", "--suite", "nowhere"]) == 2
    assert "no suite 'nowhere'" in capsys.readouterr().err


def test_what_is_resumed_goes_on_as_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs on one rig, or with one seed, are never summed up as those of another."""
    monkeypatch.setattr(bench.rig.suite, "run_scenario", saying(Verdict.PASS, Verdict.ABORTED))
    run_suite(SUITE, base(tmp_path / "suite"))
    with pytest.raises(UsageError, match="was begun with seed = 1, not 2"):
        run_suite(SUITE, replace(base(tmp_path / "suite"), seed=2), resume=True)


def test_suite_and_baseline_tell_how_far_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per step on standard error while a scenario goes on; --quiet is silent."""
    suite = tmp_path / "suites/short.toml"
    suite.parent.mkdir()
    suite.write_text('schema = 1\nname = "short"\ntitle = "Short"\nscenarios = ["lowered-limit"]\n')
    assert main(["run", "--suite", str(suite), "--out", str(tmp_path / "a")]) == 0
    assert "0:00:02 of 0:01:00  step 7 authorise" in capsys.readouterr().err
    assert main(["run", "--suite", str(suite), "--quiet", "--out", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().err == ""
    path = find_rig("emulated")[0]
    rig = tmp_path / "mine.toml"
    rig.write_text(path.read_text().replace('"../', f'"{path.parent.parent}/') + '\n[proof]\nfile = "proof.json"\n')
    assert main(["baseline", "--rig", str(rig), "--out", str(tmp_path / "c")]) == 0
    assert "preparing  step 3 baseline" in capsys.readouterr().err
