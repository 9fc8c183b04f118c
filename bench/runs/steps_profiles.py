"""Steps of block K: set, send, clear, report, compose charging profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any

from bench.cso.local_hours import LocalWindow
from bench.errors import CallRejectedError, InvalidAnswerError, StationError, UsageError
from bench.runs.bench import PlanSender
from bench.runs.steps import Steps

STATION_PURPOSES = ("ChargingStationMaxProfile",)
"""These live on EVSE 0 unless said otherwise (K04.FR.03)."""


class ProfileSteps(Steps):
    """What the CSMS does with charging profiles."""

    def profile(
        self,
        periods: Sequence[tuple[int, float]],
        *,
        unit: str = "A",
        purpose: str = "TxProfile",
        stack_level: int = 0,
        duration_s: int | None = None,
        evse_id: int | None = None,
        kind: str = "Absolute",
        recurrency: str | None = None,
        start_in_s: float = 0,
        valid_from_in_s: float | None = None,
        valid_to_in_s: float | None = None,
        number_phases: int | None = None,
        phase_to_use: int | None = None,
        profile_id: int | None = None,
        transaction_id: str | None = None,
    ) -> dict[str, Any]:
        """Return a raw ChargingProfile; it is not sent, so this is no step.

        Args:
            periods: start in s and limit in `unit` of each.
            start_in_s: startSchedule, in s from this whole second on; a Relative profile has none (K01.FR.41).
            valid_from_in_s, valid_to_in_s: in s from this second on.
            number_phases, phase_to_use: of every period.
            profile_id: else one per purpose, EVSE, stack level and transaction, so that it replaces its forerunner.
        """
        evse_id = self._place(purpose, evse_id)
        if profile_id is None:
            key = (purpose, evse_id, stack_level, transaction_id or "")
            profile_id = self.course.profile_ids.get(key)
            if profile_id is None:
                profile_id = self.course.profile_ids[key] = self.course.fresh_id()
        now = self.bench.csms.station_time(self.station.id).replace(microsecond=0)
        more = {"numberPhases": number_phases, "phaseToUse": phase_to_use}
        extra = {name: value for name, value in more.items() if value is not None}
        schedule: dict[str, Any] = {
            "id": profile_id,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": begin, "limit": limit, **extra} for begin, limit in periods],
        }
        if kind != "Relative":
            schedule["startSchedule"] = _text(now, start_in_s)
        if duration_s is not None:
            schedule["duration"] = duration_s
        profile: dict[str, Any] = {
            "id": profile_id,
            "stackLevel": stack_level,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": kind,
            "chargingSchedule": [schedule],
        }
        for name, value in (("validFrom", valid_from_in_s), ("validTo", valid_to_in_s)):
            if value is not None:
                profile[name] = _text(now, value)
        if recurrency is not None:
            profile["recurrencyKind"] = recurrency
        if transaction_id is not None:
            profile["transactionId"] = transaction_id
        return profile

    async def set_profile(
        self,
        periods: Sequence[tuple[int, float]],
        *,
        unit: str = "A",
        purpose: str = "TxProfile",
        stack_level: int = 0,
        evse_id: int | None = None,
        transaction_id: str | None = None,
        read_back: bool = True,
        broken: bool = False,
        **more: Any,
    ) -> str:
        """Send a profile, from this second on, and read the store back; return the answer's status.

        Args:
            evse_id: 0 is the whole station; by default the EVSE under test, and 0 for a ChargingStationMaxProfile.
            transaction_id: of a TxProfile; by default that of the transaction on the EVSE.
            broken: it may break the specification on purpose: nothing is checked before it is sent, and a CALLERROR's code
                is returned in place of a status.
            more: as in `profile`.
        Raises: StationError; also for a TxProfile without a transaction, unless it is broken on purpose (K01.FR.09).
        """
        evse_id = self._place(purpose, evse_id)
        of_running = purpose == "TxProfile" and transaction_id is None
        if of_running:
            running = self.bench.csms.stations[self.station.id].active_transaction(evse_id or self.evse.id)
            if running is None and not broken:
                raise StationError(f"{self.station.id}: a TxProfile needs a transaction on EVSE {evse_id} (K01.FR.09)")
            transaction_id = None if running is None else running.transaction_id
        profile = self.profile(
            periods, unit=unit, purpose=purpose, stack_level=stack_level, evse_id=evse_id, transaction_id=transaction_id, **more
        )
        status = await self._send("set_profile", evse_id, profile, broken, of_running)
        if read_back:
            await self.read_back()
        return status

    async def send_profile(self, evse_id: int, raw_profile: Mapping[str, Any], *, broken: bool = False) -> str:
        """Send a raw ChargingProfile as it is; return the answer's status, a CALLERROR's code where it is broken on purpose."""
        return await self._send("send_profile", evse_id, dict(raw_profile), broken)

    async def _send(self, name: str, evse_id: int, profile: dict[str, Any], broken: bool, of_running: bool = False) -> str:
        schedules = profile.get("chargingSchedule") or [{}]
        periods = [[one.get("startPeriod"), one.get("limit")] for one in schedules[0].get("chargingSchedulePeriod", ())]
        settings = {"evse": evse_id, "id": profile.get("id"), "purpose": profile.get("chargingProfilePurpose"),
                    "unit": schedules[0].get("chargingRateUnit"), "periods": periods, "broken": broken}  # fmt: skip
        async with self.step(name, **settings):
            if isinstance(profile.get("id"), int):
                self.course.own_ids.add(profile["id"])
            self.want_profile(evse_id, profile, of_running=of_running)
            return await self._status("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile}, broken)

    async def set_window(
        self, zone: str, begin: time, end: time, *, inside: float, outside: float, unit: str = "A", days: int = 2
    ) -> str:
        """Hold one limit between two hours of local time each day, and another outside; return the answer's status.

        The CSMS turns the hours into absolute periods of a TxProfile for so many days. Raises: StationError, UsageError.
        """
        running = self.transaction
        if running is None:
            raise StationError(f"{self.station.id}: a TxProfile needs a transaction on EVSE {self.evse.id} (K01.FR.09)")
        window = LocalWindow(zone, begin, end, inside, outside)
        now = self.bench.csms.station_time(self.station.id).replace(microsecond=0)
        offset = partial(self.bench.csms.faults.apply, "utc_offset")
        periods = window.periods(now, days, lambda first, due: offset(first, value=due))
        profile = self.profile(periods, unit=unit, transaction_id=running.transaction_id)
        said = {"zone": zone, "begin": begin.isoformat(), "end": end.isoformat(), "inside": inside, "outside": outside,
                "unit": unit, "stack_level": 0, "transaction_id": running.transaction_id}  # fmt: skip
        async with self.step("set_window", evse=self.evse.id, **said):
            self.course.own_ids.add(profile["id"])
            self.want(self.evse.id, "limit", profile_id=profile["id"], purpose="TxProfile", window=said)
            request = {"evseId": self.evse.id, "chargingProfile": profile}
            status = await self._status("SetChargingProfile", request, False)
        await self.read_back()
        return status

    async def clear(
        self,
        profile_id: int | None = None,
        *,
        evse_id: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
        broken: bool = False,
    ) -> str:
        """Clear a profile by its id, or all that fit the criteria (K10); return the answer's status.

        Args: broken: nothing is checked before it is sent, and a CALLERROR's code is returned in place of a status.
        """
        criteria = {"evseId": evse_id, "chargingProfilePurpose": purpose, "stackLevel": stack_level}
        criteria = {name: value for name, value in criteria.items() if value is not None}
        request: dict[str, Any] = {} if profile_id is None else {"chargingProfileId": profile_id}
        if criteria:
            request["chargingProfileCriteria"] = criteria
        async with self.step("clear", request=request, broken=broken):
            self.want(evse_id, "release", request=request)
            status = await self._status("ClearChargingProfile", request, broken)
        await self.read_back()
        return status

    async def report(
        self,
        *,
        evse_id: int | None = None,
        ids: Sequence[int] | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
        sources: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Ask for the installed profiles that fit (K09); return `{"evse_id", "source", "profile"}` each, none for NoProfiles.

        Raises: StationError; CallTimeoutError where the announced report does not come.
        """
        criteria = {"ids": ids, "purpose": purpose, "stack_level": stack_level, "sources": sources}
        async with self.step("report", evse=evse_id, **{name: value for name, value in criteria.items() if value is not None}):
            return await self.bench.csms.profiles.report(
                self.station.id, evse_id=evse_id, ids=ids, purpose=purpose, stack_level=stack_level, sources=sources
            )

    async def read_back(self) -> list[dict[str, Any]]:
        """Read the station's profile store."""
        async with self.step("read_back"):
            return await self.bench.csms.installed_profiles(self.station.id)

    async def composite(self, duration_s: int, unit: str | None = None, *, evse_id: int | None = None) -> dict[str, Any]:
        """Ask for a composite schedule and return the answer (K08); evse_id 0 is the whole station.

        A refusal is an answer too: `{"status": "Rejected", …}`, or `{"status": CODE, "error": text}` for a CALLERROR,
        and the same with `Invalid` for an answer that breaks its schema.
        """
        evse_id = self.evse.id if evse_id is None else evse_id
        async with self.step("composite", evse=evse_id, duration_s=duration_s, unit=unit):
            request: dict[str, Any] = {"evseId": evse_id, "duration": duration_s}
            if unit is not None:
                request["chargingRateUnit"] = unit
            try:
                return await self.bench.csms.call(self.station.id, "GetCompositeSchedule", request)
            except CallRejectedError as error:
                return {"status": error.code, "error": error.description}
            except InvalidAnswerError as error:
                return {"status": "Invalid", "error": error.reason}

    async def scsp_plan(self, within_s: float = 60) -> str:
        """Let the SCSP send its ChargingProfile by OCPI; return the result's word, ACCEPTED or another."""
        async with self.step("scsp_plan"):
            result = await self._scsp().send_plan(within_s)
        await self.read_back()
        return result

    async def scsp_clear(self, within_s: float = 60) -> str:
        """Let the SCSP take its ChargingProfile back by OCPI; return the result's word."""
        async with self.step("scsp_clear"):
            result = await self._scsp().clear_plan(within_s)
        await self.read_back()
        return result

    async def scsp_active(self, duration_s: int, within_s: float = 60) -> str:
        """Let the SCSP ask by OCPI for the ActiveChargingProfile of so many seconds; return the result's word."""
        async with self.step("scsp_active", duration_s=duration_s):
            return await self._scsp().ask_active(duration_s, within_s)

    async def local_limit(
        self, by: str, periods: Sequence[tuple[int, float]] = (), *, unit: str = "A", duration_s: int | None = None,
        emergency: bool = False,
    ) -> str:  # fmt: skip
        """Let a BEMS, DSO or OPERATOR limit this EVSE beside the SCSP; return ACCEPTED or another word.

        Args: periods: start in s from this whole second on, and limit in `unit`, of each; none: it takes its limit back.
        """
        start = _text(self.bench.csms.station_time(self.station.id), 0)
        profile: dict[str, Any] = {
            "start_date_time": start, "charging_rate_unit": unit,
            "charging_profile_period": [{"start_period": begin, "limit": limit} for begin, limit in periods],
        }  # fmt: skip
        if duration_s is not None:
            profile["duration"] = duration_s
        async with self.step("local_limit", evse=self.evse.id, by=by):
            word = await self._scsp().local_limit(self.evse.id, by, profile if periods else None, emergency)
        await self.read_back()
        return word

    def _scsp(self) -> PlanSender:
        if self.bench.scsp is None:
            raise UsageError("this bench has no SCSP: the scenario needs the [scsp] table")
        return self.bench.scsp

    def _place(self, purpose: str, evse_id: int | None) -> int:
        if evse_id is not None:
            return evse_id
        return 0 if purpose in STATION_PURPOSES else self.evse.id

    async def _status(self, action: str, request: dict[str, Any], broken: bool) -> str:
        self.keep_floor(action, request)
        dead_man, profile = self.course.dead_man, request.get("chargingProfile")
        if dead_man is None:
            return await self._answered(action, request, broken)
        async with dead_man.sending:
            if profile is None or broken:
                return await self._answered(action, request, broken)
            shorter = dead_man.shortened(profile)
            if shorter is None and profile.get("chargingProfilePurpose") == "TxProfile":
                text = f"profile {profile.get('id')} is not Absolute: it has no dead-man, and holds on when the bench is gone"
                self.bench.csms.finding(self.station.id, "no_dead_man", text, source="bench")
            status = await self._answered(action, {**request, "chargingProfile": dict(shorter or profile)}, broken)
            dead_man.sent(request["evseId"], profile, accepted=status == "Accepted")
            return status

    async def _answered(self, action: str, request: dict[str, Any], broken: bool) -> str:
        try:
            answer = await self.bench.csms.call(self.station.id, action, request, check=not broken)
        except CallRejectedError as error:
            if not broken:
                raise
            return error.code
        if not isinstance(answer.get("status"), str):
            raise InvalidAnswerError(action, "status is missing", answer)
        return str(answer["status"])


def _text(now: datetime, in_s: float) -> str:
    return (now + timedelta(seconds=in_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
