"""Each procedure convicts what it is for: run with a seeded defect, its verdict is FAIL and names the right requirement."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bench.domain.verdicts import Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.procedure import Procedure
from bench.settings.base import check
from tests.support import DEEP

ROOT: Final = Path(__file__).parents[2]
SAMPLE: Final = 3
"""`make test` runs every third defect, `make deep` all of them."""


def defects() -> list[Any]:
    """Return the rows of hil_tests/defects as test parameters."""
    rows = [
        row
        for path in sorted((ROOT / "hil_tests/defects").glob("*.toml"))
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["defect"]
    ]
    chosen = rows if DEEP else rows[::SAMPLE]
    return [pytest.param(row, id=f"{row['procedure'].partition('::')[2]}-{row['fault']}") for row in chosen]


class Seeded:
    """Opens runs as the `run` fixture does, with a defect in the station; keeps what became of them."""

    def __init__(self, row: dict[str, Any], required: list[str], folder: Path) -> None:
        self._row, self._required, self._folder = row, required, folder
        self.outcomes: list[Outcome] = []

    def __call__(self, scenario: str = "procedure", **changes: Any) -> AbstractAsyncContextManager[Procedure]:
        """Open one run."""
        return self._open(scenario, changes)

    @asynccontextmanager
    async def _open(self, scenario: str, changes: dict[str, Any]) -> AsyncIterator[Procedure]:
        path, settings = find_scenario(scenario)
        values = settings.model_dump(by_alias=True) | changes
        values["must_show"] = list(dict.fromkeys([*values["must_show"], *self._required]))
        values["checks"] = list(dict.fromkeys([*values["checks"], "conduct"]))
        values["fault"] = {"id": self._row["fault"], "params": self._row.get("params", {})}
        rig_path, rig = find_rig(self._row.get("rig", "emulated"))
        out = self._folder / str(len(self.outcomes))
        order = Order(check(type(settings), values, path), path, rig, rig_path, out, pages=DEEP)
        try:
            async with open_run(order) as opened:
                yield opened.procedure
        except AssertionError:
            pass  # the procedure saw it too; what counts is the judge
        assert opened.outcome is not None
        self.outcomes.append(opened.outcome)


@pytest.mark.virtual
@pytest.mark.parametrize("row", defects())
async def test_a_procedure_convicts_a_seeded_defect(row: dict[str, Any], tmp_path: Path) -> None:
    """The verdict is FAIL, and the requirement that the defect breaks is among the failed ones."""
    file, _, name = row["procedure"].partition("::")
    procedure = getattr(importlib.import_module(f"hil_tests.{file.removesuffix('.py')}"), name)
    required = [str(one) for mark in procedure.pytestmark if mark.name == "requirement" for one in mark.args]
    seeded = Seeded(row, required, tmp_path)
    await procedure(seeded)
    verdicts = [outcome.judgement.verdict for outcome in seeded.outcomes]
    failed = {
        one.requirement
        for verdict in verdicts
        for result in verdict.checks
        for one in result.requirements
        if one.verdict is Verdict.FAIL
    }
    assert Verdict.FAIL in [verdict.verdict for verdict in verdicts], verdicts[-1].headline
    assert set(row["fails"]) <= failed, f"failed: {sorted(failed)}; {verdicts[-1].headline}"
