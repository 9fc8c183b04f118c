"""The rules of K01, K03 to K05 on a single profile: who breaks which by sending it, and which the station answers for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.domain.profiles import InstalledProfile
from bench.domain.quantities import time_or
from bench.runs.conduct.scene import Scene


@dataclass(frozen=True, slots=True)
class Break:
    """One rule that a profile breaks."""

    requirement: str
    text: str
    station: bool = False
    """The station has to refuse; otherwise only the sender erred, or the station may choose."""


def broken_rules(scene: Scene, via: str, evse_id: int, raw: Mapping[str, Any], seq: int) -> list[Break]:
    """Return each rule that a profile breaks that was sent with document `seq`; the request fits its schema.

    Args: evse_id: -1 where a remote start names none.
    """
    found = [*_place(scene, via, evse_id, raw), *_transaction(scene, via, evse_id, raw, seq), *_schedules(scene, raw)]
    found += _phases(scene, evse_id, raw)
    held = scene.held(seq)
    found += _neighbours(held, evse_id, raw)
    if len({one.profile.id for one in held} | {raw["id"]}) > scene.features["entries"]:
        found.append(Break("capacity", f"{len(held)} profiles are installed"))
    if via == "RequestStartTransaction":
        if raw["chargingProfilePurpose"] != "TxProfile":
            found.append(Break("K05.FR.02", f"purpose {raw['chargingProfilePurpose']} in a remote start", True))
        found = [Break("K05.FR.05", one.text, True) if one.station else one for one in found]
    return found


def _place(scene: Scene, via: str, evse_id: int, raw: Mapping[str, Any]) -> Iterator[Break]:
    purpose = raw["chargingProfilePurpose"]
    if evse_id > 0 and scene.evse(evse_id) is None and via == "SetChargingProfile":
        yield Break("K01.FR.28", f"there is no EVSE {evse_id}", True)
    if purpose == "TxProfile" and evse_id == 0:
        yield Break("K01.FR.16", "a TxProfile on EVSE 0", True)
    if purpose == "ChargingStationMaxProfile" and evse_id > 0:
        yield Break("K04.FR.03", f"a ChargingStationMaxProfile on EVSE {evse_id}", True)
    if purpose == "ChargingStationMaxProfile" and raw["chargingProfileKind"] == "Relative":
        yield Break("K01.FR.38", "a Relative ChargingStationMaxProfile")
    if purpose == "ChargingStationExternalConstraints":
        yield Break("K01.FR.22", "external constraints are not for the CSMS to set")


def _transaction(scene: Scene, via: str, evse_id: int, raw: Mapping[str, Any], seq: int) -> Iterator[Break]:
    if raw["chargingProfilePurpose"] != "TxProfile" or via != "SetChargingProfile":
        return
    identity = raw.get("transactionId")
    if identity is None:
        yield Break("K01.FR.03", "a TxProfile without transactionId")
    here, anywhere = scene.running(seq, evse_id), scene.running(seq)
    if evse_id > 0 and scene.evse(evse_id) is not None and not here:
        yield Break("K01.FR.09", f"no transaction runs on EVSE {evse_id}", True)
    elif identity is not None and not any(span.transaction.id == identity for _, span in anywhere):
        yield Break("K01.FR.33", f"transaction {identity} is not known", True)
    elif identity is not None and evse_id > 0 and not any(span.transaction.id == identity for _, span in here):
        yield Break("K01.FR.04", f"transaction {identity} runs on another EVSE")


def _schedules(scene: Scene, raw: Mapping[str, Any]) -> Iterator[Break]:
    features, schedules = scene.features, raw["chargingSchedule"]
    kind = raw["chargingProfileKind"]
    if len(schedules) > 1:
        yield Break("K01.FR.34", f"{len(schedules)} schedules")
    if raw["stackLevel"] > features["profile_stack_level"]:
        yield Break("capacity", f"stack level {raw['stackLevel']}")
    if kind == "Recurring" and "recurrencyKind" not in raw:
        yield Break("K01.FR.40", "Recurring without recurrencyKind")
    for one in schedules:
        periods = one["chargingSchedulePeriod"]
        if one["chargingRateUnit"] not in features["rate_units"]:
            yield Break("K01.FR.26", f"unit {one['chargingRateUnit']} is not declared", True)
        if periods[0]["startPeriod"] != 0:
            yield Break("K01.FR.31", f"the first period starts at {periods[0]['startPeriod']}")
        if any(later["startPeriod"] <= earlier["startPeriod"] for earlier, later in pairwise(periods)):
            yield Break("K01.FR.35", "startPeriod does not ascend")
        if len(periods) > features["periods_per_schedule"]:
            yield Break("capacity", f"{len(periods)} periods")
        if any(period["limit"] < 0 for period in periods):
            yield Break("limit", "a negative limit")
        if kind == "Relative" and "startSchedule" in one:
            yield Break("K01.FR.41", "Relative with startSchedule")
        if kind != "Relative" and "startSchedule" not in one:
            yield Break("K01.FR.40", f"{kind} without startSchedule")


def _phases(scene: Scene, evse_id: int, raw: Mapping[str, Any]) -> Iterator[Break]:
    features = scene.features
    there = [one for one in scene.evses if evse_id in (0, -1, one.evse_id)]
    for period in (period for one in raw["chargingSchedule"] for period in one["chargingSchedulePeriod"]):
        phases, use = period.get("numberPhases"), period.get("phaseToUse")
        if features.get("current_type", "AC") == "DC":
            if phases is not None or use is not None:
                yield Break("K01.FR.44", "phases for a DC EVSE")
            continue
        if phases is not None and phases > features["supply_phases"]:
            yield Break("K01.FR.45", f"{phases} phases of {features['supply_phases']}")
        fewer = [one for one in there if phases is not None and phases < min(len(one.phases), features["supply_phases"])]
        if fewer and not features.get("phases_3to1", False):
            yield Break("K01.FR.43", f"{phases} phases cannot be ensured on EVSE {fewer[0].evse_id}", True)
        if use is None:
            continue
        if phases != 1:
            yield Break("K01.FR.19", "phaseToUse without numberPhases 1")
        if not features.get("ac_phase_switching", False):
            other = [one for one in there if one.phases[0] != use]
            requirement = "K01.FR.48" if other else "K01.FR.20"
            yield Break(requirement, f"phaseToUse {use} without phase switching", bool(other))


def _neighbours(held: tuple[InstalledProfile, ...], evse_id: int, raw: Mapping[str, Any]) -> Iterator[Break]:
    level, purpose = raw["stackLevel"], raw["chargingProfilePurpose"]
    for one in held:
        profile = one.profile
        if profile.id == raw["id"]:
            if profile.purpose == "ChargingStationExternalConstraints":
                yield Break("K01.FR.05", f"id {profile.id} belongs to an external limit")
            continue
        if profile.purpose != purpose or profile.stack_level != level:
            continue
        if purpose == "TxDefaultProfile" and (evse_id == 0) != (one.evse_id == 0):
            requirement = "K01.FR.52" if evse_id == 0 else "K01.FR.53"
            where = f"EVSE {one.evse_id} has TxDefaultProfile {profile.id} of stack level {level}"
            yield Break(requirement, where, True)
        elif purpose == "TxProfile" and profile.transaction_id == raw.get("transactionId") and one.evse_id == evse_id:
            yield Break("K01.FR.39", f"profile {profile.id} has stack level {level} already")
        elif purpose not in ("TxProfile",) and one.evse_id == evse_id and _overlap(one, raw):
            yield Break("K01.FR.06", f"profile {profile.id} has stack level {level} already")


def _overlap(held: InstalledProfile, raw: Mapping[str, Any]) -> bool:
    """Say whether two validities share a moment; validTo is exclusive (K01.FR.37)."""
    begin = time_or(raw["validFrom"], 0.0) if "validFrom" in raw else float("-inf")
    end = time_or(raw["validTo"], 0.0) if "validTo" in raw else float("inf")
    mine_begin = float("-inf") if held.profile.valid_from is None else held.profile.valid_from
    mine_end = float("inf") if held.profile.valid_to is None else held.profile.valid_to
    return begin < mine_end and mine_begin < end
