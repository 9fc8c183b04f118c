"""Identifiers from the seed: the same seed and purpose give the same ones in any process."""

from __future__ import annotations

import random


class Identifiers:
    """Tokens for one purpose, such as the message ids of one station."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._random = random.Random(f"{seed}/{purpose}")

    def token(self, length: int = 32) -> str:
        """Return a token of `length` hexadecimal characters."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"
