"""What a journal shows, as values: the facts of a run, and the judgement on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import TEXT, ExpectedLimit, OracleOptions, Supply, Transaction
from bench.domain.series import Sample as Sample
from bench.domain.series import Series
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import Measurement, RunState, RunVerdict

Limits = Timeline[ExpectedLimit | None]
_DC_LOSS: Final = 0.2
"""The most that a converter loses of what its supply gives, where nobody measured it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A span in which a meter's readings cannot be trusted."""

    start: float
    end: float
    code: str
    """frozen, wiring, supply or drift."""
    text: str
    refs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PilotSample:
    """What the witness saw; it holds until the next one."""

    at: float
    state: str | None
    offered_a: float
    """What the duty cycle allows, per phase."""
    ev_wants_a: float | None
    seq: int
    digital: bool = False
    """The duty says that the limit is told by digital communication; it offers nothing by itself."""


@dataclass(frozen=True, slots=True)
class RigAction:
    """What the rig did to a station, past the CSMS: plug, demand, power_cycle, external_limit and the like."""

    at: float
    seq: int
    station: str
    action: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A station connected, or its connection ended."""

    at: float
    seq: int
    station: str
    connected: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth knowing that decides nothing alone."""

    at: float
    seq: int
    source: str
    code: str
    text: str


@dataclass(slots=True)
class TransactionSpan:
    """A transaction and when the bench heard of its begin and end; the station's own clock only anchors Relative profiles.

    What happened offline counts from when the station says it did.
    """

    transaction: Transaction
    begun: float
    begun_seq: int = 0
    ended: float | None = None
    ended_seq: int = 0
    remote_start_id: int | None = None
    """Of the RequestStartTransaction that it answers; None where it began on the spot."""


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
    current_type: str = "AC"
    """AC or DC: what flows to the EV."""
    side: str = "AC"
    """AC or DC: what flows through its meter."""
    efficiency: tuple[tuple[float, float], ...] = ()
    """Of its DC converter, as measured: W at the output and percent, ascending; empty where nobody measured it."""
    efficiency_uncertainty_percent: float = 0.0
    max_current_a: float = 0.0
    """The EVSE's own limit per phase; 0 where nobody said."""
    clock_offset_s: float = 0.0
    """How far the station's time is ahead of the bench's on purpose; its own error is not in it."""
    options: OracleOptions = TEXT
    """How the station reads the specification where that leaves a choice."""
    samples: Series = field(default_factory=Series)
    gaps: list[float] = field(default_factory=list)
    gap_reason: str = ""
    """What the last outage of the meter was."""
    doubts: list[Doubt] = field(default_factory=list)
    """Spans whose readings were taken out of `samples`."""
    discarded: list[int] = field(default_factory=list)
    """Numbers of the single readings that were taken out because they cannot be true."""
    pilot: list[PilotSample] = field(default_factory=list)
    transactions: list[TransactionSpan] = field(default_factory=list)
    """In order of their beginning."""

    @property
    def name(self) -> str:
        """Return what a report calls it."""
        return f"{self.station} EVSE {self.evse_id}" if self.evse_id else f"{self.station} as a whole"

    @property
    def conversion(self) -> tuple[float, float]:
        """Return between which parts of what its meter shows a station's own value may lie, for the losses of a converter."""
        if self.current_type != "DC":
            return 1.0, 1.0
        return (1.0, 1 / (1 - _DC_LOSS)) if self.side == "DC" else (1 - _DC_LOSS, 1.0)

    def at_supply(self, power_w: float) -> float | None:
        """Return what a power at its meter is in the AC supply, in W; None for a DC output whose losses nobody measured."""
        if self.side != "DC" or power_w <= 0:
            return power_w
        curve = self.efficiency
        if not curve:
            return None
        later = next((index for index, (power, _) in enumerate(curve) if power >= power_w), len(curve) - 1)
        (low, first), (high, last) = curve[max(0, later - 1)], curve[later]
        part = 0.0 if high == low else min(1.0, max(0.0, (power_w - low) / (high - low)))
        return power_w * 100 / (first + part * (last - first))

    def energy(self) -> Measurement:
        """Return the energy that the meter counted over the run, in Wh."""
        counted = np.flatnonzero(~np.isnan(self.samples.energy_wh))
        if len(counted) < 2:
            return Measurement("energy", None, "Wh", f"meter {self.meter} gave no two readings of its energy register")
        first, last = self.samples[int(counted[0])], self.samples[int(counted[-1])]
        gain = (last.energy_wh or 0.0) - (first.energy_wh or 0.0)
        return Measurement("energy", round(gain, 1), "Wh", "counted by the meter over the run", (first.seq, last.seq))


ON_THE_SPOT: Final = ("BEMS", "DSO", "OPERATOR")
"""Who may limit beside the parties that come by OCPI; what they and those want is merged."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wanted of a station, before any system acted on it; see `Kind.INTENT`."""

    at: float
    seq: int
    station: str
    data: Mapping[str, Any]


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
    supplies: dict[str, EvseFacts] = field(default_factory=dict)
    """What the meter in a station's supply saw, by station id, as if it were an EVSE with the number 0."""
    actions: list[RigAction] = field(default_factory=list)
    intents: list[Wanted] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    """When the relay before the CSMS began to disturb the connections."""
    links: list[LinkChange] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    not_applicable: str = ""
    """Why the procedure has no meaning for this target; empty where it has."""
    refused: list[tuple[str, int]] = field(default_factory=list)
    """What the target declares and yet refused, each with the number of the document that says so."""
    not_as_found: list[str] = field(default_factory=list)
    """How the station differs from the snapshot after the run."""
    job: dict[str, Any] | None = None
    """Who ordered the test of what; None where nobody said."""
    proofs: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Number and content of the PROOF document by meter."""
    identities: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Number and content of the METER_IDENTITY document by meter."""

    def features(self, station: str) -> dict[str, Any]:
        """Return what the station claims to do, as the rig file or its target file says."""
        named: dict[str, Any] = next(one for one in self.rig["station"] if one["id"] == station)
        features: dict[str, Any] = named["features"]
        return features

    def boots(self, station: str) -> list[Call]:
        """Return each BootNotification that a start of the station brought; one that was triggered is none."""
        return [
            one
            for one in self.calls
            if one.station == station and one.from_station and one.action == "BootNotification"
            and one.request.get("reason") != "Triggered"
        ]  # fmt: skip

    def offline(self, station: str) -> list[tuple[float, float]]:
        """Return each span in which the station had no connection after it had had one."""
        spans: list[tuple[float, float]] = []
        lost: float | None = None
        for one in self.links:
            if one.station != station:
                continue
            if one.connected and lost is not None:
                spans.append((lost, one.at))
            lost = None if one.connected else one.at
        return spans if lost is None else [*spans, (lost, self.end)]

    def evse(self, station: str, evse_id: int) -> EvseFacts | None:
        """Return the facts of one EVSE."""
        return next((one for one in self.evses if (one.station, one.evse_id) == (station, evse_id)), None)

    def clock_offset(self, station: str) -> float:
        """Return how far the station's time is ahead of the bench's on purpose, in s; its own error is not in it."""
        return next((one.clock_offset_s for one in self.evses if one.station == station), 0.0)


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
