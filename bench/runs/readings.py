"""Readings of the specification that nobody declared: what a station does may fit one of them, in plug and report alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from bench.domain.evidence import EvseFacts
from bench.domain.exchange import Call
from bench.domain.profiles import ChargingProfile, Kind, Purpose
from bench.domain.timeline import Window
from bench.domain.verdicts import CheckResult, FaultClass, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.checks.composite import Reported, judge_composite, reported_schedule
from bench.runs.checks.delivery import judge_delivery
from bench.runs.expected import limits_ahead, limits_over_run

Anchor = Literal["received", "power_path_closed", "transaction_start"]
_BAD: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
_FARTHEST_S: Final = 3600.0
"""Between plugging in and the first energy of a session lies less than an hour, or its steps are taken for others."""
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

    def told(self, result: CheckResult) -> CheckResult:
        """Return a result with what the reading adds to it."""
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
        other = Case(case.scene, reading.evse, limits_over_run(case.facts, reading.evse, case.scene.history), case.caps)
        fits = _fits(other)
        if all(fits):
            return Read(other, reading)
        late = late or (reading.decides and case.power.verdict in _BAD and other.power.verdict not in _BAD)
    return Read(case, late=late)


def _fits(case: Case) -> tuple[bool, bool]:
    """Say whether the plug, and whether the report, breaks nothing; too low an offer fits no reading either."""
    reported = "composite" in case.scenario["checks"]
    report = judge_composite(case.facts, case.evse, case.scene.history).verdict if reported else None
    plug = case.power.verdict not in _BAD and judge_delivery(case).verdict not in _BAD
    return plug, report not in _BAD


def _readings(case: Case) -> Iterator[Reading]:
    evse, history = case.evse, case.scene.history
    installed = [one for change in history for one in change.installed]
    if any(one.profile.kind is Kind.RELATIVE for one in installed):
        anchors: tuple[Anchor, ...] = ("received", "power_path_closed", "transaction_start")
        for anchor in anchors:
            if anchor != evse.options.relative_anchor:
                yield Reading("", "", replace(evse, options=replace(evse.options, relative_anchor=anchor)))
        for shift in _shifts(case, [one.profile for one in installed if one.profile.kind is Kind.RELATIVE]):
            text = (
                f"Relative profiles count from {abs(shift):.0f} s {'after' if shift > 0 else 'before'} the transaction's start, "
                "in report and plug alike; the text recommends the moment in which energy can flow"
            )
            yield Reading("relative-anchor", text, _shifted(evse, shift))
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


def _shifts(case: Case, profiles: Sequence[ChargingProfile]) -> list[float]:
    """Return by how many seconds Relative profiles may be late: so that a reported step is one of theirs, or from the plug."""
    evse, station = case.evse, case.scene.station
    steps = {period.start_s for one in profiles for period in one.schedule.periods}
    moments = [at - step for _, one in _reports(case) for at in one.limits.starts[1:] for step in steps]
    for one in case.facts.actions:
        if (one.station, one.action, one.arguments.get("evse_id")) == (station, "plug", evse.evse_id):
            moments.append(one.at)
    starts = [span.transaction.start - evse.clock_offset_s for span in evse.transactions]
    shifts = {float(round(moment - start)) for moment in moments for start in starts}
    return sorted((one for one in shifts if 0 < abs(one) <= _FARTHEST_S), key=abs)[:_MOST_SHIFTS]


def _shifted(evse: EvseFacts, shift_s: float) -> EvseFacts:
    """Return an EVSE's facts as if each transaction had begun so much later."""
    spans = [
        replace(span, transaction=replace(span.transaction, start=span.transaction.start + shift_s)) for span in evse.transactions
    ]
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
