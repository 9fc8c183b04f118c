"""A rig on which EV, contactor and external limit are wired as on a real one: over TCP, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.errors import NotApplicableError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.procedure import Procedure
from tests.support import DEEP


def drive(out: Path, body: Callable[[Procedure], Awaitable[None]], rig: str = "emulated-wired") -> Outcome:
    """Run a procedure on a rig."""
    scenario_path, scenario = find_scenario("procedure")
    rig_path, settings = find_rig(rig)

    async def run() -> Outcome | None:
        async with open_run(Order(scenario, scenario_path, settings, rig_path, out, pages=DEEP)) as opened:
            await body(opened.procedure)
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run())
    assert outcome is not None
    return outcome


def documents(outcome: Outcome, kind: Kind) -> list[dict[str, Any]]:
    """Return the data of a run's documents of one kind."""
    return [one.data for one in read_journal(outcome.folder / "journal.jsonl").documents if one.kind == kind]


async def charge(procedure: Procedure) -> None:
    """Charge with 16 A, all of it through the instruments."""
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()
    assert await procedure.wait_for_power(above=10_000, within=60)


def test_a_limit_is_followed_where_ev_contactor_and_pilot_are_wired(tmp_path: Path) -> None:
    """SCPI plugs and draws, the relay carries the current and is opened at the end, the instrument sees the pilot."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        assert await procedure.set_profile([(0, 10), (30, 8)], unit="A") == "Accepted"
        await procedure.composite(60, "A")
        await procedure.wait(60)

    outcome = drive(tmp_path, body)
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline
    assert [one["ok"] for one in documents(outcome, Kind.SAFE_STATE) if one["action"] == "open contactor"] == [True]
    assert {one["state"] for one in documents(outcome, Kind.PILOT_SAMPLE)} >= {"C"}


def test_an_external_limit_comes_in_by_its_register(tmp_path: Path) -> None:
    """10 A by the register: power falls under it; released, it comes back."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await procedure.external_limit(10)
        assert await procedure.wait_for_power(below=7400, within=30)
        await procedure.external_limit(None)
        assert await procedure.wait_for_power(above=10_000, within=60)

    assert drive(tmp_path, body).judgement.facts.end_reason == ""


def test_a_relay_that_opens_takes_the_current(tmp_path: Path) -> None:
    """The contactor behind the coil is the one in the station's supply."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        await procedure.act("contactor", closed=False)
        assert await procedure.wait_for_power(below=1, within=10) is not None

    drive(tmp_path, body)


def test_a_limit_that_the_rig_cannot_give_does_not_apply(tmp_path: Path) -> None:
    """The register takes amperes; a limit in W leaves the run NOT APPLICABLE with the reason, not ERROR."""

    async def body(procedure: Procedure) -> None:
        with pytest.raises(NotApplicableError, match="takes a limit in A, not in W"):
            await procedure.external_limit(3000, "W")

    assert "FAIL" not in str(drive(tmp_path, body).judgement.verdict.verdict)
