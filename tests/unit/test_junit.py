"""JUnit XML: what each verdict becomes, and that a peer cannot break the file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from bench.domain.evidence import Judgement
from bench.domain.verdicts import CheckResult, Layer, Verdict
from bench.report.junit import clean, write_junit
from bench.runs.judge import judge
from tests.support_conduct import Story, profile
from tests.support_report import Day

BASE = judge(Day(duration_s=1000).documents())


def suite_of(judgement: Judgement, tmp_path: Path) -> ET.Element:
    """Return the test suite that is written for a judgement."""
    write_junit(tmp_path / "junit.xml", judgement, "a-scenario")
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    return suite


def with_check(check: CheckResult) -> Judgement:
    """Return a judgement that consists of one check."""
    return replace(BASE, verdict=replace(BASE.verdict, verdict=check.verdict, checks=(check,)))


@pytest.mark.parametrize(
    ("verdict", "tag"),
    [
        (Verdict.PASS, None), (Verdict.CONDITIONAL_PASS, "system-out"), (Verdict.FAIL, "failure"),
        (Verdict.CONDITIONAL_FAIL, "failure"), (Verdict.INCONCLUSIVE, "failure"), (Verdict.ERROR, "error"),
        (Verdict.ABORTED, "error"), (Verdict.NOT_APPLICABLE, "skipped"),
    ],
)  # fmt: skip
def test_each_verdict_has_its_place(verdict: Verdict, tag: str | None, tmp_path: Path) -> None:
    """Only PASS is silent; INCONCLUSIVE is a failure, so that nobody takes it for a pass."""
    case = suite_of(with_check(CheckResult("power", "Power obeys", verdict, ("because",))), tmp_path).find("testcase")
    assert case is not None
    assert [one.tag for one in case] == ([tag] if tag else [])
    assert tag is None or "because" in (case[0].text or "")


def test_the_suite_counts_and_names(tmp_path: Path) -> None:
    """A failed run has its counts, and its verdict, state, judge and blamed layers as properties."""
    suite = suite_of(judge(Day(disobedient=True).documents()), tmp_path)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("4", "1", "0", "0")
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties == {"verdict": "FAIL", "state": "completed", "judge": BASE.verdict.judge, "blamed": "station",
                          "class": "over limit", "warnings": ""}  # fmt: skip


def test_a_run_that_was_not_judged_is_an_error(tmp_path: Path) -> None:
    """An aborted run has one test case that says why."""
    suite = suite_of(judge(Day(state="aborted", duration_s=1000).documents()), tmp_path)
    error = suite.find("testcase[@name='run']/error")
    assert error is not None
    assert error.get("message") == "stopped by the operator"


def test_characters_that_xml_cannot_hold_are_written_out(tmp_path: Path) -> None:
    """A station may say anything; the file stays readable."""
    check = CheckResult("installed", "t", Verdict.FAIL, ("\x00bad\x1b \ud800 \ufffe <&",), (Layer.STATION,))
    failure = suite_of(with_check(check), tmp_path).find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "\\u0000bad\\u001b \\ud800 \\ufffe <&"
    assert clean("a\tb\n✓ 𝄞") == "a\tb\n✓ 𝄞"


def test_each_requirement_is_a_property(tmp_path: Path) -> None:
    """A machine reads `requirement.K01.FR.28` without parsing the reasons."""
    story = Story()
    story.set(profile(), 9)
    suite = suite_of(story.judgement(), tmp_path)
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["requirement.K01.FR.28"] == "FAIL"
