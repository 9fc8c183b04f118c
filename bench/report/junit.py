"""JUnit XML of a run, for machines that collect test results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from bench.domain.evidence import Judgement
from bench.domain.quantities import moment
from bench.domain.verdicts import CheckResult, RunState, RunVerdict, Verdict, leading

_NOT_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped; a peer may well send some."""
TAGS: Final[dict[Verdict, str]] = {
    Verdict.FAIL: "failure", Verdict.CONDITIONAL_FAIL: "failure", Verdict.INCONCLUSIVE: "failure",
    Verdict.ERROR: "error", Verdict.ABORTED: "error", Verdict.NOT_APPLICABLE: "skipped",
}  # fmt: skip
"""Element of a test case by its verdict; a pass has none."""


def write_junit(path: Path, judgement: Judgement, scenario_name: str) -> None:
    """Write one test suite for the run with one test case per check; `power of EVSE 2` is that of an EVSE not under test.

    FAIL, CONDITIONAL_FAIL and INCONCLUSIVE are failures, ERROR and ABORTED errors, NOT_APPLICABLE is skipped. A run that was
    not judged is one test case, `run`, with an error. Verdict, state, judge, blamed layers, class and findings are properties
    of the suite, and so is the verdict on each requirement: `requirement.K01.FR.16`.
    """
    run, facts = judgement.verdict, judgement.facts
    suite = ET.Element("testsuite", name=clean(scenario_name), timestamp=moment(facts.start).strftime("%Y-%m-%dT%H:%M:%S"),
                       time=f"{facts.end - facts.start:.3f}")  # fmt: skip
    _properties(suite, run)
    names: set[str] = set()
    for check in _cases(run):
        name = check.check if check.check not in names else f"{check.check} of EVSE {check.periods[0].evse_id}"
        names.add(name)
        _case(suite, scenario_name, name, check)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped"), ("testcase", "tests")):
        suite.set("tests" if tag == "testcase" else attribute, str(len(suite.findall(f".//{tag}"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def clean(text: str) -> str:
    """Return text that XML can hold: other characters are written as `\\u0001`."""
    return _NOT_XML.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _cases(run: RunVerdict) -> tuple[CheckResult, ...]:
    if run.checks and run.state is RunState.COMPLETED:
        return run.checks
    return (*run.checks, CheckResult("run", "The run ends and is judged", run.verdict, (run.headline,)))


def _properties(suite: ET.Element, run: RunVerdict) -> None:
    codes = sorted({one.code for one in run.warnings})
    properties = ET.SubElement(suite, "properties")
    told = [("verdict", run.verdict), ("state", run.state), ("judge", run.judge),
            ("blamed", ", ".join(run.blamed)), ("class", run.fault_class or ""), ("warnings", ", ".join(codes))]  # fmt: skip
    told += [(f"requirement.{name}", one.verdict) for check in run.checks for name, one in leading(check.requirements).items()]
    for name, value in told:
        ET.SubElement(properties, "property", name=name, value=clean(value))


def _case(suite: ET.Element, scenario_name: str, name: str, check: CheckResult) -> None:
    case = ET.SubElement(suite, "testcase", classname=clean(scenario_name), name=name)
    tag = TAGS.get(check.verdict)
    if tag is not None:
        found = ET.SubElement(case, tag, message=clean(check.headline), type=check.verdict)
        found.text = clean("\n".join([check.title, *check.reasons]))
    elif check.verdict is Verdict.CONDITIONAL_PASS:
        ET.SubElement(case, "system-out").text = clean("\n".join([check.verdict, *check.reasons]))
