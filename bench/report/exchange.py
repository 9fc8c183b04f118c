"""What went over the wires, row by row: each call with its answer, and whatever belongs to no call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.documents import Document, Kind
from bench.domain.exchange import paired_calls, paired_http
from bench.domain.quantities import clock_text, seconds
from bench.report.markup import Markup, element, number, section, text

MOST_ROWS: Final = 2000
MOST_CHARACTERS: Final = 20_000
"""Of one message; a longer one is cut and says so."""
_ROUTINE: Final = ("Heartbeat", "MeterValues")


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange, or one message on its own."""

    at: float
    refs: tuple[int, ...]
    wire: str
    """OCPP or OCPI."""
    route: str
    what: str
    status: str
    took_s: float | None
    routine: bool


def rows(documents: Sequence[Document]) -> list[Row]:
    """Return all exchanges of a journal in order of their first message."""
    found = [*_ocpp_rows(documents), *_ocpi_rows(documents)]
    shown = {ref for row in found for ref in row.refs}
    found += [_lone(one) for one in documents if one.kind in (Kind.OCPP_FRAME, Kind.OCPI_RESPONSE) and one.seq not in shown]
    return sorted(found, key=lambda row: row.refs[0])


def chosen(all_rows: Sequence[Row], most: int = MOST_ROWS) -> list[Row]:
    """Return the rows that are shown: routine ones are left out first, then the latest."""
    telling = [row for row in all_rows if not row.routine][:most]
    routine = [row for row in all_rows if row.routine][: most - len(telling)]
    return sorted([*telling, *routine], key=lambda row: row.refs[0])


def exchange_section(documents: Sequence[Document]) -> tuple[Markup, set[int]]:
    """Return the section, and the numbers of the documents that it shows."""
    all_rows = rows(documents)
    shown = chosen(all_rows)
    raw = _raw_texts(documents, {ref for row in shown for ref in row.refs})
    bodies = [_body(row, raw) for row in shown]
    routine = sum(row.routine for row in shown)
    left_out = len(all_rows) - len(shown)
    note = f"{left_out} of {len(all_rows)} exchanges are left out here to keep the page light; journal.jsonl holds every one."
    head = element(
        "tr",
        [
            element("th", one, scope="col", class_="number" if one in ("Document", "Took") else None)
            for one in ("Document", "Time, UTC", "Wire", "Route", "Message", "Status", "Took")
        ],
    )
    controls = element(
        "div",
        element(
            "label", "Filter ", element("input", type="search", id="filter", placeholder="action, status, text of a message")
        ),
        element("label", element("input", type="checkbox", id="routine"), f" show routine messages ({routine})"),
        element("output", "", id="shown"),
        class_="controls",
    )
    content = [
        element("p", "Each row is a call and its answer as they were on the wire; secrets are replaced by keyed hashes. ",
                "Routine messages (Heartbeat, MeterValues, updates of a running transaction) are folded away at first."),
        element("p", note, class_="note") if left_out else None,
        controls,
        element("div", element("table", element("thead", head), bodies, id="exchange"), class_="scroll"),
    ]  # fmt: skip
    return section("OCPP and OCPI exchange", *content, id_="messages"), set(raw)


def _body(row: Row, raw: Mapping[int, str]) -> Markup:
    """Return one exchange as a table body of two rows: the line, and the messages folded away."""
    first, *others = row.refs
    line = element(
        "tr",
        number(element("a", first, id=f"d{first}", href=f"#d{first}")),
        element("td", clock_text(row.at)[11:], class_="time"),
        element("td", row.wire),
        element("td", row.route),
        element("td", row.what, class_="what"),
        element("td", row.status, class_=None if _is_good(row) else "bad"),
        number("" if row.took_s is None else f"{row.took_s * 1000:.0f} ms"),
    )
    messages = [element("pre", raw[ref], id=f"d{ref}" if ref in others else None) for ref in row.refs]
    folded = element("tr", element("td", element("details", element("summary", "messages"), messages), colspan=7), class_="raw")
    return element("tbody", line, folded, class_="routine" if row.routine else None)


def _is_good(row: Row) -> bool:
    if row.wire == "OCPI":
        return row.status.startswith("2")
    return row.status not in ("Rejected", "no answer") and not row.status.startswith(("CALLERROR", "unpaired"))


def _raw_texts(documents: Iterable[Document], wanted: set[int]) -> dict[int, str]:
    return {one.seq: _cut(_raw(one)) for one in documents if one.seq in wanted}


def _raw(document: Document) -> str:
    data = document.data
    if document.kind == Kind.OCPP_FRAME:
        return str(data["raw"])
    first = f"{data['method']} {data['url']}" if document.kind == Kind.OCPI_REQUEST else f"HTTP status {data['status']}"
    headers = [f"{name}: {value}" for name, value in data["headers"].items()]
    return "\n".join([first, *headers, "", str(data.get("body") or "")]).strip()


def _cut(raw: str) -> str:
    if len(raw) <= MOST_CHARACTERS:
        return raw
    return f"{raw[:MOST_CHARACTERS]}\n… cut here: {len(raw) - MOST_CHARACTERS} more characters are in journal.jsonl"


def _ocpp_rows(documents: Sequence[Document]) -> Iterator[Row]:
    for call in paired_calls(documents):
        event = call.request.get("eventType") if call.action == "TransactionEvent" else None
        route = f"{call.station} → CSMS" if call.from_station else f"CSMS → {call.station}"
        status = f"CALLERROR {call.error}" if call.error else call.status
        took = None if call.answered is None else call.answered - call.asked
        answered = call.answered is not None
        yield Row(
            call.asked, call.refs, "OCPP", route, f"{call.action} {event}" if event else call.action,
            status if answered else "no answer", took,
            routine=answered and not call.error and (call.action in _ROUTINE or event == "Updated"),
        )  # fmt: skip


def _ocpi_rows(documents: Sequence[Document]) -> Iterator[Row]:
    for one in paired_http(documents):
        took = None if one.answered is None else one.answered - one.asked
        status = "no answer" if one.status is None else str(one.status)
        if isinstance(one.answer, dict) and "status_code" in one.answer:
            status += f" / {one.answer['status_code']}"
        yield Row(
            one.asked, one.refs, "OCPI", f"{one.sender} → {one.receiver}", f"{one.method} {one.url}", status, took, routine=False
        )


def _lone(document: Document) -> Row:
    data = document.data
    if document.kind == Kind.OCPP_FRAME:
        station = data["station"]
        route = f"{station} → CSMS" if data["dir"] == "in" else f"CSMS → {station}"
        return Row(seconds(document.t), (document.seq,), "OCPP", route, "frame", "unpaired or unreadable", None, routine=False)
    return Row(seconds(document.t), (document.seq,), "OCPI", "", "response", f"{data['status']}, unpaired", None, routine=False)


def link(ref: int, shown: set[int]) -> Markup:
    """Return the number of a document, linked to where the page shows it."""
    return element("a", ref, href=f"#d{ref}") if ref in shown else text(ref)
