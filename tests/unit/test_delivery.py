"""Under-delivery: convicted where demand is proven, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample, TransactionSpan
from bench.domain.oracle import ExpectedLimit, Supply, Transaction
from bench.domain.timeline import Timeline
from bench.domain.tolerance import Accuracy
from bench.domain.verdicts import FaultClass, Layer, RunState, Verdict
from bench.runs.checks.case import Case
from bench.runs.checks.delivery import judge_delivery
from bench.runs.scene import Scene

END = 300.0


def case(
    *, offered: float, drawn: float, wants: float, limit_a: float | None = 16, state: str = "C", phases: int = 3, **changes: Any
) -> Case:
    """Return five minutes in which a limit, an offer and a car stay as they are."""
    limit = None if limit_a is None else ExpectedLimit(limit_a, "A", limit_a, 3, 1)
    limits = Timeline([(0.0, limit)], END)
    currents = tuple(drawn if phase < phases else 0.0 for phase in range(3))
    evse = EvseFacts(
        "CS", 1, "m", (1, 2, 3), Supply(), 0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2), max_current_a=16,
        samples=[Sample(t, t + 0.1, currents, sum(currents) * 230, 0.0, int(t)) for t in map(float, range(0, 300, 2))],
        pilot=[PilotSample(0.0, state, offered, wants, 9)],
        transactions=[TransactionSpan(Transaction("t", 1.0), 1.0)],
    )  # fmt: skip
    evse = replace(evse, **changes)
    rig = {"station": [{"id": "CS", "features": {}}], "meters": {}}
    facts = RunFacts({"station": "CS", "evse": 1}, rig, 1, 0.0, END, RunState.COMPLETED, "", [], [], [evse])
    none = Timeline[ExpectedLimit | None]([(0.0, None)], END)
    return Case(Scene(facts, "CS", [], {}), evse, limits, none)


def test_a_low_offer_against_a_proven_demand_is_the_stations() -> None:
    """The car asks for 16 A, 16 A are allowed, 8 A are offered for minutes: half of what is due."""
    result = judge_delivery(case(offered=8, drawn=7.6, wants=16))
    assert (result.verdict, result.blamed, result.fault_class) == (Verdict.FAIL, (Layer.STATION,), FaultClass.UNDER_DELIVERY)


@pytest.mark.parametrize(
    "what",
    [
        {"offered": 16, "drawn": 9.0, "wants": 16},
        {"offered": 8, "drawn": 7.6, "wants": 8},
        {"offered": 0, "drawn": 0.0, "wants": 16, "limit_a": 5.9},
        {"offered": 12, "drawn": 11.6, "wants": 16},
        {"offered": 8, "drawn": 7.6, "wants": 16, "state": "A"},
        {"offered": 8, "drawn": 7.6, "wants": 16, "pilot": []},
        {"offered": 8, "drawn": 7.6, "wants": 16, "transactions": []},
        {"offered": 16, "drawn": 15.6, "wants": 16, "phases": 1},
        {"offered": 8, "drawn": 7.6, "wants": 16, "limit_a": 10},
    ],
    ids=["the car takes less", "no demand", "below 6 A", "rounded down", "no car", "no witness", "no transaction",
         "a car on one phase", "a little too low"],
)  # fmt: skip
def test_what_is_no_under_delivery(what: dict[str, Any]) -> None:
    """Where demand above the offer is not proven, or the offer is near what is due, nobody is convicted."""
    assert judge_delivery(case(**what)).verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE)


def test_without_a_limit_the_evses_own_maximum_is_due() -> None:
    """A driver who inherits a limit of 8 A gets half of what the EVSE can give."""
    result = judge_delivery(case(offered=8, drawn=7.6, wants=16, limit_a=None))
    assert result.verdict is Verdict.FAIL
    assert "8.0 A on 3 phases where 16.0 A on 3 phases were allowed and wanted" in result.headline
