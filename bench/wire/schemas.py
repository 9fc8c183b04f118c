"""The JSON schemas of OCPP 2.0.1 messages, compiled when first needed.

The schema files ship in the `ocpp` package. They are found without importing it, which would cost 0.4 s, and compiled with
`jsonschema-rs`, which checks a large message in microseconds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MAX_REASON: Final = 200
"""Characters of a reason: a peer's megabyte must not come back in every text about it."""
_OCCURRENCE: Final = frozenset({"required", "minItems", "maxItems", "uniqueItems"})
"""Keywords whose breach is an OccurrenceConstraintViolation."""
_SYNTAX: Final = frozenset({"additionalProperties", "additionalItems"})
"""Keywords whose breach is a FormatViolation: fields that the message does not have."""

_TOO_DEEP: Final = "Recursion limit"


@dataclass(frozen=True, slots=True)
class Violation:
    """How a payload breaks its schema."""

    code: str
    """The error code of OCPP-J (Part 4, table 8) that fits."""
    path: str
    """Where, e.g. `chargingProfile.chargingSchedule[0].id`; empty for the payload itself."""
    reason: str
    tolerable: bool = False
    """True where nothing but the format of a date-time or the like is wrong: worth a finding, not a rejection."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def check_payload(action: str, response: bool, payload: Any) -> Violation | None:
    """Return the first violation of a request's or response's payload, or None; `action` must be known.

    A violation that is not tolerable goes first. Raises KeyError for an unknown action.
    """
    validator = _validator(action, response)
    try:
        if validator.is_valid(payload):
            return None
        return _worst(validator.iter_errors(payload))
    except ValueError as error:  # jsonschema-rs goes 255 levels down
        if _TOO_DEEP not in str(error):
            raise
        return Violation("FormatViolation", "", "nested too deeply")


@cache
def known_actions() -> frozenset[str]:
    """Return the names of all OCPP 2.0.1 actions, e.g. `BootNotification`."""
    return frozenset(path.name.removesuffix("Request.json") for path in _folder().glob("*Request.json"))


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("ocpp")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package `ocpp`, which brings the OCPP 2.0.1 schemas, is not installed")
    return Path(spec.submodule_search_locations[0]) / "v201" / "schemas"


@cache
def _validator(action: str, response: bool) -> jsonschema_rs.Draft6Validator:
    if action not in known_actions():
        raise KeyError(action)
    path = _folder() / f"{action}{'Response' if response else 'Request'}.json"
    schema = orjson.loads(path.read_bytes().removeprefix(_BYTE_ORDER_MARK))
    return jsonschema_rs.Draft6Validator(schema, validate_formats=True)


def _worst(errors: Iterable[jsonschema_rs.ValidationError]) -> Violation | None:
    """Return the first violation that is not tolerable, or else the first."""
    tolerable: Violation | None = None
    for error in errors:
        violation = _violation(error)
        if not violation.tolerable:
            return violation
        tolerable = tolerable or violation
    return tolerable


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    keyword = error.kind.name
    path = ""
    for part in error.instance_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    secret = "oken" in path or "assword" in path
    reason = f"breaks {keyword!r}" if secret else error.message
    if len(reason) > MAX_REASON:
        reason = f"{reason[: MAX_REASON - 1]}…"
    return Violation(_code(keyword), path, reason, tolerable=keyword == "format")


def _code(keyword: str) -> str:
    """Return the error code for a broken keyword. Source: OCPP 2.0.1 Part 4, table 8."""
    if keyword == "type":
        return "TypeConstraintViolation"
    if keyword in _OCCURRENCE:
        return "OccurrenceConstraintViolation"
    if keyword in _SYNTAX:
        return "FormatViolation"
    return "PropertyConstraintViolation"
