"""Registration of a platform: the receiving side of the credentials handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Caller, Party, Platform, Registry, credentials_role
from bench.errors import PeerError
from bench.wire.ocpi.credentials import Credentials, VersionDetails, VersionRow
from bench.wire.ocpi.transport import (
    CLIENT_ERROR,
    INVALID,
    NO_MATCHING_ENDPOINT,
    UNSUPPORTED_VERSION,
    UNUSABLE_API,
    PartyId,
)

M = TypeVar("M", bound=BaseModel)

NEEDED: Final = {
    "SCSP": (("chargingprofiles", "SENDER"), ("sessions", "RECEIVER")),
    "EMSP": (("sessions", "RECEIVER"),),
}
"""Endpoints without which a role is of no use to the bench."""
_NOT_ALLOWED: Final = 405


class Handshake:
    """Registers, renews and removes platforms."""

    def __init__(
        self, registry: Registry, calls: Calls, findings: Findings, own: PartyId, name: str, versions_url: str
    ) -> None:
        self._registry, self._calls, self._findings = registry, calls, findings
        self._own, self._name, self._versions_url = own, name, versions_url
        self.keep: Callable[[], None] = lambda: None
        """Called with each new or renewed registration in place; what it raises refuses it."""

    def own_credentials(self, token: str) -> dict[str, Any]:
        """Return the bench's credentials, with the token that the peer is to use."""
        roles = [credentials_role("CPO", self._own, self._name)]
        return {"token": token, "url": self._versions_url, "roles": roles}

    async def register(self, caller: Caller, given: Credentials, version: str) -> dict[str, Any]:
        """POST: fetch the peer's endpoints of this version with its token and give it its own (TOKEN_C); TOKEN_A is used up."""
        if caller.platform is not None:
            raise OcpiError(CLIENT_ERROR, "already registered: use PUT", _NOT_ALLOWED)
        platform = await self._platform(given, version, None)
        if not self._registry.add(platform, caller.token):
            raise OcpiError(CLIENT_ERROR, "this token was used for another registration meanwhile", _NOT_ALLOWED)
        try:
            self.keep()
        except OcpiError:
            self._registry.take_back(platform, caller.token)
            raise
        return self.own_credentials(platform.token_in)

    async def renew(self, caller: Caller, given: Credentials, version: str) -> dict[str, Any]:
        """PUT: take new credentials, fetch the endpoints again, and give out a new token; the old one ends."""
        present = self._registered(caller)
        new = await self._platform(given, version, present)
        self._registry.update(self._registered(caller), new, self.keep)
        return self.own_credentials(present.token_in)

    def unregister(self, caller: Caller) -> None:
        """DELETE: the token ends."""
        if caller.platform is None:
            raise OcpiError(CLIENT_ERROR, "not registered", _NOT_ALLOWED)
        self._registry.remove(caller.platform)

    def _registered(self, caller: Caller) -> Platform:
        """Return the platform of a caller. Raises OcpiError (405) where it has none, or has left meanwhile."""
        if caller.platform is None or caller.platform not in self._registry.platforms:
            raise OcpiError(CLIENT_ERROR, "not registered: use POST", _NOT_ALLOWED)
        return caller.platform

    async def _platform(self, given: Credentials, version: str, present: Platform | None) -> Platform:
        self._registry.learn(given.token)
        parties = tuple(Party(PartyId.of(one.country_code, one.party_id), one.role) for one in given.roles)
        self._check_free(parties, present)
        platform = Platform("", given.token, given.url, version, parties)
        platform.endpoints = await self._endpoints(platform)
        for role in dict.fromkeys(party.role for party in parties):
            for identifier, side in NEEDED.get(role, ()):
                if (identifier, side) not in platform.endpoints:
                    raise OcpiError(NO_MATCHING_ENDPOINT, f"a platform with role {role} needs {identifier} as {side}")
        self._check_free(parties, present)  # another may have registered them meanwhile
        platform.token_in = self._registry.new_token()
        return platform

    def _check_free(self, parties: tuple[Party, ...], present: Platform | None) -> None:
        """Raise OcpiError (2001) for parties of another platform."""
        taken = self._registry.taken(parties, present)
        if taken is not None:
            raise OcpiError(INVALID, f"{taken.role} {taken.id} is registered already")

    async def _endpoints(self, platform: Platform) -> dict[tuple[str, str], str]:
        raw = await self._fetch(platform, platform.versions_url, "versions")
        if not isinstance(raw, list):
            raise OcpiError(UNUSABLE_API, f"GET {platform.versions_url}: data is no list")
        rows = [_read(VersionRow, one, platform.versions_url, f"data.{number}") for number, one in enumerate(raw)]
        url = next((row.url for row in rows if row.version == platform.version), None)
        if url is None:
            offered = ", ".join(row.version for row in rows) or "none"
            raise OcpiError(UNSUPPORTED_VERSION, f"these are the credentials of {platform.version}; offered: {offered}")
        details = _read(VersionDetails, await self._fetch(platform, url, f"version {platform.version}"), url, "data")
        for one in details.endpoints:
            self._check_address(platform, one.url, f"endpoint {one.identifier}")
        return {(one.identifier, one.role): one.url for one in details.endpoints}

    async def _fetch(self, platform: Platform, url: str, what: str) -> Any:
        self._check_address(platform, url, what)
        try:
            answer = await self._calls.call("GET", url, platform)
        except PeerError as error:
            self._findings.tell("handshake", str(error))
            raise OcpiError(UNUSABLE_API, f"GET {url} failed") from None
        if not answer.ok:
            raise OcpiError(UNUSABLE_API, f"GET {url}: {why(answer)}")
        return answer.data

    def _check_address(self, platform: Platform, url: str, what: str) -> None:
        """Raise OcpiError (3001) for an address that the bench does not call, without repeating it."""
        if reason := self._calls.refusal(platform, url):
            self._findings.tell("address_refused", f"{what} of {platform.parties[0].id}: {reason}")
            raise OcpiError(UNUSABLE_API, f"{what}: {reason}")


def _read(model: type[M], raw: Any, url: str, place: str) -> M:
    """Read an object of a peer. Raises OcpiError (3001) that names the address and the first place that is wrong."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((place, *map(str, first["loc"])))
        raise OcpiError(UNUSABLE_API, f"GET {url}: {where}: {first['msg']}") from None
