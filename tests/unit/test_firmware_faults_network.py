"""Faults of the network at the station's socket: what each does at its point of the seam."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp.v201 import call

from firmware_sim.faults import FaultSeam


def seeded(fault_id: str, **params: Any) -> FaultSeam:
    """Return a seam with one fault."""
    seam = FaultSeam()
    seam.seed(fault_id, params)
    return seam


def event(identity: str, number: int, kind: str) -> Any:
    """Return a TransactionEvent."""
    info = {"transactionId": identity}
    return call.TransactionEvent(event_type=kind, timestamp="", trigger_reason="", seq_no=number, transaction_info=info)


def test_a_half_open_connection_is_dead_for_its_time() -> None:
    """From begin to end."""
    assert seeded("network.half-open", from_s=58, for_s=120).apply("dead_spans", value=[]) == [(58.0, 178.0)]


@pytest.mark.parametrize(("action", "delays"), [("SetChargingProfile", [22.0]), ("GetVariables", [0.0])])
def test_a_late_answer_is_late_for_its_action_alone(action: str, delays: list[float]) -> None:
    """Others come at once."""
    seam = seeded("network.late-answer", action="SetChargingProfile", delay_s=22)
    assert seam.apply("answers_after", action, value=[0.0]) == delays


def test_a_duplicate_answer_comes_twice() -> None:
    """After the first."""
    seam = seeded("network.duplicate-answer", action="Reset")
    assert seam.apply("answers_after", "Reset", value=[3.0]) == [3.0, 4.0]


def test_an_idle_connection_has_a_limit() -> None:
    """Seconds of silence and of absence."""
    assert seeded("network.idle-close", idle_s=110, back_s=5).apply("idle", value=None) == (110.0, 5.0)


def test_the_last_event_before_an_end_is_replayed() -> None:
    """Of the transaction that ended, not of one that runs."""
    history = [event("A", 0, "Started"), event("A", 1, "Updated"), event("A", 2, "Ended"), event("B", 0, "Started")]
    assert seeded("network.replays-last").apply("replayed", history, value=[]) == [history[1]]


@pytest.mark.parametrize(
    ("fault_id", "params"), [("half-open", {"from_s": -1, "for_s": 1}), ("idle-close", {"idle_s": 0, "back_s": 1})]
)
def test_a_wrong_parameter_is_refused(fault_id: str, params: dict[str, Any]) -> None:
    """With its name."""
    with pytest.raises(ValueError, match=r"from_s|idle_s"):
        seeded(f"network.{fault_id}", **params)
