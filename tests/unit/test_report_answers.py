"""Answers that break the schema: the judge says so, and the report is written all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.domain.documents import Document, Kind
from bench.domain.verdicts import Verdict
from bench.report.html import write_report
from bench.runs.judge import judge
from tests.support_report import Day


def day_with(change: Callable[[list[Any]], None]) -> list[Document]:
    """Return a day's journal with each frame changed."""
    documents = Day().documents()
    for one in documents:
        if one.kind == Kind.OCPP_FRAME:
            frame = json.loads(one.data["raw"])
            change(frame)
            one.data["raw"] = json.dumps(frame)
    return documents


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("scheduleStart", "yesterday", "no date-time"), ("scheduleStart", 5, "breaks its schema"), ("duration", "x", "breaks"),
        ("chargingSchedulePeriod", None, "breaks its schema"),
        ("chargingSchedulePeriod", [{"startPeriod": 0, "limit": "a"}], "breaks"),
    ],
)  # fmt: skip
def test_a_broken_composite_schedule_fails(field: str, value: Any, reason: str, tmp_path: Path) -> None:
    """It is the station's fault, and neither judge nor report stumbles over it."""

    def change(frame: list[Any]) -> None:
        if frame[0] == 3 and "schedule" in frame[2]:
            frame[2]["schedule"][field] = value

    documents = day_with(change)
    judgement = judge(documents)
    composite = next(one for one in judgement.verdict.checks if one.check == "composite")
    assert composite.verdict is Verdict.FAIL
    assert reason in composite.headline
    write_report(tmp_path / "report.html", documents, judgement, head_hash="", host={}, chain_ok=True)


def test_a_broken_answer_installs_nothing() -> None:
    """A status of no type that exists is no acceptance, and the check quotes how it is broken."""

    def change(frame: list[Any]) -> None:
        if frame[0] == 3 and frame[2].get("status") == "Accepted" and len(frame[2]) == 1:
            frame[2]["status"] = {"is": "Accepted"}

    installed = next(one for one in judge(day_with(change)).verdict.checks if one.check == "installed")
    assert installed.verdict is Verdict.FAIL
    assert "breaks its schema: status" in installed.headline


def test_a_transaction_without_a_readable_time_began_when_it_was_told() -> None:
    """A station whose clock is text does not stop the judge."""

    def change(frame: list[Any]) -> None:
        if frame[0] == 2 and frame[2] == "TransactionEvent":
            frame[3]["timestamp"] = "soon"

    assert judge(day_with(change)).verdict.verdict is Verdict.PASS
