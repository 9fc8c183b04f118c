"""What a meter that speaks by itself sends: telegrams in a stream of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram as it was on the wire; `start` and `end` are its place in the stream, in bytes."""

    raw: bytes
    start: int
    end: int


class Framer(Protocol):
    """Cuts a stream into telegrams; whether one is sound is for its decoder to say."""

    def feed(self, data: bytes) -> list[Telegram]:
        """Take the next bytes of the stream and return the telegrams that they complete."""
        ...
