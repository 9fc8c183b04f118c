"""docs/reference/ocpi-rules.md is true: what it names is there, and nothing of it is missing."""

from __future__ import annotations

import ast
import importlib
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.cso.ocpi.periods import Periods
from bench.domain.tariff_cost import Amount
from bench.wire.ocpi.tariffs import price
from bench.wire.ocpi.transport import VERSIONS

CHAPTERS = (
    "transport", "status codes", "types", "version information", "credentials", "mod_cdrs", "mod_charging_profiles",
    "mod_commands", "mod_hub_client_info", "mod_locations", "mod_sessions", "mod_tariffs", "mod_tokens",
)  # fmt: skip
"""Of OCPI, as the page and the tests write them."""
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/ocpi-rules.md").read_text()
FILES = {path.stem: path for name in ("test_ocpi_*.py", "test_tariff_cost.py") for path in (ROOT / "tests").glob(f"*/{name}")}


def _tests_of(stem: str) -> set[str]:
    return {f"{stem}::{name}" for name in re.findall(r"^(?:async )?def (test_\w+)\(", FILES[stem].read_text(), re.MULTILINE)}


def test_each_test_that_the_page_names_exists() -> None:
    """A test that was renamed or taken away leaves no rule behind that seems to be held."""
    named = set(re.findall(r"`(test_\w+::test_\w+)`", PAGE))
    assert len(named) > 100
    assert named - {one for stem in FILES for one in _tests_of(stem)} == set()


def test_each_rule_and_each_pitfall_is_held() -> None:
    """No row without a test; the pitfalls are numbered without a gap."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("held by |")]
    assert [row for row in rows if "`test_" not in row] == []
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, 24)]


def test_each_test_of_rules_and_pitfalls_is_on_the_page() -> None:
    """What was written for a rule is found from it."""
    stems = ["test_ocpi_pitfalls", "test_ocpi_rules", "test_ocpi_clients", "test_ocpi_credentials", "test_ocpi_paging"]
    written = {one for stem in [*stems, *(one for one in FILES if one.endswith("_clauses"))] for one in _tests_of(stem)}
    assert [one for one in sorted(written) if f"`{one}`" not in PAGE] == []


def _documents_of(stem: str) -> dict[str, str]:
    """Return what each test of a file, and the file itself, say of themselves."""
    tree = ast.parse(FILES[stem].read_text())
    tests = [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{stem}::{one.name}": f"{ast.get_docstring(tree)} {ast.get_docstring(one)}".casefold() for one in tests}


def test_each_test_names_the_clause_of_its_rule() -> None:
    """The chapter in the row, of OCPI or else a requirement of OCPP, stands in the test or at the head of its file."""
    said = {name: text for stem in FILES for name, text in _documents_of(stem).items()}
    due: dict[str, list[str]] = {}
    for row in re.findall(r"^\| [^|\d].*", PAGE[PAGE.index("## Charging profiles") :], re.MULTILINE):
        clause, tests = re.split(r" (?<!\\)\| ", row)[-2:]
        chapters = [one for one in CHAPTERS if clause.startswith(one)] and [one for one in CHAPTERS if one in clause]
        for name in re.findall(r"`(test_\w+::test_\w+)`", tests):
            due.setdefault(name, []).extend(chapters or [clause.partition(",")[0].removesuffix(" \\*")])
    assert len(due) > 250
    assert [name for name, clauses in due.items() if not any(one.casefold() in said[name] for one in clauses)] == []


def test_findings_share_no_model_with_the_code_under_test() -> None:
    """types: what is found wrong comes from raw JSON: neither the checks nor the mock peers import a model."""
    shared = []
    for path in (*(ROOT / "bench/wire/ocpi").glob("checks*.py"), *(ROOT / "bench/peers").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench.wire"):
                module = importlib.import_module(node.module or "")
                found = [getattr(module, one.name, None) for one in node.names]
                shared += [(path.name, one) for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
    assert shared == []


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in _numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in _numbers(inner)]
    return [value] if isinstance(value, float) else []


def test_no_number_has_more_than_four_decimals() -> None:
    """Types, number: measured volumes and prices of both versions."""
    start = datetime(2026, 1, 15, tzinfo=UTC)
    periods = Periods(start, charging=True)
    samples = [("Energy.Active.Import.Register", 0.0), ("Power.Active.Import", 7333.33333), ("Current.Import", 31.987654321)]
    periods.meter({"sampledValue": [{"value": value, "measurand": name} for name, value in samples]}, start)
    periods.meter({"sampledValue": [{"value": 1234.56789}]}, start)
    told = [periods.close(start + timedelta(seconds=777)), *(price(Amount(Decimal("1.23456789")), one) for one in VERSIONS)]
    numbers = _numbers(told)
    assert len(numbers) > 6
    assert [one for one in numbers if round(one, 4) != one] == []
