"""What the check of a CSO found: one result per named case and version of OCPI. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    name: str
    title: str
    clause: str
    """Where the rule stands, and what it says, in our words."""
    version: str
    """Of OCPI."""
    verdict: Verdict
    """PASS, FAIL, INCONCLUSIVE (not shown) or NOT_APPLICABLE."""
    said: tuple[str, ...]
    """What was seen."""
    refs: tuple[int, ...] = ()
    """Numbers of the journal's documents."""


def overall(results: Sequence[CaseResult], *, aborted: bool = False) -> Verdict:
    """Return the verdict of all: a FAIL leads, even of a check that was stopped; PASS only where everything was shown."""
    found = {one.verdict for one in results}
    if Verdict.FAIL in found:
        return Verdict.FAIL
    if aborted:
        return Verdict.ABORTED
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in found or Verdict.PASS not in found else Verdict.PASS
