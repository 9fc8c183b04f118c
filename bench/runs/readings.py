"""Readings of the specification that nobody declared: what a station does may fit one of them, in plug and report alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from bench.domain.evidence import EvseFacts, TransactionSpan
from bench.domain.profiles import Kind, Purpose
from bench.domain.verdicts import CheckResult, FaultClass, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.checks.composite import judge_composite
from bench.runs.checks.delivery import judge_delivery
from bench.runs.checks.phases import DRAWING_A
from bench.runs.expected import limits_over_run

Anchor = Literal["received", "power_path_closed", "transaction_start"]
_BAD: Final = (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)


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
    if declared[0]:
        return Read(case)
    late = False
    for reading in _readings(case):
        other = Case(case.scene, reading.evse, limits_over_run(case.facts, reading.evse, case.scene.history), case.caps)
        fits = _fits(other)
        if all(fits):
            return Read(other, reading)
        late = late or fits[0]
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
        from_start = replace(evse.options, relative_anchor="transaction_start")
        for what, spans in (("the plug", _from_plug(case)), ("the first energy", _from_energy(evse))):
            text = f"Relative profiles count from {what}, in report and plug alike; the text recommends the transaction's start"
            yield Reading("relative-anchor", text, replace(evse, options=from_start, transactions=spans))
    mid = [
        one for one in installed
        if one.profile.purpose is Purpose.TX_DEFAULT and one.received is not None
        and any(span.transaction.start < one.received for span in evse.transactions)
    ]  # fmt: skip
    if mid and evse.options.default_taken_over == "at_once":
        text = (
            f"TxDefaultProfile {mid[0].profile.id} came during a transaction, and what was measured fits that it counts for the "
            "next one only; the target file does not say so (default_taken_over), so nothing is decided"
        )
        later = replace(evse.options, default_taken_over="next_transaction")
        yield Reading("", text, replace(evse, options=later), decides=False)


def _from_plug(case: Case) -> list[TransactionSpan]:
    """Return the transactions as if each had begun when its EV was plugged in."""
    plugs = [
        one.at + case.evse.clock_offset_s for one in case.facts.actions
        if one.station == case.scene.station and one.action == "plug" and one.arguments.get("evse_id") == case.evse.evse_id
    ]  # fmt: skip
    return [_begun(span, [one for one in plugs if one <= span.transaction.start][-1:]) for span in case.evse.transactions]


def _from_energy(evse: EvseFacts) -> list[TransactionSpan]:
    """Return the transactions as if each had begun with its first current."""
    drawn = [one.received + evse.clock_offset_s for one in evse.samples if max(one.current_a) > DRAWING_A]
    return [_begun(span, [at for at in drawn if at >= span.transaction.start][:1]) for span in evse.transactions]


def _begun(span: TransactionSpan, at: list[float]) -> TransactionSpan:
    return replace(span, transaction=replace(span.transaction, start=at[0])) if at else span
