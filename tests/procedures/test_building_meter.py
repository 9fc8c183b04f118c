"""The building's smart meter: no EVSE hangs on it, and yet it is in the journal."""

from __future__ import annotations

from pathlib import Path

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from tests.support import DEEP


def test_a_meter_that_no_evse_names_is_sampled_beside(tmp_path: Path) -> None:
    """690 W of house and the car, from a P1 port in virtual time; without a gap, and the run passes as ever."""
    rig_path, rig = find_rig("emulated-p1")
    path, scenario = find_scenario("lowered-limit")
    outcome = run_scenario(Order(scenario, path, rig, rig_path, tmp_path))
    assert outcome.exit_code == 0, outcome.judgement.verdict.headline
    documents = read_journal(tmp_path / "journal.jsonl").documents
    samples = [one.data for one in documents if one.kind == Kind.METER_SAMPLE and one.data["meter"] == "building"]
    assert not [one for one in documents if one.kind == Kind.METER_GAP]
    assert samples[0]["power_w"] == 690
    assert max(one["power_w"] for one in samples) > 7000
    assert bytes.fromhex(samples[0]["registers"]["p1"]).startswith(b"/EMU5")
    told = {one.data["meter"]: one.data["serial_number"] for one in documents if one.kind == Kind.METER_IDENTITY}
    assert told["building"] == "EMU00000001"


def test_the_same_seed_gives_the_same_journal(tmp_path: Path) -> None:
    """Also with a meter on a pseudo-terminal, whose bytes the kernel hands on when it likes."""
    rig_path, rig = find_rig("emulated-p1")
    path, scenario = find_scenario("lowered-limit")
    journals = set()
    for number in range(3):
        run_scenario(Order(scenario, path, rig, rig_path, tmp_path / str(number), pages=DEEP))
        journals.add((tmp_path / str(number) / "journal.jsonl").read_bytes())
    assert len(journals) == 1
