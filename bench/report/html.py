"""The report of a run: one HTML file that needs nothing but a browser, and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from bench.domain.documents import Document
from bench.domain.evidence import Judgement
from bench.report.exchange import exchange_section
from bench.report.markup import Markup, element, section
from bench.report.sections import (
    checks_section,
    evidence_section,
    findings_section,
    periods_section,
    pointed_to,
    proven_section,
    quoted_section,
    requirements_section,
    settings_section,
    steps_section,
    verdict_section,
    words,
)
from bench.report.series import EvseSeries, evse_series
from bench.report.svg import still_picture
from bench.report.why import job_section, warnings_section, why_section

_POLICY: Final = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def write_report(
    path: Path, documents: Sequence[Document], judgement: Judgement, *, head_hash: str, host: Mapping[str, Any], chain_ok: bool
) -> None:
    """Write the report of a run.

    Args:
        documents: the run's journal, from its `run.start` on.
        judgement: what the judge made of it; also of an aborted run.
        head_hash: of the journal's last line.
        host: facts of the computer that ran it; empty where they are not known.
        chain_ok: whether the journal's chain is whole.
    """
    series = evse_series(judgement, documents)
    exchange, shown = exchange_section(documents)
    quoted, numbers = quoted_section(documents, [ref for ref in pointed_to(judgement, documents) if ref not in shown])
    shown |= numbers
    body = [
        verdict_section(judgement, head_hash=head_hash, chain_ok=chain_ok, start=documents[0]),
        why_section(judgement, documents, shown),
        warnings_section(judgement, shown),
        job_section(documents[0]),
        proven_section(judgement, documents, documents[0]),
        [_plot(index, one) for index, one in enumerate(series)],
        checks_section(judgement, shown),
        requirements_section(judgement, shown),
        periods_section(judgement),
        steps_section(judgement, documents, shown),
        findings_section(documents, shown),
        settings_section(judgement, documents, host),
        quoted,
        exchange,
        evidence_section(head_hash, chain_ok=chain_ok, documents=len(documents)),
    ]
    title = f"{words(judgement.verdict.verdict)}: {judgement.facts.scenario['title']}"
    path.write_text(page(title, body, scripts=_scripts(bool(series))), encoding="utf-8")


def _plot(index: int, series: EvseSeries) -> Markup:
    """Return one EVSE's plot: alive on the screen, still on paper."""
    from bench.report.plot import plot_json

    data = Markup(plot_json(series).replace("<", "\\u003c"))
    drawn = sum(one >= 0 for one in series.seqs)
    note = f"Measured: {series.measured_as}. " if series.readings else "No reading of a meter. "
    if drawn < series.readings:
        note += (
            f"{drawn} of {series.readings} readings are drawn: the lowest and highest of each span, and every one in a breach or "
            "near a change of the limit. "
        )
    note += "A click on a name in the legend hides or shows it."
    return section(
        f"Limits and measured power of {series.name}",
        element("div", id=f"plot-{index}", class_="live", role="img", aria_label=f"interactive plot of {series.name}"),
        element("script", data, type="application/json", class_="plot-data", data_target=f"plot-{index}"),
        element("figure", still_picture(series)),
        element("p", note, class_="note"),
        id_=f"evse-{index}",
    )


def _scripts(plots: bool) -> list[str]:
    page = _packaged("page.js")
    if not plots:
        return [page]
    from bench.report.plot import library

    return [library().replace("</script", "<\\/script"), page]


def page(title: str, body: Sequence[object], scripts: Sequence[str]) -> str:
    """Return the page; no script runs in it but those whose hash its policy names."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)
    policy = f"default-src 'none'; script-src {hashes}; {_POLICY}"
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(_packaged("page.css"))),
        element("noscript", element("style", Markup("figure { display: block } .live, .controls { display: none }"))),
    )
    content = element("body", element("main", *body), [element("script", Markup(one)) for one in scripts])
    return "<!doctype html>\n" + element("html", head, content, lang="en") + "\n"


def _packaged(name: str) -> str:
    return files("bench.report").joinpath(name).read_text(encoding="utf-8")
