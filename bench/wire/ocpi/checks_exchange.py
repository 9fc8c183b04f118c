"""What a peer got wrong about HTTP, lists, and the course of a session: things that one object alone does not show.

Source: OCPI 2.2.1 and 2.3.0, chapters Transport and format, Status codes, and mod_sessions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bench.wire.ocpi.checks import Finding, is_int, is_number, short
from bench.wire.ocpi.checks_fields import moment
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, PartyId, receiver_of, sender_of
from bench.wire.ocpi.url import not_to_be_called, web_host

_LINK: Final = re.compile(r"""(?i)<([^<>]*)>[^<]*?;\s*rel\s*=\s*["']?next(?![\w-])""")
"""RFC 8288: other parameters may stand before it, and other links."""
_NAMED: Final = (401, 404, 405, 429)
"""HTTP errors that the text names, or that say nothing about the content."""
_OVER: Final = "COMPLETED"


def check_status(status: int, raw: Any) -> list[Finding]:
    """Check HTTP status against status_code. Once a request is authenticated and parsed, its content gets no HTTP error."""
    code = raw.get("status_code") if isinstance(raw, dict) else None
    if 300 <= status < 400 or status >= 500:
        return [Finding("http_status", f"HTTP {status}")]
    if not is_int(code):
        return []  # told by the check of the envelope
    if 200 <= status < 300:
        known = 1000 <= code < 5000
        return [] if known else [Finding("status_code", f"status_code {short(code)} is of no range that OCPI has")]
    if 1000 <= code < 2000:
        return [Finding("http_status", f"HTTP {status} beside the success {short(code)}")]
    if status in _NAMED:
        return []
    return [Finding("http_status", f"HTTP {status} for the content of a request (status_code {short(code)})")]


def check_content_type(headers: Mapping[str, str], body: bytes) -> list[Finding]:
    """Check that a body says it is JSON; names in lower case."""
    given = headers.get("content-type", "")
    if not body or given.partition(";")[0].strip().lower() == "application/json":
        return []
    return [Finding("content_type", f"content-type is {short(given)}, not application/json")]


class SeenIds:
    """The ids of a peer's requests: X-Request-ID belongs to one request only, X-Correlation-ID to one message."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {REQUEST_ID: set(), CORRELATION_ID: set()}

    def check(self, headers: Mapping[str, str]) -> list[Finding]:
        """Check the ids of the next request, names in lower case."""
        found = []
        for name, seen in self._seen.items():
            value = headers.get(name)
            if value and value in seen:
                found.append(Finding("id_repeated", f"{name} {short(value)} came before"))
            elif value:
                seen.add(value)
        return found


def check_parties(headers: Mapping[str, str], own: PartyId, peers: tuple[PartyId, ...]) -> list[Finding]:
    """Check whom a request of a functional module is for, and whom it comes from; absent headers are told elsewhere."""
    found, to, sender = [], receiver_of(headers), sender_of(headers)
    if to is not None and to != own:
        found.append(Finding("wrong_receiver", f"addressed to {to}, not to {own}"))
    if sender is not None and peers and sender not in peers:
        found.append(Finding("wrong_sender", f"comes from {sender}, which is no party of the registered platform"))
    return found


def check_page(url: str, headers: Mapping[str, str], data: Any) -> list[Finding]:
    """Check one page of a list: X-Total-Count, X-Limit, and a Link to the next page exactly where there is one."""
    found = []
    if not isinstance(data, list):
        return [Finding("page", f"data of a list is {short(data)}")]
    asked = _query(url)
    total, most = (_count(headers.get(name)) for name in ("x-total-count", "x-limit"))
    for name, value in (("X-Total-Count", total), ("X-Limit", most)):
        if value is None:
            found.append(Finding("page_header", f"{name} is {short(headers.get(name.lower()))}, not a number"))
    if most is not None and len(data) > most:
        found.append(Finding("page_size", f"{len(data)} objects, though X-Limit is {most}"))
    limit = _count(asked.get("limit"))
    if limit is not None and len(data) > limit:
        found.append(Finding("page_size", f"{len(data)} objects, though limit was {limit}"))
    following = _link(headers)
    if total is not None:
        reached = (_count(asked.get("offset")) or 0) + len(data)
        if reached < total and following is None:
            found.append(Finding("page_link", f"no Link to the next page after {reached} of {total}"))
        elif reached >= total and following is not None:
            found.append(Finding("page_link", f"a Link to a next page after all {total}"))
    if following is not None and (reason := _leads_away(following, url)):
        found.append(Finding("page_link", f"the Link to the next page is not followed: {reason}"))
    lost = [name for name in ("date_from", "date_to") if name in asked and name not in _query(following or url)]
    if lost:
        found.append(Finding("page_link", f"the Link to the next page has lost {', '.join(lost)}"))
    return found + _in_interval(asked, data)


def next_page(url: str, headers: Mapping[str, str]) -> str | None:
    """Return the URL of the page after that of `url`, or None; None too for one to which the list's token must not be sent."""
    following = _link(headers)
    return None if following is None or _leads_away(following, url) else following


def _link(headers: Mapping[str, str]) -> str | None:
    match = _LINK.search(headers.get("link", ""))
    return match.group(1) if match else None


def _leads_away(following: str, url: str) -> str:
    place = web_host(url)
    return not_to_be_called(following, url, place[1:] if place else ())


def check_session_change(known: Mapping[str, Any] | None, raw: Any, *, patch: bool) -> list[Finding]:
    """Check what a PUT or PATCH makes of a session: energy and time never go back, what is over stays over, periods are in order.

    A PATCH adds its charging_periods to the known ones; a PUT replaces them.
    """
    if not isinstance(raw, dict):
        return []
    found = []
    if known is not None:
        before, after = known.get("kwh"), raw.get("kwh")
        if is_number(before) and is_number(after) and after < before:
            found.append(Finding("session_kwh", f"kwh falls from {short(before)} to {short(after)}"))
        if known.get("status") == _OVER and raw.get("status", _OVER) != _OVER:
            found.append(Finding("session_status", f"{short(raw['status'])} after {_OVER}"))
        if _later(known.get("last_updated"), raw.get("last_updated")):
            text = f"last_updated falls from {known['last_updated']} to {raw['last_updated']}"
            found.append(Finding("session_updated", text))
    begins = [*_begins(known if patch else None), *_begins(raw)]
    repeated = sorted({one for one in begins if begins.count(one) > 1})
    if patch and repeated and _begins(raw):
        found.append(Finding("session_periods", f"a PATCH adds charging_periods; sent again: {', '.join(repeated)}"))
    elif any(_later(one, other) for one, other in pairwise(begins)):
        found.append(Finding("session_periods", f"charging_periods are not in order of time: {short(begins)}"))
    return found


def merged_session(known: Mapping[str, Any], raw: Mapping[str, Any], *, patch: bool) -> dict[str, Any]:
    """Return a session after a PUT or PATCH, with the periods added or replaced."""
    added = raw.get("charging_periods")
    before = known.get("charging_periods", []) if patch else []
    return {**(known if patch else {}), **raw, "charging_periods": [*before, *(added if isinstance(added, list) else [])]}


def _begins(session: Any) -> list[str]:
    periods = session.get("charging_periods") if isinstance(session, Mapping) else None
    begins = [one.get("start_date_time") for one in periods if isinstance(one, dict)] if isinstance(periods, list) else []
    return [one for one in begins if isinstance(one, str) and not moment(one)]


def _later(one: Any, other: Any) -> bool:
    """Say whether one UTC date-time lies after another; False where one cannot be read."""
    return not moment(one) and not moment(other) and _sortable(one) > _sortable(other)


def _sortable(at: str) -> str:
    whole, _, fraction = at.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}"


def _in_interval(asked: Mapping[str, str], data: list[Any]) -> list[Finding]:
    """date_from is inclusive, date_to exclusive, both on last_updated."""
    found, begin, end = [], asked.get("date_from"), asked.get("date_to")
    for one in data:
        at = one.get("last_updated") if isinstance(one, dict) else None
        if moment(at):
            continue
        if _later(begin, at) or (end is not None and not moment(end) and not _later(end, at)):
            found.append(Finding("page_interval", f"an object of {at} lies outside of what was asked"))
    return found[:3]


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
