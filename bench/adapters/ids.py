"""Identifiers: from the seed where a run must be repeatable, from the system where it must be secret."""

from __future__ import annotations

import random
import secrets


class SeededIds:
    """The same seed and purpose give the same identifiers, in any process."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._random = random.Random(f"{seed}/{purpose}")

    def token(self, length: int = 32) -> str:
        """Return a token of hexadecimal characters."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def number(self, below: int) -> int:
        """Return an integer in [0, below)."""
        return self._random.randrange(below)


class SystemIds:
    """Identifiers that nobody can guess."""

    def token(self, length: int = 32) -> str:
        """Return a token of hexadecimal characters."""
        return secrets.token_hex((length + 1) // 2)[:length]

    def number(self, below: int) -> int:
        """Return an integer in [0, below)."""
        return secrets.randbelow(below)
