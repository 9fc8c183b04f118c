"""The suite file: scenarios that are run one after the other, and summed up as one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from bench.settings.base import Settings


class SuiteSettings(Settings):
    """One suite."""

    version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,48}$")
    title: str
    scenarios: tuple[str, ...] = Field(min_length=1)
    """Names, or paths relative to where the bench is started, in the order in which they are run."""
    attempts: int = Field(default=2, ge=1, le=5)
    """How often a scenario is tried that gets no verdict; the first valid verdict counts, whatever it says."""

    @field_validator("scenarios")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if doubled := sorted({one for one in value if value.count(one) > 1}):
            raise ValueError(f"names {', '.join(doubled)} twice: the first verdict would count, never the best of two")
        return value
