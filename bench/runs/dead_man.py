"""The dead-man: TxProfiles above the floor last for a while only, and are renewed as long as the bench lives.

Without the floor it would do harm: what expires gives way to what is under it, and an expired TxProfile alone raises power.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.domain.quantities import parse_time, seconds
from bench.errors import BenchError
from bench.ports import Clock, Journal


@dataclass(slots=True)
class _Held:
    evse_id: int
    profile: Mapping[str, Any]
    """As the step wanted it."""
    due: float
    """When it is to be renewed, in the clock's seconds."""


class DeadMan:
    """Shortens the TxProfiles of a run's steps to `lasts_s` and renews them at half of it.

    A renewal is the same profile under the same id with a later end (K01.FR.05), and is read back.
    """

    def __init__(self, csms: Csms, clock: Clock, journal: Journal, station: str, lasts_s: float) -> None:
        self._csms, self._clock, self._journal, self._station, self._lasts_s = csms, clock, journal, station, lasts_s
        self._held: dict[int, _Held] = {}
        self.sending = asyncio.Lock()
        """Held by whoever changes profiles, so that no renewal undoes a newer one."""
        self._more = asyncio.Event()

    def shortened(self, profile: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return an Absolute TxProfile that ends `lasts_s` from now or from its start; None for one that is left as it is."""
        schedules = profile.get("chargingSchedule") or []
        if profile.get("chargingProfilePurpose") != "TxProfile" or len(schedules) != 1:
            return None
        schedule = schedules[0]
        if profile.get("chargingProfileKind") != "Absolute" or "startSchedule" not in schedule:
            return None
        now = seconds(self._csms.station_time(self._station))
        ends = math.ceil(max(0.0, now - parse_time(schedule["startSchedule"])) + self._lasts_s)
        if schedule.get("duration", math.inf) <= ends:
            return profile
        periods = [one for one in schedule["chargingSchedulePeriod"] if one["startPeriod"] < ends]
        return {**profile, "chargingSchedule": [{**schedule, "duration": ends, "chargingSchedulePeriod": periods}]}

    def sent(self, evse_id: int, profile: Mapping[str, Any], *, accepted: bool) -> None:
        """Note what a step sent, as the step wanted it."""
        if not accepted:
            return
        due = self._clock.monotonic() + self._lasts_s / 2
        shorter = self.shortened(profile)
        if shorter is None or shorter is profile:
            self._held.pop(profile["id"], None)
        else:
            self._held[profile["id"]] = _Held(evse_id, profile, due)
        self._more.set()

    async def run(self) -> None:
        """Renew until cancelled; `sending` says when that does no harm."""
        while True:
            now = self._clock.monotonic()
            for identity, held in list(self._held.items()):
                if held.due <= now:
                    await self._renew(identity, held)
            wait = min((one.due - self._clock.monotonic() for one in self._held.values()), default=None)
            self._more.clear()
            if wait is None:
                await self._more.wait()
            else:
                await self._clock.sleep(min(wait, self._lasts_s / 8))

    async def _renew(self, identity: int, held: _Held) -> None:
        async with self.sending:
            known = self._csms.profiles.book(self._station).intent.get(identity)
            if self._held.get(identity) is not held:
                return
            if known is None or known.state == "refused":  # cleared, or its transaction is over
                del self._held[identity]
                return
            profile = self.shortened(held.profile) or held.profile
            held.due = self._clock.monotonic() + self._lasts_s / 2
            try:
                request = {"evseId": held.evse_id, "chargingProfile": profile}
                status = str((await self._csms.call(self._station, "SetChargingProfile", request))["status"])
                await self._csms.installed_profiles(self._station)
            except BenchError as error:
                status = f"{type(error).__name__}: {error}"
        data = {"station": self._station, "action": "renew", "ok": status == "Accepted", "stop": False,
                "read_back": {"profile": identity, "duration_s": profile["chargingSchedule"][0].get("duration"),
                              "status": status}}  # fmt: skip
        self._journal.write(Kind.SAFE_STATE, data)
        if profile is held.profile:  # its own end is near enough
            self._held.pop(identity, None)
