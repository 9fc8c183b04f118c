"""Clearing and reporting where external constraints lie beside the profiles of the CSMS (K09, K10)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from firmware_sim.charging import ChargingControl, ChargingRules
from firmware_sim.device_model import StationVariables
from firmware_sim.limiter import Limiter
from firmware_sim.outbox import Outbox
from firmware_sim.profile_service import ProfileService
from firmware_sim.profiles import EXTERNAL, STATION_MAX, profile_from
from firmware_sim.random_delay import RandomDelay
from firmware_sim.seam import Sound
from firmware_sim.spec import EvseSpec, StationSpec
from tests.unit.test_firmware_validation import content


class StillClock:
    """It is always midnight of 2026-01-15."""

    def now(self) -> datetime:
        return datetime(2026, 1, 15, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


class Station:
    """A station without EVSEs' hardware: store, service and what it says."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.outbox.open = True
        self.said: list[Any] = []
        self.outbox.put = lambda payload, **_: self.said.append(payload)  # type: ignore[method-assign]
        clock, spec = StillClock(), StationSpec("CS", (EvseSpec(1), EvseSpec(2)))
        delay = RandomDelay(0, "CS", StationVariables(), Sound())
        self.charging = ChargingControl([], clock, Sound(), ChargingRules(Limiter(230.0), 1.0), delay)
        self.service = ProfileService(spec, self.charging, self.outbox, clock, Sound())
        for number, evse_id, purpose, source in (
            (1, 1, "TxDefaultProfile", "CSO"),
            (2, 0, STATION_MAX, "CSO"),
            (3, 0, EXTERNAL, "EMS"),
            (4, 0, EXTERNAL, "SO"),
        ):
            sent = content(id=number, charging_profile_purpose=purpose, stack_level=number % 2)
            self.charging.store.install(profile_from(evse_id, sent, source=source))

    @property
    def ids(self) -> list[int]:
        """What is installed."""
        return sorted(one.id for one in self.charging.store)


@pytest.mark.parametrize(
    ("profile_id", "criteria", "status", "left"),
    [
        (1, None, "Accepted", [2, 3, 4]),
        (3, None, "Unknown", [1, 2, 3, 4]),
        (9, None, "Unknown", [1, 2, 3, 4]),
        (None, {"charging_profile_purpose": EXTERNAL}, "Unknown", [1, 2, 3, 4]),
        (None, {"evse_id": 0}, "Accepted", [1, 3, 4]),
        (None, {"stack_level": 1}, "Accepted", [2, 3, 4]),
        (None, {"evse_id": 0, "stack_level": 1}, "Unknown", [1, 2, 3, 4]),
        (None, {"evse_id": 7}, "Unknown", [1, 2, 3, 4]),
        (None, None, "Accepted", [3, 4]),
        (1, {"evse_id": 0}, "Accepted", [2, 3, 4]),
    ],
)
def test_external_constraints_are_spared(profile_id: int | None, criteria: Any, status: str, left: list[int]) -> None:
    """K10.FR.01, FR.03, FR.04, FR.08, FR.09: 1 on EVSE 1, 2 to 4 on the station, 3 and 4 from outside; odd ones on level 1."""
    station = Station()
    assert station.service.clear(profile_id, criteria).status == status
    assert station.ids == left


@pytest.mark.parametrize(
    ("evse_id", "criteria", "reports"),
    [
        (None, {}, [(0, "CSO", [2], True), (0, "EMS", [3], True), (0, "SO", [4], True), (1, "CSO", [1], None)]),
        (0, {}, [(0, "CSO", [2], True), (0, "EMS", [3], True), (0, "SO", [4], None)]),
        (1, {}, [(1, "CSO", [1], None)]),
        (2, {}, []),
        (7, {}, []),
        (None, {"charging_limit_source": ["EMS", "SO"]}, [(0, "EMS", [3], True), (0, "SO", [4], None)]),
        (None, {"charging_limit_source": ["CSO"], "charging_profile_purpose": STATION_MAX}, [(0, "CSO", [2], None)]),
        (None, {"charging_profile_id": [1, 3]}, [(0, "EMS", [3], True), (1, "CSO", [1], None)]),
        (0, {"stack_level": 1}, [(0, "EMS", [3], None)]),
    ],
)
def test_each_source_and_evse_has_a_report_of_its_own(evse_id: int | None, criteria: Any, reports: list[Any]) -> None:
    """K09.FR.01 to FR.06: tbc on all but the last, requestId in each."""
    station = Station()
    status = station.service.report(5, evse_id, criteria).status
    assert status == ("Accepted" if reports else "NoProfiles")
    found = [(one.evse_id, one.charging_limit_source, [p["id"] for p in one.charging_profile], one.tbc) for one in station.said]
    assert found == reports
    assert {one.request_id for one in station.said} <= {5}
