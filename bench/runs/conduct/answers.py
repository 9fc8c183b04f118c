"""What a station answers to a profile: SetChargingProfile (K01, K04) and RequestStartTransaction (K05)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.domain.exchange import Call
from bench.domain.lint_request import REMOTE_START, SET, StationView
from bench.domain.profiles import ChargingProfile
from bench.domain.quantities import moment
from bench.domain.verdicts import Verdict
from bench.runs.scene import Scene, Shown, said, shown, undecided, what
from bench.wire.profile_lint import lint_request

_BY_STATUS: Final = frozenset(("K01.FR.09", "K01.FR.26", "K01.FR.28", "K01.FR.43", "K01.FR.48", "K01.FR.52", "K01.FR.53"))
"""Where the text asks for the status Rejected; elsewhere a CALLERROR refuses as well."""
_UNAVAILABLE: Final = ("NotSupported", "NotImplemented")


@dataclass(frozen=True, slots=True)
class Due:
    """What a station has to answer, and the rules that oblige it."""

    must: str
    """Accepted, Rejected, CALLERROR, or either: only the sender erred, or the text leaves a choice."""
    requirements: tuple[str, ...] = ()
    """The broken ones that the station answers for; empty for a breach of the schema."""
    text: str = ""


def due_answer(scene: Scene, call: Call) -> Due:
    """Return what the station has to answer to a profile, in the state in which it was when it was asked.

    Args: call: a SetChargingProfile, or a RequestStartTransaction with a chargingProfile.
    """
    via = REMOTE_START if call.action == REMOTE_START else SET
    found = lint_request(via, station_view(scene, call.asked_seq), call.request)
    owed = [one for one in found.breaks if one.station_must == found.station_must and found.station_must != "either"]
    requirements = tuple(dict.fromkeys(one.requirement for one in owed if one.requirement != "schema"))
    text = "; ".join(one.text if owed else f"{one.requirement}: {one.text}" for one in owed or found.breaks)
    if found.station_must == "Accepted" and call.status != "Accepted" and found.notes:
        return Due("either", (), f"no requirement speaks of it: {'; '.join(found.notes)}")
    if found.station_must == "Accepted" and _too_early(scene, call):
        return Due("either", (), "K15.FR.17: it came before the charging needs of the EV")
    return Due(found.station_must, requirements, text)


def _too_early(scene: Scene, call: Call) -> bool:
    """Say whether a station refused a TxProfile because the EV's needs are still to come, which K15.FR.17 recommends."""
    info = (call.response or {}).get("statusInfo") or {}
    if call.action != SET or call.status != "Rejected" or info.get("reasonCode") != "InvalidMessageSeq":
        return False
    raw, evse_id = call.request["chargingProfile"], call.request["evseId"]
    begun = [span.begun_seq for _, span in scene.running(call.asked_seq, evse_id)]
    told = [one.asked_seq for one in scene.told("NotifyEVChargingNeeds") if one.request["evseId"] == evse_id]
    tx = raw["chargingProfilePurpose"] == "TxProfile" and scene.features.get("iso15118", False)
    return bool(tx and begun and not any(begun[0] < one < call.asked_seq for one in told))


def station_view(scene: Scene, seq: int) -> StationView:
    """Return what is known of the station when document `seq` is written.

    A station that can go from three phases to one can keep to fewer phases (K01.FR.43), as one that chooses the phase can.
    """
    features = scene.features
    running = {evse.evse_id: span.transaction.id for evse, span in scene.running(seq)}
    return StationView(
        n_evses=len(scene.evses),
        evse_type="DC" if features["current_type"] == "DC" else "AC",
        supply_phases=features["supply_phases"],
        rate_units=tuple(features["rate_units"]),
        ac_phase_switching=features["ac_phase_switching"] or features["phases_3to1"],
        smart_charging_available=features["smart_charging"],
        transactions=running,
        installed=tuple((one.evse_id, _raw(one.profile)) for one in scene.held(seq)),
        profile_stack_level=features["profile_stack_level"],
        periods_per_schedule=features["periods_per_schedule"],
        entries=features["entries"],
        iso15118=any(one.asked_seq < seq for one in scene.told("NotifyEVChargingNeeds")),
    )


def _raw(profile: ChargingProfile) -> dict[str, Any]:
    """Return what the rules look at in a profile that is installed already."""
    raw: dict[str, Any] = {
        "id": profile.id, "stackLevel": profile.stack_level, "chargingProfilePurpose": profile.purpose.value,
        "transactionId": profile.transaction_id,
    }  # fmt: skip
    for name, at in (("validFrom", profile.valid_from), ("validTo", profile.valid_to)):
        if at is not None:
            raw[name] = moment(at).isoformat()
    return raw


def judge_set_profile(scene: Scene) -> Iterator[Shown]:
    """K01.FR.09, 16, 26, 28, 29, 33, 43, 48, 52, 53, K04.FR.03: what has to be refused is refused, and nothing else."""
    for call in scene.sent("SetChargingProfile"):
        due = due_answer(scene, call)
        subject = what(call, f"profile {call.request.get('chargingProfile', {}).get('id', '?')}")
        accepted = call.status == "Accepted"
        if due.must == "CALLERROR" and not due.requirements:
            text = f"{subject} breaks its schema ({due.text}): {said(call)}"
            yield shown("schema", bool(call.error), text, call.refs)
        elif due.must == "CALLERROR":
            good = call.error.startswith(_UNAVAILABLE)
            yield shown("K01.FR.29", good, f"{subject}, {due.text}: {said(call)}", call.refs)
            if good:
                yield undecided("K01.FR.07", Verdict.NOT_APPLICABLE, f"{subject}: {due.text}", call.refs)
        elif due.must == "Rejected":
            for requirement in due.requirements:
                refused = call.status == "Rejected" or (bool(call.error) and requirement not in _BY_STATUS)
                yield shown(requirement, refused, f"{subject}, {due.text}: {said(call)}", call.refs)
            yield from _undeclared(call, due)
        elif due.must == "Accepted" and not accepted:
            yield shown(_asked_of(call.request), False, f"{subject} is valid, and the answer was {said(call)}", call.refs)
        elif due.must == "Accepted" and call.request["chargingProfile"].get("transactionId") is not None:
            yield shown("K01.FR.04", True, f"{subject}, for a running transaction: Accepted", call.refs)


def _asked_of(request: Mapping[str, Any]) -> str:
    """Return the requirement that a refusal of a valid profile breaks: to take it over."""
    profile = request["chargingProfile"]
    if profile["chargingProfilePurpose"] == "TxDefaultProfile":
        return "K01.FR.15" if request["evseId"] else "K01.FR.14"
    return "K01.FR.04" if profile["chargingProfilePurpose"] == "TxProfile" else "K01.FR.07"


def _undeclared(call: Call, due: Due) -> Iterator[Shown]:
    """Undeclared and properly refused: what the feature is for does not apply."""
    if call.status != "Rejected":
        return
    units = {one.get("chargingRateUnit") for one in call.request["chargingProfile"]["chargingSchedule"]}
    if "K01.FR.26" in due.requirements:
        wanted = "K01.FR.50" if "W" in units else "K01.FR.51"
        yield undecided(wanted, Verdict.NOT_APPLICABLE, f"a unit that is not declared was refused: {due.text}", call.refs)
    if "K01.FR.48" in due.requirements:
        yield undecided("K01.FR.46", Verdict.NOT_APPLICABLE, f"phase switching is not declared: {due.text}", call.refs)


def judge_remote_start(scene: Scene) -> Iterator[Shown]:
    """K05.FR.04, K05.FR.05: a start with an invalid profile is refused; without smart charging the profile is ignored."""
    for call in scene.sent("RequestStartTransaction"):
        if "chargingProfile" not in call.request:
            continue
        subject = what(call, f"remote start with profile {call.request['chargingProfile'].get('id', '?')}")
        if not scene.features["smart_charging"]:
            yield from _ignored(scene, call, subject)
            continue
        due = due_answer(scene, call)
        if due.must == "Rejected":
            yield shown("K05.FR.05", call.status == "Rejected", f"{subject}, {due.text}: {said(call)}", call.refs)
        elif due.must == "Accepted" and call.status == "Rejected":
            reason = str((call.response or {}).get("statusInfo", {}).get("reasonCode", ""))
            if "Profile" in reason or "Schedule" in reason:
                yield shown("K05.FR.03", False, f"{subject} is valid, and the answer was {said(call)}", call.refs)
            else:
                yield undecided("K05.FR.03", Verdict.INCONCLUSIVE, f"{subject}: {said(call)}", call.refs)


def _ignored(scene: Scene, call: Call, subject: str) -> Iterator[Shown]:
    identity = call.request["chargingProfile"].get("id")
    back = next((one for one in scene.read_backs if one.asked.asked_seq > call.asked_seq), None)
    reported = back is not None and bool(back.places(identity))
    ending = ", and the profile is reported as installed" if reported else ""
    yield shown("K05.FR.04", call.status == "Accepted" and not reported,
                f"{subject}, without smart charging: {said(call)}{ending}", call.refs)  # fmt: skip
