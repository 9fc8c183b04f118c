"""The check `conduct`: every requirement that the run put to the test, and those that it had to and did not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bench.domain.evidence import EvseFacts
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RequirementResult, Verdict, worst
from bench.runs.conduct.answers import judge_remote_start, judge_set_profile
from bench.runs.conduct.clearing import judge_clearing
from bench.runs.conduct.composites import judge_composites
from bench.runs.conduct.external import judge_external
from bench.runs.conduct.measured import judge_measured, judge_station_measured
from bench.runs.conduct.needs import judge_needs
from bench.runs.conduct.reports import judge_reports
from bench.runs.conduct.stored import judge_stored
from bench.runs.scene import Scene, Shown, undecided

_FAMILIES: Final = (
    judge_set_profile,
    judge_remote_start,
    judge_stored,
    judge_composites,
    judge_reports,
    judge_clearing,
    judge_external,
    judge_needs,
)
_DEPENDS: Final = (("K11.", "external_limits"), ("K12.", "external_limits"), ("K13.", "external_limits"),
                   ("K15.", "iso15118"), ("K16.", "iso15118"), ("K17.", "iso15118"))  # fmt: skip
"""Which use cases a station has to support only where it says so, by the feature that says it."""
_DECIDED: Final = (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.CONDITIONAL_FAIL, Verdict.FAIL)


def judge_conduct(
    scene: Scene, evse: EvseFacts, power: CheckResult | None, station_power: CheckResult | None, must_show: Sequence[str]
) -> CheckResult:
    """Judge block K requirement by requirement: messages, reports and meter.

    Each requirement that was put to the test counts, listed or not. One of `must_show` that was not leaves the check
    INCONCLUSIVE; one that only turned out not to apply makes it NOT_APPLICABLE, unless something failed.

    Args: power, station_power: what the meters show; None where they are not proven, or nothing is to be said of them.
    """
    title = f"{scene.station} keeps what was put to the test of block K of OCPP 2.0.1"
    found = list(_all(scene, evse, power, station_power))
    found += _not_shown(scene, must_show, [one.result for one in found])
    ordered = sorted(found, key=lambda one: _order(one.result.requirement))
    results = tuple(one.result for one in ordered)
    verdict = _verdict(results, must_show)
    failed = [one for one in ordered if one.result.verdict is Verdict.FAIL]
    reasons = _reasons(results, verdict, must_show)
    return CheckResult(
        "conduct", title, verdict, reasons,
        tuple(layer for layer in Layer if any(layer in one.result.blamed for one in failed)),
        _fault(failed), failed[0].result.requirement if failed else "", "",
        tuple(dict.fromkeys(ref for one in failed for ref in one.result.refs)), requirements=results,
    )  # fmt: skip


def _all(scene: Scene, evse: EvseFacts, power: CheckResult | None, station_power: CheckResult | None) -> Iterator[Shown]:
    for family in _FAMILIES:
        yield from family(scene)
    if power is not None:
        yield from judge_measured(scene, evse, power)
    if station_power is not None:
        yield from judge_station_measured(scene, station_power)


def _not_shown(scene: Scene, must_show: Iterable[str], results: Sequence[RequirementResult]) -> list[Shown]:
    """Return an entry for each listed requirement on which nothing was found."""
    there = {one.requirement for one in results}
    lacking = []
    for requirement in must_show:
        if requirement in there:
            continue
        feature = _undeclared(scene, requirement)
        if feature:
            lacking.append(undecided(requirement, Verdict.NOT_APPLICABLE, f"{feature} is not declared"))
        else:
            lacking.append(undecided(requirement, Verdict.INCONCLUSIVE, "was not put to the test"))
    return lacking


def _undeclared(scene: Scene, requirement: str) -> str:
    if not scene.features["smart_charging"] and requirement not in ("K01.FR.29", "K05.FR.04"):
        return "smart_charging"
    return next((name for prefix, name in _DEPENDS if requirement.startswith(prefix) and not scene.features.get(name, False)), "")


def _verdict(results: Sequence[RequirementResult], must_show: Sequence[str]) -> Verdict:
    """Return the worst; INCONCLUSIVE counts where a listed requirement has nothing better to show."""
    decided = {one.requirement for one in results if one.verdict in _DECIDED}
    if any(one.verdict is Verdict.FAIL for one in results):
        return Verdict.FAIL
    open_ones = [one for one in must_show if one not in decided]
    applicable = {one.requirement for one in results if one.verdict is not Verdict.NOT_APPLICABLE}
    if any(one not in applicable for one in open_ones):
        return Verdict.NOT_APPLICABLE
    if open_ones or not decided:
        return Verdict.INCONCLUSIVE
    return worst(one.verdict for one in results if one.verdict in _DECIDED)


def _reasons(results: Sequence[RequirementResult], verdict: Verdict, must_show: Sequence[str]) -> tuple[str, ...]:
    telling = [one for one in results if one.verdict is verdict]
    if verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE):
        telling = [one for one in telling if not must_show or one.requirement in must_show]
    if verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS):
        put = sorted({one.requirement for one in results if one.verdict in _DECIDED}, key=_order)
        return (f"{len(put)} requirements put to the test and met: {', '.join(put)}",)
    return tuple(dict.fromkeys(f"{one.requirement}: {one.text}" for one in telling)) or ("nothing was put to the test",)


def _fault(failed: Sequence[Shown]) -> FaultClass | None:
    """Return the class of the gravest failure: too much power first."""
    classes = [one.fault for one in failed]
    return next((one for one in (FaultClass.OVER_LIMIT, FaultClass.PROTOCOL) if one in classes), classes[0] if classes else None)


def _order(requirement: str) -> tuple[str, int]:
    case, _, number = requirement.partition(".FR.")
    return case, int(number) if number.isdigit() else 0
