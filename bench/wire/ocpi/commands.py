"""Commands to a station, and OCPI's words for what came of them. Source: OCPI 2.2.1 and 2.3.0, mod_commands, which are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import model_validator

from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.types import Id, OcpiDateTime, OcpiModel, Url

ACCEPTED: Final = "ACCEPTED"
REJECTED: Final = "REJECTED"
OCCUPIED: Final = "EVSE_OCCUPIED"
INOPERATIVE: Final = "EVSE_INOPERATIVE"

_RESERVED: Final = {"Accepted": ACCEPTED, "Occupied": OCCUPIED, "Faulted": INOPERATIVE, "Unavailable": INOPERATIVE}
_UNLOCKED: Final = {"Unlocked": ACCEPTED, "UnlockFailed": "FAILED"}
_REASONS: Final = {
    "TxInProgress": OCCUPIED, "Occupied": OCCUPIED, "InvalidState": REJECTED,
    "Faulted": INOPERATIVE, "Inoperative": INOPERATIVE, "Unavailable": INOPERATIVE, "OutOfService": INOPERATIVE,
    "HwError": INOPERATIVE, "UnsupportedRequest": "NOT_SUPPORTED", "NotEnabled": "NOT_SUPPORTED",
}  # fmt: skip
"""Results by OCPP's reasonCode of a refusal; some are of its appendix, some are seen in the field."""


class Command(OcpiModel):
    """What all commands have."""

    response_url: Url


class StartSession(Command):
    """START_SESSION; a connector needs its EVSE."""

    token: Token
    location_id: Id
    evse_uid: Id | None = None
    connector_id: Id | None = None
    authorization_reference: Id | None = None

    @model_validator(mode="after")
    def _with_evse(self) -> StartSession:
        if self.connector_id is not None and self.evse_uid is None:
            raise ValueError("evse_uid is required where connector_id is given")
        return self


class StopSession(Command):
    """STOP_SESSION."""

    session_id: Id


class ReserveNow(Command):
    """RESERVE_NOW."""

    token: Token
    expiry_date: OcpiDateTime
    reservation_id: Id
    location_id: Id
    evse_uid: Id | None = None
    authorization_reference: Id | None = None


class CancelReservation(Command):
    """CANCEL_RESERVATION."""

    reservation_id: Id


class UnlockConnector(Command):
    """UNLOCK_CONNECTOR."""

    location_id: Id
    evse_uid: Id
    connector_id: Id


def result_of(action: str, answer: Mapping[str, Any], *, busy: bool = False, broken: bool = False) -> str:
    """Return the CommandResultType for a station's answer to an OCPP action.

    Args:
        busy: another session is known to run at the EVSE; it explains a refusal that names no reason.
        broken: the EVSE is known to be faulted or unavailable; likewise.
    """
    status = answer.get("status")
    if action == "ReserveNow":
        return _RESERVED.get(str(status), REJECTED)
    if action == "UnlockConnector":
        return _UNLOCKED.get(str(status), REJECTED)
    if status == "Accepted":
        return ACCEPTED
    if action == "CancelReservation":
        return "UNKNOWN_RESERVATION"
    reason = (answer.get("statusInfo") or {}).get("reasonCode")
    if reason in _REASONS:
        return _REASONS[reason]
    if action != "RequestStartTransaction":
        return REJECTED
    return INOPERATIVE if broken else OCCUPIED if busy else REJECTED
