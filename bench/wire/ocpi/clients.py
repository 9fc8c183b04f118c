"""Who is connected to a hub. Source: OCPI 2.2.1 and 2.3.0, mod_hub_client_info (the same in both but for the roles)."""

from __future__ import annotations

from typing import Final

from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import CountryCode, OcpiDateTime, OcpiModel, PartyCode

UNREACHABLE: Final = ("OFFLINE", "PLANNED", "SUSPENDED")
"""No requests may be sent to a party in these states."""


class ClientInfo(OcpiModel):
    """The state of a party's connection to the hub; unknown roles and states are kept."""

    party_id: PartyCode
    country_code: CountryCode
    role: str
    status: str
    last_updated: OcpiDateTime

    @property
    def party(self) -> PartyId:
        """Return the party."""
        return PartyId.of(self.country_code, self.party_id)
