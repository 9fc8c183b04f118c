"""What a station reports when it is asked for its profiles, whatever the criteria (K09)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.domain.exchange import Call
from bench.domain.profiles import InstalledProfile, Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import FaultClass, Verdict
from bench.runs.scene import PATIENCE_S, Scene, Shown, is_external, reported, said, shown, undecided

_OWN: Final = "CSO"
"""chargingLimitSource of what the CSMS has set."""


def judge_reports(scene: Scene) -> Iterator[Shown]:
    """Judge each GetChargingProfiles by what the store has to hold."""
    asked = list(scene.sent("GetChargingProfiles"))
    parts = list(scene.told("ReportChargingProfiles"))
    for index, call in enumerate(asked):
        until = asked[index + 1].asked_seq if index + 1 < len(asked) else None
        mine = [one for one in parts if one.request["requestId"] == call.request["requestId"] and one.asked_seq > call.asked_seq]
        strays = [
            one
            for one in parts
            if one.asked_seq > call.asked_seq and (until is None or one.asked_seq < until)
            and all(one.request["requestId"] != other.request["requestId"] for other in asked)
        ]  # fmt: skip
        yield from _identified(call, mine, strays)
        yield from _continued(call, mine)
        yield from _content(scene, call, mine)


def _identified(call: Call, mine: Sequence[Call], strays: Sequence[Call]) -> Iterator[Shown]:
    """K09.FR.01: each report names the request that it answers."""
    wanted = call.request["requestId"]
    if strays and call.status == "Accepted":
        text = f"asked with requestId {wanted}, reported with {strays[0].request['requestId']}"
        yield shown("K09.FR.01", False, text, (*call.refs, *strays[0].refs), FaultClass.REPORT_ONLY)
    elif mine:
        refs = (*call.refs, *(ref for one in mine for ref in one.refs))
        yield shown("K09.FR.01", True, f"each of {len(mine)} reports names requestId {wanted}", refs)


def _continued(call: Call, mine: Sequence[Call]) -> Iterator[Shown]:
    """K09.FR.02: of several reports all but the last are marked as to be continued."""
    if len(mine) < 2:
        return
    marks = [bool(one.request.get("tbc", False)) for one in mine]
    good = all(marks[:-1]) and not marks[-1]
    text = f"{len(mine)} reports, tbc {', '.join(str(one).lower() for one in marks)}"
    yield shown("K09.FR.02", good, text, (*call.refs, *(ref for one in mine for ref in one.refs)), FaultClass.REPORT_ONLY)


def _content(scene: Scene, call: Call, mine: Sequence[Call]) -> Iterator[Shown]:
    """K09.FR.04, K09.FR.05, K09.FR.06: of an EVSE, of the station itself, or of all: every profile that matches, and no other."""
    evse_id = call.request.get("evseId")
    requirement = "K09.FR.06" if evse_id is None else "K09.FR.05" if evse_id == 0 else "K09.FR.04"
    where = "all" if evse_id is None else f"EVSE {evse_id}"
    subject = f"asked at {clock_text(call.asked)} for the profiles of {where}"
    refs = (*call.refs, *(ref for one in mine for ref in one.refs))
    if call.error or call.invalid:
        if scene.features["smart_charging"]:
            yield shown(requirement, False, f"{subject}: {said(call)}", refs, FaultClass.REPORT_ONLY)
        return
    held = [one for one in scene.held(call.asked_seq) if not scene.expired(one, call.asked)]
    wanted = [one for one in held if matches_held(call.request, one)]
    complete = call.status == "NoProfiles" or bool(mine and not mine[-1].request.get("tbc", False))
    if not complete:
        waited = scene.facts.end - call.asked > PATIENCE_S
        text = f"{subject}: announced, and the report {'stops short' if mine else 'does not come'}"
        yield (
            shown(requirement, False, text, refs, FaultClass.REPORT_ONLY)
            if waited
            else undecided(requirement, Verdict.INCONCLUSIVE, text, refs)
        )
        return
    found = list(reported(mine))
    missing = [
        one.profile.id for one in wanted
        if one.profile.purpose is not Purpose.EXTERNAL and not any(raw["id"] == one.profile.id for _, _, raw in found)
    ]  # fmt: skip
    strange = [raw["id"] for at, source, raw in found if not matches_report(call.request, at, source, raw)]
    wrong = [f"profile {one} is missing" for one in missing] + [f"profile {one} does not match" for one in strange]
    text = f"{subject}: {'; '.join(wrong) or f'{len(found)} profiles, each that matches and no other'}"
    yield shown(requirement, not wrong, text, refs, FaultClass.REPORT_ONLY)


def matches_held(request: Mapping[str, Any], one: InstalledProfile) -> bool:
    """Say whether a GetChargingProfiles asks for this profile; all criteria have to fit (K09.FR.04)."""
    criteria, profile = request.get("chargingProfile", {}), one.profile
    sources = criteria.get("chargingLimitSource")
    external = profile.purpose is Purpose.EXTERNAL
    return (
        request.get("evseId") in (None, one.evse_id)
        and criteria.get("chargingProfilePurpose") in (None, profile.purpose)
        and criteria.get("stackLevel") in (None, profile.stack_level)
        and profile.id in (criteria.get("chargingProfileId") or (profile.id,))
        and (sources is None or external or _OWN in sources)
    )


def matches_report(request: Mapping[str, Any], evse_id: int, source: str, raw: Mapping[str, Any]) -> bool:
    """Say whether a reported profile was asked for.

    The station's TxDefaultProfile may stand in the report of an EVSE: it acts there as well (K01.FR.14).
    """
    criteria = request.get("chargingProfile", {})
    asked = request.get("evseId")
    shared = evse_id == 0 and raw["chargingProfilePurpose"] == Purpose.TX_DEFAULT and asked != 0
    return (
        (asked in (None, evse_id) or shared)
        and criteria.get("chargingProfilePurpose") in (None, raw["chargingProfilePurpose"])
        and criteria.get("stackLevel") in (None, raw["stackLevel"])
        and raw["id"] in (criteria.get("chargingProfileId") or (raw["id"],))
        and source in (criteria.get("chargingLimitSource") or (source,))
        and (source != _OWN or not is_external(raw))
    )
