"""Limits of writers on the spot: a BEMS, a DSO or an operator limits an EVSE, with all sessions there now and to come.

What each of them wants is written down before the arbiter acts on it, and a refusal too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from bench.cso.arbiter import Arbiter
from bench.cso.arbitration import LOCAL, Claim
from bench.cso.ocpi.sessions import Sessions
from bench.cso.relay import Outcome, Relay, Target
from bench.domain.documents import Kind
from bench.errors import UsageError
from bench.ports import Clock, Journal
from bench.settings.base import described
from bench.wire.ocpi.limits import asks
from bench.wire.ocpi.profiles import ChargingProfile


class LocalLimits:
    """One limit for each role at each EVSE; a new one replaces the former one."""

    def __init__(self, clock: Clock, arbiter: Arbiter, relay: Relay, sessions: Sessions, journal: Journal) -> None:
        self._clock, self._arbiter, self._relay, self._sessions, self._journal = clock, arbiter, relay, sessions, journal

    async def set(
        self, station: str, evse_id: int, role: str, profile: Mapping[str, Any], *, emergency: bool = False
    ) -> Outcome:
        """Limit an EVSE by an OCPI ChargingProfile; REJECTED where the policy or the station has it so.

        Args: emergency: of a BEMS, whose limit then counts whoever owns the session.
        Raises: UsageError for an unknown role or EVSE, and for a profile that is none or cannot be given to the station.
        """
        self._check(station, evse_id, role)
        if emergency and role != "BEMS":
            raise UsageError(f"an emergency is a BEMS's alone: a limit of the {role} has none")
        try:
            limits = ChargingProfile.model_validate(profile)
        except ValidationError as error:
            key, value, reason = described(ChargingProfile, error.errors()[0])
            raise UsageError(f"the profile: {key}{'' if value is None else f' = {value!r:.80}'}: {reason}") from None
        reason = self._relay.not_supported(Target("", station, evse_id, ""), limits)
        if reason:
            raise UsageError(reason)
        said = {"profile_id": None, "purpose": "TxProfile", "profile": dict(profile), "emergency": emergency}
        self._want(station, evse_id, role, "limit", **said)
        outcome = await self._arbiter.limit((station, evse_id), role, role, limits, emergency=emergency)
        return self._told(station, evse_id, role, "limit", outcome)

    async def release(self, station: str, evse_id: int, role: str) -> Outcome:
        """Take a limit back; UNKNOWN where there is none. Raises UsageError for an unknown role or EVSE."""
        self._check(station, evse_id, role)
        self._want(station, evse_id, role, "release", request={})
        return self._told(station, evse_id, role, "release", await self._arbiter.release((station, evse_id), role))

    def shown(self) -> list[dict[str, Any]]:
        """Return who limits: for each session that runs, and each EVSE without one, its claims and the state of each.

        `state`: counts, overruled, or, where it asks for nothing now, over or not yet.
        """
        running = self._sessions.running()
        rows = [
            self._row(one.target.station, one.target.evse_id, one.session_id, self._arbiter.claims(one), one.began)
            for one in running
        ]
        busy = {(one.target.station, one.target.evse_id) for one in running}
        free = [(where, claims) for where, claims in self._arbiter.at_evse.items() if where not in busy and claims]
        return [*rows, *(self._row(*where, "", [*claims.values()], None) for where, claims in free)]

    def _row(
        self, station: str, evse_id: int, session_id: str, claims: list[Claim], began: datetime | None
    ) -> dict[str, Any]:
        counting = self._arbiter.counting(claims, began)
        told = [
            {"writer": one.writer, "role": one.role, "state": self._state(one.profile, one in counting, began),
             "emergency": one.emergency, "profile": one.profile.plain()}
            for one in claims
            if one.profile is not None
        ]  # fmt: skip
        return {"station": station, "evse": evse_id, "session": session_id, "policy": self._arbiter.policy, "writers": told}

    def _state(self, profile: ChargingProfile, counts: bool, began: datetime | None) -> str:
        now, start = self._clock.now(), profile.start_date_time or began
        if asks(profile, now.timestamp(), began):
            return "counts" if counts else "overruled"
        return "not yet" if start is None or now < start else "over"

    def _check(self, station: str, evse_id: int, role: str) -> None:
        if role not in LOCAL:
            raise UsageError(f"{role!r} is none of {', '.join(LOCAL)}, who limit on the spot; parties come by OCPI")
        reason = self._relay.not_supported(Target("", station, evse_id, ""))
        if reason:
            raise UsageError(reason)

    def _want(self, station: str, evse_id: int, role: str, action: str, **more: Any) -> None:
        self._journal.write(Kind.INTENT, {"station": station, "evse": evse_id, "by": role, "action": action, **more})

    def _told(self, station: str, evse_id: int, role: str, action: str, outcome: Outcome) -> Outcome:
        if outcome.word != "ACCEPTED":
            text = f"{station} EVSE {evse_id}: the {action} of the {role} is {outcome.word}: {outcome.reason}"
            self._journal.write(Kind.FINDING, {"source": "bench", "code": f"{action}_refused", "text": text, "refs": []})
        return outcome
