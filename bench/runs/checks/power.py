"""Did the measured power obey the limit, at every moment, and did it have to?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, Limits, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.power_columns import PowerColumns
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.series import Floats, Series
from bench.domain.timeline import Segment
from bench.domain.verdicts import Breach, CheckResult, FaultClass, Layer, Measurement, PeriodResult, Verdict, Warn, gravest, worst
from bench.runs.checks.applied import Applied, applied
from bench.runs.checks.blame import PILOT_MARGIN_A, Above, Offer, blame, offered_above, told_offers, unless_a_habit
from bench.runs.checks.bounds import Bounds, Spans
from bench.runs.checks.demand import Demand
from bench.runs.checks.phases import DRAWING_A, phase_breaches
from bench.runs.checks.pilot import Pilot
from bench.runs.checks.plateaus import SIGMAS, Scale, noise_share, verdicts_on
from bench.runs.checks.sureness import sureness
from bench.runs.checks.words import SHORT, conclude

SILENT: Final = "no reading"
"""How the reason of a period begins that has a gap in its readings."""
_FAILURES: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
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
    apply_within_s: float | None = None
    """How long the current may take to obey a lowered limit; None: only `settle_s` counts."""

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
            scenario.get("apply_within_s"),
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
    judged = _Judged(evse, limits, rule, told_offers(facts, evse))
    if (unknown := judged.unknown()) is not None:
        return CheckResult(check, title, Verdict.INCONCLUSIVE, (unknown,), (Layer.METER,))
    periods = judged.periods()
    judged.breaches += phase_breaches(evse, limits, rule.settle_s)
    verdict, reasons = conclude(evse, periods, judged.breaches, rule.must_limits, rule.must_lowerings)
    breaches = tuple(judged.breaches)
    blamed = tuple(layer for layer in Layer if any(layer in breach.blamed for breach in breaches))
    unseen = verdict is Verdict.INCONCLUSIVE and not evse.doubts and any(one.reason.startswith(SILENT) for one in periods)
    sure, warnings = judged.sureness()
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
        measurements=(*judged.settling, *sure),
        periods=tuple(periods),
        breaches=breaches,
        warnings=warnings,
    )
    return judged.in_time(unless_a_habit(result, evse))


class _Judged:
    """The readings of one EVSE, compared one by one."""

    def __init__(self, evse: EvseFacts, limits: Limits, rule: PowerRule, told: Sequence[Offer]) -> None:
        self._told = told
        self.evse, self.limits, self.rule = evse, limits, rule
        self.breaches: list[Breach] = []
        self.settling: list[Measurement] = []
        self._run: list[Above] = []
        self._judged: list[ExpectedLimit] = []
        self._applied: list[Applied] = []
        self._pilot = Pilot(evse)
        self._demand = Demand(evse, self._pilot, rule.near_a)
        self._channels = len(evse.samples.current_a)
        self._direct, self._output = evse.current_type == "DC", evse.side == "DC"
        self._measured = self._direct or rule.w_limits == "measured"
        """W limits are judged by the meter's own W; on DC the currents on the AC side say nothing of the output's."""
        nominal_v = None if self._measured else evse.supply.voltage_v
        self._columns = PowerColumns(evse.samples, limits, rule.settle_s, evse.latency_s, rule.longest_gap_s, nominal_v)
        self._scatter = noise_share(evse.samples)
        self._scales: dict[str, Scale] = {}
        self._spans: dict[str, Spans] = {}
        self._bounds = Bounds(evse, limits, rule.settle_s)

    def unknown(self) -> str | None:
        """Return why nothing can be judged by this meter; None where its accuracy is known for all that limits."""
        units = {one.unit for one in self.limits.values if one is not None}
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

    def sureness(self) -> tuple[tuple[Measurement, ...], tuple[Warn, ...]]:
        """Return how sure the verdict is at the limit that was exceeded most, else at the highest one."""
        told = [(one.limit, one.unit) for one in gravest(self.breaches)]
        told += [(one.limit, one.unit) for one in sorted(self._judged, key=lambda one: -one.limit_a)]
        found = next(((limit, unit) for limit, unit in told if unit in ("A", "W") and limit > 0), None)
        if found is None:
            return (), ()
        limit, unit = found
        tolerance = max(self._bounds.tolerance(one) for one in self._judged if one.unit == unit)
        return sureness(limit, unit, tolerance, self._scale(unit), self.rule.rule)

    def _time(self, start: float, limit: ExpectedLimit, samples: Sequence[Sample], within_s: float) -> None:
        scale, border = self._scale(limit.unit), limit.limit + self._bounds.tolerance(limit)
        read = [sample for sample in samples if self._reading(sample, limit) is not None]

        def obeys(sample: Sample) -> bool:
            reading = self._reading(sample, limit) or 0.0
            return reading - SIGMAS * scale.noise(reading) <= border + scale.guard(reading)

        found = applied(self.evse, start, read, obeys, within_s)
        if found is not None:
            self._applied.append(found)

    def in_time(self, result: CheckResult) -> CheckResult:
        """Return the answer with what a time limit for lowered limits adds to it."""
        late = [one for one in self._applied if one.verdict is Verdict.FAIL]
        unsure = [one for one in self._applied if one.verdict is Verdict.INCONCLUSIVE]
        worse = late or unsure
        if not worse or (not late and result.verdict not in (Verdict.PASS, Verdict.CONDITIONAL_PASS)):
            return result
        if result.verdict is Verdict.FAIL:
            return replace(result, reasons=(*result.reasons, *(one.text for one in late)))
        verdict = worse[0].verdict
        blamed = tuple(dict.fromkeys(layer for one in worse for layer in self._late(one))) if late else (Layer.METER,)
        return replace(
            result, verdict=verdict, reasons=(*(one.text for one in worse), *result.reasons), blamed=blamed,
            fault_class=FaultClass.TIMING, pair="installed/physical" if late else result.pair,
            refs=(*result.refs, *(ref for one in worse for ref in one.refs)),
        )  # fmt: skip

    def _late(self, one: Applied) -> tuple[Layer, ...]:
        """Blame the station where its offer came late, the EV where it had been there in time, both where nobody saw it."""
        limit = self.limits.at(one.start)
        seen = self._pilot.at(one.start + (self.rule.apply_within_s or 0.0))
        if seen is None or limit is None:
            return (Layer.STATION, Layer.EV)
        return (Layer.STATION,) if seen.offered_a > limit.limit_a + PILOT_MARGIN_A else (Layer.EV,)

    def _period(
        self, segment: Segment[ExpectedLimit | None], limit: ExpectedLimit, before: Segment[ExpectedLimit | None] | None
    ) -> PeriodResult:
        settled_from = min(segment.end, segment.start + self.rule.settle_s + self.evse.latency_s[1])
        if self._direct and (why := self._unseen(limit)):
            return PeriodResult(
                self.evse.evse_id, segment.start, segment.end, limit.limit, limit.unit, Verdict.INCONCLUSIVE, False, False, False,
                None, 0, why, limit.profile_id, limit.number_phases,
            )  # fmt: skip
        self._judged.append(limit)
        samples, settled, first = self._columns.part(segment.start, segment.end, settled_from)
        verdicts, highest = self._judge(first, samples, limit, settled_from)
        drew = self._demand.before(segment.start, limit, first)
        shown, lower = self._demand.at_limit(limit, settled), _lowers(limit, before, "asked")
        asked = drew or (self._demand.asked(segment.start, limit, settled) if lower or not shown else "")
        shown = shown or asked
        exercised, reason = bool(shown), shown or "held, not exercised: no demand above the limit was shown"
        if segment.end <= settled_from:
            exercised, reason = False, SHORT
        elif not verdicts:
            reason = "no settled reading could be judged"
        elif Verdict.INCONCLUSIVE in verdicts:
            reason = "a reading outside of the points of the meter's certificate, and no data sheet is known"
        lowering = lower and _lowers(limit, before, asked)
        verdict = worst(verdicts)
        if self._measured:
            settled = settled.taken(~np.isnan(self._columns.values(limit.unit, settled)))
        missing = self._missing(settled_from, segment.end, settled)
        if missing and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.INCONCLUSIVE):
            verdict, reason = Verdict.INCONCLUSIVE, missing
        offered = offered_above(self._pilot, limit, settled, self._demand.most_phases)
        if offered and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS):
            verdict, reason = Verdict.INCONCLUSIVE, offered
        lowered = lowering and exercised and bool(asked if limit.limit_a >= MINIMUM_CURRENT_A else drew)
        if lowering:
            self._measure_settling(segment.start, limit, samples, first)
        if lowering and self.rule.apply_within_s is not None:
            self._time(segment.start, limit, samples, self.rule.apply_within_s)
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
        return reduce(add, sample.current_a) * self.evse.supply.voltage_v

    def _scale(self, unit: str) -> Scale:
        """Return how far readings in a unit can be trusted."""
        if unit not in self._scales:
            self._scales[unit] = self._scale_of(unit)
        return self._scales[unit]

    def _scale_of(self, unit: str) -> Scale:
        if unit == "A":
            return Scale(self.evse.current, scatter=self._scatter)
        if self._measured:
            curve = self.evse.efficiency_uncertainty_percent if self._output else 0.0
            power = self.evse.power
            return Scale(replace(power, percent=power.percent + curve) if curve else power, scatter=self._scatter)
        return Scale(self.evse.current, len(self.evse.phases), self.evse.supply.voltage_v, self._scatter)

    def _judge(
        self, first: int, samples: Series, limit: ExpectedLimit, settled_from: float
    ) -> tuple[list[Verdict], float | None]:
        """Return the verdicts of a segment and its highest settled reading.

        One verdict for each span whose highest reading passes beyond doubt; a segment with another is looked at closer.
        """
        columns, unit = self._columns, limit.unit
        if self._output or not columns.ordered:
            readings = np.array([self._reading(one, limit) for one in samples], np.float64)
            settled = readings[(samples.requested >= settled_from) & ~np.isnan(readings)]
            values = samples.current_a if unit == "A" else readings[np.newaxis]
            allowed = self._bounds.of(samples.requested, samples.received, unit)
            return self._compare(samples, limit, settled_from, values, allowed), max(settled.tolist(), default=None)
        if unit not in self._spans:
            self._spans[unit] = self._bounds.spans(columns, unit, self._scale(unit), self.rule.rule)
        spans, numbers = self._spans[unit], columns.numbers(first, first + len(samples))
        begin, end = numbers.start, numbers.stop
        due = bisect_left(columns.asked, settled_from, begin, end)
        highest = max((one for one in spans.tops[due:end] if one == one), default=None)
        if not all(spans.passed[begin:end]):
            counts = np.diff(columns.firsts[begin:end], append=first + len(samples))
            values = samples.current_a if unit == "A" else columns.values(unit, samples)[np.newaxis]
            return self._compare(samples, limit, settled_from, values, np.repeat(spans.allowed[begin:end], counts)), highest
        if self._run and any(spans.judged[begin:end]):
            self._close()
        return [Verdict.PASS] * sum(spans.judged[due:end]), highest

    def _compare(
        self, samples: Series, limit: ExpectedLimit, settled_from: float, values: Floats, allowed: Floats
    ) -> list[Verdict]:
        """Return the verdicts on the settled readings that can be judged; note the spans of breach, those while settling too.

        Args: values: of shape (channels, n), in the unit of the limit; NaN, as in `allowed`, where there is none.
        """
        known = np.flatnonzero(~(np.isnan(allowed) | np.isnan(values[0])))
        if not len(known):
            return []
        settled = samples.requested >= settled_from
        if len(known) < len(allowed):
            values, allowed, settled = values.take(known, axis=1), allowed[known], settled[known]
        found = verdicts_on(values, allowed + self._bounds.tolerance(limit), settled, self._scale(limit.unit), self.rule.rule)
        failed = {index: verdict for verdict, where in found if verdict in _FAILURES for index in where.tolist()}
        above = np.array(sorted(failed), np.intp)
        tops, bounds = values.take(above, axis=1).max(axis=0).tolist(), allowed[above].tolist()
        before = -1
        for index, one, top, bound in zip(above.tolist(), known[above].tolist(), tops, bounds, strict=True):
            if self._run and (index != before + 1 or self._run[-1].allowed != bound):
                self._close()
            self._run.append(Above(samples, one, top, bound, limit.unit, failed[index]))
            before = index
        if self._run and before != len(known) - 1:
            self._close()
        return [verdict for verdict, where in found if settled[where].any()]

    def _close(self) -> None:
        """End the span of breach that is open."""
        run, self._run = self._run, []
        top = max(run, key=lambda one: one.reading)
        first, highest, last = run[0].sample, top.sample, run[-1].sample
        found = blame(self._pilot, run, self._told, self.rule.w_limits == "measured" and not self._direct)
        refs = (first.seq, highest.seq, last.seq, *found.refs)
        breach = Breach(
            self.evse.evse_id, first.received, last.received, top.allowed, top.unit, top.reading,
            found.layers, tuple(dict.fromkeys(refs)), worst(one.verdict for one in run), found.witnessed, found.why,
        )  # fmt: skip
        self.breaches.append(breach)

    def _missing(self, start: float, end: float, settled: Series) -> str:
        """Say which span of a settled period has no reading; empty where all is covered."""
        if end <= start:
            return ""
        longest = self.rule.longest_gap_s
        if len(settled) and not self._columns.has_gap(settled):
            first, last = settled.received.item(0), settled.received.item(-1)
            if first - start <= longest and end - last <= longest:
                return ""
        edges = np.concatenate(((start,), settled.received, (end,)))
        gaps = np.flatnonzero(np.diff(edges) > longest)
        if not len(gaps):
            return ""
        earlier, later = edges[gaps[0] : gaps[0] + 2].tolist()
        doubt = next((one.text for one in self.evse.doubts if one.start < later and earlier < one.end), "")
        if doubt:
            return f"{SILENT} that can be trusted from {clock_text(earlier)} for {later - earlier:.0f} s ({doubt})"
        why = f" ({self.evse.gap_reason})" if any(earlier <= gap <= later for gap in self.evse.gaps) else ""
        return f"{SILENT} from {clock_text(earlier)} for {later - earlier:.0f} s{why}"

    def _measure_settling(self, start: float, limit: ExpectedLimit, samples: Series, first: int) -> None:
        above = self._columns.last_above(first, samples, limit.limit, limit.unit)
        received, later = samples.received, 0
        if above is not None:
            later = above + 1 if self._columns.ordered else 0
            while later < len(received) and received.item(later) <= received.item(above):
                later += 1
        after = later < len(received)
        value: float | None = None
        if after:
            value = max(0.0, received.item(later) - start) if above is not None else 0.0
        self.settling.append(
            Measurement(
                "limit_settling_time", value, "s",
                f"from {limit.limit:g} {limit.unit} being due at {clock_text(start)} to the first reading of lasting obedience; "
                + ("already below" if above is None else "commanded"),
                (samples.seq.item(later),) if after else (),
            )
        )  # fmt: skip


def _lowers(limit: ExpectedLimit, before: Segment[ExpectedLimit | None] | None, asked: str) -> bool:
    """Say whether a limit lowers the one before it; where nothing limited, whether it cuts a demand that was there."""
    if before is None:
        return False
    return bool(asked) if before.value is None else limit.limit_a < before.value.limit_a
