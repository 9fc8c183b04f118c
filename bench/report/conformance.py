"""The report of a check of a CSO: a page with each case, and JUnit with one test case per case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from bench.domain.conformance import CaseResult
from bench.domain.documents import Document
from bench.domain.verdicts import Verdict
from bench.report.exchange import exchange_section
from bench.report.html import page
from bench.report.junit import TAGS, clean
from bench.report.markup import element, section, table
from bench.report.sections import SYMBOLS, chip, links, words


def counted(results: Sequence[CaseResult]) -> str:
    """Return how many cases ended how, in words."""
    counts = [(sum(one.verdict is verdict for one in results), verdict) for verdict in Verdict]
    return ", ".join(f"{count} {words(verdict)}" for count, verdict in counts if count) or "no case was run"


def write_check_pages(
    folder: Path, cso: str, verdict: Verdict, results: Sequence[CaseResult], documents: Sequence[Document], *, reason: str
) -> None:
    """Write `report.html` and `junit.xml`.

    Args:
        documents: the check's journal.
        reason: why it ended early; empty where it did not.
    """
    exchange, shown = exchange_section(documents)
    versions = list(dict.fromkeys(one.version for one in results))
    banner = element(
        "div",
        element("h1", element("span", SYMBOLS[verdict], aria_hidden="true"), f" {words(verdict)}"),
        element("p", counted(results), class_="headline"),
        element("p", f"It ended early: {reason}", class_="warning") if reason else None,
        class_=f"banner {verdict.lower()}",
    )
    note = "INCONCLUSIVE: it was not shown, and why. All cases are judged by raw JSON and headers."
    body = [
        element("p", f"Charge point bench · check of a CSO · {cso}", class_="kicker"), banner,
        [section(f"Cases, OCPI {one}", _cases([row for row in results if row.version == one], shown), id_=f"cases-{index}")
         for index, one in enumerate(versions)],
        element("p", note, class_="note"), exchange,
    ]  # fmt: skip
    (folder / "report.html").write_text(page(f"{words(verdict)}: check of {cso}", body, scripts=[]), encoding="utf-8")
    _write_junit(folder / "junit.xml", results)


def _cases(results: Sequence[CaseResult], shown: set[int]) -> object:
    rows = [
        [element("td", element("strong", one.title), element("p", one.name, class_="note")), chip(one.verdict),
         element("td", element("ul", [element("li", text) for text in one.said])),
         element("td", element("p", one.clause, class_="note")), element("td", links(one.refs, shown), class_="refs")]
        for one in results
    ]  # fmt: skip
    return table(("Case", "Verdict", "What was seen", "Rule", "Documents"), rows, class_="checks")


def _write_junit(path: Path, results: Sequence[CaseResult]) -> None:
    root = ET.Element("testsuites")
    for version in dict.fromkeys(one.version for one in results):
        cases = [one for one in results if one.version == version]
        suite = ET.SubElement(root, "testsuite", name=f"OCPI {version}", tests=str(len(cases)))
        for one in cases:
            made = ET.SubElement(suite, "testcase", classname=f"ocpi.{version}", name=one.name)
            if tag := TAGS.get(one.verdict):
                said = clean("; ".join(one.said))
                ET.SubElement(made, tag, message=said, type=one.verdict).text = clean("\n".join([one.clause, *one.said]))
        for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(attribute, str(len(suite.findall(f".//{tag}"))))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
