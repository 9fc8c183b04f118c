"""The report in a real browser, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from bench.report.html import write_report
from bench.runs.judge import judge
from tests.support_report import Day

pytestmark = pytest.mark.outside("chromium")


class Opened:
    """A page and what its console said."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        self.page = context.new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.locator("canvas").first.wait_for()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Open the report on the disobedient station, which also says a script."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    documents = Day(disobedient=True, additional_info="<script>document.title='owned'</script>").documents()
    write_report(path, documents, judge(documents), head_hash="ab" * 32, host={}, chain_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield Opened(browser, path)
        browser.close()


def test_the_verdict_is_the_heading(report: Opened) -> None:
    """Whoever opens the page sees the word at once."""
    heading = report.page.get_by_role("heading", level=1)
    assert heading.inner_text() == "✗ FAIL"
    box = heading.bounding_box()
    assert box is not None
    assert box["y"] < 200


def test_the_page_is_quiet_and_alone(report: Opened) -> None:
    """The browser complains of nothing, the policy blocks nothing of ours, and nothing is fetched."""
    assert report.complaints == []
    assert [url for url in report.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert report.page.title().startswith("FAIL: ")


def test_the_breach_is_drawn(report: Opened) -> None:
    """The plot is alive and knows the breach: its strip and its mark are among what it draws."""
    drawn = report.page.evaluate(
        """() => Bokeh.documents[0].roots()[0].children.flatMap(([one]) => one.renderers ?? [])
             .filter(one => one.glyph?.type === "Scatter").map(one => Array.from(one.data_source.data.limit))"""
    )
    assert drawn
    assert drawn[0][0] == 4.2
    assert report.page.locator("canvas").count() >= 2
    assert report.page.locator("figure").first.is_hidden()


def test_hovering_shows_values(report: Opened) -> None:
    """The value under the pointer is told with its unit."""
    plot = report.page.locator("#plot-0")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    report.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 250)
    report.page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + 252)
    tip = report.page.get_by_text("Expected limit:").first
    tip.wait_for()
    assert report.page.get_by_text("10.00 kW").count() >= 1


def test_the_filter_finds_a_message(report: Opened) -> None:
    """Routine messages are folded away at first; the filter leaves what it asks for."""
    shown = report.page.locator("#exchange tbody:visible")
    assert 5 < shown.count() < 20
    report.page.fill("#filter", "setchargingprofile")
    assert shown.count() == 1
    assert report.page.locator("#shown").inner_text().startswith("1 of ")
    report.page.fill("#filter", "")
    report.page.check("#routine")
    assert shown.count() > 500


def test_paper_gets_the_still_picture(report: Opened) -> None:
    """In print the picture replaces the plot."""
    report.page.emulate_media(media="print")
    still = report.page.locator("figure svg").first
    assert still.is_visible()
    assert report.page.locator("#plot-0").is_hidden()
    report.page.emulate_media(media="screen")
