"""Did the measured power obey the limit, at every moment, and did it have to?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench.domain.evidence import EvseFacts, Limits, PilotSample, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.timeline import Segment
from bench.domain.tolerance import DecisionRule, decide
from bench.domain.verdicts import Breach, CheckResult, FaultClass, Layer, Measurement, PeriodResult, Verdict, worst

_DRAWING_A: Final = 0.5
"""A phase that carries more is in use."""
_BEFORE_S: Final = 60.0
"""How far back 'just before' reaches for a reading of the demand."""
SHORT: Final = "held, not exercised: shorter than the settling time"
_PILOT_MARGIN_A: Final = 0.1
"""Duty cycles are read to about this much."""


@dataclass(frozen=True, slots=True)
class PowerRule:
    """What the scenario declares about judging power."""

    rule: DecisionRule
    settle_s: float
    w_limits: str
    """nominal: phase currents times nominal voltage; measured: the meter's own W."""
    near_a: float
    """Demand is proven by a phase current this close below the limit."""
    longest_gap_s: float
    """A longer span without a reading leaves its period undecided."""
    must_limits: int | None
    """How many non-zero limits must be exercised; None for all."""
    must_lowerings: int | None

    @classmethod
    def of(cls, scenario: dict[str, Any]) -> PowerRule:
        """Read it from the scenario in the journal."""
        must = scenario["must_exercise"]
        return cls(
            DecisionRule(scenario["decision_rule"]),
            scenario["settle_s"],
            scenario["w_limits"],
            scenario["near_a"],
            scenario["longest_gap_s"],
            None if must["limits"] == "all" else must["limits"],
            None if must["lowerings"] == "all" else must["lowerings"],
        )


def judge_power(facts: RunFacts, evse: EvseFacts, limits: Limits, rule: PowerRule) -> CheckResult:
    """Judge whether the readings of the EVSE's meter stayed under the limit once settled.

    A breach is FAIL. A reading is judged against the highest limit that was in force at any moment of the settling time and
    meter latency before it. A period in which demand was not proven is held, not exercised: it blocks nothing and carries
    nothing. PASS needs the exercised periods that the scenario asks for; without them INCONCLUSIVE.
    """
    title = f"Measured power at {evse.name} obeys the limit"
    if not evse.meter:
        return CheckResult("power", title, Verdict.INCONCLUSIVE, (f"no meter sees {evse.name}",))
    if not evse.samples:
        silent = f"meter {evse.meter} gave no reading: {evse.gap_reason or 'it was never asked'}"
        return CheckResult("power", title, Verdict.INCONCLUSIVE, (silent,), (Layer.METER,))
    judged = _Judged(evse, limits, rule)
    periods = judged.periods()
    verdict, reasons = _conclude(evse, periods, judged, rule)
    blamed = tuple(layer for layer in Layer if any(layer in breach.blamed for breach in judged.breaches))
    return CheckResult(
        check="power",
        title=title,
        verdict=verdict,
        reasons=reasons,
        blamed=blamed,
        fault_class=FaultClass.OVER_LIMIT if judged.breaches else None,
        requirement="K01.FR.07",
        pair="installed/physical" if judged.breaches else "",
        refs=tuple(ref for breach in judged.breaches for ref in breach.refs),
        measurements=tuple(judged.settling),
        periods=tuple(periods),
        breaches=tuple(judged.breaches),
    )


@dataclass(frozen=True, slots=True)
class _Above:
    """One reading above what was allowed."""

    sample: Sample
    reading: float
    allowed: float
    unit: str
    verdict: Verdict


class _Judged:
    """The readings of one EVSE, compared one by one."""

    def __init__(self, evse: EvseFacts, limits: Limits, rule: PowerRule) -> None:
        self.evse, self.limits, self.rule = evse, limits, rule
        self.breaches: list[Breach] = []
        self.breach_verdicts: list[Verdict] = []
        self.settling: list[Measurement] = []
        self._run: list[_Above] = []
        self._times = [sample.received for sample in evse.samples]
        self._most_phases = max(_phases(sample) for sample in evse.samples)

    def periods(self) -> list[PeriodResult]:
        """Judge each period in which something limits."""
        results = []
        before: Segment[ExpectedLimit | None] | None = None
        for segment in self.limits.segments():
            if segment.value is not None:
                results.append(self._period(segment, segment.value, before))
            before = segment
        if self._run:
            self._close()
        return results

    def _between(self, start: float, end: float) -> Sequence[Sample]:
        return self.evse.samples[bisect_left(self._times, start) : bisect_left(self._times, end)]

    def _period(
        self, segment: Segment[ExpectedLimit | None], limit: ExpectedLimit, before: Segment[ExpectedLimit | None] | None
    ) -> PeriodResult:
        settled_from = min(segment.end, segment.start + self.rule.settle_s + self.evse.latency_s[1])
        samples = self._between(segment.start, segment.end)
        settled = [sample for sample in samples if sample.requested >= settled_from]
        verdicts = self._compare(samples, limit, settled_from)
        asked = self._demand_before(segment.start, limit)
        shown = self._demand_at_limit(limit, settled) or asked
        exercised, reason = bool(shown), shown or "held, not exercised: no demand above the limit was shown"
        if segment.end <= settled_from:
            exercised, reason = False, SHORT
        elif not verdicts:
            reason = "no settled reading could be judged"
        lowering = _lowers(limit, before, asked)
        verdict = worst(verdicts)
        missing = self._missing(settled_from, segment.end, settled)
        if missing and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.INCONCLUSIVE):
            verdict, reason = Verdict.INCONCLUSIVE, missing
        if lowering:
            self._measure_settling(segment.start, limit, samples)
        readings = [self._reading(sample, limit) for sample in settled]
        highest = max((one for one in readings if one is not None), default=None)
        return PeriodResult(
            self.evse.evse_id, segment.start, segment.end, limit.limit, limit.unit,
            verdict, exercised, lowering, highest, len(settled), reason,
        )  # fmt: skip

    def _reading(self, sample: Sample, limit: ExpectedLimit) -> float | None:
        """Return the reading in the unit of the limit."""
        if limit.unit == "A":
            return max(sample.current_a)
        if self.rule.w_limits == "measured":
            return sample.power_w
        return sum(sample.current_a) * self.evse.supply.voltage_v

    def _allowed(self, sample: Sample, unit: str) -> float | None:
        """Return the highest limit of the span before a reading, in `unit`; None where nothing limited."""
        shortest, longest = self.evse.latency_s
        reach = self.limits.between(sample.requested - longest - self.rule.settle_s, sample.received - shortest)
        supply, highest = self.evse.supply, 0.0
        for limit in reach:
            if limit is None:
                return None
            in_unit = limit.limit_a if unit == "A" else limit.watts(supply)
            highest = max(highest, limit.limit if limit.unit == unit else in_unit)
        reached_back = sample.requested - longest - self.rule.settle_s >= self.limits.start
        return highest if reach and reached_back else None

    def _uncertainty(self, reading: float, unit: str, channels: int) -> float:
        evse = self.evse
        if unit == "A":
            return evse.current.expanded(reading)
        if self.rule.w_limits == "measured":
            return evse.power.expanded(reading)
        voltage = evse.supply.voltage_v
        return evse.current.expanded(reading / voltage, channels) * voltage

    def _compare(self, samples: Sequence[Sample], limit: ExpectedLimit, settled_from: float) -> list[Verdict]:
        """Return one verdict per settled reading that can be judged; note the spans of breach, those while settling too."""
        verdicts: list[Verdict] = []
        for sample in samples:
            allowed, reading = self._allowed(sample, limit.unit), self._reading(sample, limit)
            if allowed is None or reading is None:
                continue
            tolerance = self.evse.product_tolerance_a
            if limit.unit == "W":
                tolerance *= self.evse.supply.voltage_v * limit.number_phases
            uncertainty = self._uncertainty(reading, limit.unit, len(sample.current_a))
            verdict = decide(reading, allowed + tolerance, uncertainty, self.rule.rule)
            if sample.requested >= settled_from:
                verdicts.append(verdict)
            above = verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
            if self._run and (not above or self._run[-1].allowed != allowed):
                self._close()
            if above:
                self._run.append(_Above(sample, reading, allowed, limit.unit, verdict))
        return verdicts

    def _close(self) -> None:
        """End the span of breach that is open."""
        run, self._run = self._run, []
        top = max(run, key=lambda one: one.reading)
        blamed, pilot_ref = self._blame(top.sample, top.allowed, top.unit)
        refs = (run[0].sample.seq, top.sample.seq, run[-1].sample.seq, *pilot_ref)
        self.breach_verdicts.append(worst(one.verdict for one in run))
        self.breaches.append(
            Breach(
                self.evse.evse_id, run[0].sample.received, run[-1].sample.received, top.allowed, top.unit, top.reading, blamed,
                tuple(dict.fromkeys(refs)),
            )
        )  # fmt: skip

    def _blame(self, sample: Sample, allowed: float, unit: str) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
        """Blame the station for a duty above the limit, the EV for a current above the duty; without a probe both."""
        pilot = self._pilot_at(sample.requested)
        if pilot is None:
            return (Layer.STATION, Layer.EV), ()
        current = max(sample.current_a)
        blamed = []
        if pilot.offered_a > self._per_phase(allowed, unit, _phases(sample)) + _PILOT_MARGIN_A:
            blamed.append(Layer.STATION)
        if current > pilot.offered_a + max(_PILOT_MARGIN_A, self.evse.current.expanded(current)):
            blamed.append(Layer.EV)
        return tuple(blamed) or (Layer.STATION, Layer.EV), (pilot.seq,)

    def _per_phase(self, limit: float, unit: str, phases: int) -> float:
        """Return a limit in A per phase, W shared by so many phases."""
        return limit if unit == "A" else limit / (self.evse.supply.voltage_v * phases)

    def _pilot_at(self, when: float) -> PilotSample | None:
        seen = [sample for sample in self.evse.pilot if sample.at <= when]
        return seen[-1] if seen else None

    def _demand_before(self, start: float, limit: ExpectedLimit) -> str:
        """Say how demand above the limit was proven just before it began; empty where it was not."""
        earlier = self._between(start - _BEFORE_S, start)
        if earlier:
            drew = max(earlier[-1].current_a)
            if drew >= self._per_phase(limit.limit, limit.unit, _phases(earlier[-1])) + 1:
                return f"exercised: drew {drew:.2f} A just before"
        pilot, limit_a = self._pilot_at(start), self._per_phase(limit.limit, limit.unit, self._most_phases)
        if pilot is not None and pilot.state in ("B", "C", "D") and (pilot.ev_wants_a or 0.0) >= limit_a + 1:
            return f"exercised: the EV asked for {pilot.ev_wants_a:g} A just before"
        return ""

    def _demand_at_limit(self, limit: ExpectedLimit, settled: Sequence[Sample]) -> str:
        """Say how a settled reading close below the limit proves demand; empty where none does."""
        for sample in settled:
            current, limit_a = max(sample.current_a), self._per_phase(limit.limit, limit.unit, _phases(sample))
            if limit_a >= MINIMUM_CURRENT_A and current >= limit_a - self.rule.near_a:
                return f"exercised: drew {current:.2f} A of {limit_a:.2f} A per phase"
        return ""

    def _missing(self, start: float, end: float, settled: Sequence[Sample]) -> str:
        """Say which span of a settled period has no reading; empty where all is covered."""
        if end <= start:
            return ""
        edges = [start, *(sample.received for sample in settled), end]
        for earlier, later in pairwise(edges):
            if later - earlier > self.rule.longest_gap_s:
                why = f" ({self.evse.gap_reason})" if any(earlier <= gap <= later for gap in self.evse.gaps) else ""
                return f"no reading from {clock_text(earlier)} for {later - earlier:.0f} s{why}"
        return ""

    def _measure_settling(self, start: float, limit: ExpectedLimit, samples: Sequence[Sample]) -> None:
        last_above = None
        for sample in samples:
            reading = self._reading(sample, limit)
            if reading is not None and reading > limit.limit:
                last_above = sample
        after = next((sample for sample in samples if last_above is None or sample.received > last_above.received), None)
        value: float | None = None
        if after is not None:
            value = max(0.0, after.received - start) if last_above else 0.0
        self.settling.append(
            Measurement(
                "limit_settling_time", value, "s",
                f"from {limit.limit:g} {limit.unit} being due at {clock_text(start)} to the first reading of lasting obedience; "
                + ("already below" if last_above is None else "commanded"),
                (after.seq,) if after else (),
            )
        )  # fmt: skip


def _phases(sample: Sample) -> int:
    """Return how many phases the EV uses; one where it draws nothing."""
    return max(1, sum(one > _DRAWING_A for one in sample.current_a))


def _lowers(limit: ExpectedLimit, before: Segment[ExpectedLimit | None] | None, asked: str) -> bool:
    """Say whether a limit lowers the one before it; where nothing limited, whether it cuts a demand that was there."""
    if before is None:
        return False
    return bool(asked) if before.value is None else limit.limit_a < before.value.limit_a


def _conclude(
    evse: EvseFacts, periods: Sequence[PeriodResult], judged: _Judged, rule: PowerRule
) -> tuple[Verdict, tuple[str, ...]]:
    reasons = [breach_text(evse, one) for one in sorted(judged.breaches, key=lambda one: -one.excess / (one.limit or 1))]
    verdict = worst([*judged.breach_verdicts, *(period.verdict for period in periods)])
    if verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        return verdict, tuple(reasons)
    undecided = [period for period in periods if period.verdict is Verdict.INCONCLUSIVE and period.reason]
    reasons += [f"{_span(period)}: {period.reason}" for period in undecided if not period.reason.startswith("held")]
    lacking = _lacking(periods, rule)
    if lacking:
        held = [period for period in periods if not period.exercised]
        return Verdict.INCONCLUSIVE, (*lacking, *(f"{_span(period)}: {period.reason}" for period in held), *reasons)
    exercised = [period for period in periods if period.exercised and period.verdict is not Verdict.INCONCLUSIVE]
    if any(period.exercised and period.verdict is Verdict.INCONCLUSIVE for period in periods):
        return Verdict.INCONCLUSIVE, tuple(reasons)
    lowered = sum(period.lowering for period in exercised)
    text = (
        f"no reading exceeded the limit; {len(exercised)} of {len(periods)} periods exercised, "
        f"{lowered} of {sum(period.lowering for period in periods)} lowering steps among them"
    )
    return worst(period.verdict for period in exercised), (text, *reasons)


def _lacking(periods: Sequence[PeriodResult], rule: PowerRule) -> list[str]:
    """Say what had to be exercised and was not."""
    periods = [period for period in periods if period.reason != SHORT]
    shown = [period for period in periods if period.exercised]
    wanted = (
        ("non-zero limits", [one for one in periods if one.limit > 0], [one for one in shown if one.limit > 0], rule.must_limits),
        ("lowering steps", [one for one in periods if one.lowering], [one for one in shown if one.lowering], rule.must_lowerings),
    )
    lacking = []
    for name, all_of_them, exercised, needed in wanted:
        need = max(1, len(all_of_them)) if needed is None else needed
        if len(exercised) < need:
            lacking.append(f"{len(exercised)} of {need} {name} exercised")
    return lacking


def _span(period: PeriodResult) -> str:
    return f"{clock_text(period.start)} to {clock_text(period.end)}, limit {quantity(period.limit, period.unit)}"


def quantity(value: float, unit: str) -> str:
    """Return a limit or reading for people: `4.20 kW`, `16.0 A`."""
    return f"{value / 1000:.2f} kW" if unit == "W" else f"{value:.1f} A"


def breach_text(evse: EvseFacts, breach: Breach) -> str:
    """Return what was exceeded, by how much, when, and who is to blame."""
    who = " or ".join(f"the {layer}" for layer in breach.blamed)
    verb = "is" if len(breach.blamed) == 1 else "are"
    return (
        f"{evse.name} exceeded its limit of {quantity(breach.limit, breach.unit)} by {quantity(breach.excess, breach.unit)} "
        f"(measured {quantity(breach.highest, breach.unit)}) from {clock_text(breach.start)} to {clock_text(breach.end)}; "
        f"{who} {verb} to blame"
    )
