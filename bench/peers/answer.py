"""What a CSO answers a mock peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.wire.ocpi.checks import short
from bench.wire.ocpi.transport import SUCCESS

_REASONS: Final = ("status_message", "detail", "message", "error")
"""Where a reason may stand: OCPI's own field, and what web frameworks use without it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the CSO."""

    status: int
    """HTTP."""
    headers: Mapping[str, str]
    raw: dict[str, Any]
    """The envelope."""
    secrets: tuple[str, ...] = ()
    """Tokens, which a CSO may repeat in its reason."""

    @property
    def ok(self) -> bool:
        """Say whether it did what was asked."""
        return 200 <= self.status < 300 and self.raw.get("status_code") == SUCCESS

    @property
    def words(self) -> str:
        """Return how it answered, with its reason where it gives one."""
        code = f"status_code {short(self.raw['status_code'])}" if "status_code" in self.raw else "no status_code"
        return f"HTTP {self.status}, {code}" + (f" ({self.reason})" if self.reason else "")

    @property
    def reason(self) -> str:
        """Return the CSO's own words for it, without the tokens; empty where it has none."""
        said = reason_of(self.raw)
        for secret in self.secrets:
            said = said.replace(secret, "(token)")
        return said


def reason_of(raw: Mapping[str, Any]) -> str:
    """Return a CSO's own words for its answer, empty where it has none; of a framework's list of faults without the values."""
    said = next((raw[name] for name in _REASONS if raw.get(name)), None)
    if isinstance(said, list):
        rows = [one for one in said if isinstance(one, dict) and isinstance(one.get("loc"), list)]
        said = "; ".join(f"{'.'.join(str(step) for step in one['loc'])}: {one.get('msg', '')}" for one in rows)
    return said if isinstance(said, str) else ""
