"""What OCPI's objects are made of: date-times, numbers, URLs, and a model that keeps unknown fields. Sans I/O.

Source: OCPI 2.2.1 and 2.3.0, chapter Types; the same in both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic_core import core_schema


def utc_text(moment: datetime) -> str:
    """Return a moment as OCPI writes it: UTC, `Z`, milliseconds where there are any (string(25) has room for no more)."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond // 1000:03d}Z" if moment.microsecond >= 1000 else "Z")


def _date_time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("must be an RFC 3339 date-time")
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an RFC 3339 date-time") from None


def _number(value: object) -> object:
    """Refuse what JSON does not call a number; pydantic would turn "10" and true into one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004  (pydantic takes ValueError alone for a finding)
    return value

OcpiDateTime = Annotated[
    datetime, BeforeValidator(_date_time), PlainSerializer(utc_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]  # fmt: skip

_WHOLE: Final = core_schema.union_schema(
    [
        core_schema.int_schema(strict=True, ge=0, le=2**31 - 1),
        core_schema.no_info_before_validator_function(_number, core_schema.int_schema(ge=0, le=2**31 - 1)),
    ],
    custom_error_type="seconds", custom_error_message="must be a whole number from 0 to 2147483647", mode="left_to_right",
)  # fmt: skip
"""The first is tried without Python; the second takes 900.0 for 900, as JSON does."""
Seconds = Annotated[
    int, GetPydanticSchema(lambda kind, inner: _WHOLE), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**31 - 1})
]

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
"""What JSON calls a number: neither "10" nor true."""

Id = Annotated[str, Field(min_length=1, max_length=36)]
"""CiString(36): identifiers compare without regard to case, and keep it."""
CountryCode = Annotated[str, Field(min_length=2, max_length=2)]
PartyCode = Annotated[str, Field(min_length=3, max_length=3)]

Url = Annotated[str, Field(min_length=1, max_length=255)]


class OcpiModel(BaseModel):
    """Unknown fields are kept: a peer may extend any object."""

    model_config = ConfigDict(extra="allow")

    def plain(self) -> dict[str, Any]:
        """Return the object as JSON, without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)
