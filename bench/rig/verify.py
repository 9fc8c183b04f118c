"""Checks a run that is over: its chain, its result, and its verdict, recomputed from the journal alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.adapters import signature
from bench.adapters.journal import encode
from bench.adapters.journal_reader import JournalReading, read_journal
from bench.domain.documents import Document, Kind
from bench.domain.evidence import Judgement
from bench.domain.verdicts import RunState, Verdict, exit_code
from bench.errors import EvidenceError, UsageError
from bench.runs.judge import JUDGE_VERSION, judge

_MISFIT: Final = "the journal's documents do not fit their kinds"


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of checking a run."""

    documents: int
    head: str
    findings: tuple[str, ...]
    judged: bool
    """False for the journals of `bench serve` and `bench commission`, which judge nothing."""
    recorded: dict[str, Any] | None
    """The content of `result.json`; None for a run that was cut off."""
    recomputed: dict[str, Any] | None
    signed_by: str = ""
    """Fingerprint of the key that has signed it; empty where nobody has. Whether rightly, only that key can tell."""
    checked_key: bool = False
    """The signature was held against the laboratory's key."""
    not_covered: tuple[str, ...] = ()
    """Files that people read beside a signed journal, and that the signature does not cover."""
    signed: Mapping[str, Any] | None = None
    """The content of `signature.json`; None where nobody has signed."""
    exported_from: str = ""
    """Head of the journal that this is a customer's copy of; empty for an original."""

    @property
    def sound(self) -> bool:
        """Say whether nothing was found."""
        return not self.findings

    def lines(self) -> list[str]:
        """Return it in words, the worst first."""
        lines = [f"finding: {finding}" for finding in self.findings]
        lines.append(f"chain:   {self.documents} documents, head {self.head}")
        if self.signed_by and self.checked_key:
            bare = f"; it does not cover {' and '.join(self.not_covered)}" if self.not_covered else ""
            lines.append(f"signed:  by key {self.signed_by}{'' if self.sound else ', not confirmed'}{bare}")
        elif self.signed_by:
            lines.append(f"signed:  it says by key {self.signed_by}; --key FILE.pub checks that")
        if self.exported_from:
            lines.append(f"copy:    exported without tokens and names, from the journal with head {self.exported_from}")
        if not self.judged:
            lines.append("verdict: none (the bench ran without judging)")
            return lines
        if self.recorded is None:
            lines.append("verdict: none (no result.json: the run was cut off, so it counts as aborted)")
            return lines
        claim = "verdict:" if self.sound else "result.json says (not confirmed):"
        lines.append(f"{claim} {self.recorded['verdict']} by judge {self.recorded['judge']}: {self.recorded['headline']}")
        if self.recomputed is not None and self.recomputed["judge"] != self.recorded["judge"]:
            again = self.recomputed
            lines.append(f"         {again['verdict']} by judge {again['judge']}: {again['headline']}")
        elif self.recomputed is not None and self.sound:
            lines.append("         recomputed from the journal alone: the same, check by check")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "sound": self.sound,
            "findings": list(self.findings),
            "documents": self.documents,
            "head": self.head,
            "recorded": self.recorded and {key: self.recorded[key] for key in ("judge", "state", "verdict", "headline")},
            "recomputed": self.recomputed,
            "judged": self.judged,
            "exported_from": self.exported_from or None,
            "signed": self.signed and self._signed(),
        }

    def _signed(self) -> dict[str, Any]:
        """Return who has signed what: the journal from its first document to the one with that head, and files beside it."""
        told = self.signed or {}
        return {
            "by": self.signed_by,
            "checked": self.checked_key,
            "confirmed": self.checked_key and self.sound,
            "documents": told.get("documents"),
            "head": told.get("head"),
            "files": sorted(signature.signed_files(told)),
            "not_covered": list(self.not_covered),
        }


def verify_run(folder: Path, key: Path | None = None) -> Verification:
    """Check a run's folder. Raises UsageError where it is no run at all.

    Args: key: the laboratory's public key; a run that it has not signed exactly as it is here is a finding.
    """
    reading = _read(folder, "verify")
    if folder.is_file() and not reading.documents and folder.stat().st_size:
        raise UsageError(f"{folder}: is no run: no line of it is a document")
    folder = folder if folder.is_dir() else folder.parent
    findings = _chain_findings(reading)
    recorded = _result(folder, findings)
    ended = any(one.kind == Kind.RUN_END for one in reading.documents)
    if recorded is None and ended and not findings and reading.documents[0].data.get("judged", True):
        findings.append("the run has ended, but result.json is missing")
    recomputed = None
    if recorded is not None:
        _compare_result(folder, reading, recorded, findings)
        recomputed = _recompute(reading, recorded, findings)
    claimed = signature.claimed(folder)
    findings += _signature_findings(folder, reading, key)
    first = reading.documents[0] if reading.documents else None
    if first is None or first.kind != Kind.RUN_START:
        findings.append("the journal does not begin with a run.start document")
    judged = first is None or bool(first.data.get("judged", True))
    exported = "" if first is None else _exported_from(first, findings)
    signer = str(claimed.get("key", ""))
    bare = tuple(signature.not_covered(folder)) if claimed else ()
    return Verification(
        len(reading.documents), reading.head, tuple(findings), judged, recorded, recomputed, signer, key is not None, bare,
        claimed or None, exported,
    )  # fmt: skip


def rewrite_report(folder: Path, out: Path | None) -> tuple[Path, bool]:
    """Write the report from the journal alone; return its path and whether the chain is whole.

    Raises: UsageError for what cannot be reported, and where the report that a laboratory has signed would be overwritten.
    """
    from bench.report.html import write_report

    reading = _read(folder, "report")
    beside = folder if folder.is_dir() else folder.parent
    path = out or beside / "report.html"
    _refuse_evidence(path, beside / "journal.jsonl" if folder.is_dir() else folder)
    if path.resolve() in [(beside / name).resolve() for name in signature.signed_files(signature.claimed(beside))]:
        raise UsageError(f"{path}: is signed ({signature.FILE}), and would not be the signed one any more: choose another --out")
    chain_ok = reading.broken_at is None
    try:
        judgement = _judged(reading)
    except EvidenceError as error:
        raise UsageError(f"{folder}: {error}") from None
    host = _object(beside / "host.json", []) or {}
    try:
        write_report(path, reading.documents, judgement, head_hash=reading.head, host=host, chain_ok=chain_ok)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    except Exception as error:  # a forged journal can be wrong in any way
        raise UsageError(f"{folder}: {_MISFIT}: {type(error).__name__}: {error}") from None
    return path, chain_ok


def _refuse_evidence(path: Path, journal: Path) -> None:
    """Refuse to write a report over a journal, or under any other name than a page's into a run's folder. Raises UsageError."""
    place = path.resolve()
    in_a_run = (place.parent / "journal.jsonl").is_file() and place.suffix != ".html"
    if in_a_run or (place.exists() and place.samefile(journal)):
        text = "in the folder of a run a report is a file .html; its other files are evidence, which is never overwritten"
        raise UsageError(f"--out {path}: {text}")


def _read(folder: Path, command: str) -> JournalReading:
    path = folder / "journal.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        inside = sorted(folder.glob("*/journal.jsonl")) or sorted(folder.glob("*/*/journal.jsonl"))
        names = ", ".join(str(one.parent.relative_to(folder)) for one in inside[:3]) + (" …" if len(inside) > 3 else "")
        more = f"; runs lie in its folders ({names}): name one, as `bench {command} {inside[0].parent}`" if inside else ""
        raise UsageError(f"{folder}: has no journal.jsonl, so it is no run{more}")
    try:
        return read_journal(path)
    except EvidenceError as error:
        raise UsageError(str(error)) from None


def _chain_findings(reading: JournalReading) -> list[str]:
    findings = []
    if reading.broken_at is not None:
        findings.append(f"the chain is broken at line {reading.broken_at + 1}: {reading.reason}")
    if reading.torn_tail:
        findings.append("torn tail: the last line is incomplete and was left out")
    return findings


def _signature_findings(folder: Path, reading: JournalReading, key: Path | None) -> list[str]:
    claimed = signature.claimed(folder)
    if claimed and (unknown := signature.unknown_schema(claimed)):
        return [unknown]
    findings = []
    if claimed and claimed.get("head") != reading.head:
        what = f"{signature.FILE} is on a journal with head {claimed.get('head')}"
        findings.append(f"{what}: this one was changed after it was signed, or forged")
    elif key is not None:
        statement = signature.Statement.of(folder, reading.head, len(reading.documents))
        findings += signature.findings(signature.load_public(key), folder, statement)
    return findings + signature.changed_files(folder)


def _exported_from(start: Document, findings: list[str]) -> str:
    """Return the head of the journal that this is a copy of; empty for an original, and where it cannot be read: a finding."""
    exported = start.data.get("exported")
    if exported is None:
        return ""
    origin = exported.get("from") if isinstance(exported, dict) else None
    if not isinstance(origin, str):
        findings.append("the journal cannot be read: exported in its first document does not tell the head of the original")
        return ""
    return origin


def _result(folder: Path, findings: list[str]) -> dict[str, Any] | None:
    result = _object(folder / "result.json", findings)
    if result is not None and not {"judge", "state", "verdict", "headline", "checks", "head"} <= result.keys():
        findings.append("result.json cannot be read: fields are missing")
        return None
    return result


def _object(path: Path, findings: list[str]) -> dict[str, Any] | None:
    """Return the object in a JSON file; None where there is no such file, or no object in it, which is a finding."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        findings.append(f"{path.name} cannot be read: {error}")
        return None
    if not isinstance(content, dict):
        findings.append(f"{path.name} cannot be read: it holds no object")
        return None
    return content


def _compare_result(folder: Path, reading: JournalReading, recorded: dict[str, Any], findings: list[str]) -> None:
    if reading.broken_at is None and recorded["head"] != reading.head:
        findings.append(f"the chain ends with {reading.head}, not with result.json's {recorded['head']}: cut off or replaced")
    host = folder / "host.json"
    if not host.is_file():
        findings.append("host.json is missing")
    elif hashlib.sha256(host.read_bytes()).hexdigest() != recorded.get("host_sha256"):
        findings.append("host.json does not have the hash that result.json says")


def _recompute(reading: JournalReading, recorded: dict[str, Any], findings: list[str]) -> dict[str, Any] | None:
    if reading.broken_at is not None:
        return None
    _compare_with_journal(reading, recorded, findings)
    try:
        verdict = _judged(reading).verdict
    except EvidenceError as error:
        findings.append(str(error))
        return None
    again = json.loads(encode(verdict.as_json()))
    if recorded["judge"] == JUDGE_VERSION:
        _unknown(recorded, again, findings)
        for key in again:
            if recorded.get(key) != again[key]:
                shown = "" if key in ("checks", "warnings") else f": {again[key]} for {recorded.get(key)}"
                findings.append(f"result.json and the journal differ in {key}{shown}")
    if not _fits_exit_code(recorded):
        findings.append(f"result.json tells exit code {recorded.get('exit_code')}, which is not that of {recorded['verdict']}")
    return {"judge": verdict.judge, "state": verdict.state, "verdict": verdict.verdict, "headline": verdict.headline}


def _fits_exit_code(recorded: dict[str, Any]) -> bool:
    """Say whether the exit code is that of the verdict beside it, whichever judge gave that."""
    try:
        state, verdict = RunState(recorded["state"]), Verdict(recorded["verdict"])
    except ValueError:
        return True  # no such word: the comparison with the journal tells that
    return recorded.get("exit_code") in {exit_code(state, verdict, strict=strict) for strict in (False, True)}


def _unknown(recorded: dict[str, Any], again: dict[str, Any], findings: list[str]) -> None:
    known = {*again, "schema", "bench", "exit_code", "documents", "head", "host_sha256", "exported_from"}
    if more := sorted(recorded.keys() - known):
        findings.append(f"result.json tells what no run writes: {', '.join(more)}")


def _compare_with_journal(reading: JournalReading, recorded: dict[str, Any], findings: list[str]) -> None:
    """Compare result.json with the verdict that the run itself had written into the chain, whichever judge gave it."""
    written = [one.data for one in reading.documents if one.kind == Kind.VERDICT]
    last = next((one for one in reversed(written) if "run" in one), None)
    checks = [one["check"] for one in written if "check" in one]
    if last is None:
        findings.append("the journal ends before its verdict, and result.json tells one")
        return
    if not isinstance(last["run"], dict) or "judge" not in last:
        findings.append("the verdict in the journal cannot be read: its run is no object, or its judge is missing")
        return
    told = last["run"] | {"judge": last["judge"]}
    differing = [key for key in ("judge", "state", "verdict", "headline") if recorded[key] != told.get(key)]
    differing += ["checks"] if recorded["checks"] != checks else []
    differing += ["documents"] if recorded.get("documents") != len(reading.documents) else []
    if differing:
        findings.append(f"result.json is not what the run wrote into its journal: {', '.join(differing)}")


def _judged(reading: JournalReading) -> Judgement:
    try:
        return judge(reading.documents)
    except EvidenceError:
        raise
    except Exception as error:  # a forged journal can be wrong in any way
        raise EvidenceError(f"{_MISFIT}: {type(error).__name__}: {error}") from None
