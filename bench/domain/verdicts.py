"""Verdicts: what a check says, whom it blames, and where the evidence is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Verdict(StrEnum):
    """The eight words. What was not shown is INCONCLUSIVE, never PASS."""

    PASS = "PASS"
    CONDITIONAL_PASS = "CONDITIONAL_PASS"
    CONDITIONAL_FAIL = "CONDITIONAL_FAIL"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    ERROR = "ERROR"
    ABORTED = "ABORTED"


class RunState(StrEnum):
    """How a run ended, apart from what it found."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    ERROR = "error"


class Layer(StrEnum):
    """Who can be to blame."""

    STATION = "station"
    EV = "EV"
    METER = "meter"
    CSMS = "CSMS"
    OCPI = "OCPI"
    NETWORK = "network"
    BENCH = "bench"


class FaultClass(StrEnum):
    """What kind of fault it is, the gravest first."""

    OVER_LIMIT = "over limit"
    UNDER_DELIVERY = "under-delivery"
    TIMING = "timing"
    PROTOCOL = "protocol"
    METERING = "metering"
    REPORT_ONLY = "report only"
    CONNECTIVITY = "connectivity"


def _gravity(fault: FaultClass | None) -> int:
    return len(FaultClass) if fault is None else list(FaultClass).index(fault)


_WORST_FIRST: Final = (
    Verdict.ABORTED,
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.CONDITIONAL_FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.CONDITIONAL_PASS,
    Verdict.PASS,
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict; NOT_APPLICABLE never worsens; nothing judged is INCONCLUSIVE."""
    present = set(verdicts) - {Verdict.NOT_APPLICABLE}
    return next((verdict for verdict in _WORST_FIRST if verdict in present), Verdict.INCONCLUSIVE)


def exit_code(state: RunState, verdict: Verdict, *, strict: bool = False) -> int:
    """Return the exit code of `bench run`: the run's state first, then the worst check."""
    if state is RunState.ABORTED:
        return 5
    if state is RunState.ERROR:
        return 4
    by_verdict = {
        Verdict.PASS: 0,
        Verdict.CONDITIONAL_PASS: 1 if strict else 0,
        Verdict.FAIL: 1,
        Verdict.CONDITIONAL_FAIL: 1,
        Verdict.ERROR: 4,
        Verdict.ABORTED: 5,
    }
    return by_verdict.get(verdict, 3)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit that a check found; `doc` says what it is."""

    name: str
    value: float | None
    unit: str
    doc: str = ""
    refs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PeriodResult:
    """One span under one limit: did power stay under it, and did it have to?"""

    evse_id: int
    start: float
    end: float
    """Seconds since 1970 UTC."""
    limit: float
    unit: str
    verdict: Verdict
    exercised: bool
    """Demand above the limit was shown; otherwise it was held, not exercised."""
    lowering: bool
    """The limit was lower than the one before."""
    lowered: bool
    """The lowering cut a demand that was shown just before it."""
    highest: float | None
    """The highest settled reading, in `unit`; None without a reading."""
    samples: int
    reason: str
    profile_id: int = 0
    """The profile that leads."""
    number_phases: int = 3
    """How many phases it allows."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A span in which readings stayed above the limit."""

    evse_id: int
    start: float
    end: float
    limit: float
    unit: str
    highest: float
    blamed: tuple[Layer, ...]
    refs: tuple[int, ...]
    verdict: Verdict = Verdict.FAIL
    """The worst that its readings amount to under the decision rule."""
    offer_seen: bool = False
    """The control pilot showed what was offered meanwhile."""
    why: str = ""
    """What points to the layers that are blamed, in words."""

    @property
    def excess(self) -> float:
        """Return by how much the limit was exceeded, in `unit`."""
        return self.highest - self.limit


def gravest(breaches: Iterable[Breach]) -> list[Breach]:
    """Return breaches in the order in which they are told: by verdict, then by the part of the limit that they exceed it by."""
    return sorted(breaches, key=lambda one: (_WORST_FIRST.index(one.verdict), -one.excess / (one.limit or 1)))


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """What a run shows of one requirement of the specification."""

    requirement: str
    """K01.FR.16 and the like."""
    verdict: Verdict
    text: str
    blamed: tuple[Layer, ...] = ()
    refs: tuple[int, ...] = ()


_TELLING_FIRST: Final = (
    Verdict.FAIL,
    Verdict.CONDITIONAL_FAIL,
    Verdict.CONDITIONAL_PASS,
    Verdict.PASS,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_APPLICABLE,
)


def leading(results: Iterable[RequirementResult]) -> dict[str, RequirementResult]:
    """Return for each requirement what counts, in the order given: a failure, else what was shown, else why nothing was."""
    chosen: dict[str, RequirementResult] = {}
    for one in results:
        known = chosen.get(one.requirement)
        if known is None or _TELLING_FIRST.index(one.verdict) < _TELLING_FIRST.index(known.verdict):
            chosen[one.requirement] = one
    return chosen


@dataclass(frozen=True, slots=True)
class Warn:
    """A finding beside a verdict: worth an engineer's eye, and by itself no reason to pass or fail."""

    code: str
    """Short and stable: ev-minimum, slow-response …"""
    text: str
    blamed: tuple[Layer, ...] = ()
    refs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's answer."""

    check: str
    """Short name: relay, installed, composite, power …"""
    title: str
    verdict: Verdict
    reasons: tuple[str, ...]
    blamed: tuple[Layer, ...] = ()
    """The set of layers among which the culprit is; more than one where the evidence does not separate them."""
    fault_class: FaultClass | None = None
    requirement: str = ""
    pair: str = ""
    """The two neighbouring truths that part: intent/installed, installed/reported, installed/physical …"""
    refs: tuple[int, ...] = ()
    """Numbers of the documents that show it."""
    measurements: tuple[Measurement, ...] = ()
    periods: tuple[PeriodResult, ...] = ()
    breaches: tuple[Breach, ...] = ()
    requirements: tuple[RequirementResult, ...] = ()
    """One entry for each time that a requirement was put to the test."""
    warnings: tuple[Warn, ...] = ()
    demanded: str = ""
    """What had to be so, and who wanted it, where the title and the breaches do not tell."""

    @property
    def headline(self) -> str:
        """Return the first reason."""
        return self.reasons[0] if self.reasons else self.title


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What a run says as a whole."""

    judge: str
    """Version of the judge."""
    state: RunState
    verdict: Verdict
    headline: str
    checks: tuple[CheckResult, ...] = field(default=())

    @property
    def leading(self) -> tuple[CheckResult, ...]:
        """Return the checks that say what the run says, in the order of the gravity of what they found."""
        same = [check for check in self.checks if check.verdict is self.verdict]
        return tuple(sorted(same, key=lambda one: (_gravity(one.fault_class), one.check != "power")))

    @property
    def blamed(self) -> tuple[Layer, ...]:
        """Return the layers among which the culprit is, by the checks that lead; empty where nothing is wrong."""
        if self.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS, Verdict.NOT_APPLICABLE):
            return ()
        return tuple(layer for layer in Layer if any(layer in one.blamed for one in self.leading))

    @property
    def fault_class(self) -> FaultClass | None:
        """Return the gravest class that the leading checks found."""
        return next((one.fault_class for one in self.leading if one.fault_class is not None), None)

    @property
    def warnings(self) -> tuple[Warn, ...]:
        """Return what all checks warn of, each code once per text."""
        return tuple(dict.fromkeys(warn for check in self.checks for warn in check.warnings))

    def as_json(self) -> dict[str, Any]:
        """Return what `result.json` and the last `verdict` document hold."""
        return {
            "judge": self.judge,
            "state": self.state,
            "verdict": self.verdict,
            "headline": self.headline,
            "blamed": self.blamed,
            "fault_class": self.fault_class,
            "warnings": self.warnings,
            "checks": self.checks,
        }
