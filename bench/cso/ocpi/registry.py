"""Who is registered, by which token, and where they may be called."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from bench.ports import IdSource
from bench.wire.ocpi.clients import UNREACHABLE, ClientInfo
from bench.wire.ocpi.transport import PartyId, decode_token

HUB: Final = "HUB"
"""A role of 2.2.1 alone."""
_RIGHTS: Final = ("SCSP", "EMSP")
"""Roles that may steer sessions, the one that may more first."""


@dataclass(frozen=True, slots=True)
class Party:
    """One party that a platform acts for."""

    id: PartyId
    role: str
    """SCSP, EMSP, …"""


@dataclass(slots=True, eq=False)
class Platform:
    """One registered platform."""

    token_in: str
    """What it sends to us (TOKEN_C)."""
    token_out: str
    """What we send to it (TOKEN_B)."""
    versions_url: str
    version: str
    """Of OCPI, in which it registered: what we send to it has the shape of that version. What it asks for has that of the URL."""
    parties: tuple[Party, ...]
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    """URL by identifier and role."""
    clients: dict[PartyId, ClientInfo] = field(default_factory=dict)
    """What this hub has told of parties."""

    @property
    def unreachable(self) -> set[PartyId]:
        """Return the parties of this hub's that it said are not connected: no requests may be sent to them."""
        return {party for party, info in self.clients.items() if info.status in UNREACHABLE}

    @property
    def is_hub(self) -> bool:
        """Say whether it registered as a hub alone, as 2.2.1 has it: who is behind it comes by hubclientinfo."""
        return self.version == "2.2.1" and any(one.role == HUB for one in self.parties)

    @property
    def routed(self) -> bool:
        """Say whether its messages owe routing headers: not where it has one party, as the bench itself, and is no hub."""
        return len(self.parties) > 1 or self.is_hub

    def receiver(self, meant: Callable[[Party], bool]) -> PartyId | None:
        """Return the first of its parties that is meant and can be reached, or None; the hub itself is never meant."""
        absent = self.unreachable
        reachable = (one for one in self.parties if one.id not in absent and one.role != HUB)
        return next((one.id for one in reachable if meant(one)), None)

    def party(self, party_id: PartyId | None, role: str = "") -> Party | None:
        """Return the named party of this platform, or its only one where none is named: in this role, else in the one that may
        most, for a party may have several."""
        named = [party for party in self.parties if party_id in (None, party.id)]
        if len({party.id for party in named}) != 1:
            return None
        wanted = (role,) if role else _RIGHTS
        return next((party for one in wanted for party in named if party.role == one), named[0])


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token came with a request."""

    token: str
    platform: Platform | None
    """None: TOKEN_A, so not registered yet."""


class Registry:
    """All platforms, in the order of their registration.

    Args:
        learn: told each token, so that it is kept out of the evidence.
    """

    def __init__(self, ids: IdSource, learn: Callable[[str], None]) -> None:
        self._ids, self.learn = ids, learn
        self.invitations: list[str] = []
        self.spent: list[str] = []
        """Registration tokens that were used up."""
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of who is registered."""
        self.platforms: list[Platform] = []

    def invite(self, token_a: str | None = None) -> str:
        """Return a registration token, which serves for one registration."""
        token = token_a or self.new_token()
        self.learn(token)
        if token not in self.invitations:
            self.invitations.append(token)
        return token

    def new_token(self) -> str:
        """Return a token nobody has."""
        token = self._ids.token(48)
        self.learn(token)
        return token

    def caller(self, authorization: str | None) -> Caller | None:
        """Return whose token an Authorization header holds, or None."""
        token = decode_token(authorization)
        if token is None:
            return None
        for platform in self.platforms:
            if _same(platform.token_in, token):
                return Caller(token, platform)
        return Caller(token, None) if any(_same(one, token) for one in self.invitations) else None

    def name_of(self, token: str) -> str:
        """Return the party's name of a platform that sends or accepts this token; empty for a stranger's."""
        for platform in self.platforms:
            if token in (platform.token_in, platform.token_out):
                return str(platform.parties[0].id)
        return ""

    def has(self, party_id: PartyId) -> bool:
        """Say whether a party is registered."""
        return any(party.id == party_id for platform in self.platforms for party in platform.parties)

    def taken(self, parties: tuple[Party, ...], but: Platform | None = None) -> Party | None:
        """Return one of the parties that another platform, or the same one twice, has registered; None where all are free."""
        known = [party for platform in self.platforms if platform is not but for party in platform.parties]
        for party in parties:
            if party in known:
                return party
            known.append(party)
        return None

    def add(self, platform: Platform, token_a: str) -> bool:
        """Register a platform and use up its invitation; False where that was used meanwhile."""
        if token_a not in self.invitations:
            return False
        self.invitations.remove(token_a)
        self.spent.append(token_a)
        self.learn(platform.token_out)
        self.platforms.append(platform)
        self.changed()
        return True

    def take_back(self, platform: Platform, token_a: str) -> None:
        """Undo a registration that cannot be kept: its invitation serves again."""
        self.spent.remove(token_a)
        self.invitations.append(token_a)
        self.remove(platform)

    def connect(self, platform: Platform, party: Party) -> None:
        """Take a party behind a hub, from the hub's own word, unless it is registered already; `changed` is the caller's."""
        if platform.is_hub and not self.has(party.id):
            platform.parties = (*platform.parties, party)

    def restore(self, platforms: list[Platform], invitations: list[str], spent: list[str]) -> None:
        """Take back who was registered before a restart; a token that was used up then invites nobody again."""
        for token in (*invitations, *spent, *(token for one in platforms for token in (one.token_in, one.token_out))):
            self.learn(token)
        self.platforms, self.spent = platforms, spent
        self.invitations = [one for one in dict.fromkeys([*self.invitations, *invitations]) if one not in spent]

    def update(self, platform: Platform, new: Platform, keep: Callable[[], None]) -> None:
        """Give a registered platform new tokens, parties and endpoints; it stays the same one. What `keep` raises undoes it."""
        self.learn(new.token_out)
        before = replace(platform)
        platform.token_in, platform.token_out, platform.versions_url = new.token_in, new.token_out, new.versions_url
        behind = [one for one in platform.parties if platform.is_hub and new.is_hub and one.role != HUB and not _in(one, new)]
        platform.version, platform.parties, platform.endpoints = new.version, (*new.parties, *behind), new.endpoints
        try:
            keep()
        except Exception:
            for one in fields(before):
                setattr(platform, one.name, getattr(before, one.name))
            raise
        self.changed()

    def remove(self, platform: Platform) -> None:
        """Forget a platform; its token is worth nothing from now on."""
        if platform in self.platforms:
            self.platforms.remove(platform)
            self.changed()


def credentials_role(role: str, party: PartyId, name: str) -> dict[str, Any]:
    """Return a CredentialsRole."""
    return {
        "role": role,
        "business_details": {"name": name},
        "party_id": party.party_id,
        "country_code": party.country_code,
    }


def _in(party: Party, platform: Platform) -> bool:
    return platform.party(party.id) is not None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
