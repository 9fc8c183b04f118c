"""Earlier runs on a rig, found in the folders where runs are kept, and the transactions that they have left running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from bench.adapters.journal_reader import LONGEST_LINE, read_journal
from bench.domain.documents import Document, Kind
from bench.domain.exchange import Call, paired_calls
from bench.errors import EvidenceError
from bench.ports import Journal
from bench.runs.safe_state import has_looked
from bench.runs.transactions import still_open
from bench.settings.rig import RigSettings

RUNS: Final = Path("runs")
"""Where runs are kept when nothing else is said, and where `bench restore` looks."""
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_MISFITS: Final = (OSError, LookupError, TypeError, ValueError, AttributeError, OverflowError, EvidenceError)


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run, by the first line of its journal alone."""

    began: datetime
    """Where that line cannot be read: when the file was last written, as far as that can be told."""
    folder: Path
    unread: str = ""
    """Why the line cannot be read; it may then be of any rig."""


def earlier_runs(rig: str, runs: Path) -> list[EarlierRun]:
    """Return the runs on a rig in real time, and those whose rig cannot be told; the newest first."""
    found = []
    for path in runs.glob("*/journal.jsonl") if runs.is_dir() else ():
        try:
            with path.open("rb") as file:
                line = file.readline(LONGEST_LINE)
        except OSError as error:
            found.append(EarlierRun(_LAST, path.parent, error.strerror or str(error)))
            continue
        if not line.endswith(b"\n"):
            continue  # stopped before it touched anything
        try:
            first = orjson.loads(line)
            began = datetime.fromisoformat(first["t"]).astimezone(UTC)
            if first["data"]["rig"]["name"] == rig and first["data"]["mode"] == "real":
                found.append(EarlierRun(began, path.parent))
        except _MISFITS:
            began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(EarlierRun(began, path.parent, "its first line is no begin of a run"))
    return sorted(found, key=lambda one: one.began, reverse=True)


def left_running(rig: RigSettings, station: str, out: Path, journal: Journal) -> dict[str, Path]:
    """Return the transactions of a station that earlier runs have seen begin and not end, with the folder of the run.

    Looks in `runs/` and beside the new run's own folder; what cannot be read there becomes a finding. In each of the two it
    goes back to the newest run that has looked by itself: that one would have armed nothing with a transaction left.
    Args: out: folder of the new run, which is left out.
    """
    if rig.emulator is not None:  # its stations live within a run only
        return {}
    own = out.resolve()
    folders = {one.resolve(): one for one in (out.parent, RUNS)}.values()
    row = [one for runs in folders for one in _row(rig.name, station, runs, own, journal)]
    found: dict[str, Path] = {}
    for run, calls in sorted(row, key=lambda one: one[0].began):
        found = {identity: found.get(identity, run.folder) for identity in still_open(calls, station, found)}
    return found


def _row(rig: str, station: str, runs: Path, own: Path, journal: Journal) -> Iterator[tuple[EarlierRun, list[Call]]]:
    for run in earlier_runs(rig, runs):
        if run.folder.resolve() == own:
            continue
        if run.unread:
            _tell(journal, run.folder, run.unread)
            continue
        try:
            reading = read_journal(run.folder / "journal.jsonl")
            looked, calls = has_looked(reading.documents, station), _of_transactions(reading.documents)
        except _MISFITS as error:
            _tell(journal, run.folder, str(error))
            continue
        if reading.broken_at is not None:
            _tell(journal, run.folder, f"from document {reading.broken_at} on {reading.reason}")
        yield run, calls
        if looked:
            return


def _of_transactions(documents: list[Document]) -> list[Call]:
    return [one for one in paired_calls(documents) if one.action in ("TransactionEvent", "RequestStopTransaction")]


def _tell(journal: Journal, folder: Path, reason: str) -> None:
    path = folder / "journal.jsonl"
    text = f"{path} cannot be read ({reason}): what it saw begin may still run at the station, look there"
    journal.write(Kind.FINDING, {"source": "bench", "code": "earlier_run_unread", "text": text, "refs": []})
