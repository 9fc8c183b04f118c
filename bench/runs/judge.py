"""The judge: a pure function from the documents of a run to its verdict. It never reads what was seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bench.domain.documents import Document
from bench.domain.evidence import EvseTrace, Judgement, RunFacts
from bench.domain.verdicts import CheckResult, RunState, RunVerdict, Verdict, worst
from bench.runs.checks.case import Case
from bench.runs.checks.composite import judge_composite
from bench.runs.checks.connectivity import judge_connectivity
from bench.runs.checks.delivery import judge_delivery
from bench.runs.checks.dimming import judge_dimming
from bench.runs.checks.energy import judge_energy
from bench.runs.checks.features import judge_features
from bench.runs.checks.installed import judge_installed
from bench.runs.checks.intent import judge_intent
from bench.runs.checks.meter import judge_meter
from bench.runs.checks.meter_values import judge_meter_values
from bench.runs.checks.proof import gated, judge_proof, without_unproven_energy
from bench.runs.checks.random_delay import judge_random_delay
from bench.runs.checks.relay import judge_relay
from bench.runs.checks.status import judge_status
from bench.runs.checks.supply import judge_supply
from bench.runs.checks.supply_sum import judge_supply_sum
from bench.runs.checks.time import judge_time
from bench.runs.checks.traceability import CHECK as TRACEABILITY
from bench.runs.checks.traceability import judge_traceability
from bench.runs.checks.transactions import judge_transactions
from bench.runs.checks.writers import judge_writers
from bench.runs.conduct.check import judge_conduct
from bench.runs.expected import StoreChange, caps_over_run, limits_over_run, store_history
from bench.runs.facts import facts_of
from bench.runs.readings import read
from bench.runs.scene import Scene
from bench.runs.trust import trusted

JUDGE_VERSION: Final = "6"
"""Changes whenever the same journal could get another verdict."""
_FAILURES: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)


def judge(documents: Sequence[Document]) -> Judgement:
    """Judge a run from its journal alone. Raises EvidenceError where it is no journal of a run."""
    facts = facts_of(documents)
    trusted(facts)
    without_unproven_energy(facts)
    histories = {station: store_history(facts, station) for station in {evse.station for evse in facts.evses}}
    traces = tuple(EvseTrace(evse, limits_over_run(facts, evse, histories[evse.station])) for evse in facts.evses)
    state = facts.state or RunState.ABORTED
    checks = (*_checks(facts, traces, histories), *judge_features(facts)) if state is RunState.COMPLETED else ()
    papers = judge_traceability(facts) if state is RunState.COMPLETED else None
    if papers is not None:
        checks = (*checks, papers)
    return Judgement(_run_verdict(facts, state, checks), facts, traces)


def _conduct(case: Case) -> CheckResult:
    proof = judge_proof(case.facts)
    proven = proof is None or proof.verdict is Verdict.PASS
    whole = proven and (case.capped or "station_power" in case.scenario["checks"])
    power, station_power = case.power if proven else None, case.station_power if whole else None
    return judge_conduct(case.scene, case.evse, power, station_power, case.scenario.get("must_show", ()))


CHECKS: Final[Mapping[str, Callable[[Case], CheckResult]]] = {
    "relay": lambda case: judge_relay(case.facts),
    "installed": lambda case: judge_installed(case.scene),
    "composite": lambda case: judge_composite(case.facts, case.evse, case.scene.history),
    "power": lambda case: case.power,
    "station_power": lambda case: case.station_power,
    "delivery": judge_delivery,
    "meter": judge_meter,
    "supply_sum": judge_supply_sum,
    "dimming": judge_dimming,
    "random_delay": judge_random_delay,
    "intent": lambda case: judge_intent(case.scene),
    "connectivity": lambda case: judge_connectivity(case.scene),
    "supply": judge_supply,
    "conduct": _conduct,
    "meter_values": judge_meter_values,
    "transactions": judge_transactions,
    "status": judge_status,
    "time": judge_time,
    "energy": judge_energy,
    "writers": lambda case: judge_writers(case.scene, case.evse),
}
"""Each check by the name that a scenario calls it."""


def _checks(facts: RunFacts, traces: Sequence[EvseTrace], histories: Mapping[str, Sequence[StoreChange]]) -> list[CheckResult]:
    station, evse_id = facts.scenario["station"], facts.scenario["evse"]
    here = [one for one in traces if one.facts.station == station]
    trace = next(one for one in here if one.facts.evse_id == evse_id)
    caps = caps_over_run(facts, trace.facts, histories[station])
    scene = Scene(facts, station, histories[station], {0: caps} | {one.facts.evse_id: one.limits for one in here})
    declared = Case(scene, trace.facts, trace.limits, caps)
    found = read(declared)  # a requirement is judged by the text, whatever else a station may have meant
    checks = [found.told(CHECKS[name](declared if name == "conduct" else found.case)) for name in facts.scenario["checks"]]
    beside = [name for name in facts.scenario.get("watch", ()) if name not in facts.scenario["checks"]]
    watched = [found.told(CHECKS[name](found.case)) for name in beside]
    checks += [one for one in watched if one.verdict in _FAILURES]
    if "power" in facts.scenario["checks"] and found.case is declared and not found.late:
        checks += [one for other in here if other is not trace for one in _beside(Case(scene, other.facts, other.limits, caps))]
    proof, meter = judge_proof(facts), judge_meter(found.case)
    if "meter" not in facts.scenario["checks"] and (meter.verdict is Verdict.INCONCLUSIVE or meter.warnings):
        checks.insert(0, meter)
    if "supply_sum" not in facts.scenario["checks"] and found.case.facts.supplies.get(station):
        checks.append(judge_supply_sum(found.case))
    supply = judge_supply(found.case)
    if "supply" not in facts.scenario["checks"] and supply.verdict is Verdict.INCONCLUSIVE:
        checks.insert(0, supply)
    return [*([] if proof is None else [proof]), *(gated(one, proof) for one in checks)]


def _beside(case: Case) -> Iterator[CheckResult]:
    """Yield the power at an EVSE that is not under test, where its meter shows it above its own limit."""
    limited = case.evse.meter and any(one is not None for one in case.limits.values)
    if limited and case.power.verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        yield gated(case.power, judge_proof(case.facts, [case.evse]))


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
    papers = next((one for one in checks if one.check == TRACEABILITY and one.verdict is Verdict.INCONCLUSIVE), None)
    if papers is not None:  # what was found is told check by check, but nobody can sign it
        return RunVerdict(JUDGE_VERSION, state, Verdict.INCONCLUSIVE, papers.headline, checks)
    if facts.not_applicable and verdict not in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        return RunVerdict(JUDGE_VERSION, state, Verdict.NOT_APPLICABLE, facts.not_applicable, checks)
    if facts.end_reason and verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS):
        verdict = Verdict.INCONCLUSIVE  # what was left out was not shown
    leading = RunVerdict(JUDGE_VERSION, state, verdict, "", checks).leading
    headline = leading[0].headline if leading else "the rest was not shown" if checks else "nothing was judged"
    if facts.end_reason and verdict is not Verdict.PASS:
        headline = f"{headline}; {facts.end_reason}" if verdict is Verdict.FAIL else f"{facts.end_reason}; {headline}"
    if facts.not_as_found:
        headline = f"{headline}; the station was not left as found: {facts.not_as_found[0]}"
    return RunVerdict(JUDGE_VERSION, state, verdict, headline, checks)
