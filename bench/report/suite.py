"""The summary of a suite: a page, and JUnit with one test case per scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from bench.domain.verdicts import RunState, Verdict
from bench.report.html import page
from bench.report.junit import TAGS, clean
from bench.report.markup import element, number, section, table
from bench.report.sections import chip
from bench.settings.suite import SuiteSettings

if TYPE_CHECKING:
    from typing import Protocol

    class AttemptLike(Protocol):
        """One run of a scenario."""

        @property
        def folder(self) -> str: ...
        @property
        def state(self) -> RunState: ...
        @property
        def verdict(self) -> Verdict: ...
        @property
        def headline(self) -> str: ...

    class EntryLike(Protocol):
        """What became of one scenario."""

        @property
        def scenario(self) -> str: ...
        @property
        def title(self) -> str: ...
        @property
        def verdict(self) -> Verdict: ...
        @property
        def attempts(self) -> Sequence[AttemptLike]: ...
        @property
        def counted(self) -> AttemptLike | None: ...


def write_suite_pages(folder: Path, suite: SuiteSettings, rig: str, entries: Sequence[EntryLike]) -> None:
    """Write `summary.html` and `junit.xml` into the suite's folder."""
    rows = [
        [element("td", element("strong", one.title), element("p", one.scenario, class_="note")), chip(one.verdict),
         "not run" if one.counted is None else one.counted.headline, number(len(one.attempts)), _links(one)]
        for one in entries
    ]  # fmt: skip
    passed = sum(one.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS) for one in entries)
    head = ("Scenario", "Verdict", "What was found", "Runs", "Report")
    note = "Of several runs of one scenario the first with a verdict counts, never the best."
    body = [
        element("p", "Charge point bench · suite", class_="kicker"),
        element("h1", suite.title),
        element("p", f"{passed} of {len(entries)} scenarios passed on rig {rig}.", class_="headline"),
        section("Scenarios", table(head, rows, class_="checks"), element("p", note, class_="note"), id_="scenarios"),
    ]
    (folder / "summary.html").write_text(page(suite.title, body, scripts=()), encoding="utf-8")
    _write_junit(folder / "junit.xml", suite, entries)


def _links(entry: EntryLike) -> object:
    return element("td", [[element("a", one.folder, href=f"{one.folder}/report.html"), " "] for one in entry.attempts])


def _write_junit(path: Path, suite: SuiteSettings, entries: Sequence[EntryLike]) -> None:
    root = ET.Element("testsuites")
    made = ET.SubElement(root, "testsuite", name=clean(suite.name), tests=str(len(entries)))
    for entry in entries:
        case = ET.SubElement(made, "testcase", classname=clean(suite.name), name=clean(entry.scenario))
        headline = "was not run" if entry.counted is None else entry.counted.headline
        if tag := TAGS.get(entry.verdict):
            ET.SubElement(case, tag, message=clean(headline), type=entry.verdict).text = clean(headline)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        made.set(attribute, str(len(made.findall(f".//{tag}"))))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
