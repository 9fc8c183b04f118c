"""The pytest plugin, run in a pytest of its own: verdicts become outcomes and JUnit properties."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

WITHOUT = ("-p", "no:cacheprovider", "-p", "no:schemathesis")
"""Plugins whose loading takes longer than a run."""
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
HEAD = """
import pytest

async def drive(procedure, wants=16):
    await procedure.demand(wants)
    await procedure.plug()
    await procedure.authorise()
    await procedure.wait(10)
    await procedure.set_profile([(0, 12), (20, 8), (40, 0)], unit="A")
    await procedure.composite(60, "A")
    await procedure.wait(60)

async def test_pass(run):
    async with run("lowered-limit") as procedure:
        await drive(procedure)
"""
CASES = """
async def test_fault(run):
    fault = {"id": "station.ignores-limit", "params": {"limit": 8, "unit": "A"}}
    async with run("lowered-limit", fault=fault) as procedure:
        await drive(procedure)

async def test_little(run):
    async with run("lowered-limit") as procedure:
        await drive(procedure, wants=5)

async def test_broken_rig(run):
    async with run("lowered-limit", fault={"id": "station.does-not-exist"}) as procedure:
        await drive(procedure)

async def test_assertion(run):
    async with run("lowered-limit", title="asserts") as procedure:
        await procedure.plug()
        assert False

@pytest.mark.requirement("K01.FR.07", "K10.FR.03")
@pytest.mark.requirement("K10.FR.05")
async def test_marked(run):
    async with run("lowered-limit") as procedure:
        await drive(procedure)
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ET.Element]:
    """Run all cases in one pytest; return the JUnit testcase of each by its name."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "test_cases.py").write_text(HEAD + CASES)
    (folder / "pytest.ini").write_text(INI)
    command = [sys.executable, "-m", "pytest", "--junitxml=junit.xml", f"--bench-out={folder / 'runs'}", *WITHOUT]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "4 failed, 1 passed, 1 error" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    return {one.attrib["name"]: one for one in ET.parse(folder / "junit.xml").iter("testcase")}


def outcomes(case: ET.Element) -> list[str]:
    """Return what JUnit says of a testcase beside its properties; nothing where it passed."""
    return [one.tag for one in case if one.tag in ("failure", "error", "skipped")]


def properties(case: ET.Element) -> dict[str, str]:
    """Return the properties of a JUnit testcase."""
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def test_pass_passes_and_leaves_its_evidence(cases: dict[str, ET.Element]) -> None:
    """PASS: the test passes; verdict, folder and head hash stand in JUnit's properties."""
    found = properties(cases["test_pass"])
    assert outcomes(cases["test_pass"]) == []
    assert (found["verdict"], found["check.power"]) == ("PASS", "PASS")
    assert (Path(found["run"]) / "report.html").is_file()
    assert len(found["journal_head"]) == 64


def test_a_seeded_fault_fails_the_test(cases: dict[str, ET.Element]) -> None:
    """FAIL: the failure's text is the verdict's, with the blame among the properties."""
    case = cases["test_fault"]
    assert outcomes(case) == ["failure"]
    assert "the station is to blame" in (case.findtext("failure") or "")
    assert properties(case)["blamed.power"] == "station"


def test_inconclusive_fails_the_test(cases: dict[str, ET.Element]) -> None:
    """A car that wants 5 A shows nothing, and nothing shown is no pass."""
    case = cases["test_little"]
    assert (outcomes(case), properties(case)["verdict"]) == (["failure"], "INCONCLUSIVE")


def test_a_broken_rig_is_an_error(cases: dict[str, ET.Element]) -> None:
    """ERROR: pytest reports an error, not a failure."""
    assert outcomes(cases["test_broken_rig"]) == ["error"]


def test_an_assertion_of_the_procedure_fails_and_ends_safely(cases: dict[str, ET.Element]) -> None:
    """The author's own assertion is a plain failure; the run has ended in the safe state."""
    case = cases["test_assertion"]
    assert outcomes(case) == ["failure"]
    found = [path.read_text() for path in Path(properties(cases["test_pass"])["run"]).parent.rglob("journal.jsonl")]
    journals = [one for one in found if '"title":"asserts"' in one]
    assert ['"action":"open contactor","ok":true' in journal for journal in journals] == [True]


def test_the_last_lines_sum_up_what_applies(pytester: pytest.Pytester) -> None:
    """One that passes, one that fails by its own assertion, one that does not apply, with its reason."""
    pytester.makepyfile(HEAD + '''
async def test_broken(run):
    async with run():
        assert False

@pytest.mark.octt("TC_X_CS")
async def test_outside(run):
    async with run(title="t") as procedure:
        await procedure.needs(evses=9)
''')
    pytester.makeini(INI)
    result = pytester.runpytest_subprocess("--bench-out=runs", *WITHOUT, "--strict-markers")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["not applicable: *test_outside: CS-EMU-1 does not have 9 EVSEs",
                                 "procedures: 1 passed of 2 applicable of 3"])  # fmt: skip


def test_marked_requirements_have_to_be_shown(cases: dict[str, ET.Element]) -> None:
    """The ids of all marks go into the scenario, the check that judges them with them, and each becomes a property."""
    found = properties(cases["test_marked"])
    journal = (Path(found["run"]) / "journal.jsonl").read_text()
    assert {name for name in found if name.startswith("requirement.")} >= {
        "requirement.K01.FR.07", "requirement.K10.FR.03", "requirement.K10.FR.05"}  # fmt: skip
    assert '"must_show":["K01.FR.07","K10.FR.03","K10.FR.05"]' in journal
    assert '"conduct"]' in journal
