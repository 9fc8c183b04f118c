"""The catalogue of field bugs: what goes wrong in real installations, how it is seeded, and which verdict is due."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.domain.verdicts import FaultClass, Layer, Verdict
from bench.settings.base import Settings
from bench.settings.scenario import Check, Fault


class Due(Settings):
    """What the bench has to say of a variant; written down before the check that says it."""

    verdict: Verdict
    check: Literal[Check, "", "proof", "traceability"] = ""
    """The check that has to lead; empty where none has to."""
    blamed: tuple[Layer, ...] = ()
    """Exactly these layers: a set with the true layer and another has not separated them."""
    fault_class: Annotated[FaultClass | None, Field(alias="class")] = None
    warnings: tuple[str, ...] = ()
    """Codes of the findings beside the verdict that have to be there."""

    @model_validator(mode="after")
    def _complete(self) -> Due:
        if self.verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL) and not (self.blamed and self.fault_class and self.check):
            raise ValueError("a conviction names check, blamed and class")
        return self


class Variant(Settings):
    """One way in which a bug shows itself."""

    name: str = ""
    rig: str = "emulated"
    scenario: str
    fault: tuple[Fault, ...] = Field(min_length=1)
    """Seeded together."""
    due: Due


class FieldBug(Settings):
    """One bug or benign behaviour that was seen in the field."""

    id: str = Field(pattern=r"^(A|NA)\d+$")
    family: str
    name: str
    kind: Literal["bug", "benign"] = "bug"
    layer: Layer
    """Where it sits."""
    what: str
    source: tuple[str, ...] = Field(min_length=1)
    """Public issues, commits and pages that tell of it."""
    cannot_show: str = ""
    """Why the emulated rig cannot show it; then there is no variant."""
    variant: tuple[Variant, ...] = ()

    @model_validator(mode="after")
    def _shown_or_not(self) -> FieldBug:
        if bool(self.cannot_show) == bool(self.variant):
            raise ValueError("has either variants or cannot_show")
        return self


class FieldBugs(Settings):
    """One file of the catalogue."""

    version: Literal[1] = Field(alias="schema")
    bug: tuple[FieldBug, ...] = Field(min_length=1)
