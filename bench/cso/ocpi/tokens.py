"""The Tokens that eMSPs have told: RECEIVER of the tokens module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.station import may_be_learned
from bench.wire.ocpi.tokens import Token, types_of
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, UNKNOWN_TOKEN, PartyId


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What the URL of a Token names; upper case, for identifiers compare without regard to case."""

    owner: PartyId
    uid: str
    kind: str

    @classmethod
    def of(cls, owner: PartyId, uid: str, kind: str) -> TokenKey:
        """Return a key whatever the case of the uid."""
        return cls(owner, uid.upper(), kind.upper())

    @property
    def text(self) -> str:
        """Return it as one text that no other key has."""
        return f"{self.owner} {len(self.kind)} {self.kind} {self.uid}"


class Tokens:
    """All Tokens by owner, uid and type. They cannot be removed; those of a party that is not registered any more do not count.

    Args:
        learn: told each uid that may be kept out of the evidence wherever it stands.
    """

    def __init__(self, registry: Registry, learn: Callable[[str], None]) -> None:
        self._registry, self._learn = registry, learn
        self._tokens: dict[TokenKey, Token] = {}
        self._by_uid: dict[str, list[TokenKey]] = {}
        self.keep: Callable[[Mapping[TokenKey, Token]], None] = lambda tokens: None
        """Called before Tokens are taken; what it raises refuses them."""

    def get(self, platform: Platform, key: TokenKey) -> Token:
        """Return a Token. Raises OcpiError (404) where there is none, or the caller does not own it."""
        _own(platform, key)
        token = self._tokens.get(key)
        if token is None:
            raise OcpiError(UNKNOWN_TOKEN, f"no token of {key.owner} with this uid and type {key.kind}", 404)
        return token

    def put(self, platform: Platform, key: TokenKey, token: Token) -> bool:
        """Store a Token; return True where it is new. Raises OcpiError where URL and object differ, or it cannot be kept."""
        _own(platform, key)
        if TokenKey.of(token.owner, token.uid, token.type) != key:
            raise OcpiError(INVALID, "country_code, party_id, uid or type differ from the URL (type is RFID where it has none)")
        self._keep_out(token)
        new = key not in self._tokens
        self.keep({key: token})
        self._take(key, token)
        return new

    def patch(self, platform: Platform, key: TokenKey, changes: dict[str, Any]) -> None:
        """Change some fields of a Token. Raises OcpiError: 404 where it is unknown, 2001 without last_updated."""
        known = self.get(platform, key)
        if changes.get("last_updated") is None:
            raise OcpiError(INVALID, "last_updated: a PATCH must carry it")
        try:
            self.put(platform, key, Token.model_validate(known.plain() | changes))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise OcpiError(INVALID, f"{place}: {first['msg']}") from None

    def take(self, platform: Platform, tokens: Iterable[Token]) -> int:
        """Take Tokens of a platform's list that are news; return how many are not its own. Raises OcpiError as `put` does."""
        owners, news, others = {party.id for party in platform.parties}, dict[TokenKey, Token](), 0
        for token in tokens:
            key = TokenKey.of(token.owner, token.uid, token.type)
            known = self._tokens.get(key)
            if token.owner not in owners:
                others += 1
            elif known is None or (known.last_updated <= token.last_updated and known != token):
                self._keep_out(token)
                news[key] = token
        if news:
            self.keep(news)
        for key, token in news.items():
            self._take(key, token)
        return others

    def all(self) -> list[Token]:
        """Return all of them."""
        return list(self._tokens.values())

    def restore(self, tokens: Iterable[Token]) -> None:
        """Take back what was told before a restart."""
        for token in tokens:
            self._keep_out(token)
            self._take(TokenKey.of(token.owner, token.uid, token.type), token)

    def _take(self, key: TokenKey, token: Token) -> None:
        if key not in self._tokens:
            self._by_uid.setdefault(key.uid, []).append(key)
        self._tokens[key] = token

    def _keep_out(self, token: Token) -> None:
        if may_be_learned(token.uid):
            self._learn(token.uid)

    def find(self, uid: str, ocpp_type: str) -> Token | None:
        """Return the Token that a station means by an idToken of an OCPP type."""
        matching = [self._tokens[key] for key in self._by_uid.get(uid.upper(), ()) if self._registry.has(key.owner)]
        for kind in types_of(ocpp_type):
            for token in matching:
                if token.type.upper() == kind:
                    return token
        return None


def _own(platform: Platform, key: TokenKey) -> None:
    if key.owner not in [party.id for party in platform.parties]:
        raise OcpiError(CLIENT_ERROR, f"{key.owner} is no party of the caller", 404)
