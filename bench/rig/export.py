"""Copies a run for a customer: tokens and names of people replaced, chained anew, and judged the same from the copy alone."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench import __version__
from bench.adapters.journal import encode, write_result
from bench.adapters.journal_reader import read_journal
from bench.adapters.signature import FILE, Statement, load_private, sign
from bench.domain.documents import FIRST_HASH, Document, Kind, chain
from bench.errors import UsageError
from bench.report.html import write_report
from bench.report.junit import write_junit
from bench.rig.files import new_folder
from bench.rig.verify import verify_run
from bench.runs.judge import judge

_HASHED: Final = re.compile(r"hmac:[0-9a-f]{16}")
"""What stands in a journal in place of a token."""
_PERSONAL: Final = ("contract_id", "evCcId", "EVCCID", "emaid", "uid")
"""Keys whose values name a person's contract or car."""
_KEYED: Final = re.compile(r'(\\*)"(' + "|".join(_PERSONAL) + r')\1"\s*:\s*\1"((?:[^"\\]|\\.)*?)\1"')
_HOST_KEPT: Final = ("bench", "python")


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of an export."""

    folder: Path
    replaced: int
    """How many different texts."""
    head: str


class _Pseudonyms:
    """Gives equal texts equal names, in the order in which they come."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def of(self, text: str, what: str) -> str:
        """Return the name that stands for a text; one that is a name already stays."""
        if text.startswith(f"{what}-"):
            return text
        return self._names.setdefault(text, f"{what}-{len(self._names) + 1:04}")

    def in_text(self, text: str) -> str:
        """Return a text with all that has to be replaced in it."""
        text = _HASHED.sub(lambda found: self.of(found[0], "token"), text)
        return _KEYED.sub(lambda found: f'{found[1]}"{found[2]}{found[1]}":{found[1]}"{self.of(found[3], "id")}{found[1]}"', text)


def export_run(folder: Path, out: Path, key: Path | None = None) -> Exported:
    """Copy a run. The copy tells the head of the original, so that the laboratory can lead one back to the other.

    Raises: UsageError for what is no sound run, for a folder that is used, and where the copy would be judged otherwise.
    """
    signer = None if key is None else load_private(key)
    checked = verify_run(folder)
    if not checked.sound or checked.recorded is None:
        raise UsageError(f"{folder}: is not exported: {(*checked.findings, 'it has no result')[0]}")
    original = read_journal((folder if folder.is_dir() else folder.parent) / "journal.jsonl")
    new_folder(out)
    names = _Pseudonyms()
    head = _write_copy(out / "journal.jsonl", original.documents, original.head, names)
    copy = read_journal(out / "journal.jsonl")
    judgement = judge(copy.documents)
    result = _result(checked.recorded, names)
    host = {name: value for name, value in _object(folder / "host.json").items() if name in _HOST_KEPT}
    write_result(out / "host.json", host)
    result |= {"head": head, "host_sha256": hashlib.sha256((out / "host.json").read_bytes()).hexdigest()}
    result |= {"exported_from": original.head}
    write_report(out / "report.html", copy.documents, judgement, head_hash=head, host=host, chain_ok=True)
    write_junit(out / "junit.xml", judgement, judgement.facts.scenario["name"])
    write_result(out / "result.json", result)
    if signer is not None:
        write_result(out / FILE, sign(signer, Statement.of(out, head, len(copy.documents))))
    if not (again := verify_run(out)).sound:
        raise UsageError(f"{out}: the copy is not judged as the original is: {again.findings[0]}")
    return Exported(out, len(names), head)


def _write_copy(path: Path, documents: list[Document], original: str, names: _Pseudonyms) -> str:
    """Write the documents with names in place of texts, and return the head of the new chain."""
    head = FIRST_HASH
    with path.open("xb") as file:
        for one in documents:
            data = orjson.loads(names.in_text(encode(one.data).decode()))
            if one.kind == Kind.RUN_START:
                data = _anonymous(data, names) | {"exported": {"from": original, "bench": __version__}}
            body = encode({"v": 1, "seq": one.seq, "t": one.t, "kind": one.kind, "data": data})
            head = chain(head, body)
            file.write(b'%b,"h":"%b"}\n' % (body[:-1], head))
    return head.decode()


def _anonymous(start: dict[str, Any], names: _Pseudonyms) -> dict[str, Any]:
    """Return the first document without the name of the person at the bench."""
    job = start.get("job")
    return start if not job else start | {"job": job | {"operator": names.of(job["operator"], "operator")}}


def _result(recorded: dict[str, Any], names: _Pseudonyms) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(names.in_text(json.dumps(recorded, ensure_ascii=False)))
    return result


def _object(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content
