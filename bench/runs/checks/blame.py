"""Whose fault is a current above the limit: the station's, which offered too much, or the EV's, which took more?

The control pilot tells, where a witness sees it; else what the station itself says that it offers. With neither, a small excess
convicts nobody, for it may be a car's habit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from bench.domain.evidence import EvseFacts, RunFacts, Sample
from bench.domain.oracle import ExpectedLimit
from bench.domain.series import Series
from bench.domain.verdicts import Breach, CheckResult, Layer, PeriodResult, Verdict
from bench.runs.checks.phases import DRAWING_A, phases_in_use
from bench.runs.checks.pilot import Pilot, per_phase

_DUTY_TOLERANCE_A: Final = 0.6
"""One percentage point of duty: what IEC 61851-1 grants the generator."""
PILOT_MARGIN_A: Final = 0.1
"""Duty cycles are read to about this much."""
REACTION_S: Final = 5.0
"""The time that IEC 61851-1 gives an EV to follow a duty cycle: until then it may take what was offered before."""
HABIT_SHARE: Final = 0.10
HABIT_A: Final = 0.5
"""Cars are seen to take so much more than is offered (5 to 8 % and up to 0.5 A); over-current supervision allows the same."""
_NEITHER: Final = (Layer.STATION, Layer.EV)
_FAILURES: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)


class Above(NamedTuple):
    """One reading above what was allowed."""

    samples: Series
    place: int
    """Its index in them."""
    reading: float
    allowed: float
    unit: str
    verdict: Verdict

    @property
    def sample(self) -> Sample:
        """Return all that the meter told; made anew each time, for few of many are looked at."""
        return self.samples[self.place]


@dataclass(frozen=True, slots=True)
class Blame:
    """Who is to blame for a breach, and what points there."""

    layers: tuple[Layer, ...]
    refs: tuple[int, ...]
    witnessed: bool
    """The pilot showed what was offered."""
    why: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What the station said that it offers, A per phase, and when the bench heard of it."""

    at: float
    amps: float
    seq: int


def told_offers(facts: RunFacts, evse: EvseFacts) -> list[Offer]:
    """Return each Current.Offered that the station reported for an EVSE, in order; it tells it per phase, so the most counts."""
    return list(_told_offers(facts, evse))


def _told_offers(facts: RunFacts, evse: EvseFacts) -> Iterator[Offer]:
    transactions = {one.transaction.id for one in evse.transactions}
    for call in facts.calls:
        if not call.from_station or call.station != evse.station or call.response is None:
            continue
        if call.action == "MeterValues":
            mine = call.request.get("evseId") == evse.evse_id
        else:
            mine = call.action == "TransactionEvent" and call.request["transactionInfo"]["transactionId"] in transactions
        if not mine or call.request.get("offline"):
            continue
        values = [
            one["value"] * 10 ** one.get("unitOfMeasure", {}).get("multiplier", 0)
            for entry in call.request.get("meterValue", ())
            for one in entry["sampledValue"]
            if one.get("measurand") == "Current.Offered"
        ]
        if values:
            yield Offer(call.asked, max(values), call.asked_seq)


def blame(pilot: Pilot, run: Sequence[Above], told: Sequence[Offer] = (), measured: bool = False) -> Blame:
    """Blame the station for an offer above the limit, the EV for a current above the offer.

    Only readings count between two looks at the pilot that agree; where there are none, those whose offer the station told
    during the breach. Without either the evidence does not separate the two, nor does an offer that is as close to the limit as
    duty cycles are read, under a current as close to the offer.

    Args: measured: limits in W are held against measured power, so that a higher voltage leaves less current to offer.
    """
    evse, witnessed, near = pilot.evse, False, ""
    for one in sorted(run, key=lambda above: -above.reading):
        sample = one.sample
        seen = pilot.around(sample)
        said = None if seen is not None or evse.pilot else _said(one, run, told)
        if seen is not None:
            offered_a, seq, witnessed = seen.offered_a, seen.seq, True
            source = "the control pilot offered" if evse.evse_id else "the control pilots together offered"
        elif said is not None:
            offered_a, seq, source = said.amps, said.seq, "no pilot was seen, but the station told that it offered"
        else:
            continue
        current = max(sample.current_a)
        blamed = []
        limit_a = per_phase(evse, one.allowed, one.unit, phases_in_use(sample))
        if measured and one.unit == "W":
            limit_a *= evse.supply.voltage_v / _mean_voltage(sample, evse.supply.voltage_v)
        if offered_a > limit_a + PILOT_MARGIN_A:
            blamed.append(Layer.STATION)
        above = current > offered_a + max(PILOT_MARGIN_A, evse.current.expanded(current))
        if evse.current.known and above and (seen is None or pilot.stood_s(sample) > REACTION_S):
            blamed.append(Layer.EV)
        offer = f"{source} {offered_a:.1f} A per phase where the limit is {limit_a:.1f} A, and {current:.1f} A was drawn"
        if blamed:
            return Blame(tuple(blamed), (seq,), witnessed, offer)
        near = near or f"{offer}; that is too close to tell the two apart"
    return Blame(_NEITHER, (), witnessed, near or "nothing shows what was offered, so the evidence does not separate them")


def _mean_voltage(sample: Sample, nominal_v: float) -> float:
    """Return the mean voltage of the phases in use; the nominal one where the meter does not tell."""
    pairs = zip(sample.current_a, sample.voltage_v, strict=False)
    seen = [volts for amps, volts in pairs if amps > DRAWING_A and volts]
    return sum(seen) / len(seen) if seen else nominal_v


def _said(one: Above, run: Sequence[Above], told: Sequence[Offer]) -> Offer | None:
    """Return what the station told last before a reading, and not before the breach; else what it told first after it."""
    start, end = run[0].sample.requested, run[-1].sample.received
    during = [offer for offer in told if start <= offer.at <= end]
    before = [offer for offer in during if offer.at <= one.sample.received]
    return before[-1] if before else during[0] if during else None


def unless_a_habit(result: CheckResult, evse: EvseFacts) -> CheckResult:
    """Return a check's answer, INCONCLUSIVE instead of a failure where an EV's habit explains all that was found.

    That is where nobody saw what was offered and no excess is larger than what cars are known to take above their offer, be it
    within U or beyond.
    """
    if result.verdict not in _FAILURES or not result.breaches:
        return result
    if not all(_habitual(one, evse) for one in result.breaches):
        return result
    periods = tuple(_undecided(period) for period in result.periods)
    breaches = tuple(replace(one, verdict=Verdict.INCONCLUSIVE) for one in result.breaches)
    first = f"{result.headline}; nothing shows what was offered, and cars are known to take so much more"
    return replace(result, verdict=Verdict.INCONCLUSIVE, reasons=(first, *result.reasons[1:]), periods=periods, breaches=breaches)


def _habitual(breach: Breach, evse: EvseFacts) -> bool:
    constant = HABIT_A if breach.unit == "A" else HABIT_A * evse.supply.voltage_v * len(evse.phases)
    small = breach.unit != "phases" and breach.limit > 0 and breach.excess <= breach.limit * HABIT_SHARE + constant
    return small and breach.blamed == _NEITHER and not breach.offer_seen


def _undecided(period: PeriodResult) -> PeriodResult:
    if period.verdict not in _FAILURES:
        return period
    return replace(period, verdict=Verdict.INCONCLUSIVE, reason="above the limit, and nothing shows what was offered")


def offered_above(pilot: Pilot, limit: ExpectedLimit, settled: Series, most_phases: int) -> str:
    """Say that the station offered more than the limit, though nobody took it; empty where it did not."""
    least_a = per_phase(pilot.evse, limit.limit, limit.unit, most_phases)
    if not any(offered > least_a + _DUTY_TOLERANCE_A for _, offered in pilot.offered_before(settled)):
        return ""
    in_use = [phases_in_use(one) for one in settled if max(one.current_a) > DRAWING_A]
    limit_a = per_phase(pilot.evse, limit.limit, limit.unit, max(in_use, default=most_phases))
    for sample in settled:
        seen = pilot.around(sample)
        if seen is not None and seen.offered_a > limit_a + _DUTY_TOLERANCE_A:
            return f"the duty cycle offered {seen.offered_a:.1f} A, above the limit of {limit_a:.1f} A, and nobody took it"
    return ""
