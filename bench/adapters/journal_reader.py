"""Reading a journal back: each line is held against the chain; the first one that does not fit ends what can be trusted."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from bench.domain.documents import FIRST_HASH, SCHEMA_VERSION, Document
from bench.errors import EvidenceError

_TAIL: Final = len(b',"h":"' + FIRST_HASH + b'"}\n')
LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes. A longer line is no document of a bench, whose frames and bodies are limited far below."""


@dataclass(frozen=True, slots=True)
class JournalReading:
    """What a journal says, as far as its chain is whole."""

    documents: list[Document]
    head: str
    """Hash of the last sound line; equal to the one in `result.json` if nothing was cut off."""
    broken_at: int | None = None
    """Number of the first document (from 0, as in `seq`) that does not fit the chain; nothing after it was read."""
    reason: str = ""
    """Why it does not fit."""
    torn_tail: bool = False
    """The last line has no newline: the writer was stopped in the middle of it. It was dropped."""


class _Misfit(Exception):
    """A line does not fit; the text says why."""


def read_journal(path: Path) -> JournalReading:
    """Read a journal and check its chain. Raises EvidenceError where the file cannot be read at all."""
    collecting = gc.isenabled()
    gc.disable()  # documents hold no cycles; looking for some would take most of the time
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror or error}") from error
    finally:
        if collecting:
            gc.enable()


def _read(file: BinaryIO) -> JournalReading:
    documents: list[Document] = []
    head = FIRST_HASH
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            return JournalReading(documents, head.decode(), torn_tail=True)
        try:
            claimed = line[-_TAIL + 6 : -3]
            digest = sha256(head)
            digest.update(memoryview(line)[:-_TAIL])
            digest.update(b"}")
            if digest.hexdigest().encode() != claimed or line[-_TAIL : -_TAIL + 6] != b',"h":"' or line[-3:] != b'"}\n':
                raise _Misfit(_mismatch(line, len(documents)))
            documents.append(_document(orjson.loads(line), len(documents)))
        except (_Misfit, ValueError) as error:
            return JournalReading(documents, head.decode(), broken_at=len(documents), reason=str(error))
        head = claimed
    return JournalReading(documents, head.decode())


def _document(content: Any, seq: int) -> Document:
    """Return the document of a line whose hash fits. Raises _Misfit or ValueError."""
    try:
        if content["v"] != SCHEMA_VERSION:
            raise _Misfit(f"its schema version is {content['v']}; this bench reads {SCHEMA_VERSION}")
        if content["seq"] != seq:
            raise _Misfit(f"it is document {content['seq']} where document {seq} is due")
        kind, data = content["kind"], content["data"]
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise _Misfit("`kind` must be text and `data` an object")
        return Document(seq, datetime.fromisoformat(content["t"]), kind, data)
    except (KeyError, TypeError) as error:
        raise _Misfit(f"it is no document of a journal ({error})") from None


def _mismatch(line: bytes, due: int) -> str:
    """Return the likely cause of a hash that does not fit."""
    if len(line) >= LONGEST_LINE:
        return f"it is longer than {LONGEST_LINE} bytes: no document of a bench"
    try:
        found = orjson.loads(line)["seq"]
    except (ValueError, KeyError, TypeError):
        return "it is no document of a journal, or was damaged"
    if found != due:
        return f"it is document {found} where document {due} is due: lines are missing, added or in another order"
    return "its hash does not fit: this line, or the hash before it, was changed"
