"""What a journal shows, as values: the facts of a run, and the judgement on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import ExpectedLimit, Supply, Transaction
from bench.domain.timeline import Timeline
from bench.domain.tolerance import Accuracy
from bench.domain.verdicts import Measurement, RunState, RunVerdict

Limits = Timeline[ExpectedLimit | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a meter, on the phases of one EVSE."""

    requested: float
    received: float
    current_a: tuple[float, ...]
    power_w: float | None
    energy_wh: float | None
    seq: int


@dataclass(frozen=True, slots=True)
class PilotSample:
    """What the witness saw; it holds until the next one."""

    at: float
    state: str | None
    offered_a: float
    """What the duty cycle allows, per phase."""
    ev_wants_a: float | None
    seq: int


@dataclass(slots=True)
class TransactionSpan:
    """A transaction and when the bench heard of its begin and end; the station's own clock only anchors Relative profiles."""

    transaction: Transaction
    begun: float
    begun_seq: int = 0
    ended: float | None = None
    ended_seq: int = 0


@dataclass(slots=True)
class EvseFacts:
    """One EVSE of the rig and what was seen there."""

    station: str
    evse_id: int
    meter: str
    phases: tuple[int, ...]
    supply: Supply
    product_tolerance_a: float
    current: Accuracy
    power: Accuracy
    latency_s: tuple[float, float]
    samples: list[Sample] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    gap_reason: str = ""
    """What the last outage of the meter was."""
    pilot: list[PilotSample] = field(default_factory=list)
    transactions: list[TransactionSpan] = field(default_factory=list)
    """In order of their beginning."""

    @property
    def name(self) -> str:
        """Return what a report calls it."""
        return f"{self.station} EVSE {self.evse_id}"

    def energy(self) -> Measurement:
        """Return the energy that the meter counted over the run, in Wh."""
        readings = [(sample.energy_wh, sample.seq) for sample in self.samples if sample.energy_wh is not None]
        if len(readings) < 2:
            return Measurement("energy", None, "Wh", f"meter {self.meter} gave no two readings of its energy register")
        (first, first_seq), (last, last_seq) = readings[0], readings[-1]
        return Measurement("energy", round(last - first, 1), "Wh", "counted by the meter over the run", (first_seq, last_seq))


@dataclass(slots=True)
class RunFacts:
    """All that a judge knows of a run."""

    scenario: dict[str, Any]
    rig: dict[str, Any]
    seed: int
    start: float
    end: float
    state: RunState | None
    """None where the journal ends without saying so."""
    end_reason: str
    calls: list[Call]
    http: list[HttpExchange]
    evses: list[EvseFacts]
    not_applicable: str = ""
    """Why the procedure has no meaning for this target; empty where it has."""
    refused: list[tuple[str, int]] = field(default_factory=list)
    """What the target declares and yet refused, each with the number of the document that says so."""
    not_as_found: list[str] = field(default_factory=list)
    """How the station differs from the snapshot after the run."""

    def evse(self, station: str, evse_id: int) -> EvseFacts | None:
        """Return the facts of one EVSE."""
        return next((one for one in self.evses if (one.station, one.evse_id) == (station, evse_id)), None)


@dataclass(frozen=True, slots=True)
class EvseTrace:
    """What a report draws for one EVSE."""

    facts: EvseFacts
    limits: Limits


@dataclass(frozen=True, slots=True)
class Judgement:
    """A run's verdict, with what it was computed from."""

    verdict: RunVerdict
    facts: RunFacts
    traces: tuple[EvseTrace, ...]
