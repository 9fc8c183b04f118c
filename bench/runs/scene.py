"""What the judges of single requirements look at: one station's messages, store, transactions and circumstances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.domain.evidence import EvseFacts, Limits, RunFacts, TransactionSpan
from bench.domain.exchange import Call
from bench.domain.profiles import ChargingProfile, InstalledProfile, ProfileError, Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import FaultClass, Layer, RequirementResult, Verdict
from bench.runs.expected import StoreChange, store_at
from bench.runs.read_backs import read_backs
from bench.settings.target import TargetFeatures

NOTICE_S: Final = 10.0
"""How soon a station has to tell what the specification says it tells; the text names no time."""
PATIENCE_S: Final = 60.0
"""How long an announced report may take before it counts as one that does not come."""
ALWAYS: Final = 1 << 62
"""A document number after every other."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One requirement put to the test once, and the class of the fault if it fails."""

    result: RequirementResult
    fault: FaultClass = FaultClass.PROTOCOL


def shown(
    requirement: str, good: bool, text: str, refs: Sequence[int] = (), fault: FaultClass = FaultClass.PROTOCOL,
    blamed: tuple[Layer, ...] = (Layer.STATION,),
) -> Shown:  # fmt: skip
    """Return PASS or FAIL on a requirement that was put to the test."""
    verdict = Verdict.PASS if good else Verdict.FAIL
    return Shown(RequirementResult(requirement, verdict, text, () if good else blamed, tuple(refs)), fault)


def undecided(requirement: str, verdict: Verdict, text: str, refs: Sequence[int] = ()) -> Shown:
    """Return what neither convicts nor acquits: INCONCLUSIVE, NOT_APPLICABLE or CONDITIONAL_PASS."""
    return Shown(RequirementResult(requirement, verdict, text, (), tuple(refs)))


@dataclass(frozen=True, slots=True)
class ReadBack:
    """One GetChargingProfiles of the whole store and what was reported."""

    asked: Call
    reports: Sequence[Call]
    found: tuple[tuple[int, str, Mapping[str, Any]], ...]
    """(evseId, chargingLimitSource, ChargingProfileType) of each profile."""

    @property
    def refs(self) -> tuple[int, ...]:
        """Return the numbers of the documents."""
        return (*self.asked.refs, *(ref for one in self.reports for ref in one.refs))

    def places(self, identity: int) -> list[int]:
        """Return the EVSEs under which a profile is reported."""
        return [evse_id for evse_id, _, raw in self.found if raw["id"] == identity]

    def shows(self, held: InstalledProfile) -> bool:
        """Say whether the profile is reported in its place."""
        return held.evse_id in self.places(held.profile.id)


@dataclass(slots=True)
class Scene:
    """One station of a run."""

    facts: RunFacts
    station: str
    history: Sequence[StoreChange]
    limits: Mapping[int, Limits]
    """The expected limit over the run by EVSE; 0: what binds the sum of all."""
    features: Mapping[str, Any] = field(init=False)
    """What the station claims to do; where a journal says nothing, what a target file without that line means."""
    evses: list[EvseFacts] = field(init=False)
    calls: list[Call] = field(init=False)
    read_backs: list[ReadBack] = field(init=False)
    """The complete ones, in order."""

    def __post_init__(self) -> None:
        self.features = TargetFeatures().model_dump(mode="json") | self.facts.features(self.station)
        self.evses = [one for one in self.facts.evses if one.station == self.station]
        self.calls = [one for one in self.facts.calls if one.station == self.station]
        self.read_backs = [
            ReadBack(asked, reports, tuple(reported(reports)))
            for asked, reports, complete in read_backs(self.facts, self.station)
            if complete
        ]

    def sent(self, action: str) -> Iterator[Call]:
        """Yield each call of the CSMS with this action that was answered."""
        return (one for one in self.calls if not one.from_station and one.action == action and one.answered is not None)

    def heard_after(self, call: Call) -> float | None:
        """Return when something was heard of the station after a call; None: nothing any more."""
        heard = [one.asked for one in self.calls if one.from_station and one.asked_seq > call.asked_seq]
        sent = [one for one in self.calls if not one.from_station and (one.answered_seq or 0) > call.asked_seq]
        heard += [one.answered for one in sent if one.answered is not None]
        links = (one for one in self.facts.links if one.station == self.station and one.connected)
        heard += [one.at for one in links if one.seq > call.asked_seq]
        return min(heard, default=None)

    def told(self, action: str) -> Iterator[Call]:
        """Yield each valid call of the station with this action."""
        return (one for one in self.calls if one.from_station and one.action == action and one.response is not None)

    def evse(self, evse_id: int) -> EvseFacts | None:
        """Return the facts of one EVSE of the station."""
        return next((one for one in self.evses if one.evse_id == evse_id), None)

    def held(self, seq: int) -> tuple[InstalledProfile, ...]:
        """Return what the station holds when document `seq` is written."""
        return store_at(self.history, seq)

    def running(self, seq: int, evse_id: int = 0) -> list[tuple[EvseFacts, TransactionSpan]]:
        """Return the transactions that run when document `seq` is written, on one EVSE or (0) on any."""
        return [
            (evse, span)
            for evse in self.evses
            if evse_id in (0, evse.evse_id)
            for span in evse.transactions
            if span.begun_seq < seq and (span.ended is None or seq < span.ended_seq)
        ]

    def offline_at(self, moment: float) -> bool:
        """Say whether nobody hears the station at a moment, or stops to within the second."""
        return any(start - 1 <= moment < end for start, end in self.facts.offline(self.station))

    def next_read_back(self, seq: int) -> ReadBack | None:
        """Return the first complete read-back after document `seq`, if nothing changed the store in between."""
        found = next((one for one in self.read_backs if one.asked.asked_seq > seq), None)
        if found is None or any(seq < one.seq < found.asked.asked_seq for one in self.history):
            return None
        return found

    def expired(self, held: InstalledProfile, at: float) -> bool:
        """Say whether a profile's validTo has passed at a moment of the bench's time: nothing obliges a station to keep it."""
        end = held.profile.valid_to
        return end is not None and end <= at + self.facts.clock_offset(self.station)

    def variable(self, name: str, seq: int, component: str = "SmartChargingCtrlr") -> str | None:
        """Return a variable's value as the journal last told it before document `seq`; None where it did not."""
        value: str | None = None
        for call in self.calls:
            if call.asked_seq >= seq:
                break
            for one in _variables(call):
                if one.get("component", {}).get("name") == component and one.get("variable", {}).get("name") == name:
                    value = one["value"]
        return value


def _variables(call: Call) -> Iterator[dict[str, Any]]:
    """Yield `component`, `variable` and `value` of each variable that a call read, wrote or reported."""
    answer = call.response or {}
    if call.action == "GetVariables":
        for one in answer.get("getVariableResult", ()):
            if one.get("attributeStatus") == "Accepted" and "attributeValue" in one:
                yield one | {"value": one["attributeValue"]}
    elif call.action == "SetVariables":
        for asked, told in zip(call.request.get("setVariableData", ()), answer.get("setVariableResult", ()), strict=False):
            if told.get("attributeStatus") == "Accepted":
                yield asked | {"value": asked["attributeValue"]}
    elif call.action == "NotifyReport":
        for one in call.request.get("reportData", ()):
            for attribute in one.get("variableAttribute", ()):
                if attribute.get("type", "Actual") == "Actual" and "value" in attribute:
                    yield one | {"value": attribute["value"]}


def reported(reports: Sequence[Call]) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield EVSE, source and profile of each profile that reports name."""
    for report in reports:
        for raw in report.request["chargingProfile"]:
            yield report.request["evseId"], report.request["chargingLimitSource"], raw


def profile_of(raw: Mapping[str, Any]) -> ChargingProfile | None:
    """Return a profile as the domain reads it; None where it cannot."""
    try:
        return ChargingProfile.from_ocpp(raw)
    except ProfileError:
        return None


def is_external(raw: Mapping[str, Any]) -> bool:
    """Say whether a reported profile stands for an external limit."""
    return raw.get("chargingProfilePurpose") == Purpose.EXTERNAL


def what(call: Call, name: str) -> str:
    """Return a call in words: `profile 7 sent at 2026-01-15 10:00:00Z`."""
    return f"{name} sent at {clock_text(call.asked)}"


def said(call: Call) -> str:
    """Return what came back, in the peer's words."""
    if call.error:
        return f"CALLERROR {call.error}".rstrip(": ")
    if call.invalid:
        return f"an answer that breaks its schema ({call.invalid})"
    info = (call.response or {}).get("statusInfo", {})
    reason = " ".join(str(info[key]) for key in ("reasonCode", "additionalInfo") if info.get(key))
    return f"{call.status or 'no status'} ({reason})" if reason else call.status or "no status"
