"""`bench verify` on journals that are no finished run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal import encode, open_journal
from bench.domain.documents import FIRST_HASH, Kind, chain
from bench.domain.evidence import Judgement
from bench.domain.verdicts import Verdict
from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.rig.verify import rewrite_report, verify_run
from bench.runs.judge import judge
from tests.support import FakeClock


def written(folder: Path, *, judged: bool) -> Path:
    """Write a journal of two documents."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_journal(folder / "journal.jsonl", FakeClock(), b"key") as journal:
        journal.write(Kind.RUN_START, {"scenario": {}, "rig": {}, "seed": 1, "bench": "0", "mode": "real", "judged": judged})
        journal.write(Kind.FINDING, {"source": "bench", "code": "x", "text": "y", "refs": []})
    return folder


def test_a_served_journal_is_whole_and_has_no_verdict(tmp_path: Path) -> None:
    """`bench serve` judges nothing, so nothing is missing."""
    verification = verify_run(written(tmp_path, judged=False))
    assert verification.sound
    assert verification.lines()[-1] == "verdict: none (the bench ran without judging)"


def test_a_run_without_result_counts_as_aborted(tmp_path: Path) -> None:
    """The chain is checked; the verdict is none."""
    verification = verify_run(written(tmp_path, judged=True))
    assert "verdict: none" in verification.lines()[-1]


def test_a_torn_tail_is_reported(tmp_path: Path) -> None:
    """A last line without newline is left out and said."""
    path = written(tmp_path, judged=True) / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert verify_run(tmp_path).findings == ("torn tail: the last line is incomplete and was left out",)


@pytest.mark.parametrize("name", ["nothing", "."])
def test_what_is_no_run_is_bad_input(tmp_path: Path, name: str) -> None:
    """A folder without a journal is a usage error, not a finding."""
    with pytest.raises(UsageError, match=r"has no journal.jsonl"):
        verify_run(tmp_path / name)


def test_a_suites_folder_tells_how_one_of_its_runs_is_verified(tmp_path: Path) -> None:
    """Runs lie below it, or below the suites in it: the words name one that can be given."""
    written(tmp_path / "suite/second", judged=True)
    first = written(tmp_path / "suite/first", judged=True)
    for folder, names in ((tmp_path / "suite", "first, second"), (tmp_path, "suite/first, suite/second")):
        with pytest.raises(UsageError, match="runs lie in its folders") as caught:
            verify_run(folder)
        assert f"({names}): name one, as `bench verify {first}`" in str(caught.value)


def test_a_served_journal_has_no_report(tmp_path: Path) -> None:
    """The report is of a run; without judging there is none."""
    with pytest.raises(UsageError, match="judges nothing"):
        rewrite_report(written(tmp_path, judged=False), None)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("blamed", ["EV"], "differ in blamed"), ("warnings", [{"code": "x", "text": "y"}], "differ in warnings"),
     ("exit_code", 3, "tells exit code 3"), ("customer_note", "sound", "what no run writes: customer_note")],
)  # fmt: skip
def test_no_field_of_the_result_can_be_forged(key: str, value: Any, told: str, tmp_path: Path) -> None:
    """Blame, findings and exit code follow from the journal as the verdict does; nothing else may stand there."""
    scenario_path, scenario = find_scenario("single-profile")
    rig_path, rig = find_rig("emulated")
    run_scenario(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", pages=False))
    path = tmp_path / "run" / "result.json"
    assert verify_run(path.parent).sound
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert any(told in one for one in verify_run(path.parent).findings)


def test_the_exit_code_is_held_against_the_verdict_that_the_run_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later judge that sees it otherwise does not make an earlier run's exit code a forgery."""
    scenario_path, scenario = find_scenario("single-profile")
    rig_path, rig = find_rig("emulated")
    run_scenario(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", pages=False))
    monkeypatch.setattr("bench.rig.verify.JUDGE_VERSION", "later")

    def stricter(documents: Any) -> Judgement:
        found = judge(documents)
        return replace(found, verdict=replace(found.verdict, verdict=Verdict.FAIL))

    monkeypatch.setattr("bench.rig.verify.judge", stricter)
    assert verify_run(tmp_path / "run").sound


def test_a_changed_result_is_found(tmp_path: Path) -> None:
    """Whatever result.json says of the checks has to follow from the journal."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    run_scenario(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run"))
    path = tmp_path / "run" / "result.json"
    result = json.loads(path.read_text())
    result["checks"][-1]["periods"][0]["samples"] += 1
    path.write_text(json.dumps(result))
    assert verify_run(tmp_path / "run").findings == (
        "result.json is not what the run wrote into its journal: checks",
        "result.json and the journal differ in checks",
    )
    result["judge"], result["verdict"] = "0", "PASS with honours"
    path.write_text(json.dumps(result))
    assert verify_run(tmp_path / "run").findings == (
        "result.json is not what the run wrote into its journal: judge, verdict, checks",
    )
    path.unlink()
    assert verify_run(tmp_path / "run").findings == ("the run has ended, but result.json is missing",)


@pytest.mark.parametrize("verdict", [{"run": "x", "judge": "1"}, {"run": None, "judge": "1"}, {"run": {}}])
def test_what_cannot_be_read_in_a_chained_journal_is_a_finding(tmp_path: Path, verdict: dict[str, Any]) -> None:
    """Whoever chains a journal anew can write anything into it; that is told, and ends nothing."""
    with open_journal(tmp_path / "journal.jsonl", FakeClock(), b"key") as journal:
        journal.write(Kind.RUN_START, {"scenario": {}, "rig": {}, "exported": "x"})
        journal.write(Kind.VERDICT, verdict)
    result = dict.fromkeys(("judge", "state", "verdict", "headline", "checks", "head"), "")
    (tmp_path / "result.json").write_text(json.dumps(result))
    told = verify_run(tmp_path).findings
    assert "the verdict in the journal cannot be read: its run is no object, or its judge is missing" in told
    assert "the journal cannot be read: exported in its first document does not tell the head of the original" in told


@pytest.mark.parametrize(("kind", "key"), [("pilot.sample", "evse"), ("step.start", "step")])
def test_no_report_of_documents_that_do_not_fit(tmp_path: Path, kind: str, key: str) -> None:
    """A document without a field of its kind is told as bad input."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    run_scenario(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", pages=False))
    path = tmp_path / "run/journal.jsonl"
    head, lines = FIRST_HASH, []
    for one in map(json.loads, path.read_bytes().splitlines()):
        if one["kind"] == kind:
            one["data"].pop(key, None)
        body = encode({name: value for name, value in one.items() if name != "h"})
        head = chain(head, body)
        lines.append(b'%b,"h":"%b"}\n' % (body[:-1], head))
    path.write_bytes(b"".join(lines))
    with pytest.raises(UsageError, match="do not fit their kinds: KeyError"):
        rewrite_report(tmp_path / "run", None)
