"""Who may charge: Tokens told by eMSPs, real-time authorization, and what stations are answered.

Source: OCPI 2.2.1 and 2.3.0, mod_tokens (Real-time authorization, WhitelistType) and mod_commands (StartSession, ReserveNow).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import ValidationError

from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grant, Grants
from bench.cso.ocpi.record import evse_uid
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.ocpi.tokens import Tokens
from bench.errors import PeerError
from bench.ports import Clock
from bench.wire.ocpi.tokens import AuthorizationInfo, Token, emaid_provider, status_of, type_asked
from bench.wire.ocpi.transport import UNKNOWN_TOKEN, PartyId, join

SAME_USE_S: Final = 60.0
"""A TransactionEvent that follows an Authorize of the same token at the same station is the same use of it."""
COMMANDED_S: Final = 900.0
"""For so long after a command with an RFID token, its eMSP is not asked (StartSession, ReserveNow)."""
_IN_APP: Final = ("APP_USER", "AD_HOC_USER")

Info = dict[str, Any]
"""OCPP's IdTokenInfo."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """How an eMSP can be asked."""

    platform: Platform
    party: PartyId


class Authorization:
    """Decides on the idTokens of stations: an `Authorizer` of the CSMS.

    Args:
        evses: EVSE ids by station, of the rig file.
        policy: what becomes of a token that no eMSP has told; see `OcpiSettings.authorize`.
    """

    def __init__(
        self, clock: Clock, registry: Registry, calls: Calls, tokens: Tokens, grants: Grants, findings: Findings, *,
        location_id: str, evses: Mapping[str, Sequence[int]], policy: Literal["told", "tokens"], timeout_s: float,
    ) -> None:  # fmt: skip
        self._clock, self._registry, self._calls, self._findings = clock, registry, calls, findings
        self._tokens, self._grants = tokens, grants
        self._location_id, self._evses, self._policy, self._timeout_s = location_id, evses, policy, timeout_s

    def decide(self, station: str, id_token: Mapping[str, Any]) -> str | Callable[[], Awaitable[Info]]:
        """Return the status of an idToken, or what asks its eMSP."""
        uid, ocpp_type = id_token["idToken"], id_token["type"]
        grant = self._grants.latest(station, uid)
        if self._is_same_use(grant):
            return "Accepted"
        token = self._tokens.find(uid, ocpp_type)
        if token is None and grant is not None and grant.method == "COMMAND":
            token = grant.token  # a command need not tell its token before
        if token is None:
            asked = self._who_knows(uid, ocpp_type)
            if not asked:
                self._grants.forget(station, uid)
                return "Unknown" if self._policy == "tokens" else "Accepted"
            return partial(self._ask, station, uid, ocpp_type, None, asked)
        if token.whitelist == "ALWAYS" or (token.whitelist == "ALLOWED" and token.valid):
            return str(self._by_whitelist(station, token)["status"])
        return partial(self._ask, station, uid, ocpp_type, token, self._who_owns(token.owner))

    def _is_same_use(self, grant: Grant | None) -> bool:
        if grant is None or not self._registry.has(grant.owner):
            return False
        if grant.method != "COMMAND":
            return self._clock.monotonic() - grant.at < SAME_USE_S
        return grant.token.type in _IN_APP or self._clock.monotonic() - grant.at < COMMANDED_S

    def _who_owns(self, party: PartyId) -> list[_Asked]:
        return [
            _Asked(platform, party)
            for platform in self._registry.platforms
            if ("tokens", "SENDER") in platform.endpoints
            and party not in platform.unreachable
            and any(one.id == party for one in platform.parties)
        ]

    def _who_knows(self, uid: str, ocpp_type: str) -> list[_Asked]:
        """Return whom to ask of a token that was not told: an EMAID's own provider, and by policy every eMSP."""
        if ocpp_type == "eMAID" and (provider := emaid_provider(uid)) is not None and self._registry.has(provider):
            return self._who_owns(provider)
        if self._policy != "tokens" or not uid:
            return []
        emsps = [party.id for platform in self._registry.platforms for party in platform.parties if party.role == "EMSP"]
        return [one for party in emsps for one in self._who_owns(party)]

    async def _ask(self, station: str, uid: str, ocpp_type: str, token: Token | None, asked: Sequence[_Asked]) -> Info:
        """Ask until an eMSP knows the token; where none answers, the whitelist decides."""
        silent = not asked
        for one in asked:
            answer = await self._answer(one, station, uid, ocpp_type)
            if isinstance(answer, AuthorizationInfo):
                return self._granted(station, answer)
            silent = silent or not answer
        if silent and token is not None and token.whitelist in ("ALLOWED", "ALLOWED_OFFLINE"):
            return self._by_whitelist(station, token)
        self._grants.forget(station, uid)
        return {"status": "Invalid" if silent and token is not None else "Unknown"}

    async def _answer(self, asked: _Asked, station: str, uid: str, ocpp_type: str) -> AuthorizationInfo | bool:
        """Return what an eMSP says of a token; True where it does not know it, False where no answer can be relied upon."""
        platform = asked.platform
        url = join(platform.endpoints["tokens", "SENDER"], quote(uid, safe=""), "authorize")
        url += f"?type={type_asked(ocpp_type, platform.version)}"
        evses = [evse_uid(station, evse_id) for evse_id in self._evses.get(station, ())]
        body = {"location_id": self._location_id, "evse_uids": evses}
        try:
            answer = await self._calls.call("POST", url, platform, body, to=asked.party, timeout_s=self._timeout_s)
        except PeerError as error:
            self._findings.tell("authorization_without_answer", f"{asked.party}: {error}")
            return False
        if answer.status == 404 or answer.code == UNKNOWN_TOKEN:
            return True
        if not answer.ok:
            self._findings.tell("authorization_without_answer", f"{asked.party}: {why(answer)}")
            return False
        try:
            info = AuthorizationInfo.model_validate(answer.data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            self._findings.tell("authorization_unreadable", f"{asked.party}: {place or 'data'}: {first['msg']}")
            return False
        if info.token.owner != asked.party or info.token.uid.upper() != uid.upper():
            self._findings.tell("authorization_of_another", f"{asked.party} answered for another token than it was asked for")
            return False
        return info

    def _granted(self, station: str, answer: AuthorizationInfo) -> Info:
        info: Info = {"status": status_of(answer.allowed)}
        allowed = answer.location.evse_uids if answer.location is not None else None
        if allowed and info["status"] == "Accepted":
            names = {one.upper() for one in allowed}
            there = [one for one in self._evses.get(station, ()) if evse_uid(station, one).upper() in names]
            if not there:
                info["status"] = "NotAtThisLocation"
            elif len(there) < len(self._evses[station]):
                info["evseId"] = there
        if answer.info is not None:
            info["personalMessage"] = {"format": "UTF8", "language": answer.info.language, "content": answer.info.text}
        if answer.token.group_id:
            info["groupIdToken"] = {"idToken": answer.token.group_id, "type": "Central"}
        if info["status"] == "Accepted":
            reference = answer.authorization_reference or ""
            self._grants.note(station, Grant(answer.token, "AUTH_REQUEST", self._clock.monotonic(), reference))
        else:
            self._grants.forget(station, answer.token.uid)
        return info

    def _by_whitelist(self, station: str, token: Token) -> Info:
        if not token.valid:
            self._grants.forget(station, token.uid)
            return {"status": "Invalid"}
        self._grants.note(station, Grant(token, "WHITELIST", self._clock.monotonic()))
        return {"status": "Accepted"}
