"""The pytest plugin, run in a pytest of its own: verdicts become outcomes and JUnit properties."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

WITHOUT = ("-p", "no:cacheprovider", "-p", "no:schemathesis")
"""Plugins whose loading takes longer than a run."""
HEAD = """
import pytest

async def drive(procedure, wait=60):
    await procedure.demand({wants})
    await procedure.plug()
    await procedure.authorise()
    await procedure.wait(10)
    await procedure.set_profile([(0, 12), (20, 8), (40, 0)], unit="A")
    await procedure.composite(60, "A")
    await procedure.wait(wait)
"""
TEST = """
async def test_limit(run):
    async with run("lowered-limit"{changes}) as procedure:
        await drive(procedure)
"""


def outcome(
    pytester: pytest.Pytester, *, wants: float = 16, changes: str = "", test: str = TEST
) -> tuple[dict[str, int], ET.Element]:
    """Run one procedure and return pytest's counts and the JUnit testcase."""
    pytester.makepyfile(HEAD.format(wants=wants) + test.format(changes=changes))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_subprocess("--junitxml=junit.xml", "--bench-out=runs", *WITHOUT)
    case = ET.parse(pytester.path / "junit.xml").find(".//testcase")
    assert case is not None
    return result.parseoutcomes(), case


def properties(case: ET.Element) -> dict[str, str]:
    """Return the properties of a JUnit testcase."""
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def test_pass_passes_and_leaves_its_evidence(pytester: pytest.Pytester) -> None:
    """PASS: the test passes; verdict, folder and head hash stand in JUnit's properties."""
    counts, case = outcome(pytester)
    found = properties(case)
    assert counts == {"passed": 1}
    assert (found["verdict"], found["check.power"]) == ("PASS", "PASS")
    assert (Path(found["run"]) / "report.html").is_file()
    assert len(found["journal_head"]) == 64


def test_a_seeded_fault_fails_the_test(pytester: pytest.Pytester) -> None:
    """FAIL: the failure's text is the verdict's, with the blame among the properties."""
    fault = ', fault={"id": "station.ignores-limit", "params": {"limit": 8, "unit": "A"}}'
    counts, case = outcome(pytester, changes=fault)
    failure = case.find("failure")
    assert counts == {"failed": 1}
    assert failure is not None
    assert "the station is to blame" in (failure.text or "")
    assert properties(case)["blamed.power"] == "station"


def test_inconclusive_fails_the_test(pytester: pytest.Pytester) -> None:
    """A car that wants 5 A shows nothing, and nothing shown is no pass."""
    counts, case = outcome(pytester, wants=5)
    assert (counts, properties(case)["verdict"]) == ({"failed": 1}, "INCONCLUSIVE")


def test_a_broken_rig_is_an_error(pytester: pytest.Pytester) -> None:
    """ERROR: pytest reports an error, not a failure."""
    counts, case = outcome(pytester, changes=', fault={"id": "station.does-not-exist"}')
    assert counts == {"errors": 1}
    assert case.find("error") is not None


def test_an_assertion_of_the_procedure_fails_and_ends_safely(pytester: pytest.Pytester) -> None:
    """The author's own assertion is a plain failure; the run has ended in the safe state."""
    test = TEST.replace("await drive(procedure)", "await procedure.plug()\n        assert False")
    counts, _ = outcome(pytester, test=test)
    assert counts == {"failed": 1}
    journals = [path.read_text() for path in (pytester.path / "runs").rglob("journal.jsonl")]
    assert ['"action":"open contactor","ok":true' in journal for journal in journals] == [True]


def test_the_last_lines_sum_up_what_applies(pytester: pytest.Pytester) -> None:
    """One that passes, one that fails by its own assertion, one that does not apply, with its reason."""
    pytester.makepyfile(HEAD.format(wants=16) + TEST.format(changes="") + '''
async def test_broken(run):
    async with run():
        assert False

@pytest.mark.octt("TC_X_CS")
async def test_outside(run):
    async with run(title="t") as procedure:
        await procedure.needs(evses=9)
''')
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_subprocess("--bench-out=runs", *WITHOUT, "--strict-markers")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["not applicable: *test_outside: CS-EMU-1 does not have 9 EVSEs",
                                 "procedures: 1 passed of 2 applicable of 3"])  # fmt: skip


def test_marked_requirements_have_to_be_shown(pytester: pytest.Pytester) -> None:
    """The ids of all marks go into the scenario, the check that judges them with them, and each becomes a property."""
    test = '@pytest.mark.requirement("K01.FR.07", "K10.FR.03")\n@pytest.mark.requirement("K10.FR.05")' + TEST
    _, case = outcome(pytester, test=test)
    found = properties(case)
    journal = (Path(found["run"]) / "journal.jsonl").read_text()
    assert {name for name in found if name.startswith("requirement.")} >= {
        "requirement.K01.FR.07", "requirement.K10.FR.03", "requirement.K10.FR.05"}  # fmt: skip
    assert '"must_show":["K01.FR.07","K10.FR.03","K10.FR.05"]' in journal
    assert '"conduct"]' in journal
