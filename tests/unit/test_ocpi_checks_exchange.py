"""What a peer gets wrong about HTTP, lists, ids, parties, and the course of a session is found."""

from __future__ import annotations

from typing import Any

import pytest

from bench.wire.ocpi import checks_exchange as exchange
from bench.wire.ocpi.checks import Finding
from bench.wire.ocpi.transport import PartyId

URL = "http://cso.example/ocpi/2.2.1/sessions?date_from=2026-01-15T00:00:00Z&offset=2&limit=2"
NEXT = '<http://cso.example/ocpi/2.2.1/sessions?date_from=2026-01-15T00:00:00Z&offset=4&limit=2>; rel="next"'
PAGE = {"x-total-count": "5", "x-limit": "50", "link": NEXT}
ROWS = [{"last_updated": "2026-01-15T00:00:00Z"}, {"last_updated": "2026-01-15T00:00:00.500Z"}]
SESSION = {"status": "ACTIVE", "kwh": 2.0, "last_updated": "2026-01-15T01:00:00Z",
           "charging_periods": [{"start_date_time": "2026-01-15T00:00:00Z"}]}  # fmt: skip


def _codes(found: list[Finding]) -> list[str]:
    return [one.code for one in found]


@pytest.mark.parametrize(
    ("status", "code", "found"),
    [
        (200, 1000, []), (200, 2001, []), (201, 1000, []), (404, 2004, []), (405, 2000, []), (401, 2000, []),
        (400, 2001, ["http_status"]), (422, 2001, ["http_status"]), (404, 1000, ["http_status"]), (500, 3000, ["http_status"]),
        (307, None, ["http_status"]), (200, 200, ["status_code"]),
    ],
)  # fmt: skip
def test_http_status_fits_status_code(status: int, code: int | None, found: list[str]) -> None:
    """Status codes: an authenticated, parsed request gets no HTTP error for its content, unless the text names one."""
    assert _codes(exchange.check_status(status, {"status_code": code})) == found


def test_a_body_says_that_it_is_json() -> None:
    """Transport, Request format."""
    assert exchange.check_content_type({"content-type": "application/json; charset=utf-8"}, b"{}") == []
    assert exchange.check_content_type({}, b"") == []
    assert _codes(exchange.check_content_type({"content-type": "text/html"}, b"{}")) == ["content_type"]


def test_an_id_that_comes_twice_is_found() -> None:
    """Transport, Unique message IDs."""
    seen = exchange.SeenIds()
    assert seen.check({"x-request-id": "1", "x-correlation-id": "1"}) == []
    assert _codes(seen.check({"x-request-id": "1", "x-correlation-id": "2"})) == ["id_repeated"]


def test_a_request_to_or_from_somebody_else_is_found() -> None:
    """Transport, routing headers."""
    own, cso = PartyId("NL", "SCP"), PartyId("NL", "BEN")
    right = {"ocpi-to-country-code": "nl", "ocpi-to-party-id": "scp", "ocpi-from-country-code": "NL", "ocpi-from-party-id": "BEN"}
    assert exchange.check_parties(right, own, (cso,)) == []
    wrong = right | {"ocpi-to-party-id": "MSP", "ocpi-from-party-id": "XYZ"}
    assert _codes(exchange.check_parties(wrong, own, (cso,))) == ["wrong_receiver", "wrong_sender"]


def test_a_right_page_is_left_alone() -> None:
    """In the middle of a list, and its last page, which has no Link."""
    assert exchange.check_page(URL, PAGE, ROWS) == []
    assert exchange.check_page(URL.replace("offset=2", "offset=4"), {"x-total-count": "5", "x-limit": "50"}, ROWS[:1]) == []


@pytest.mark.parametrize(
    ("headers", "rows", "code"),
    [
        ({"x-total-count": ""}, ROWS, "page_header"),
        ({"x-limit": "many"}, ROWS, "page_header"),
        ({"x-limit": "1"}, ROWS, "page_size"),
        ({"x-total-count": "6"}, [*ROWS, ROWS[0]], "page_size"),
        ({"link": ""}, ROWS, "page_link"),
        ({"x-total-count": "4"}, ROWS, "page_link"),
        ({"link": '<http://cso.example/ocpi?offset=4>; rel="next"'}, ROWS, "page_link"),
        ({"link": NEXT.replace("cso.example", "elsewhere.example")}, ROWS, "page_link"),
        ({}, [{"last_updated": "2026-01-14T23:59:59Z"}], "page_interval"),
        ({}, {}, "page"),
    ],
)
def test_a_wrong_page_is_found(headers: dict[str, str], rows: Any, code: str) -> None:
    """Transport, Pagination: X-Total-Count, X-Limit, Link, and the interval of last_updated."""
    assert _codes(exchange.check_page(URL, PAGE | headers, rows)) == [code]


def test_date_to_is_exclusive() -> None:
    """Transport, Paginated Request."""
    url = "http://cso.example/tokens?date_to=2026-01-15T00:00:00.500Z"
    headers = {"x-total-count": "2", "x-limit": "50"}
    assert _codes(exchange.check_page(url, headers, ROWS)) == ["page_interval"]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"kwh": 3.0, "charging_periods": [{"start_date_time": "2026-01-15T00:30:00Z"}]}, []),
        ({"kwh": 1.9}, ["session_kwh"]),
        ({"last_updated": "2026-01-15T00:59:59Z"}, ["session_updated"]),
        ({"charging_periods": [{"start_date_time": "2026-01-15T00:00:00Z"}]}, ["session_periods"]),
        ({"charging_periods": [{"start_date_time": "2026-01-14T00:00:00Z"}]}, ["session_periods"]),
    ],
)
def test_a_session_goes_on_and_never_back(changes: dict[str, Any], codes: list[str]) -> None:
    """mod_sessions, PATCH: periods are added, so that one sent again is a mistake; energy and time only grow."""
    raw = {"last_updated": "2026-01-15T01:00:01Z"} | changes
    assert _codes(exchange.check_session_change(SESSION, raw, patch=True)) == codes


def test_a_completed_session_stays_so() -> None:
    """mod_sessions: COMPLETED is final."""
    over = SESSION | {"status": "COMPLETED"}
    assert _codes(exchange.check_session_change(over, {"status": "ACTIVE"}, patch=True)) == ["session_status"]
    assert exchange.check_session_change(over, {"status": "COMPLETED"}, patch=True) == []


def test_a_patch_adds_periods_and_a_put_replaces_them() -> None:
    """mod_sessions, PUT and PATCH."""
    raw = {"charging_periods": [{"start_date_time": "2026-01-15T00:30:00Z"}]}
    assert len(exchange.merged_session(SESSION, raw, patch=True)["charging_periods"]) == 2
    assert exchange.merged_session(SESSION, raw, patch=False) == raw
    assert exchange.merged_session(SESSION, {}, patch=False)["charging_periods"] == []
    assert exchange.check_session_change(SESSION, SESSION, patch=False) == []


@pytest.mark.parametrize(
    "link",
    [
        '<{}>; title="more"; rel="next"', "<{}>;rel=next", "<{}>; Rel='NEXT'",
        '<http://a.example/x>; rel="prev", <{}>; rel="next"', '<{}>; rel="next", <http://a.example/x>; rel="prev"',
    ],
)  # fmt: skip
def test_a_link_to_the_next_page_is_found_in_each_form(link: str) -> None:
    """RFC 8288, which Transport, Pagination names: other parameters and other links may stand before it."""
    assert exchange.next_page(URL, {"link": link.format("http://cso.example/ocpi?offset=4")}) == "http://cso.example/ocpi?offset=4"


@pytest.mark.parametrize("link", ['<{}>; rel="prev"', '<{}>; rel="next-archive"', "<" * 100_000])
def test_another_link_is_no_next_page(link: str) -> None:
    """Nor is one that never ends."""
    assert exchange.next_page(URL, {"link": link.format("http://cso.example/ocpi?offset=4")}) is None
