"""Traces each requirement of OCPP 2.0.1 block K through the project: who implements it, what judges it, what proves the judge.

Nothing is entered by hand but the requirements themselves and the reasons of those that nobody owes here: an implementation
is a file whose source names the requirement, a procedure one that is marked with it, a proof a test that names it or a
seeded defect that a procedure has to convict for it.
"""

from __future__ import annotations

import ast
import csv
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
REQUIREMENTS: Final = ROOT / "fixtures/requirements/block-k.tsv"
REASONS: Final = ROOT / "fixtures/requirements/reasons.toml"
DEFECTS: Final = ROOT / "hil_tests/defects"
IMPLEMENTATION: Final = {"CSMS": ("bench/cso", "bench/domain", "bench/wire"), "CS": ("firmware_sim",)}
JUDGES: Final = ("bench/runs", "bench/domain")
_NUMBER: Final = r"(?:FR\.)?\d\d+(?!\d|[:.]\d| (?:%|(?:A|W|kW|s|h|min)\b))"
"""One more of a list; what has a unit is a value that follows it."""
_CHAIN: Final = re.compile(rf"\b(K\d\d|SC)(?:\.FR)?\.(\d+)((?:(?:,| and| to| or|;)\s+{_NUMBER}|/{_NUMBER})*)")
_LINK: Final = re.compile(r"(,| and| to| or|;|/)\s*(?:FR\.)?(\d\d+)")
_CASE: Final = re.compile(r"TC_K_\d+_CS\b")


def ids_in(text: str) -> set[str]:
    """Return the requirements that a text names; `K01.FR.49 to FR.51` and `K08.FR.03, FR.04` name three and two."""
    found: set[str] = set()
    for block, first, rest in _CHAIN.findall(" ".join(text.split())):
        prefix = "SC." if block == "SC" else f"{block}.FR."
        last = int(first)
        found.add(f"{prefix}{last:02}")
        for word, number in _LINK.findall(rest):
            begin = last + 1 if word.strip() == "to" else int(number)
            found |= {f"{prefix}{one:02}" for one in range(begin, int(number) + 1)}
            last = int(number)
    return found


def cases_in(text: str) -> set[str]:
    """Return the published test cases that a text names."""
    return set(_CASE.findall(text))


@dataclass(slots=True)
class Trace:
    """One requirement and where it lives."""

    id: str
    duty: str
    meaning: str
    implemented: list[str] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    """Published test cases that its procedures are marked with."""
    tests: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def state(self) -> str:
        """Return how far it is carried; `missing` is what no row may say."""
        if self.reason:
            return "not here"
        if not self.implemented or not self.tests:
            return "missing"
        return "judged and proven" if self.procedures and self.defects else "procedure" if self.procedures else "tested"


def traces() -> list[Trace]:
    """Return all requirements in the order of the specification."""
    with REQUIREMENTS.open(encoding="utf-8") as file:
        rows = {row["id"]: Trace(row["id"], row["actor"], row["meaning"]) for row in csv.DictReader(file, delimiter="\t")}
    for reason in tomllib.loads(REASONS.read_text(encoding="utf-8"))["reason"]:
        for one in reason["requirements"]:
            rows[one].reason = reason["text"]
    for folder in ("bench", "firmware_sim", "tests", "hil_tests"):
        for place, source in places(folder):
            for one in ids_in(source) & rows.keys():
                _enter(rows[one], place)
                rows[one].cases += cases_in(source) if folder == "hil_tests" else ()
    for path in sorted(DEFECTS.glob("*.toml")):
        for defect in tomllib.loads(path.read_text(encoding="utf-8"))["defect"]:
            for one in defect["fails"]:
                rows[one].defects.append(defect["fault"])
                rows[one].tests.append("tests/procedures/test_defects.py")
    for row in rows.values():
        for name in ("implemented", "judged", "procedures", "cases", "tests", "defects"):
            setattr(row, name, sorted(set(getattr(row, name))))
    return list(rows.values())


def _enter(row: Trace, place: str) -> None:
    if place.startswith("tests/"):
        row.tests.append(place)
    elif place.startswith("hil_tests/"):
        row.procedures.append(place)
    else:
        duties = ("CS", "CSMS") if row.duty == "CS+CSMS" else (row.duty,)
        if place.startswith(tuple(folder for duty in duties for folder in IMPLEMENTATION.get(duty, ()))):
            row.implemented.append(place)
        if place.startswith(JUDGES):
            row.judged.append(place)


def places(folder: str) -> Iterator[tuple[str, str]]:
    """Yield `file`, or `file::function` of tests and procedures, with its source, where that names a requirement."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        source, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        if not _CHAIN.search(source):
            continue
        if folder not in ("tests", "hil_tests"):
            yield name, source
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield f"{name}::{node.name}", "\n".join(source.splitlines()[begin - 1 : node.end_lineno])


def page() -> str:
    """Return the table, a page of docs/reference."""
    rows = traces()
    counts = Counter(row.state for row in rows)
    told = ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
    text = f"# Requirements of block K\n\n{len(rows)} requirements of OCPP 2.0.1 (with the errata to 2025-09): {told}.\n\n"
    text += (
        "Duty: who owes it. *Judged and proven*: a procedure in `hil_tests` puts it to the test, and a seeded defect proves\n"
        "that the procedure convicts. *Procedure*: put to the test by a procedure. *Tested*: implemented, and shown by tests.\n"
        "Cases: the published test cases that the procedures cover.\n\n"
        "| requirement | duty | what | implemented in | judged in | procedure | cases | proof | state |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    for row in rows:
        proofs = [*row.defects, *row.tests]
        found = (row.implemented, row.judged, row.procedures, row.cases, proofs)
        cells = (row.id, row.duty, row.meaning, *map(_some, found))
        text += f"| {' | '.join(cells)} | {row.state}{f': {row.reason}' if row.reason else ''} |\n"
    return text


def _some(places: list[str]) -> str:
    """Return the first three places; a file by its name under the top folder."""
    shown = [f"`{place.removeprefix('tests/').removeprefix('hil_tests/')}`" for place in places[:3]]
    return "<br>".join([*shown, *([f"and {len(places) - 3} more"] if len(places) > 3 else [])])
