"""What comes from the CSMS is checked against the schemas that ship with the `ocpp` package, at a fraction of its cost."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import ocpp.v201

_FOLDER: Final = Path(ocpp.v201.__file__).parent / "schemas"
_SHIPPED: Final = frozenset(path.stem for path in _FOLDER.glob("*.json"))
_CODES: Final = {
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
}
"""CALLERROR code by the schema keyword that is broken; FormatViolation for the rest (OCPP-J 2.0.1 Part 4, 4.3)."""


@cache
def _validator(name: str) -> jsonschema_rs.Draft6Validator:
    return jsonschema_rs.Draft6Validator(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8-sig")))


def breach(name: str, payload: Any) -> tuple[str, str] | None:
    """Return CALLERROR code and description for a payload that breaks the schema `name`, e.g. `ResetRequest`; None if sound.

    An action without a schema is sound here: whether it is known is for its caller to say.
    """
    error = next(iter(_validator(name).iter_errors(payload)), None) if name in _SHIPPED else None
    if error is None:
        return None
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    return _CODES.get(keyword, "FormatViolation"), error.message[:255]
