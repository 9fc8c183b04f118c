"""Does the target do what it declares? Only a procedure that met a refusal has something to say here."""

from __future__ import annotations

from bench.domain.evidence import RunFacts
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict

_TITLE = "What the target declares, it does"


def judge_features(facts: RunFacts) -> tuple[CheckResult, ...]:
    """Return FAIL where a declared feature was refused, NOT_APPLICABLE where an undeclared one was; nothing otherwise."""
    if facts.refused:
        reasons, refs = tuple(text for text, _ in facts.refused), tuple(ref for _, ref in facts.refused)
        station, protocol = (Layer.STATION,), FaultClass.PROTOCOL
        return (CheckResult("features", _TITLE, Verdict.FAIL, reasons, blamed=station, fault_class=protocol, refs=refs),)
    if facts.not_applicable:
        return (CheckResult("features", _TITLE, Verdict.NOT_APPLICABLE, (facts.not_applicable,)),)
    return ()
