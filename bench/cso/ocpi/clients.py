"""Who is connected to a hub: RECEIVER of hubclientinfo. No request is sent to a party of the hub's that is not connected."""

from __future__ import annotations

from collections.abc import Iterable

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, PartyId


class Clients:
    """What each hub tells. Its word counts for its own parties alone: those of its credentials, and in 2.2.1 those that it tells
    of here."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def put(self, platform: Platform, party: PartyId, info: ClientInfo) -> bool:
        """Take the state of a party; return True where it was not known. Raises OcpiError (2001) where URL and object differ."""
        if info.party != party:
            raise OcpiError(INVALID, "country_code or party_id differ from the URL")
        new = party not in platform.clients
        self._know(platform, info)
        self._registry.changed()
        return new

    def take(self, platform: Platform, infos: Iterable[ClientInfo]) -> int:
        """Take what a hub's list tells and is not older than what is known; return 0, for all of it is the hub's own word."""
        news = False
        for info in infos:
            known = platform.clients.get(info.party)
            if known is None or (known.last_updated <= info.last_updated and known != info):
                self._know(platform, info)
                news = True
        if news:  # once: each change is brought to the disk
            self._registry.changed()
        return 0

    def _know(self, platform: Platform, info: ClientInfo) -> None:
        platform.clients[info.party] = info
        self._registry.connect(platform, Party(info.party, info.role))

    def get(self, platform: Platform, party: PartyId) -> ClientInfo:
        """Return what this hub has told of a party. Raises OcpiError (404)."""
        info = platform.clients.get(party)
        if info is None:
            raise OcpiError(CLIENT_ERROR, f"nothing is known of {party}", 404)
        return info
