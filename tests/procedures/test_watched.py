"""What a procedure is not about convicts all the same, and leaves nothing undecided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.domain.verdicts import RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, open_run
from bench.settings.base import check
from bench.settings.scenario import Fault

pytestmark = pytest.mark.virtual


async def verdict_on(out: Path, fault: Fault | None, *, charges: bool = True) -> RunVerdict:
    """Run a procedure that is about the store alone, on a station with this fault."""
    path, settings = find_scenario("procedure")
    rig_path, rig = find_rig("emulated")
    scenario = check(type(settings), settings.model_dump(by_alias=True) | {"checks": ["installed"]}, path)
    order = Order(scenario, path, rig, rig_path, out, faults=() if fault is None else (fault,), pages=False)
    async with open_run(order) as opened:
        await opened.procedure.set_profile([(0, 10)], purpose="TxDefaultProfile")
        if charges:
            await opened.procedure.demand(16)
            await opened.procedure.plug()
            await opened.procedure.authorise()
            await opened.procedure.wait(180)
            await opened.procedure.unplug()
            await opened.procedure.wait(10)
        await opened.procedure.read_back()
    assert opened.outcome is not None
    return opened.outcome.judgement.verdict


@pytest.mark.parametrize(
    ("fault", "params", "name"),
    [
        ("station.local-time", {"offset_h": 2, "suffix": "Z"}, "time"),
        ("station.counts-twice", {}, "meter_values"),
        ("station.ignores-purpose", {"purpose": "TxDefaultProfile"}, "power"),
    ],
)
async def test_a_check_beside_convicts(fault: str, params: dict[str, Any], name: str, tmp_path: Path) -> None:
    """The store is right, and something else is wrong."""
    verdict = await verdict_on(tmp_path, Fault(id=fault, params=params))
    assert verdict.verdict is Verdict.FAIL
    assert name in [one.check for one in verdict.leading]


@pytest.mark.parametrize("charges", [True, False])
async def test_a_check_beside_leaves_nothing_undecided(charges: bool, tmp_path: Path) -> None:
    """A sound station passes, also where there was no session to judge."""
    assert (await verdict_on(tmp_path, None, charges=charges)).verdict is Verdict.PASS
