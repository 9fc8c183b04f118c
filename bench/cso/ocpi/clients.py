"""Who is connected to a hub: RECEIVER of hubclientinfo. No request is sent to a party of the hub's that is not connected."""

from __future__ import annotations

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.wire.ocpi.clients import UNREACHABLE, ClientInfo
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, PartyId


class Clients:
    """What each hub has told, by hub and party. Its word counts for its own parties alone: those of its credentials, and in 2.2.1
    those that it tells of here."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: list[tuple[Platform, dict[PartyId, ClientInfo]]] = []

    def put(self, platform: Platform, party: PartyId, info: ClientInfo) -> bool:
        """Take the state of a party; return True where it was not known. Raises OcpiError (2001) where URL and object differ."""
        if info.party != party:
            raise OcpiError(INVALID, "country_code or party_id differ from the URL")
        known = self._of(platform)
        new = party not in known
        known[party] = info
        self._registry.connect(platform, Party(party, info.role))
        if info.status in UNREACHABLE:
            platform.unreachable.add(party)
        else:
            platform.unreachable.discard(party)
        self._registry.changed()
        return new

    def get(self, platform: Platform, party: PartyId) -> ClientInfo:
        """Return what this hub has told of a party. Raises OcpiError (404)."""
        info = self._of(platform).get(party)
        if info is None:
            raise OcpiError(CLIENT_ERROR, f"nothing is known of {party}", 404)
        return info

    def _of(self, platform: Platform) -> dict[PartyId, ClientInfo]:
        for known, told in self._told:
            if known is platform:
                return told
        self._told.append((platform, {}))
        return self._told[-1][1]
