"""The judge: a pure function from the documents of a run to its verdict. It never reads what was seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bench.domain.documents import Document
from bench.domain.evidence import EvseTrace, Judgement, RunFacts
from bench.domain.verdicts import CheckResult, RunState, RunVerdict, Verdict, worst
from bench.runs.check_composite import judge_composite
from bench.runs.check_features import judge_features
from bench.runs.check_installed import judge_installed
from bench.runs.check_power import PowerRule, judge_power
from bench.runs.check_relay import judge_relay
from bench.runs.check_station_power import judge_station_power
from bench.runs.conduct.check import judge_conduct
from bench.runs.conduct.scene import Scene
from bench.runs.expected import StoreChange, caps_over_run, limits_over_run, store_history
from bench.runs.facts import facts_of

JUDGE_VERSION: Final = "2"
"""Changes whenever the same journal could get another verdict."""


def judge(documents: Sequence[Document]) -> Judgement:
    """Judge a run from its journal alone. Raises EvidenceError where it is no journal of a run."""
    facts = facts_of(documents)
    histories = {station: store_history(facts, station) for station in {evse.station for evse in facts.evses}}
    traces = tuple(EvseTrace(evse, limits_over_run(facts, evse, histories[evse.station])) for evse in facts.evses)
    state = facts.state or RunState.ABORTED
    checks = (*_checks(facts, traces, histories), *judge_features(facts)) if state is RunState.COMPLETED else ()
    return Judgement(_run_verdict(facts, state, checks), facts, traces)


def _checks(facts: RunFacts, traces: Sequence[EvseTrace], histories: Mapping[str, Sequence[StoreChange]]) -> list[CheckResult]:
    scenario = facts.scenario
    wanted: Sequence[str] = scenario["checks"]
    station, evse_id = scenario["station"], scenario["evse"]
    here = [one for one in traces if one.facts.station == station]
    trace = next(one for one in here if one.facts.evse_id == evse_id)
    evses, rule, history = [one.facts for one in here], PowerRule.of(scenario), histories[station]
    caps = caps_over_run(facts, trace.facts, history)
    scene = Scene(facts, station, history, {0: caps} | {one.facts.evse_id: one.limits for one in here})
    power = station_power = None
    if "power" in wanted or "conduct" in wanted:
        power = judge_power(facts, trace.facts, trace.limits, rule)
    if "station_power" in wanted or ("conduct" in wanted and any(one is not None for one in caps.values)):
        station_power = judge_station_power(facts, evses, caps, rule)
    results = []
    for name in wanted:
        if name == "power" and power is not None:
            results.append(power)
        elif name == "station_power" and station_power is not None:
            results.append(station_power)
        elif name == "composite":
            results.append(judge_composite(facts, trace.facts, history))
        elif name == "installed":
            results.append(judge_installed(scene))
        elif name == "relay":
            results.append(judge_relay(facts))
        elif name == "conduct" and power is not None:
            must_show = scenario.get("must_show", ())
            results.append(judge_conduct(scene, trace.facts, power, station_power, must_show))
    return results


def _worst(checks: Sequence[CheckResult]) -> Verdict:
    """Return the worst verdict; a run that had to show what the target does not support does not apply to it."""
    verdict = worst(check.verdict for check in checks)
    beside_the_point = any(one.check == "conduct" and one.verdict is Verdict.NOT_APPLICABLE for one in checks)
    convicted = verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
    return Verdict.NOT_APPLICABLE if beside_the_point and not convicted else verdict


def _run_verdict(facts: RunFacts, state: RunState, checks: tuple[CheckResult, ...]) -> RunVerdict:
    if state is not RunState.COMPLETED:
        word = Verdict.ABORTED if state is RunState.ABORTED else Verdict.ERROR
        return RunVerdict(JUDGE_VERSION, state, word, facts.end_reason or "the journal ends in the middle of the run", checks)
    verdict = _worst(checks)
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
