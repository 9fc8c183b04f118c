"""What is worth knowing about an OCPI peer, into the journal."""

from __future__ import annotations

from collections.abc import Iterable

from bench.domain.documents import Kind
from bench.ports import Journal
from bench.wire.ocpi.checks import Finding
from bench.wire.ocpi.url import hide_secrets, hide_token_uid


class Findings:
    """Writes findings about OCPI peers; they decide nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, found: Iterable[Finding], where: str, *refs: int) -> None:
        """Journal what a check found; `where`: in which message."""
        for one in found:
            self.tell(one.code, f"{where}: {one.text}", *refs)

    def tell(self, code: str, text: str, *refs: int) -> None:
        """Journal one finding; refs are numbers of documents."""
        safe = hide_token_uid(hide_secrets(text)).encode(errors="backslashreplace").decode()  # may hold halves of surrogate pairs
        self._journal.write(Kind.FINDING, {"source": "ocpi", "code": code, "text": safe, "refs": list(refs)})
