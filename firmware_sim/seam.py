"""The points at which a fault may change what a sound station does; `faults` says which points there are."""

from __future__ import annotations

from typing import Any, Protocol


class Seam(Protocol):
    """Gives `value` back, changed by each seeded fault that knows the point."""

    def apply(self, point: str, *context: Any, value: Any) -> Any: ...


class Sound:
    """No fault at all."""

    def apply(self, point: str, *context: Any, value: Any) -> Any:
        """Return the value as it is."""
        return value
