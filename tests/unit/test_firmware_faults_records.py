"""Faults of records, times and composite schedules, each at the station's own queue or list."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp.v201 import call

from firmware_sim.composite import CompositePeriod
from firmware_sim.faults import FaultSeam
from firmware_sim.limiter import Situation
from tests.unit.test_firmware_faults_seeded import seeded
from tests.unit.test_firmware_limiter import T, profile

PERIODS = [CompositePeriod(0, 16, 3), CompositePeriod(100, 8, 3)]


def value(energy: float, context: str = "Sample.Periodic") -> dict[str, Any]:
    """Return a sampled value of the energy register."""
    unit = {"unit": "Wh"}
    return {"value": energy, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": unit}


def event(kind: str = "Updated", seq_no: int = 1, energy: float = 0.0, at_s: int = 0, **more: Any) -> call.TransactionEvent:
    """Return an event of transaction t (or `transaction`) so many seconds after noon."""
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
    stamp = f"2026-01-15T12:{at_s // 60:02}:{at_s % 60:02}.000Z"
    info = {"transactionId": more.pop("transaction", "t"), "chargingState": more.pop("state", "Charging")}
    return call.TransactionEvent(
        kind, stamp, "Trigger", seq_no, info, meter_value=[{"timestamp": stamp, "sampledValue": [value(energy, context)]}],
        evse={"id": 1}, **more,
    )  # fmt: skip


def told(seam: FaultSeam, *events: call.TransactionEvent) -> list[Any]:
    """Return what becomes of events on their way into the queue."""
    return [seam.apply("request", value=one) for one in events]


def energies(events: list[Any]) -> list[list[float]]:
    """Return the values of each event."""
    return [[one["value"] for one in each.meter_value[0]["sampledValue"]] for each in events]


@pytest.mark.parametrize(
    ("mode", "numbers"), [("continue", [0, 1, 2, 3]), ("repeat", [0, 1, 1, 0]), ("no-offline", [0, 1, 2, 0])]
)
def test_events_are_numbered_wrongly(mode: str, numbers: list[int]) -> None:
    """Over the begin of a second transaction."""
    sent = [event("Started", 0, offline=True), event(seq_no=1), event(seq_no=2), event("Started", 0, transaction="u")]
    found = told(seeded("station.seqno", mode=mode), *sent)
    assert [one.seq_no for one in found] == numbers
    assert found[0].offline is (None if mode == "no-offline" else True)


@pytest.mark.parametrize(("same_seq", "number"), [(True, 4), (False, 5)])
def test_an_end_is_told_twice(same_seq: bool, number: int) -> None:
    """After a restart, once, and only one that nobody heard."""
    seam = seeded("station.ends-twice", same_seq=same_seq)
    told(seam, event("Ended", 3, transaction="heard"), event("Ended", 4, offline=True))
    assert seam.apply("on_accepted", value=[]) == []
    seam.apply("on_restart", value=[])
    assert [one.seq_no for one in seam.apply("on_accepted", value=[])] == [number]
    assert seam.apply("on_accepted", value=[]) == []


def test_the_state_stays_suspended() -> None:
    """From SuspendedEVSE on, until the end."""
    sent = [event(state="Charging"), event(state="SuspendedEVSE"), event(), event("Ended", state="Idle")]
    found = told(seeded("station.stays-suspended"), *sent)
    assert [one.transaction_info["chargingState"] for one in found] == ["Charging", "SuspendedEVSE", "SuspendedEVSE", "Idle"]


def test_the_energy_is_counted_twice() -> None:
    """At the end, and the register stays there."""
    sent = [event("Started", energy=100), event(energy=150), event("Ended", energy=160), event(energy=160, transaction="u")]
    assert energies(told(seeded("station.counts-twice"), *sent)) == [[100], [150], [220], [220]]


@pytest.mark.parametrize(("position", "values"), [("last", [150, 100]), ("first", [100, 150])])
def test_the_begin_is_repeated(position: str, values: list[float]) -> None:
    """Beside the periodic value."""
    found = told(seeded("station.repeats-begin", position=position), event("Started", energy=100), event(energy=150))
    assert energies(found) == [[100], values]


@pytest.mark.parametrize(
    ("fault_id", "more", "values"), [("meter-frozen", {}, [[1], [1], [3]]), ("meter-sentinel", {"value": 9}, [[1], [9], [3]])]
)
def test_the_stations_meter_is_wrong_for_a_while(fault_id: str, more: dict[str, float], values: list[list[float]]) -> None:
    """From 10 s to 20 s after its first value."""
    seam = seeded(f"station.{fault_id}", from_s=10, for_s=10, **more)
    assert energies(told(seam, event(energy=1), event(energy=2, at_s=15), event(energy=3, at_s=25))) == values


@pytest.mark.parametrize(("suffix", "stamp"), [("", "2026-01-15T14:00:00.000"), ("Z", "2026-01-15T14:00:00.000Z")])
def test_time_is_local(suffix: str, stamp: str) -> None:
    """Two hours ahead, in the event and in its values."""
    (found,) = told(seeded("station.local-time", offset_h=2, suffix=suffix), event())
    assert (found.timestamp, found.meter_value[0]["timestamp"]) == (stamp, stamp)


@pytest.mark.parametrize(("fix", "start"), [("none", "1970-01-01T00:00:00.000Z"), ("start", "2026-01-15T12:00:00.000Z")])
def test_time_counts_from_1970_until_it_is_told(fix: str, start: str) -> None:
    """From power-on to the next connection."""
    seam = seeded("station.unsynchronised-time", fix=fix)
    seam.apply("on_restart", value=[])
    found = told(seam, event("Started"), event(at_s=30))
    assert found[0].timestamp == start
    assert found[1].meter_value[0]["timestamp"] == "1970-01-01T00:00:30.000Z"
    seam.apply("on_link", value=True)
    assert told(seam, event(at_s=40))[0].timestamp == "2026-01-15T12:00:40.000Z"


@pytest.mark.parametrize(
    ("fault_id", "params", "starts"),
    [
        ("composite-format", {"defect": "overlap"}, [0, 100, 0, 100]),
        ("composite-format", {"defect": "first-nonzero"}, [1, 100]),
        ("composite-format", {"defect": "empty"}, []),
        ("equal-periods", {}, [0, 50, 100, 110]),
    ],
)
def test_periods_of_a_composite_schedule(fault_id: str, params: dict[str, str], starts: list[int]) -> None:
    """Two periods, and what is reported of them."""
    assert [one.start_s for one in seeded(f"station.{fault_id}", **params).apply("composite", 1, value=PERIODS)] == starts


def test_a_duration_of_zero_merges_nothing() -> None:
    """Any other one does."""
    seam = seeded("station.composite-duration-zero")
    assert [len(seam.apply("composite_window", duration, value=[profile((0, 8))])) for duration in (0, 1)] == [0, 1]


def test_what_lay_ahead_never_rules() -> None:
    """A profile that was first seen before its start."""
    seam, late = seeded("station.plans-without-late-periods"), profile((0, 6), start=T + 60, id=2)
    for offset in (0, 70):
        now = Situation(1, T + offset, "tx-1", T)
        assert [one.id for one in seam.apply("applied", now, value=[profile((0, 16)), late])] == [profile((0, 16)).id]


@pytest.mark.parametrize(
    ("fault_id", "params"),
    [
        ("seqno", {"mode": "odd"}),
        ("ends-twice", {"same_seq": 1}),
        ("repeats-begin", {"position": "middle"}),
        ("meter-frozen", {"from_s": -1, "for_s": 1}),
        ("local-time", {"offset_h": 20, "suffix": "Z"}),
        ("unsynchronised-time", {"fix": "all"}),
        ("composite-format", {"defect": "gap"}),
    ],
)
def test_wrong_parameters_are_refused(fault_id: str, params: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(ValueError, match=next(iter(params))):
        seeded(f"station.{fault_id}", **params)
