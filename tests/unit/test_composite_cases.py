"""The worked cases of docs/explanation/composite-schedules.md, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import main

ROOT = Path(__file__).parents[2]
CASES = sorted(one for one in (ROOT / "fixtures" / "composite").glob("*.json") if not one.stem.endswith(".expected"))
PAGE = ROOT / "docs" / "explanation" / "composite-schedules.md"


def test_there_are_ten() -> None:
    """A case that is not found is not tested."""
    assert [one.name[:2] for one in CASES] == [f"{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_worked_case_comes_out_as_by_hand(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each period: when, how much, on how many phases."""
    assert main(["composite", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.with_suffix(".expected.json").read_text())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_page_works_each_case(path: Path) -> None:
    """The page links the case, and its table has one row for each period with the limit that is expected."""
    section = next(part for part in PAGE.read_text().split("\n## ") if f"](../../fixtures/composite/{path.name})" in part)
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ") and line[2].isdigit()]
    shown = [(int(row[1].replace(",", "")), row[2].strip()) for row in rows]
    expected = json.loads(path.with_suffix(".expected.json").read_text())
    due = [(one["start_s"], "none" if one["limit"] is None else f"{one['limit']:,}") for one in expected]
    assert shown == due
