"""Tokens: who may charge, and who answers for it. Source: OCPI 2.2.1 and 2.3.0, mod_tokens.

The object is the same in both versions; 2.3.0 opens the enums and adds the type EMAID. Unknown values are kept.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import CountryCode, Id, OcpiDateTime, OcpiModel, PartyCode

RFID: Final = "RFID"
_TYPES: Final = {
    "Central": ("APP_USER", "AD_HOC_USER", "OTHER", RFID),
    "eMAID": ("EMAID", "OTHER"),
    "ISO14443": (RFID,),
    "ISO15693": (RFID,),
}
"""OCPI's token types by OCPP's, the likeliest first."""
_OCPP_TYPES: Final = {RFID: "ISO14443", "EMAID": "eMAID"}
_SINCE_2_3: Final = ("EMAID",)
_STATUS: Final = {
    "ALLOWED": "Accepted", "BLOCKED": "Blocked", "EXPIRED": "Expired", "NO_CREDIT": "NoCredit",
    "NOT_ALLOWED": "NotAtThisLocation",
}  # fmt: skip


class Token(OcpiModel):
    """One means of identification."""

    country_code: CountryCode
    party_id: PartyCode
    uid: Id
    type: str
    contract_id: Id
    issuer: Annotated[str, Field(max_length=64)]
    group_id: Id | None = None
    valid: bool
    whitelist: str
    """ALWAYS, ALLOWED, ALLOWED_OFFLINE or NEVER; what is none of them is treated as NEVER."""
    language: Annotated[str, Field(min_length=2, max_length=2)] | None = None
    last_updated: OcpiDateTime

    @property
    def owner(self) -> PartyId:
        """Return the eMSP that answers for it."""
        return PartyId.of(self.country_code, self.party_id)

    def cdr_token(self, version: str) -> dict[str, Any]:
        """Return what a Session says of it (CdrToken); a type that 2.2.1 has no word for is OTHER there."""
        told = {name: getattr(self, name) for name in ("country_code", "party_id", "uid", "type", "contract_id")}
        return told | ({"type": "OTHER"} if version.startswith("2.2") and self.type in _SINCE_2_3 else {})

    def for_station(self) -> dict[str, str]:
        """Return the IdTokenType that a station is given."""
        return {"idToken": self.uid, "type": _OCPP_TYPES.get(self.type, "Central")}


class LocationReferences(OcpiModel):
    """A location, and some of its EVSEs."""

    location_id: Id
    evse_uids: list[Id] | None = None


class DisplayText(OcpiModel):
    """Text for the driver."""

    language: Annotated[str, Field(min_length=2, max_length=2)]
    text: Annotated[str, Field(max_length=512)]


class AuthorizationInfo(OcpiModel):
    """What an eMSP answers to a real-time authorization."""

    allowed: str
    token: Token
    location: LocationReferences | None = None
    authorization_reference: Id | None = None
    info: DisplayText | None = None


def types_of(ocpp_type: str) -> tuple[str, ...]:
    """Return the OCPI types that a token of an OCPP type may have, the likeliest first."""
    return _TYPES.get(ocpp_type, ("OTHER",))


def type_asked(ocpp_type: str, version: str) -> str:
    """Return the type to ask an eMSP for, in words that its version of OCPI has."""
    kinds = types_of(ocpp_type)
    return next(one for one in kinds if one not in _SINCE_2_3 or not version.startswith("2.2"))


def status_of(allowed: str) -> str:
    """Return OCPP's AuthorizationStatus for an AllowedType; Invalid for one that is not known."""
    return _STATUS.get(allowed, "Invalid")


def emaid_provider(id_token: str) -> PartyId | None:
    """Return the party that issued an EMAID: its first two and next three characters, separators aside."""
    plain = id_token.replace("-", "").replace("*", "")
    return PartyId.of(plain[:2], plain[2:5]) if len(plain) > 5 else None
