"""The report's page: what stands first, what is escaped, and what an aborted run says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.domain.documents import Document
from bench.report.exchange import Row, chosen, rows
from bench.report.html import write_report
from bench.report.markup import Markup, element, table
from bench.runs.judge import judge
from tests.support_conduct import Story, profile
from tests.support_report import Day

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onmouseover=alert(3)"


def page_of(documents: list[Document], tmp_path: Path, **more: Any) -> str:
    """Return the report on a journal."""
    path = tmp_path / "report.html"
    settings: dict[str, Any] = {"head_hash": "ab" * 32, "host": {"python": "3.11"}, "chain_ok": True} | more
    write_report(path, documents, judge(documents), **settings)
    return path.read_text()


def prose(page: str) -> str:
    """Return the page without scripts, styles and tags."""
    return re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the report on the disobedient station, which also tries to get its script into the page."""
    return page_of(Day(disobedient=True, additional_info=ATTACK).documents(), tmp_path_factory.mktemp("failed"))


def test_the_verdict_stands_first(failed: str) -> None:
    """Before anything else come the word and the sentence that says what, by how much, when and who."""
    text = " ".join(prose(failed[failed.index("<body>") :]).split())
    assert text.startswith("Charge point bench · test report ✗ FAIL CS-EMU-1 EVSE 1 exceeded its limit of 4.20 kW by 5.77 kW")
    assert "the station is to blame" in text[:300]


def test_a_peer_cannot_put_markup_into_the_page(failed: str) -> None:
    """What a station says is shown as text; the page has the bench's own scripts alone, and a policy that names them."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(failed)
    assert "&lt;script&gt;alert(1)" in failed
    assert not [attributes for _, attributes in found if any(name.startswith("on") for name in attributes)]
    assert not [tag for tag, _ in found if tag == "img"]
    assert sum(tag == "script" for tag, _ in found) == 3
    policy = next(one["content"] for tag, one in found if tag == "meta" and "http-equiv" in one)
    assert policy is not None
    assert "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_nothing_is_loaded_from_elsewhere(failed: str) -> None:
    """The file needs no network: no element of it refers to another file."""
    outside = re.findall(r'<(?:script|link|img|iframe|object)[^>]*(?:src|href)="[^"]*"', failed)
    assert outside == []


def test_a_day_stays_light(failed: str) -> None:
    """A day of ten thousand readings is a page below 3 MB."""
    assert len(failed.encode()) < 3_000_000


def test_evidence_links_lead_to_what_is_shown(failed: str) -> None:
    """Each number that is a link has its target on the page."""
    targets = set(re.findall(r'id="(d\d+)"', failed))
    links = set(re.findall(r'href="#(d\d+)"', failed))
    assert len(links) > 20
    assert links <= targets


def test_no_id_stands_twice(failed: str) -> None:
    """Otherwise a link would lead to the wrong document."""
    ids = re.findall(r'<[^>]* id="([^"]+)"', re.sub(r"<script\b.*?</script>", "", failed, flags=re.DOTALL))
    assert len(ids) == len(set(ids))


def test_it_says_what_is_not_proven(failed: str) -> None:
    """An emulated rig proves nothing about hardware, and an unproven meter is named."""
    text = prose(failed)
    assert "Anything about hardware" in text
    assert "it was not proven before the run" in text
    assert "only if this hash is kept elsewhere" in text
    assert "ab" * 32 in text


def test_an_aborted_run_says_so_first(tmp_path: Path) -> None:
    """Nothing was judged, and the report still shows what was written."""
    text = " ".join(prose(page_of(Day(state="aborted", duration_s=20_000).documents(), tmp_path)).split())
    assert "■ ABORTED stopped by the operator" in text
    assert "was not judged" in text
    assert "Limits and measured power of CS-EMU-1 EVSE 1" in text


def test_a_torn_journal_gets_a_report(tmp_path: Path) -> None:
    """A journal that ends before the first reading has no plot, and says that it was cut off."""
    page = page_of(Day(state=None, duration_s=1).documents(), tmp_path)
    assert "it was cut off" in page
    assert "plot-data" not in page.split("<script>")[0]


def test_a_broken_chain_is_said_in_the_banner(tmp_path: Path) -> None:
    """Who reads the verdict reads that it rests on nothing."""
    page = page_of(Day(duration_s=400).documents(), tmp_path, chain_ok=False)
    assert page.index("is BROKEN") < page.index("<h2>")


def test_each_exchange_is_one_row() -> None:
    """A call and its answer stand together; a frame that belongs to no call stands alone."""
    documents = Day(duration_s=20_000).documents()
    last = documents[-1]
    documents.append(Document(last.seq + 1, last.t, "ocpp.frame", {"station": "CS-EMU-1", "dir": "in", "raw": "{{"}))
    found = rows(documents)
    assert found[-1].status == "unpaired or unreadable"
    assert [one.what for one in found if not one.routine][:2] == ["BootNotification", "TransactionEvent Started"]
    assert all(len(one.refs) == 2 for one in found[:-1])


def test_routine_messages_are_left_out_first() -> None:
    """Above the cap every telling message stays."""
    many = [Row(float(one), (one,), "OCPP", "", "Heartbeat", "", None, routine=True) for one in range(50)]
    telling = Row(99.0, (99,), "OCPP", "", "SetChargingProfile", "Accepted", 0.1, routine=False)
    assert chosen([*many, telling], most=10) == [*many[:9], telling]


def test_content_is_escaped_unless_it_is_markup() -> None:
    """Text, attributes and cells are escaped; markup is not escaped twice."""
    assert element("p", "<b>", element("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert element("p", id='"><script>') == '<p id="&quot;&gt;&lt;script&gt;"></p>'
    assert "<td>&lt;td onclick</td>" in table(("a",), [["<td onclick"]])
    assert isinstance(element("p"), Markup)


def test_each_requirement_has_its_row(tmp_path: Path) -> None:
    """What was shown of a requirement, with its verdict, what was said, and links to documents on the page."""
    story = Story()
    story.set(profile(), 9)
    story.judgement()
    page = page_of(story.journal.documents, tmp_path)
    table = page[page.index('id="requirements"') :].split("</section>")[0]
    text = " ".join(prose(table).split())
    assert "K01.FR.28 ✗ FAIL profile 1 sent at 2026-01-15 00:00:00Z" in text
    assert "the station has 1 to 2: Accepted 1" in text
    assert re.search(r'href="#d\d+"', table)
