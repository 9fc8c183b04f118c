"""What tests of several parts share: a clock that a test moves, and a journal in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from bench.adapters.journal import encode
from bench.domain.documents import Document, Kind

EPOCH = datetime(2026, 1, 15, tzinfo=UTC)
DEEP: Final = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
"""Whether this is `make deep`. It alone writes the pages of runs of whom a test reads the verdict only."""


class FakeClock:
    """A clock that stands still until a test moves it, or until someone sleeps on it."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self.epoch = epoch
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the epoch plus what has elapsed."""
        return self.epoch + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds elapsed."""
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self.elapsed_s += seconds

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at once, and let others run."""
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)


def _without(secrets: Sequence[str], value: Any) -> Any:
    """Return JSON whose texts have no secret any more; numbers stay, whatever digits a secret has."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "hmac:secret")
        return value
    if isinstance(value, dict):
        return {_without(secrets, name): _without(secrets, one) for name, one in value.items()}
    return [_without(secrets, one) for one in value] if isinstance(value, list) else value


class MemoryJournal:
    """Keeps documents as a file would give them back: encoded as JSON and decoded again, secrets replaced."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self._clock = clock or FakeClock()
        self._secrets: list[str] = []
        self._listeners: list[Callable[[str, Mapping[str, Any]], None]] = []
        self.documents: list[Document] = []

    def write(self, kind: str, data: Mapping[str, Any]) -> int:
        """Append one document and return its number."""
        seq = len(self.documents)
        text = encode(data).decode()
        written = orjson.loads(text)
        if any(secret in text for secret in self._secrets):
            written = _without(self._secrets, written)
        self.documents.append(Document(seq, self._clock.now(), str(kind), written))
        for listener in self._listeners:
            listener(kind, data)
        return seq

    def secret(self, value: str) -> None:
        """From now on replace this text."""
        self._secrets.append(value)

    def subscribe(self, listener: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Call `listener(kind, data)` after each document."""
        self._listeners.append(listener)

    def of(self, kind: Kind | str) -> list[dict[str, Any]]:
        """Return the data of all documents of one kind, in order."""
        return [document.data for document in self.documents if document.kind == kind]
