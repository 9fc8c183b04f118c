"""Limits that come from outside, past the CSMS: announced by NotifyChargingLimit, let go by ClearedChargingLimit (K11-K13)."""

from __future__ import annotations

from typing import Final

from bench.cso.core import Payload
from bench.cso.station import ExternalLimit, Outbox, StationState
from bench.ports import Clock

MOST_LIMITS: Final = 100
"""Of one station at once; more are told as findings and not kept."""


def limit_notified(clock: Clock, station: StationState, payload: Payload, out: Outbox) -> Payload:
    """Keep a limit by EVSE and source; the same one again replaces it. Its source is never CSO (K11.FR.05, K12.FR.04)."""
    limit, schedules, evse_id = payload["chargingLimit"], payload.get("chargingSchedule", []), _evse(station, payload, out)
    source = limit["chargingLimitSource"]
    if source == "CSO":
        out.findings.append(("charging_limit_of_cso", "NotifyChargingLimit names CSO as its source (K11.FR.05, K12.FR.04)"))
    if (evse_id, source) in station.external_limits or len(station.external_limits) < MOST_LIMITS:
        station.external_limits[evse_id, source] = ExternalLimit(
            evse_id, source, limit.get("isGridCritical"), tuple(schedules), clock.now()
        )
    else:
        out.findings.append(("too_many_limits", f"more than {MOST_LIMITS} external limits at once; this one is not kept"))
    out.tell("charging_limit", station, phase="Set", evse=payload.get("evseId"), limit=limit, schedules=schedules)
    return {}


def limit_cleared(station: StationState, payload: Payload, out: Outbox) -> Payload:
    """Forget a limit (K13.FR.02); one that was never announced is a finding."""
    source, evse_id = payload["chargingLimitSource"], _evse(station, payload, out)
    if station.external_limits.pop((evse_id, source), None) is None:
        where = "the station" if evse_id is None else f"EVSE {evse_id}"
        out.findings.append(("cleared_limit_unknown", f"a limit of {source} on {where} was cleared, but none was announced"))
    out.tell("charging_limit", station, phase="Cleared", evse=payload.get("evseId"), source=source)
    return {}


def _evse(station: StationState, payload: Payload, out: Outbox) -> int | None:
    """Return the EVSE, None for the whole station; one that the rig does not have is a finding."""
    evse_id: int | None = payload.get("evseId")
    if evse_id == 0:
        return None
    if evse_id is not None and station.evse_ids and evse_id not in station.evse_ids:
        out.findings.append(("unknown_evse", f"EVSE {evse_id} is not part of this rig"))
    return evse_id
