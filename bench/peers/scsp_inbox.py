"""What a mock SCSP knows and has been told: sessions, results of its orders, pushes. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bench.ports import Clock
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import PartyId

PARTY: Final = PartyId("NL", "SCP")


@dataclass(slots=True)
class SentOrder:
    """One request on a charging profile, and what came of it."""

    response_id: str
    """Stands in the response_url: OCPI's only correlation."""
    method: str
    session_id: str
    answer: dict[str, Any]
    """The ChargingProfileResponse (`result`, `timeout`); empty where the envelope held none."""
    result: dict[str, Any] | None = None
    """The asynchronous result; None until it comes."""
    result_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """One ActiveChargingProfile that the CSO pushed."""

    at: datetime
    session_id: str
    profile: dict[str, Any]


class Inbox:
    """The receiving half of the mock SCSP; findings are computed from raw JSON and headers and decide nothing."""

    def __init__(self, clock: Clock, token_b: str, base_url: str, party: PartyId, name: str, version: str) -> None:
        self._clock, self._base_url, self._name = clock, base_url, name
        self.version = version
        """Of OCPI: the only one that this mock speaks."""
        self.party = party
        self.token_b = token_b
        """What the CSO must send to us."""
        self.sessions: dict[str, dict[str, Any]] = {}
        """The raw Session objects by id."""
        self.orders: dict[str, SentOrder] = {}
        """By response id, in the order of sending."""
        self.pushes: list[ReceivedPush] = []
        self.findings: list[checks.Finding] = []
        self.registered = False
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Return the asynchronous results by response id."""
        return {one.response_id: one.result for one in self.orders.values() if one.result is not None}

    @property
    def versions_url(self) -> str:
        """Return where a peer begins."""
        return f"{self._base_url}/ocpi/versions"

    @property
    def root(self) -> str:
        """Return the URL of the version details."""
        return f"{self._base_url}/ocpi/{self.version}"

    def endpoints(self) -> list[dict[str, str]]:
        """Return the rows of our version details; SENDER of charging profiles is the SCSP."""
        rows = (("credentials", "SENDER"), ("sessions", "RECEIVER"), ("chargingprofiles", "SENDER"))
        return [{"identifier": name, "role": role, "url": f"{self.root}/{name}"} for name, role in rows]

    def own_credentials(self) -> dict[str, Any]:
        """Return our Credentials object."""
        role = {
            "role": "SCSP",
            "business_details": {"name": self._name},
            "party_id": self.party.party_id,
            "country_code": self.party.country_code,
        }
        return {"token": self.token_b, "url": self.versions_url, "roles": [role]}

    def on_session(self, session_id: str, raw: Any, *, patch: bool) -> bool:
        """Take a Session, or a part of one; False where a part is of a session that we do not know."""
        self.findings += checks.check_session(raw, session_id, patch=patch)
        if patch and session_id not in self.sessions:
            return False
        if isinstance(raw, dict):
            known = self.sessions.get(session_id, {}) if patch else {}
            added = raw.get("charging_periods")
            periods = [*known.get("charging_periods", []), *(added if isinstance(added, list) else [])]
            self.sessions[session_id] = {**known, **raw, "charging_periods": periods}
        self._changed()
        return True

    def on_push(self, session_id: str, raw: Any) -> None:
        """Take an ActiveChargingProfile."""
        self.findings += checks.check_active_profile(raw)
        if session_id not in self.sessions:
            text = f"a push for session {session_id!r}, which was never told"
            self.findings.append(checks.Finding("push_unknown_session", text))
        if isinstance(raw, dict):
            self.pushes.append(ReceivedPush(self._clock.now(), session_id, raw))
        self._changed()

    def on_result(self, response_id: str, raw: Any) -> bool:
        """Take an asynchronous result; False for a response id that was never given out."""
        order = self.orders.get(response_id)
        if order is None:
            self.findings.append(checks.Finding("result_unknown", f"a result for the unknown response_url of {response_id!r}"))
            return False
        self.findings += checks.check_result(raw)
        if order.result is not None:
            self.findings.append(checks.Finding("result_twice", f"a second result for the {order.method} {response_id}"))
            return True
        order.result, order.result_at = raw if isinstance(raw, dict) else {}, self._clock.now()
        self._changed()
        return True

    def on_unregister(self) -> None:
        """Take the end of the registration by the CSO."""
        self.registered = False

    def now(self) -> datetime:
        """Return the time that stands in our responses."""
        return self._clock.now()

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as the predicate holds, False after that many seconds; looked at whenever the CSO calls."""
        if predicate():
            return True
        waiter = (predicate, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)
        return True

    def _changed(self) -> None:
        for predicate, future in self._waiters:
            if not future.done() and predicate():
                future.set_result(None)
