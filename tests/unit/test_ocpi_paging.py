"""Pages of a list (transport, Pagination)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.responses import Response

from bench.adapters.clock import LoopClock
from bench.cso.ocpi.answers import Answers
from bench.cso.ocpi.paging import Page
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

URL = "https://cso.example/ocpi/cpo/2.2.1/cdrs"
ROWS = [{"id": str(number)} for number in range(250)]
YEAR = {"date_from": datetime(2026, 1, 1, tzinfo=UTC), "date_to": datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)}


async def _page(page: Page, count: int = 250) -> Response:
    return page.answer(Answers(LoopClock(EPOCH)), URL, ROWS[:count])


def _first(response: Response) -> str:
    body = bytes(response.body).decode()
    return body.partition('"id":"')[2].partition('"')[0]


async def test_the_link_leads_to_the_next_page() -> None:
    """Paginated Response, Link: offset and limit of what follows, and from there on again."""
    first = await _page(Page(None, None, 0, 100))
    second = await _page(Page(None, None, 100, 100))
    assert first.headers["Link"] == f'<{URL}?offset=100&limit=100>; rel="next"'
    assert second.headers["Link"] == f'<{URL}?offset=200&limit=100>; rel="next"'
    assert (_first(first), _first(second)) == ("0", "100")


async def test_the_last_page_has_no_link() -> None:
    """Paginated Response, Link: only where there is more; also where a page is exactly full, and behind the end."""
    for offset, limit in ((200, 100), (200, 50), (240, 10), (250, 10), (9999, 10)):
        assert "Link" not in (await _page(Page(None, None, offset, limit))).headers


async def test_the_link_keeps_the_filters() -> None:
    """Paginated Response, Link: date_from and date_to as they were asked for."""
    response = await _page(Page(YEAR["date_from"], YEAR["date_to"], 0, 100))
    query = "date_from=2026-01-01T00:00:00Z&date_to=2026-12-31T23:59:59Z&offset=100&limit=100"
    assert response.headers["Link"] == f'<{URL}?{query}>; rel="next"'


async def test_the_total_counts_all_pages_and_the_limit_is_the_servers() -> None:
    """Paginated Response, X-Total-Count and X-Limit: the same on each page, however short it is, and whatever limit was asked."""
    for offset, limit, count in ((0, 2000, 250), (240, 100, 250), (0, 7, 250), (0, 100, 3)):
        headers = (await _page(Page(None, None, offset, limit), count)).headers
        assert (headers["X-Total-Count"], headers["X-Limit"]) == (str(count), "100")
    assert "limit=100" in (await _page(Page(None, None, 0, 2000))).headers["Link"], "more than the server gives is cut"


@pytest.mark.parametrize(
    ("at", "covered"),
    [(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), False), (YEAR["date_from"], True), (YEAR["date_to"], False)],
)
async def test_date_from_is_in_and_date_to_is_not(at: datetime, covered: bool) -> None:
    """Paginated Request: the date_to of one interval is the date_from of the next."""
    assert Page(YEAR["date_from"], YEAR["date_to"], 0, 10).covers(at) is covered
