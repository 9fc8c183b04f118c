"""A lab's own fault, as the how-to page has it: seeded, named in the journal, and convicted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli import main
from firmware_sim.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs/how-to/seed-a-fault.md"


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """The page's Python block as a file; what it registers is taken away again."""
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert block is not None
    file = tmp_path / "thirsty.py"
    file.write_text(block.group(1), encoding="utf-8")
    before = dict(FAULTS)
    yield file
    FAULTS.clear()
    FAULTS.update(before)


def test_the_pages_own_fault_is_seeded_and_convicted(module: Path, tmp_path: Path) -> None:
    """The command of the page ends in FAIL, blamed on the EV; the journal names the file and its hash."""
    out = tmp_path / "run"
    seeded = ["--fault-module", str(module), "--fault", "EV.thirsty:share=0.1"]
    assert main(["run", "field-proportional", *seeded, "--quiet", "--out", str(out)]) == 1
    assert json.loads((out / "result.json").read_text())["blamed"] == ["EV"]
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    told = next(one["data"] for one in lines if one["kind"] == "fault.seeded")
    assert (told["id"], told["module"]) == ("EV.thirsty", "thirsty.py")
    assert len(told["sha256"]) == 64


def test_its_wrong_parameter_is_refused(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs, with the fault's own words."""
    seeded = ["--fault-module", str(module), "--fault", "EV.thirsty:share=2"]
    assert main(["run", "field-proportional", *seeded, "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert "share = 2: must be from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        ("amps / 0", "ZeroDivisionError: float division by zero"),
        ("None", "returned None in place of 15.496"),
        ("'much'", "returned 'much': a number is due"),
    ],
)
def test_one_that_fails_ends_the_run_in_error(
    module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], instead: str, told: str
) -> None:
    """The headline names fault, method, file and line; the station was brought to rest, and nobody reads a traceback."""
    module.write_text(module.read_text().replace("amps * (1 + self.share)", instead))
    seeded = ["--fault-module", str(module), "--fault", "EV.thirsty:share=0.1"]
    out = tmp_path / "run"
    assert main(["run", "field-proportional", *seeded, "--quiet", "--out", str(out)]) == 4
    headline = json.loads((out / "result.json").read_text())["headline"]
    assert re.fullmatch(r"fault EV\.thirsty: ev_current \(thirsty\.py:1\d\): " + re.escape(told), headline)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    journal = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    assert all(one["data"]["ok"] for one in journal if one["kind"] == "safe_state")
