"""What a peer got wrong on the OCPI wire, found in its raw JSON and headers. Decides nothing and refuses nothing.

Each check takes decoded JSON of any shape and returns findings; none raises. What holds for the fields of the other objects is
in `checks_objects`. Source: OCPI 2.2.1 and 2.3.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Literal, TypeGuard

from bench.wire.ocpi.transport import CORRELATION_ID, FROM_COUNTRY, FROM_PARTY, REQUEST_ID, TO_COUNTRY, TO_PARTY

RESPONSE_RESULTS: Final = ("ACCEPTED", "NOT_SUPPORTED", "REJECTED", "TOO_OFTEN", "UNKNOWN_SESSION")
RESULTS: Final = ("ACCEPTED", "REJECTED", "UNKNOWN")
DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
_ROUTING: Final = (TO_COUNTRY, TO_PARTY, FROM_COUNTRY, FROM_PARTY)
_MOST_PERIODS: Final = 1024
"""OCPP 2.0.1 carries no more in one schedule."""
_LONGEST: Final = 200
"""Characters of a peer's value in a finding."""

Data = Literal["object", "none", "any"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One break of a rule."""

    code: str
    text: str


def check_request_headers(headers: Mapping[str, str], *, functional: bool, routed: bool = True) -> list[Finding]:
    """Check the headers of a request, names in lower case; functional modules carry routing headers, others must not.

    Args: routed: false between two platforms that have one party each: all four may be left out then.
    """
    found = list(_ids(headers))
    present = [name for name in _ROUTING if name in headers]
    if not functional and present:
        found.append(Finding("routing_headers", f"{', '.join(present)} must not stand on a configuration module"))
    elif functional and (routed or present):
        missing = [name for name in (FROM_COUNTRY, FROM_PARTY) if name not in headers]
        if missing:
            found.append(Finding("routing_headers", f"{', '.join(missing)} missing"))
    return found


def check_response_headers(
    asked: Mapping[str, str], given: Mapping[str, str], *, functional: bool, routed: bool = True
) -> list[Finding]:
    """Check that a response echoes both ids and turns the routing headers round; `routed` as for a request."""
    found = []
    for name in (REQUEST_ID, CORRELATION_ID):
        if name not in given:
            found.append(Finding("id_not_echoed", f"{name} is missing in the response"))
        elif name in asked and given[name] != asked[name]:
            found.append(Finding("id_not_echoed", f"{name} is {short(given[name])}, not {short(asked[name])}"))
    if functional and (routed or any(name in given for name in _ROUTING)):
        for name, source in zip(_ROUTING, (FROM_COUNTRY, FROM_PARTY, TO_COUNTRY, TO_PARTY), strict=True):
            if source in asked and given.get(name, "").upper() != asked[source].upper():
                found.append(Finding("routing_not_swapped", f"{name} is {short(given.get(name))}, not {short(asked[source])}"))
    return found


def check_envelope(raw: Any, data: Data = "any") -> list[Finding]:
    """Check the body of a response; `data`: what must stand there when status_code is 1000."""
    if not isinstance(raw, dict):
        return [Finding("envelope", "the response is no JSON object")]
    found = list(date_time(raw, "timestamp", "envelope", required=True))
    code = raw.get("status_code")
    if not is_int(code):
        found.append(Finding("envelope", f"status_code is {short(code)}, not an integer"))
    elif code == 1000 and data == "object" and not isinstance(raw.get("data"), dict):
        found.append(Finding("envelope_data", f"data must be an object, not {kind_of(raw.get('data'))}"))
    elif code != 1000 and raw.get("data") is not None:
        found.append(Finding("envelope_data", f"data stands beside status_code {short(code)}"))
    elif code == 1000 and data == "none" and raw.get("data") is not None:
        found.append(Finding("envelope_data", "data stands where the method has none"))
    return found


def check_profile_response(raw: Any) -> list[Finding]:
    """Check a ChargingProfileResponse (the synchronous answer)."""
    found = list(_result(raw, RESPONSE_RESULTS))
    if isinstance(raw, dict) and (not is_int(raw.get("timeout")) or raw["timeout"] < 0):
        found.append(Finding("timeout", f"timeout is {short(raw.get('timeout'))}, not a number of seconds"))
    return found


def check_result(raw: Any) -> list[Finding]:
    """Check an ActiveChargingProfileResult, ChargingProfileResult or ClearProfileResult."""
    found = list(_result(raw, RESULTS))
    if isinstance(raw, dict) and raw.get("profile") is not None:
        found += check_active_profile(raw["profile"])
    return found


def check_active_profile(raw: Any) -> list[Finding]:
    """Check an ActiveChargingProfile."""
    if not isinstance(raw, dict):
        return [Finding("active_profile", f"an ActiveChargingProfile is an object, not {kind_of(raw)}")]
    found = list(date_time(raw, "start_date_time", "active_profile", required=True))
    return found + check_charging_profile(raw.get("charging_profile"))


def check_charging_profile(raw: Any) -> list[Finding]:
    """Check a ChargingProfile."""
    if not isinstance(raw, dict):
        return [Finding("profile", f"a ChargingProfile is an object, not {kind_of(raw)}")]
    found = list(date_time(raw, "start_date_time", "profile"))
    if raw.get("charging_rate_unit") not in ("A", "W"):
        found.append(Finding("profile_unit", f"charging_rate_unit is {short(raw.get('charging_rate_unit'))}, neither A nor W"))
    if raw.get("duration") is not None and not (is_int(raw["duration"]) and raw["duration"] > 0):
        found.append(Finding("profile_duration", f"duration is {short(raw['duration'])}, not a number of seconds"))
    if raw.get("min_charging_rate") is not None:
        found += _rate("min_charging_rate", raw["min_charging_rate"])
    periods = raw.get("charging_profile_period")
    if not isinstance(periods, list) or not all(isinstance(one, dict) for one in periods):
        return [*found, Finding("profile_periods", f"charging_profile_period is {kind_of(periods)}, not a list of objects")]
    return found + list(_periods(periods))


def _ids(headers: Mapping[str, str]) -> Iterator[Finding]:
    for name in (REQUEST_ID, CORRELATION_ID):
        if not headers.get(name):
            yield Finding("id_missing", f"{name} is missing in the request")


def _periods(periods: list[dict[str, Any]]) -> Iterator[Finding]:
    if not 1 <= len(periods) <= _MOST_PERIODS:
        yield Finding("profile_periods", f"{len(periods)} periods")
    starts: list[Any] = [one.get("start_period") for one in periods]
    if not all(is_int(start) for start in starts):
        yield Finding("profile_starts", f"a start_period is no integer: {short(starts)}")
    elif starts and (starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts))):
        yield Finding("profile_starts", f"start_period must ascend from 0: {short(starts)}")
    for one in periods:
        yield from _rate("limit", one.get("limit"))


def _rate(name: str, rate: Any) -> Iterator[Finding]:
    if not is_number(rate) or not 0 <= rate < float("inf"):
        yield Finding("profile_limit", f"{name} {short(rate)} is not a number of at least 0")
    elif rate != round(rate, 1):
        yield Finding("profile_decimals", f"{name} {short(rate)} has more than one decimal")


def _result(raw: Any, known: tuple[str, ...]) -> Iterator[Finding]:
    if not isinstance(raw, dict):
        yield Finding("result", f"a result is an object, not {kind_of(raw)}")
    elif raw.get("result") not in known:
        yield Finding("result", f"result is {short(raw.get('result'))}")


def date_time(raw: Mapping[str, Any], key: str, code: str, *, required: bool = False) -> Iterator[Finding]:
    """Check one date-time of an object; absent is right unless required."""
    value = raw.get(key)
    if value is None:
        if required:
            yield Finding(f"{code}_time", f"{key} is missing")
        return
    if isinstance(value, str) and len(value) <= 25 and DATE_TIME.fullmatch(value):
        try:
            datetime.fromisoformat(value)
            return
        except ValueError:
            pass  # told below: the shape is right, the moment does not exist
    yield Finding(f"{code}_time", f"{key} {short(value)} is no UTC date-time of at most 25 characters ending in Z or in nothing")


def is_int(value: object) -> TypeGuard[int]:
    """Say whether JSON would call it an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether JSON would call it a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def short(value: object) -> str:
    """Return a value as it may stand in a finding, however long or deep it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # deeper, or with more digits, than Python writes
        return f"{kind_of(value)} that is too deep or too long to show"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", type(None): "absent", bool: "a boolean"}
    return names.get(type(value), "a number")
