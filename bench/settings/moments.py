"""Moments that a person types."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from bench.errors import UsageError

EARLIEST: Final = 2000
LATEST: Final = 2099
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")


def parse_moment(text: str | None, option: str) -> datetime | None:
    """Read an RFC 3339 date-time with an offset or Z. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not _RFC_3339.match(text):
            raise ValueError
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r}: is no date-time with an offset or Z, such as 2026-03-29T00:58:00Z") from None
    if not EARLIEST <= moment.year <= LATEST:
        raise UsageError(f"{option} {text!r}: must lie in the years {EARLIEST} to {LATEST}")
    return moment
