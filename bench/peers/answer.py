"""What a CSO answers a mock peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.wire.ocpi.transport import SUCCESS


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the CSO."""

    status: int
    """HTTP."""
    headers: Mapping[str, str]
    raw: dict[str, Any]
    """The envelope."""

    @property
    def ok(self) -> bool:
        """Say whether it did what was asked."""
        return 200 <= self.status < 300 and self.raw.get("status_code") == SUCCESS

    @property
    def words(self) -> str:
        """Return how it answered, with its reason where it gives one."""
        why = self.raw.get("status_message")
        return f"HTTP {self.status}, status_code {self.raw.get('status_code')}" + (f" ({why})" if why else "")
