"""What OCPI's objects are made of: date-times, numbers, URLs, and a model that keeps unknown fields. Sans I/O.

Source: OCPI 2.2.1 and 2.3.0, chapter Types; the same in both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema


def utc_text(moment: datetime) -> str:
    """Return a moment as OCPI writes it: UTC, `Z`, milliseconds where there are any (string(25) has room for no more)."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond // 1000:03d}Z" if moment.microsecond else "Z")


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

Seconds = Annotated[int, BeforeValidator(_number), Field(ge=0, le=2**31 - 1)]

Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]

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
