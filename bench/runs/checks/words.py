"""What the periods and breaches of a power check amount to, in a verdict and in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.domain.evidence import EvseFacts
from bench.domain.quantities import clock_text
from bench.domain.verdicts import Breach, PeriodResult, Verdict, gravest, worst

UNSURE = "; the uncertainty of the measurement is larger than that"
SHORT = "held, not exercised: shorter than the settling time"


def conclude(
    evse: EvseFacts,
    periods: Sequence[PeriodResult],
    breaches: Sequence[Breach],
    must_limits: int | None,
    must_lowerings: int | None,
) -> tuple[Verdict, tuple[str, ...]]:
    """Return verdict and reasons, the most telling first.

    Args:
        must_limits, must_lowerings: how many of them must be exercised; None for all.
    """
    reasons = [
        breach_text(evse, one) + (UNSURE if one.verdict is Verdict.CONDITIONAL_FAIL else "") for one in gravest(breaches)
    ]
    verdict = worst([*(one.verdict for one in breaches), *(period.verdict for period in periods)])
    if verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        return verdict, tuple(reasons)
    undecided = [period for period in periods if period.verdict is Verdict.INCONCLUSIVE and period.reason]
    reasons += [f"{_span(period)}: {period.reason}" for period in undecided if not period.reason.startswith("held")]
    lacking = _lacking(periods, must_limits, must_lowerings)
    if lacking:
        held = [period for period in periods if not period.exercised]
        told = (*lacking, *(f"{_span(period)}: {period.reason}" for period in held), *reasons)
        return Verdict.INCONCLUSIVE, tuple(dict.fromkeys(told))
    exercised = [period for period in periods if period.exercised and period.verdict is not Verdict.INCONCLUSIVE]
    if any(period.exercised and period.verdict is Verdict.INCONCLUSIVE for period in periods):
        return Verdict.INCONCLUSIVE, tuple(reasons)
    lowered = sum(period.lowered for period in exercised)
    text = (
        f"no reading exceeded the limit; {len(exercised)} of {len(periods)} periods exercised, "
        f"{lowered} of {sum(period.lowering for period in periods)} lowering steps among them"
    )
    return worst(period.verdict for period in exercised), (text, *reasons)


def _lacking(periods: Sequence[PeriodResult], must_limits: int | None, must_lowerings: int | None) -> list[str]:
    """Say what had to be exercised and was not."""
    periods = [period for period in periods if period.reason != SHORT]
    shown = [period for period in periods if period.exercised]
    wanted = (
        ("non-zero limits", [one for one in periods if one.limit > 0], [one for one in shown if one.limit > 0], must_limits),
        ("lowering steps", [one for one in periods if one.lowering], [one for one in shown if one.lowered], must_lowerings),
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
    if unit == "phases":
        return f"{value:.0f} phase{'s' if value != 1 else ''}"
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
