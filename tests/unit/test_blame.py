"""Station or EV? A limit of 16 A, a car above it, and what the pilot or the station's own Current.Offered say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.domain.decision import DecisionRule
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts, Sample, TransactionSpan
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit, Supply, Transaction
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.power import PowerRule, judge_power

LIMIT = ExpectedLimit(16, "A", 16, 3, 1)
RULE = PowerRule(DecisionRule.SIMPLE, 15, "nominal", 1.5, 30, 1, 0)


def told(at: float, value: float, **more: Any) -> Call:
    """Return a TransactionEvent with this Current.Offered."""
    sampled = {"value": value, "measurand": "Current.Offered", **more.pop("sample", {})}
    request = {
        "eventType": "Updated", "transactionInfo": {"transactionId": "tx"}, "meterValue": [{"sampledValue": [sampled]}], **more,
    }  # fmt: skip
    seq = 5000 + int(at)
    return Call("CS", True, "TransactionEvent", request, at, seq, response={}, answered=at, answered_seq=seq + 1)


def verdict_on(current_a: float, *calls: Call, rule: DecisionRule = DecisionRule.SIMPLE) -> CheckResult:
    """Judge 100 s at this current, without a witness at the pilot."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples += [Sample(at, at + 0.01, (current_a,) * 3, current_a * 690, 0.0, at) for at in range(100)]
    evse.transactions.append(TransactionSpan(Transaction("tx", 0, 0), 0))
    facts = RunFacts({}, {}, 1, 0, 100, RunState.COMPLETED, "", list(calls), [], [evse])
    limits: Timeline[ExpectedLimit | None] = Timeline([(0, ExpectedLimit(16, "A", 16, 3, 1))], 100)
    return judge_power(facts, evse, limits, replace(RULE, rule=rule))


def test_a_small_excess_that_nothing_separates_convicts_nobody() -> None:
    """17.8 A of 16 A is what some cars do; the fact stands, and both stay suspects."""
    result = verdict_on(17.8)
    assert (result.verdict, result.blamed) == (Verdict.INCONCLUSIVE, (Layer.STATION, Layer.EV))
    assert result.fault_class is FaultClass.OVER_LIMIT
    assert "exceeded its limit of 16.0 A by 1.8 A" in result.headline
    assert result.breaches


def test_a_gross_excess_stays_a_conviction() -> None:
    """19 A of 16 A is more than any car does by itself."""
    result = verdict_on(19)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION, Layer.EV))


def test_a_station_that_says_it_offers_too_much_is_to_blame() -> None:
    """Current.Offered lies above the limit."""
    result = verdict_on(17.8, told(60, 18.3))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))


def test_an_ev_above_what_the_station_says_it_offers_is_to_blame() -> None:
    """Current.Offered is the limit."""
    result = verdict_on(17.8, told(60, 16))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.EV,))
    assert 5060 in result.refs


def test_what_was_told_before_the_breach_separates_nothing() -> None:
    """At second 1 the limit was not yet due; another offer may have followed."""
    assert verdict_on(17.8, told(1, 16)).verdict is Verdict.INCONCLUSIVE


def test_what_comes_from_the_queue_of_an_offline_station_separates_nothing() -> None:
    """When it was true is not known to the bench."""
    assert verdict_on(17.8, told(60, 16, offline=True)).verdict is Verdict.INCONCLUSIVE


def test_the_multiplier_counts() -> None:
    """160 with a multiplier of -1 is 16 A."""
    sample = {"unitOfMeasure": {"unit": "A", "multiplier": -1}}
    assert verdict_on(17.8, told(60, 160, sample=sample)).blamed == (Layer.EV,)


def witnessed(current_a: float, *looks: PilotSample, limit: ExpectedLimit = LIMIT, **more: Any) -> CheckResult:
    """Judge 100 s at this current and these looks at the pilot."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    volts = more.pop("volts", 230.0)
    rising = more.pop("rising_a", 0.0)
    for at in range(100):
        amps = current_a + rising * at
        evse.samples.append(Sample(at, at + 0.01, (amps,) * 3, amps * 3 * volts, 0.0, at, (volts,) * 3))
    evse.pilot += looks
    evse.transactions.append(TransactionSpan(Transaction("tx", 0, 0), 0))
    facts = RunFacts({}, {}, 1, 0, 100, RunState.COMPLETED, "", [], [], [evse])
    limits: Timeline[ExpectedLimit | None] = Timeline([(0, limit)], 100)
    return judge_power(facts, evse, limits, replace(RULE, **more))


def look(at: float, offered_a: float) -> PilotSample:
    """Return one look: the EV wants 32 A."""
    return PilotSample(at, "C", offered_a, 32.0, 1000 + int(at))


def test_a_station_that_ignores_a_higher_voltage_is_to_blame() -> None:
    """At 253 V the 16 A of 11.04 kW at nominal voltage are 12.1 kW; where W are measured, the offer was too much."""
    limit = ExpectedLimit(11040, "W", 16, 3, 1)
    result = witnessed(16.0, look(-1, 16.0), limit=limit, volts=253.0, w_limits="measured")
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))


def test_an_ev_has_its_time_to_follow_before_it_is_to_blame() -> None:
    """The offer fell from 18 A, above the limit, to 6 A two seconds before the last readings: the station alone is to blame."""
    result = witnessed(18.0, look(-1, 18.2), look(97.5, 6.0), rising_a=0.001)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))


def test_where_both_are_to_blame_no_habit_excuses_them() -> None:
    """The station offers 16.5 A, and the car takes 17 A of it."""
    result = witnessed(17.0, look(-1, 16.5))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION, Layer.EV))


def test_an_ev_that_goes_on_above_its_offer_is_to_blame() -> None:
    """18 A for half a minute under an offer of 16 A."""
    assert witnessed(18.0, look(-1, 18.2), look(1, 16.0)).blamed == (Layer.EV,)


@pytest.mark.parametrize("rule", [DecisionRule.SIMPLE, DecisionRule.FOUR_WAY])
@pytest.mark.parametrize("current_a", [15.2, 15.99])
def test_an_offer_above_the_limit_that_nobody_takes_is_not_a_pass(rule: DecisionRule, current_a: float) -> None:
    """The car stays below the limit by itself; the station offered 17.5 A, so its obedience was not shown."""
    assert witnessed(current_a, look(-1, 17.5), rule=rule).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("excess_a", "blamed"), [(0.13, (Layer.STATION, Layer.EV)), (0.3, (Layer.EV,))])
def test_an_excess_over_the_offer_within_the_margin_blames_nobody_alone(excess_a: float, blamed: tuple[Layer, ...]) -> None:
    """The pilot is read to 0.1 A, and shows an offer just above the limit; only what lies beyond that margin is the EV's."""
    result = witnessed(16.0 + excess_a, look(-1, 16.05))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, blamed)


@pytest.mark.parametrize(
    ("excess_a", "word", "blamed"),
    [
        (0.02, Verdict.CONDITIONAL_FAIL, (Layer.STATION, Layer.EV)),
        (0.08, Verdict.FAIL, (Layer.STATION, Layer.EV)),
        (0.13, Verdict.FAIL, (Layer.EV,)),
    ],
)
def test_what_is_surely_above_a_seen_offer_is_the_ev_s(excess_a: float, word: Verdict, blamed: tuple[Layer, ...]) -> None:
    """The pilot shows the limit itself, to 0.1 A: within U nothing is sure, within the margin not whose it is."""
    result = witnessed(16.0 + excess_a, look(-1, 16.0), rule=DecisionRule.FOUR_WAY)
    assert (result.verdict, result.blamed) == (word, blamed)


def test_a_larger_excess_never_gets_a_milder_verdict() -> None:
    """Nobody sees the offer: from just below the limit to far above it the words only get worse."""
    order = (Verdict.CONDITIONAL_PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)
    found = [verdict_on(16 + excess_a, rule=DecisionRule.FOUR_WAY).verdict for excess_a in (-0.01, 0.02, 0.05, 0.4, 2, 2.2)]
    assert found == sorted(found, key=order.index)
    assert found[1] is Verdict.INCONCLUSIVE


def test_a_breach_says_what_points_to_the_blamed() -> None:
    """The offer beside the limit and what was drawn."""
    ev = verdict_on(17.8, told(60, 16)).breaches[0].why
    assert ev.endswith("the station told that it offered 16.0 A per phase where the limit is 16.0 A, and 17.8 A was drawn")
