"""What a run knows of its meters: plausible readings, the serial number, and the accuracy in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal_reader import read_journal
from bench.adapters.modbus import READINGS_PER_CHECK
from bench.domain.verdicts import Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, run_scenario
from bench.rig.verify import verify_run
from bench.runs.facts import facts_of
from bench.settings.rig import RigSettings
from tests.support import DEEP

METERS = Path(__file__).parents[2] / "config" / "meters"
CERTIFIED = {"current_percent": 0.2, "power_percent": 0.25, "certificate": "C-17"}


def run(
    out: Path, register_map: Path, serial_number: str = "", accuracy: dict[str, Any] | None = None, *, pages: bool = DEEP
) -> Outcome:
    """Run `lowered-limit` on the emulated rig with these meters."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    content = rig.model_dump(mode="json", by_alias=True)
    for meter in content["meters"].values():
        meter |= {"register_map": str(register_map), "serial_number": serial_number, "accuracy": accuracy}
    content.pop("control", None)
    return run_scenario(Order(scenario, scenario_path, RigSettings.model_validate(content), rig_path, out, pages=pages))


def identity(outcome: Outcome) -> dict[str, Any]:
    """Return what the journal says of the first meter."""
    documents = read_journal(outcome.folder / "journal.jsonl").documents
    found: dict[str, Any] = next(one.data for one in documents if one.kind == "meter.identity")
    return found


def test_the_right_serial_number_keeps_the_certificate(tmp_path: Path) -> None:
    """The emulated meter tells the number of the rig file: its certificate is in force, and the run passes as before."""
    outcome = run(tmp_path / "run", METERS / "abb-b23.toml", "10000001", CERTIFIED)
    found = identity(outcome)
    assert (found["serial_number"], found["certificate"]) == ("10000001", "C-17")
    assert found["accuracy"]["current_percent"] == 0.2
    assert outcome.judgement.verdict.verdict is Verdict.PASS


def test_a_certificate_that_nobody_could_check_is_doubted(tmp_path: Path) -> None:
    """The SDM630 tells no number: its certificate stays in force, and the report says what was not proven."""
    outcome = run(tmp_path / "run", METERS / "sdm630.toml", "4711", CERTIFIED, pages=True)
    assert identity(outcome)["certificate"] == "C-17"
    assert outcome.judgement.verdict.verdict is Verdict.PASS
    assert "that it has serial number 4711 was not checked" in (outcome.folder / "report.html").read_text()


def test_another_serial_number_voids_the_certificate(tmp_path: Path) -> None:
    """The certificate is another meter's and the map has no data sheet: nothing is judged by it, also when replayed."""
    outcome = run(tmp_path / "run", METERS / "abb-b23.toml", "10000002", CERTIFIED)
    found = identity(outcome)
    assert (found["certificate"], found["accuracy"]) == ("", None)
    assert "10000002" in found["doubt"]
    assert not any(one.current.known or one.power.known for one in outcome.judgement.facts.evses)
    assert outcome.judgement.verdict.verdict is Verdict.INCONCLUSIVE
    assert any("accuracy not known" in reason for one in outcome.judgement.verdict.checks for reason in one.reasons)
    recorded = verify_run(outcome.folder).recorded
    assert recorded is not None
    assert recorded["verdict"] == "INCONCLUSIVE"


def test_without_a_certificate_the_data_sheet_counts(tmp_path: Path) -> None:
    """0.5 % of 100 A is an error of 0.5 A at each reading; the number stands in the journal."""
    found = identity(run(tmp_path / "run", METERS / "sdm630.toml"))
    assert found["serial_number"] == ""
    assert (found["accuracy"]["current_percent"], found["accuracy"]["current_offset_a"]) == (0.0, 0.5)
    assert "SDM630-MBus V2" in found["reason"]


def test_an_implausible_meter_is_refused(tmp_path: Path) -> None:
    """230 V where the map expects a kilovolt or more: the run ends before it began, and the message asks the right question."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text((METERS / "sdm630.toml").read_text() + "\n[probe]\nlow = 1000.0\nhigh = 3000.0\n")
    outcome = run(tmp_path / "run", wrong)
    assert "Is this meter really the Eastron SDM630" in outcome.judgement.facts.end_reason
    assert outcome.judgement.verdict.verdict is not Verdict.PASS


@pytest.mark.parametrize("name", ["sunspec-meter-int", "sunspec-meter-float"])
def test_a_run_finds_a_sunspec_meter_in_its_chain(tmp_path: Path, name: str) -> None:
    """From the mark to the verdict: place, maker, model and serial number come from the meter itself."""
    outcome = run(tmp_path / "run", METERS / f"{name}.toml", "10000001", CERTIFIED)
    assert identity(outcome)["serial_number"] == "10000001"
    assert outcome.judgement.verdict.verdict is Verdict.PASS


def test_without_an_identity_and_an_accuracy_nothing_is_known(tmp_path: Path) -> None:
    """An accuracy that nobody told is never taken for 0, whatever journal it is."""
    outcome = run(tmp_path / "run", METERS / "abb-b23.toml")
    documents = [one for one in read_journal(outcome.folder / "journal.jsonl").documents if one.kind != "meter.identity"]
    assert {(one.current.known, one.power.known) for one in facts_of(documents).evses if one.meter} == {(False, False)}


def test_the_look_at_the_serial_number_keeps_a_journal_the_same(tmp_path: Path) -> None:
    """Two virtual runs of one seed, both with looks at the number, differ in no byte of evidence."""
    runs = [run(tmp_path / name, METERS / "abb-b23.toml", "10000001", CERTIFIED) for name in ("a", "b")]
    first, second = (read_journal(one.folder / "journal.jsonl").documents for one in runs)
    assert sum(one.kind == "meter.sample" for one in first) > READINGS_PER_CHECK
    assert [(one.t, one.kind, one.data) for one in first[1:]] == [(one.t, one.kind, one.data) for one in second[1:]]
