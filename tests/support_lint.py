"""Requests and stations for the tests of the rules on charging profiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bench.domain.lint_request import StationView
from bench.domain.rules import LintResult
from bench.wire.profile_lint import lint

STATION: Final = StationView(n_evses=2, transactions={1: "tx-1"})
"""Two AC EVSEs on three phases that take A and W; a transaction runs on the first."""
START: Final = "2026-01-05T08:00:00Z"


def schedule(*periods: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a schedule from 08:00 in A; 16 A from its start where no periods are given. A field that is None is left out."""
    shown = list(periods) or [{"startPeriod": 0, "limit": 16}]
    made = {"id": 1, "startSchedule": START, "chargingRateUnit": "A", "chargingSchedulePeriod": shown, **fields}
    return {key: value for key, value in made.items() if value is not None}


def tx(*schedules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a sound TxProfile 10 of stack level 0 for tx-1, with other fields; one that is None is left out."""
    made = {
        "id": 10, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "tx-1", "chargingSchedule": list(schedules) or [schedule()], **fields,
    }  # fmt: skip
    return {key: value for key, value in made.items() if value is not None}


def default(*schedules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a sound TxDefaultProfile."""
    return tx(*schedules, **{"chargingProfilePurpose": "TxDefaultProfile", "transactionId": None, **fields})


def station_max(**fields: Any) -> dict[str, Any]:
    """Return a sound ChargingStationMaxProfile."""
    return default(**{"chargingProfilePurpose": "ChargingStationMaxProfile", **fields})


def sent(profile: Any, evse_id: Any = 1, **station: Any) -> LintResult:
    """Return what is wrong with a profile in a SetChargingProfile, for a station that differs so from the usual one."""
    return lint("SetChargingProfile", replace(STATION, **station), evse_id, profile)


def started(profile: Any, evse_id: Any = 2, **station: Any) -> LintResult:
    """Return what is wrong with a profile in a remote start."""
    return lint("RequestStartTransaction", replace(STATION, **station), evse_id, profile)


def broken(result: LintResult) -> list[str]:
    """Return each break as `requirement duty`, and what the station must do."""
    return [*(f"{one.requirement} {one.duty}" for one in result.breaks), result.station_must]
