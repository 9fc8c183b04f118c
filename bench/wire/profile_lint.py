"""Lint of a charging profile: the message's schema and the rules on its content, in one result."""

from __future__ import annotations

from typing import Any, Final

from bench.domain.lint_request import REMOTE_START, SET, ProfileRequest, RuleBreak, StationView, Via
from bench.domain.rules import LintResult, broken_rules, station_answer
from bench.domain.rules_notes import notes
from bench.wire.schemas import check_payload

VIAS: Final[tuple[Via, ...]] = (SET, REMOTE_START)
_START: Final = {"remoteStartId": 1, "idToken": {"idToken": "0", "type": "Central"}}
"""What a remote start needs beside the profile; not judged here."""


def lint(via: Via, station: StationView, evse_id: Any, raw_profile: Any) -> LintResult:
    """Return every rule that a charging profile breaks, and what the station has to answer. Pure.

    Args:
        via: the request that carries it.
        evse_id: as on the wire; None where the request has none.
        raw_profile: the ChargingProfile as it came out of JSON, however odd.
    Source: OCPP 2.0.1 part 2, K01, K04, K05; the schemas of part 3; for the answer to a schema breach part 4, table 8.
    """
    request: dict[str, Any] = {"chargingProfile": raw_profile}
    return lint_request(via, station, request if evse_id is None else {"evseId": evse_id, **request})


def lint_request(via: Via, station: StationView, request: dict[str, Any]) -> LintResult:
    """Return the same for `{"evseId", "chargingProfile"}`; whatever else stands there is put to the schema too."""
    seen = ProfileRequest(via, station, request.get("evseId"), request.get("chargingProfile"))
    breach = _schema_breach(via, request)
    breaks = (*broken_rules(seen), breach) if breach else broken_rules(seen)
    return LintResult(tuple(sorted(breaks, key=lambda one: one.requirement)), station_answer(seen, breaks), notes(seen))


def _schema_breach(via: Via, request: dict[str, Any]) -> RuleBreak | None:
    """Return the breach that weighs most; sending it is the CSMS's fault, and a CALLERROR is the answer."""
    try:
        violation = check_payload(via, False, {**_START, **request} if via == REMOTE_START else request)
    except (ValueError, OverflowError) as error:  # a number that is none in JSON
        return RuleBreak("schema", "CSMS", str(error), "CALLERROR")
    return None if violation is None else RuleBreak("schema", "CSMS", str(violation), "CALLERROR")
