"""Steps of charging with ISO 15118: how the CSMS answers charging needs, what the EV tells, who renegotiates (K15 to K17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.cso.charging_needs import NeedsPolicy, Status
from bench.runs.steps import Steps


class NegotiationSteps(Steps):
    """What passes between an ISO 15118 EV and the CSMS; say `needs("iso15118")` first."""

    async def answer_needs(self, status: Status = "Accepted", *, delay_s: float = 0, schedules: int = 1) -> None:
        """Choose how the CSMS answers charging needs from now on, as in `NeedsPolicy`; by default it accepts at once."""
        async with self.step("answer_needs", status=status, delay_s=delay_s, schedules=schedules):
            self.bench.csms.needs.policy = NeedsPolicy(status, delay_s=delay_s, schedules=schedules)

    async def wait_for_needs(self, within_s: float = 60) -> dict[str, Any] | None:
        """Wait until the EV's charging needs are told, anew since the last such step; return the request, None if not in time."""
        async with self.step("wait_for_needs", evse=self.evse.id, within_s=within_s):
            return await self._new("NotifyEVChargingNeeds", within_s)

    async def wait_for_ev_schedule(self, within_s: float = 60) -> dict[str, Any] | None:
        """Wait until the EV's schedule is told, anew since the last such step; return the request, None if not in time."""
        async with self.step("wait_for_ev_schedule", evse=self.evse.id, within_s=within_s):
            return await self._new("NotifyEVChargingSchedule", within_s)

    async def negotiate(self, profile: Mapping[str, Any] | None = None) -> str:
        """Send another TxProfile in an ISO 15118 session, of the EV's known needs where none is given; return the status (K16).

        Raises: UsageError without a transaction, or without needs and a profile; StationError.
        """
        async with self.step("negotiate", evse=self.evse.id, profile=None if profile is None else dict(profile)):
            if profile is not None:
                self.course.own_ids.add(profile["id"])
            answer = await self.bench.csms.needs.renegotiate(self.station.id, self.evse.id, profile)
            return str(answer["status"])

    async def _new(self, action: str, within_s: float) -> dict[str, Any] | None:
        key, needs = (self.evse.id, action), self.bench.csms.needs

        def heard() -> tuple[int, dict[str, Any]]:
            return needs.heard(self.station.id, self.evse.id, action)

        if not await self.bench.csms.wait_until(lambda: heard()[0] > self.course.heard.get(key, 0), within_s):
            return None
        self.course.heard[key], request = heard()
        return request
