"""Each requirement of block K is traced to what implements, judges and proves it, and nothing names what does not exist."""

from __future__ import annotations

import ast
import importlib.util
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from firmware_sim.faults import FAULTS

ROOT = Path(__file__).parents[2]
CASES = ROOT / "fixtures/requirements/published-cases.txt"
FORMS: Any = [
    ("K01.FR.09", {"K01.FR.09"}),
    ("K01.FR.49 to FR.51.", {"K01.FR.49", "K01.FR.50", "K01.FR.51"}),
    ("K08.FR.03, FR.04; K10.FR.01 and 02", {"K08.FR.03", "K08.FR.04", "K10.FR.01", "K10.FR.02"}),
    ("K01.FR.11 to 13, 17", {"K01.FR.11", "K01.FR.12", "K01.FR.13", "K01.FR.17"}),
    ("K01.FR.52/53 or\n    FR.39", {"K01.FR.52", "K01.FR.53", "K01.FR.39"}),
    ("SC.01, SC.04", {"SC.01", "SC.04"}),
    ("K01.FR.09, FR.10: 16 A", {"K01.FR.09", "K01.FR.10"}),
    ("K01.FR.09, 16 A for 60 s", {"K01.FR.09"}),
    ("K01.FR.09, 12:30", {"K01.FR.09"}),
    ("K01.FR.09, 80 % of it", {"K01.FR.09"}),
    ("K01, FR.09; EVSE.FR.03; TASK01.FR.02", set()),
]
"""How requirements are written; outside of the test, which proves none of them."""


@cache
def tracer() -> ModuleType:
    """Return docs/requirements.py."""
    spec = importlib.util.spec_from_file_location("requirements_of_block_k", ROOT / "docs/requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def known() -> dict[str, Any]:
    """Return the trace of each requirement by its id."""
    return {one.id: one for one in tracer().traces()}


@cache
def procedures() -> dict[str, str]:
    """Return the source of each procedure, with its marks, by `file::function`."""
    found = {}
    for path in sorted((ROOT / "hil_tests").glob("test_*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                found[f"{path.name}::{node.name}"] = "\n".join(lines[begin - 1 : node.end_lineno])
    return found


@cache
def defects() -> list[tuple[str, dict[str, Any]]]:
    """Return each seeded defect with the name of its file."""
    paths = sorted((ROOT / "hil_tests/defects").glob("*.toml"))
    return [(path.name, row) for path in paths for row in tomllib.loads(path.read_text(encoding="utf-8"))["defect"]]


@pytest.mark.parametrize(("text", "ids"), FORMS)
def test_the_written_forms_are_understood(text: str, ids: set[str]) -> None:
    """Ranges, lists, the short form; a value that follows is none."""
    assert tracer().ids_in(text) == ids


def test_no_requirement_is_missing() -> None:
    """Each one is implemented and tested, or fixtures/requirements/reasons.toml says why not here."""
    missing = [f"{one.id} ({one.duty}): {one.meaning}" for one in known().values() if one.state == "missing"]
    assert not missing


def test_a_reason_is_given_only_where_nothing_implements() -> None:
    """What has a reason and an implementation all the same is out of date."""
    assert not [one.id for one in known().values() if one.reason and one.implemented]


@pytest.mark.parametrize("folder", ["bench", "firmware_sim", "hil_tests", "tests"])
def test_what_is_named_exists(folder: str) -> None:
    """A requirement that is named and not in the table is a slip, or of another version of OCPP."""
    unknown = {(place, one) for place, source in tracer().places(folder) for one in tracer().ids_in(source) - known().keys()}
    assert not unknown


def test_each_defect_names_what_exists() -> None:
    """A procedure, a fault of the emulator, and requirements that are in the table."""
    wrong = []
    for file, row in defects():
        wrong += [f"{file}: {row['procedure']}"] if row["procedure"] not in procedures() else []
        wrong += [f"{file}: {row['fault']}"] if row["fault"] not in FAULTS else []
        wrong += [f"{file}: {one}" for one in row["fails"] if one not in known()]
        wrong += [] if row["fails"] else [f"{file}: {row['procedure']} fails nothing"]
    assert not wrong


def test_each_published_case_has_a_procedure() -> None:
    """All 44 on charging stations, and no other id."""
    published = set(CASES.read_text(encoding="utf-8").split())
    assert len(published) == 44
    assert {case for source in procedures().values() for case in tracer().cases_in(source)} == published


def test_each_procedure_has_a_defect() -> None:
    """What never convicted a broken station has shown nothing."""
    proven = {row["procedure"] for _, row in defects()}
    assert not sorted(name for name in procedures() if name not in proven)
