"""Did the measured power obey the limit, at every moment, and did it have to?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench.domain.evidence import EvseFacts, Limits, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.timeline import Segment
from bench.domain.tolerance import DecisionRule, decide
from bench.domain.verdicts import Breach, CheckResult, FaultClass, Layer, Measurement, PeriodResult, Verdict, worst
from bench.runs.checks.blame import Above, Offer, blame, offered_above, told_offers, unless_a_habit
from bench.runs.checks.demand import Demand
from bench.runs.checks.phases import DRAWING_A, phase_breaches
from bench.runs.checks.pilot import Pilot
from bench.runs.checks.words import SHORT, conclude

SILENT: Final = "no reading"
"""How the reason of a period begins that has a gap in its readings."""
DIRECT_CURRENT_A: Final = "a limit in A of a DC output cannot be judged by what an AC meter reads"
LOSSES_UNKNOWN: Final = "a limit in W counts at the supply, and the rig file has no efficiency to judge it at the output"


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


def judge_power(
    facts: RunFacts, evse: EvseFacts, limits: Limits, rule: PowerRule, *, check: str = "power", requirement: str = "K01.FR.07"
) -> CheckResult:
    """Judge whether the readings of the EVSE's meter stayed under the limit once settled.

    A breach is FAIL. A reading is judged against the highest limit that was in force at any moment of the settling time and
    meter latency before it. A period in which demand was not proven is held, not exercised: it blocks nothing and carries
    nothing. PASS needs the exercised periods that the scenario asks for; without them INCONCLUSIVE.
    """
    title = f"Measured power at {evse.name} obeys the limit"
    if not evse.meter:
        return CheckResult(check, title, Verdict.INCONCLUSIVE, (f"no meter sees {evse.name}",))
    if not evse.samples:
        silent = f"meter {evse.meter} gave no reading: {evse.gap_reason or 'it was never asked'}"
        return CheckResult(check, title, Verdict.INCONCLUSIVE, (silent,), (Layer.METER,))
    judged = _Judged(evse, limits, rule, told_offers(facts, evse), _pending(facts, evse.station))
    if (unknown := judged.unknown()) is not None:
        return CheckResult(check, title, Verdict.INCONCLUSIVE, (unknown,), (Layer.METER,))
    periods = judged.periods()
    judged.breaches += [(breach, Verdict.FAIL) for breach in phase_breaches(evse, limits, rule.settle_s)]
    verdict, reasons = conclude(evse, periods, judged.breaches, rule.must_limits, rule.must_lowerings)
    breaches = tuple(breach for breach, _ in judged.breaches)
    blamed = tuple(layer for layer in Layer if any(layer in breach.blamed for breach in breaches))
    unseen = verdict is Verdict.INCONCLUSIVE and not evse.doubts and any(one.reason.startswith(SILENT) for one in periods)
    result = CheckResult(
        check=check,
        title=title,
        verdict=verdict,
        reasons=reasons,
        blamed=(Layer.METER,) if unseen and not blamed else blamed,
        fault_class=FaultClass.OVER_LIMIT if breaches else FaultClass.TIMING if unseen else None,
        requirement=requirement,
        pair="installed/physical" if breaches else "",
        refs=tuple(ref for breach in breaches for ref in breach.refs),
        measurements=tuple(judged.settling),
        periods=tuple(periods),
        breaches=breaches,
    )
    return unless_a_habit(result, evse)


def _pending(facts: RunFacts, station: str) -> list[tuple[float, float]]:
    """Return when changes of the store were under way: a station may act on one before its answer is there."""
    return [
        (one.asked, one.answered) for one in facts.calls
        if one.station == station and not one.from_station and one.answered is not None and one.answered > one.asked + 1
        and one.action in ("SetChargingProfile", "ClearChargingProfile", "RequestStartTransaction")
    ]  # fmt: skip


class _Judged:
    """The readings of one EVSE, compared one by one."""

    def __init__(
        self, evse: EvseFacts, limits: Limits, rule: PowerRule, told: Sequence[Offer], pending: Sequence[tuple[float, float]]
    ) -> None:
        self._told = told
        self.evse, self.limits, self.rule = evse, limits, rule
        self.breaches: list[tuple[Breach, Verdict]] = []
        self.settling: list[Measurement] = []
        self._run: list[Above] = []
        self._pilot = Pilot(evse)
        self._demand = Demand(evse, self._pilot, rule.near_a)
        self._times = [sample.received for sample in evse.samples]
        self._pending = pending
        """From when to when each change of the store was asked for and not yet answered: either limit may hold."""
        self._direct, self._output = evse.current_type == "DC", evse.side == "DC"
        self._measured = self._direct or rule.w_limits == "measured"
        """W limits are judged by the meter's own W; on DC the currents on the AC side say nothing of the output's."""

    def unknown(self) -> str | None:
        """Return why nothing can be judged by this meter; None where its accuracy is known for all that limits."""
        units = {one.value.unit for one in self.limits.segments() if one.value is not None}
        for unit in sorted(units):
            by_power = unit == "W" and self._measured
            if not (self.evse.power if by_power else self.evse.current).known:
                what = "power" if by_power else "current"
                return f"accuracy not known: neither the rig file nor the map of meter {self.evse.meter} tells it for {what}"
        return None

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
        if self._direct and (why := self._unseen(limit)):
            return PeriodResult(
                self.evse.evse_id, segment.start, segment.end, limit.limit, limit.unit, Verdict.INCONCLUSIVE, False, False, False,
                None, 0, why, limit.profile_id, limit.number_phases,
            )  # fmt: skip
        samples = self._between(segment.start, segment.end)
        settled = [sample for sample in samples if sample.requested >= settled_from]
        verdicts = self._compare(samples, limit, settled_from)
        drew = self._demand.before(segment.start, limit)
        asked = drew or self._demand.asked(segment.start, limit, settled)
        shown = self._demand.at_limit(limit, settled) or asked
        exercised, reason = bool(shown), shown or "held, not exercised: no demand above the limit was shown"
        if segment.end <= settled_from:
            exercised, reason = False, SHORT
        elif not verdicts:
            reason = "no settled reading could be judged"
        lowering = _lowers(limit, before, asked)
        verdict = worst(verdicts)
        settled = [sample for sample in settled if self._reading(sample, limit) is not None]
        missing = self._missing(settled_from, segment.end, settled)
        if missing and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.INCONCLUSIVE):
            verdict, reason = Verdict.INCONCLUSIVE, missing
        decided = [sample for sample in settled if not self._is_pending(sample)]
        offered = offered_above(self._pilot, limit, decided, self._demand.most_phases)
        if offered and verdict is Verdict.PASS:
            verdict, reason = Verdict.INCONCLUSIVE, offered
        lowered = lowering and exercised and bool(asked if limit.limit_a >= MINIMUM_CURRENT_A else drew)
        if lowering:
            self._measure_settling(segment.start, limit, samples)
        readings = [self._reading(sample, limit) for sample in settled]
        highest = max((one for one in readings if one is not None), default=None)
        return PeriodResult(
            self.evse.evse_id, segment.start, segment.end, limit.limit, limit.unit,
            verdict, exercised, lowering, lowered, highest, len(settled), reason,
            limit.profile_id, limit.number_phases,
        )  # fmt: skip

    def _unseen(self, limit: ExpectedLimit) -> str:
        """Say why the meter of a DC output cannot show a limit: in A it counts at the EV, in W at the supply."""
        if limit.unit == "A":
            return "" if self._output else DIRECT_CURRENT_A
        return LOSSES_UNKNOWN if self._output and not self.evse.efficiency else ""

    def _reading(self, sample: Sample, limit: ExpectedLimit) -> float | None:
        """Return the reading in the unit of the limit."""
        if limit.unit == "A":
            return max(sample.current_a)
        if self._measured:
            backwards = sample.power_w is not None and sample.power_w < 0 and max(sample.current_a) > DRAWING_A
            if backwards or sample.power_w is None:  # current with negative power: a wire is the wrong way round
                return None
            return self.evse.at_supply(sample.power_w)
        return sum(sample.current_a) * self.evse.supply.voltage_v

    def _allowed(self, sample: Sample, unit: str) -> float | None:
        """Return the highest limit of the span before a reading, in `unit`; None where nothing limited."""
        shortest, longest = self.evse.latency_s
        until = sample.received - shortest
        until = max([until, *(answered for asked, answered in self._pending if asked <= until <= answered)])
        reach = self.limits.between(sample.requested - longest - self.rule.settle_s, until)
        supply, highest = self.evse.supply, 0.0
        for limit in reach:
            if limit is None or (self._direct and limit.unit != unit):
                return None
            in_unit = limit.limit_a if unit == "A" else limit.watts(supply)
            highest = max(highest, limit.limit if limit.unit == unit else in_unit)
        reached_back = sample.requested - longest - self.rule.settle_s >= self.limits.start
        return highest if reach and reached_back else None

    def _is_pending(self, sample: Sample) -> bool:
        return any(asked <= sample.received and sample.requested <= answered for asked, answered in self._pending)

    def _uncertainty(self, reading: float, unit: str, channels: int) -> float:
        evse = self.evse
        if unit == "A":
            return evse.current.expanded(reading)
        if self._measured:
            curve = reading * evse.efficiency_uncertainty_percent / 100 if self._output else 0.0
            return evse.power.expanded(reading) + curve
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
                self._run.append(Above(sample, reading, allowed, limit.unit, verdict))
        return verdicts

    def _close(self) -> None:
        """End the span of breach that is open."""
        run, self._run = self._run, []
        top = max(run, key=lambda one: one.reading)
        blamed, pilot_ref = blame(self._pilot, run, self._told)
        refs = (run[0].sample.seq, top.sample.seq, run[-1].sample.seq, *pilot_ref)
        breach = Breach(
            self.evse.evse_id, run[0].sample.received, run[-1].sample.received, top.allowed, top.unit, top.reading, blamed,
            tuple(dict.fromkeys(refs)),
        )  # fmt: skip
        self.breaches.append((breach, worst(one.verdict for one in run)))

    def _missing(self, start: float, end: float, settled: Sequence[Sample]) -> str:
        """Say which span of a settled period has no reading; empty where all is covered."""
        if end <= start:
            return ""
        edges = [start, *(sample.received for sample in settled), end]
        for earlier, later in pairwise(edges):
            if later - earlier > self.rule.longest_gap_s:
                why = f" ({self.evse.gap_reason})" if any(earlier <= gap <= later for gap in self.evse.gaps) else ""
                return f"{SILENT} from {clock_text(earlier)} for {later - earlier:.0f} s{why}"
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


def _lowers(limit: ExpectedLimit, before: Segment[ExpectedLimit | None] | None, asked: str) -> bool:
    """Say whether a limit lowers the one before it; where nothing limited, whether it cuts a demand that was there."""
    if before is None:
        return False
    return bool(asked) if before.value is None else limit.limit_a < before.value.limit_a
