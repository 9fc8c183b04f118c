"""Lists, page by page, as OCPI's transport chapter has it: X-Total-Count, X-Limit and a Link to the next page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Query
from starlette.responses import Response

from bench.cso.ocpi.answers import Answers
from bench.wire.ocpi.types import OcpiDateTime, utc_text

MOST_LISTED: Final = 100
"""The server's maximum of objects on one page (X-Limit)."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for: last updated in [date_from, date_to), from `offset` on, `limit` objects at most."""

    date_from: datetime | None
    date_to: datetime | None
    offset: int
    limit: int

    def covers(self, last_updated: datetime) -> bool:
        """Say whether an object's last update lies in the asked interval."""
        return (self.date_from is None or self.date_from <= last_updated) and (
            self.date_to is None or last_updated < self.date_to
        )

    def answer(self, answers: Answers, url: str, found: Sequence[dict[str, Any]]) -> Response:
        """Answer with the page of all that was found, oldest first; `url` is that of the list."""
        most = min(self.limit, MOST_LISTED)
        response = answers.data(list(found[self.offset : self.offset + most]))
        response.headers["X-Total-Count"], response.headers["X-Limit"] = str(len(found)), str(MOST_LISTED)
        if self.offset + most < len(found):
            filters = {"date_from": self.date_from, "date_to": self.date_to}
            query = {name: utc_text(at) for name, at in filters.items() if at is not None}
            query |= {"offset": str(self.offset + most), "limit": str(most)}
            response.headers["Link"] = f'<{url}?{urlencode(query, safe=":")}>; rel="next"'
        return response


async def _page(  # async, or it would run in a thread
    date_from: OcpiDateTime | None = None,
    date_to: OcpiDateTime | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1)] = MOST_LISTED,
) -> Page:
    return Page(date_from, date_to, offset, limit)


async def _page_since(
    date_from: OcpiDateTime,
    date_to: OcpiDateTime | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1)] = MOST_LISTED,
) -> Page:
    return Page(date_from, date_to, offset, limit)


AnyPage = Annotated[Page, Depends(_page)]
"""Where `date_from` may be absent: all that there is."""
PageSince = Annotated[Page, Depends(_page_since)]
"""Where the module demands `date_from` (sessions)."""
