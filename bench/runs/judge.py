"""The judge: a pure function from the documents of a run to its verdict. It never reads what was seeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.domain.documents import Document
from bench.domain.evidence import EvseTrace, Judgement, RunFacts
from bench.domain.verdicts import CheckResult, RunState, RunVerdict, Verdict, worst
from bench.runs.check_composite import judge_composite
from bench.runs.check_features import judge_features
from bench.runs.check_installed import judge_installed
from bench.runs.check_power import PowerRule, judge_power
from bench.runs.check_relay import judge_relay
from bench.runs.expected import limits_over_run
from bench.runs.facts import facts_of

JUDGE_VERSION: Final = "1"
"""Changes whenever the same journal could get another verdict."""


def judge(documents: Sequence[Document]) -> Judgement:
    """Judge a run from its journal alone. Raises EvidenceError where it is no journal of a run."""
    facts = facts_of(documents)
    traces = tuple(EvseTrace(evse, limits_over_run(facts, evse)) for evse in facts.evses)
    state = facts.state or RunState.ABORTED
    checks = (*_checks(facts, traces), *judge_features(facts)) if state is RunState.COMPLETED else ()
    return Judgement(_run_verdict(facts, state, checks), facts, traces)


def _checks(facts: RunFacts, traces: Sequence[EvseTrace]) -> list[CheckResult]:
    scenario = facts.scenario
    wanted: Sequence[str] = scenario["checks"]
    station, evse_id = scenario["station"], scenario["evse"]
    trace = next(one for one in traces if (one.facts.station, one.facts.evse_id) == (station, evse_id))
    results = []
    for name in wanted:
        if name == "power":
            results.append(judge_power(facts, trace.facts, trace.limits, PowerRule.of(scenario)))
        elif name == "composite":
            results.append(judge_composite(facts, trace.facts))
        elif name == "installed":
            results.append(judge_installed(facts, station))
        elif name == "relay":
            results.append(judge_relay(facts))
    return results


def _run_verdict(facts: RunFacts, state: RunState, checks: tuple[CheckResult, ...]) -> RunVerdict:
    if state is not RunState.COMPLETED:
        word = Verdict.ABORTED if state is RunState.ABORTED else Verdict.ERROR
        return RunVerdict(JUDGE_VERSION, state, word, facts.end_reason or "the journal ends in the middle of the run", checks)
    verdict = worst(check.verdict for check in checks)
    if facts.not_applicable and verdict not in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        return RunVerdict(JUDGE_VERSION, state, Verdict.NOT_APPLICABLE, facts.not_applicable, checks)
    if facts.end_reason and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS):
        verdict = Verdict.INCONCLUSIVE  # what was left out was not shown
    leading = sorted((check for check in checks if check.verdict is verdict), key=lambda check: check.check != "power")
    headline = leading[0].headline if leading else "the rest was not shown" if checks else "nothing was judged"
    if facts.end_reason and verdict is not Verdict.PASS:
        headline = f"{headline}; {facts.end_reason}" if verdict is Verdict.FAIL else f"{facts.end_reason}; {headline}"
    if facts.not_as_found:
        headline = f"{headline}; the station was not left as found: {facts.not_as_found[0]}"
    return RunVerdict(JUDGE_VERSION, state, verdict, headline, checks)
