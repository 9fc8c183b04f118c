"""The console's progress: a picture on a terminal, lines elsewhere, silence when asked for."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from bench.cli.progress import Progress
from bench.domain.documents import Document
from bench.domain.quantities import moment, parse_time
from tests.support_report import Day, settings

DAY = Day(duration_s=45_000)


def feed(progress: Progress, documents: list[Document]) -> None:
    """Give the documents as a journal gives them to its listeners: the readings' times are times."""
    for one in documents:
        data: dict[str, Any] = dict(one.data)
        if one.kind == "meter.sample":
            data["received"] = moment(parse_time(data["received"]))
        progress(one.kind, data)


def shown(*, terminal: bool, quiet: bool = False, real_s: float = 0.0) -> tuple[str, str]:
    """Return what a run wrote, and its last picture."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False, color_system=None)
    scenario, _ = settings()
    with Progress(scenario, quiet=quiet, console=console, real_s=lambda: real_s) as progress:
        feed(progress, DAY.documents())
        last = io.StringIO()
        Console(file=last, width=100).print(progress.picture())
    return out.getvalue(), last.getvalue()


def test_the_picture_tells_where_the_run_stands() -> None:
    """Time, step, limit, power, last frame and findings, all from the journal."""
    lines = [" ".join(line.split()) for line in shown(terminal=True)[1].splitlines()]
    assert lines[0].startswith("run 12:29:52 of 24:00:00, 11:30:07 left")
    assert lines[1].startswith("step safe state")
    assert lines[2:4] == ["limit 10.00 kW", "power 9.97 kW"]
    assert lines[4] == "frame CS-EMU-1 → CSMS: Heartbeat"
    assert lines[5] == "findings 1"


def test_time_begins_where_virtual_time_begins() -> None:
    """A scenario that names no date runs from the bench's own; each step tells the time as well."""
    scenario, _ = settings()
    progress = Progress(scenario.model_copy(update={"start": None}), console=Console(file=io.StringIO(), width=100))
    feed(progress, [one for one in DAY.documents() if one.kind in ("run.start", "step.start")])
    out = io.StringIO()
    Console(file=out, width=100).print(progress.picture())
    assert "12:00:00 of 24:00:00" in out.getvalue()


def test_without_a_terminal_there_is_one_line_per_step() -> None:
    """A log of a pipeline stays short."""
    lines = shown(terminal=False)[0].splitlines()
    assert lines[1] == "0:10:05 of 24:00:00  step 2 authorise"
    assert len(lines) == 5


def test_quiet_is_silent() -> None:
    """Neither a picture nor a line, with or without a terminal."""
    assert shown(terminal=False, quiet=True)[0] == ""
    assert shown(terminal=True, quiet=True)[0] == ""


def test_the_picture_is_drawn_by_real_time_alone() -> None:
    """While the real clock stands still, five thousand documents make one picture; the second is drawn when all is over."""
    assert shown(terminal=True)[0].count("findings") == 2


def test_in_real_time_there_is_one_clock() -> None:
    """What proves the meters comes before the scenario's own time and is told as that; no time jumps back."""
    out = io.StringIO()
    scenario, _ = settings()
    progress = Progress(scenario, console=Console(file=out, width=100))
    progress("run.start", {**DAY.documents()[0].data, "mode": "real"})
    for number, (name, at_s) in enumerate([("connect", 0), ("snapshot", 8.2), ("baseline", 9), ("plug", 0), ("wait", 2)]):
        progress("step.start", {"step": number, "name": name, "at_s": at_s})
    lines = [line.partition("  step ")[::2] for line in out.getvalue().splitlines()]
    assert lines == [
        ("preparing", "0 connect"), ("preparing", "1 snapshot"), ("preparing", "2 baseline"),
        ("0:00:00 of 24:00:00", "3 plug"), ("0:00:02 of 24:00:00", "4 wait"),
    ]  # fmt: skip


def test_a_step_that_was_stopped_is_told_in_words() -> None:
    """Whoever presses Ctrl-C reads no name of an exception."""
    out = io.StringIO()
    progress = Progress(settings()[0], console=Console(file=out, width=100))
    progress("step.end", {"step": 1, "name": "connect", "outcome": "failed", "detail": "CancelledError"})
    progress("step.end", {"step": 2, "name": "plug", "outcome": "failed", "detail": "no answer"})
    assert out.getvalue().splitlines() == ["step 1 ended early", "step 2 failed: no answer"]
