"""A curve of solar surplus: what the mock SCSP may give to cars."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from bench.settings.base import Settings


class SurplusCurve(Settings):
    """Power left over, one value per interval."""

    version: Literal[1] = Field(alias="schema")
    source: str
    start: AwareDatetime
    interval_s: int = Field(ge=60, le=86_400)
    least_w: float = Field(default=0.0, ge=0)
    """A car takes nothing below this, such as 6 A on all its phases: where there is less, the limit is 0."""
    surplus_w: tuple[float, ...] = Field(min_length=1, max_length=1024)
