"""Readings of the specification that nobody declared: what a station does may fit one of them, in plug and report alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from bench.domain.evidence import EvseFacts, TransactionSpan
from bench.domain.exchange import Call
from bench.domain.profiles import InstalledProfile, Kind, Purpose
from bench.domain.timeline import Window
from bench.domain.verdicts import CheckResult, FaultClass, Verdict, Warn
from bench.runs.anchors import ANCHORS, NEAR_S, POWER_PATH, RECEIPT, TRANSACTION_START, moments
from bench.runs.checks.case import Case
from bench.runs.checks.composite import Reported, judge_composite, reported_schedule
from bench.runs.checks.delivery import judge_delivery
from bench.runs.expected import limits_ahead, limits_over_run

Anchor = Literal["received", "power_path_closed", "transaction_start"]
_BAD: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
_DECLARED: Final[dict[Anchor, str]] = {
    "received": RECEIPT, "power_path_closed": POWER_PATH, "transaction_start": TRANSACTION_START,
}  # fmt: skip
"""What a target file can say of a Relative profile, and how the moment is called."""
_FARTHEST_S: Final = 3600.0
"""A step that lies farther off than this is taken for none of a Relative profile."""
_MOST_SHIFTS: Final = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the specification."""

    code: str
    """Of the finding; empty where the reading is as good as the declared one."""
    text: str
    evse: EvseFacts
    decides: bool = True
    """Obeying it is obeying; otherwise nothing is decided."""


@dataclass(frozen=True, slots=True)
class Read:
    """A case, and how it has to be read."""

    case: Case
    reading: Reading | None = None
    """None: as declared."""
    late: bool = False
    """The plug fits another reading than the report does: the limit came at another moment."""
    off: str = ""
    """Report and plug agree on an anchor of Relative profiles that is no moment of the session."""

    def told(self, result: CheckResult) -> CheckResult:
        """Return a result with what the reading adds to it."""
        if self.off and result.check in ("power", "composite", "delivery") and result.verdict in _BAD:
            return replace(result, fault_class=FaultClass.TIMING, reasons=(*result.reasons, self.off))
        if result.check not in ("power", "composite"):
            return result
        if self.late and result.check == "power" and result.verdict in _BAD:
            return replace(result, fault_class=FaultClass.TIMING)
        if self.reading is None or result.verdict in _BAD:
            return result
        if not self.reading.decides:
            return replace(result, verdict=Verdict.INCONCLUSIVE, reasons=(self.reading.text, *result.reasons))
        if self.reading.code and result.check == "power":
            return replace(result, warnings=(*result.warnings, Warn(self.reading.code, self.reading.text)))
        return result


def read(case: Case) -> Read:
    """Return the case as it is declared, or under the first other reading that plug and report both fit.

    Source: K01.FR.42 recommends, and does not demand, from when a Relative profile counts. K01.FR.32 demands that a
    TxDefaultProfile counts for the transaction that runs, which many stations do not: the check `conduct` convicts them, and the
    others leave it undecided.
    """
    if not ({"power", "composite"} & set(case.scenario["checks"])):
        return Read(case)
    declared = _fits(case)
    if all(declared):
        return Read(case)
    late = False
    for reading in _readings(case):
        other = _as(case, reading.evse)
        fits = _fits(other)
        if all(fits):
            return Read(other, reading)
        late = late or (reading.decides and case.power.verdict in _BAD and other.power.verdict not in _BAD)
    return Read(case, late=late, off=_off(case))


def _fits(case: Case) -> tuple[bool, bool]:
    """Say whether the plug, and whether the report, breaks nothing; too low an offer fits no reading either."""
    reported = "composite" in case.scenario["checks"]
    report = judge_composite(case.facts, case.evse, case.scene.history).verdict if reported else None
    plug = case.power.verdict not in _BAD and judge_delivery(case).verdict not in _BAD
    return plug, report not in _BAD


def _as(case: Case, evse: EvseFacts) -> Case:
    return Case(case.scene, evse, limits_over_run(case.facts, evse, case.scene.history), case.caps)


def _readings(case: Case) -> Iterator[Reading]:
    evse, history = case.evse, case.scene.history
    installed = [one for change in history for one in change.installed]
    relative = [one for one in installed if one.profile.kind is Kind.RELATIVE]
    if relative:
        yield from _other_anchors(case, relative)
    mid = [
        one for one in installed
        if one.profile.purpose is Purpose.TX_DEFAULT and one.received is not None
        and any(span.transaction.start < one.received for span in evse.transactions)
    ]  # fmt: skip
    later = replace(evse, options=replace(evse.options, default_taken_over="next_transaction"))
    breaks = case.power.verdict in _BAD
    if mid and breaks and evse.options.default_taken_over == "at_once" and not _reports_at_once(case, later):
        text = (
            f"TxDefaultProfile {mid[0].profile.id} came during a transaction, and what was measured fits that it counts for the "
            "next one only; the target file does not say so (default_taken_over), so nothing is decided"
        )
        yield Reading("", text, later, decides=False)


def _other_anchors(case: Case, relative: Sequence[InstalledProfile]) -> Iterator[Reading]:
    """Yield each other moment of the session from which Relative profiles may count; those that a target file can declare are
    as good as the declared one, the others are told."""
    evse, declared = case.evse, _DECLARED[case.evse.options.relative_anchor]
    for anchor, name in _DECLARED.items():
        if name != declared:
            options = replace(evse.options, relative_anchor=anchor)
            yield Reading("", "", replace(evse, options=options))
    told = [at - step for at, step in _told_steps(case, relative)]
    sessions = [moments(case.scene, evse, span, relative) for span in evse.transactions]
    for name in ANCHORS:
        anchors = [_anchor(session[name], told) for session in sessions]
        if any(one is not None for one in anchors):
            pairs = zip(evse.transactions, anchors, strict=True)
            spans = [span if at is None else _begun_at(span, at + evse.clock_offset_s) for span, at in pairs]
            code = "" if name in _DECLARED.values() else "relative-anchor"
            yield Reading(code, _anchor_text(name, declared), _anchored(evse, spans))


def _anchor_text(name: str, declared: str) -> str:
    return (
        f"Relative profiles count from {name}, in report and plug alike, where the target file says {declared}; the text "
        "recommends the moment in which energy can flow"
    )


def _anchor(times: Sequence[float], told: Sequence[float]) -> float | None:
    """Return the first of some moments, as closely as the reported steps tell it; None where there is none."""
    near = [(abs(one - at), one) for at in times for one in told if abs(one - at) <= NEAR_S]
    return min(near)[1] if near else min(times, default=None)


def _told_steps(case: Case, relative: Sequence[InstalledProfile]) -> list[tuple[float, float]]:
    """Return each moment at which a reported limit steps, beside each step of a Relative profile in s."""
    steps = {period.start_s for one in relative for period in one.profile.schedule.periods}
    return [(at, step) for _, one in _reports(case) for at in one.limits.starts[1:] for step in steps]


def _off(case: Case) -> str:
    """Say from when Relative profiles count where report and plug agree on a moment that is none of the session's."""
    evse = case.evse
    relative = [one for change in case.scene.history for one in change.installed if one.profile.kind is Kind.RELATIVE]
    starts = [span.transaction.start - evse.clock_offset_s for span in evse.transactions]
    shifts = {float(round(at - step - start)) for at, step in _told_steps(case, relative) for start in starts}
    for shift in sorted((one for one in shifts if 0 < abs(one) <= _FARTHEST_S), key=abs)[:_MOST_SHIFTS]:
        spans = [_begun_at(span, span.transaction.start + shift) for span in evse.transactions]
        if all(_fits(_as(case, _anchored(evse, spans)))):
            side = "after" if shift > 0 else "before"
            return (
                f"Relative profiles count from {abs(shift):.0f} s {side} the transaction's start, in report and plug alike, and "
                "nothing of the session happened then"
            )
    return ""


def _begun_at(span: TransactionSpan, start: float) -> TransactionSpan:
    return replace(span, transaction=replace(span.transaction, start=start))


def _anchored(evse: EvseFacts, spans: list[TransactionSpan]) -> EvseFacts:
    """Return an EVSE's facts as if its transactions had begun at other moments."""
    return replace(evse, options=replace(evse.options, relative_anchor="transaction_start"), transactions=spans)


def _reports_at_once(case: Case, later: EvseFacts) -> bool:
    """Say whether the station itself reported a default to be in force that counts for the next transaction only."""
    history = case.scene.history
    if judge_composite(case.facts, case.evse, history).verdict is not Verdict.PASS:
        return False
    for call, report in _reports(case):
        window = Window(report.limits.start, report.limits.end)
        now, then = (limits_ahead(one, call, window, history).values for one in (case.evse, later))
        if {one and one.profile_id for one in now} != {one and one.profile_id for one in then}:
            return True
    return False


def _reports(case: Case) -> Iterator[tuple[Call, Reported]]:
    """Yield each composite schedule that the station reported for the EVSE."""
    for call in case.scene.sent("GetCompositeSchedule"):
        if call.request.get("evseId") == case.evse.evse_id and call.answered is not None:
            report = reported_schedule(call, case.evse.clock_offset_s)
            if not isinstance(report, str):
                yield call, report
