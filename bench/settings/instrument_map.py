"""A command map: what an instrument that speaks SCPI is told for each action, and how its answers are read."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from bench.settings.actuators import Role, ScpiInstrument
from bench.settings.base import Settings, load

ACTIONS: Final = {
    "close": (), "open": (),
    "draw": ("evse_id", "amperes"), "stop": ("evse_id",),
    "plug": ("evse_id",), "unplug": ("evse_id",),
    "volts": ("volts",),
    "limit": ("limit", "unit", "source"), "release": ("source",),
}  # fmt: skip
"""What an instrument can be told, with what may stand in braces in its commands. `set_KEY` with {evse_id} and {value} takes a
property of the vehicle, such as set_phases, set_soc_percent or set_state."""
QUERIES: Final = ("is_closed", "drawn", "state", "duty_percent", "ev_wants_a")
NEEDS: Final[dict[Role, tuple[str, ...]]] = {
    "power_switch": ("close", "open"), "load": ("draw",), "ev": ("plug", "unplug", "draw"),
    "external_limit": ("limit", "release"), "pilot": ("state",), "supply": ("volts",),
}  # fmt: skip
"""Actions and queries that a role needs."""


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Query(Settings):
    """One question to the instrument."""

    command: str = Field(min_length=1)
    """With {evse_id} where it has several outputs."""
    pattern: Pattern = "^(.*)$"
    """Finds the value in the answer; its first group is taken, else all of it."""
    scale: float = 1.0
    """Value = number times this; 1 leaves the text as it is."""
    values: dict[str, str] = Field(default_factory=dict)
    """What the instrument says, and what it means: 1 or 0 for is_closed, A to F for state."""

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return _placeholders(value, ("evse_id",))


class InstrumentMap(Settings):
    """One file of config/instruments/."""

    version: Literal[1] = Field(alias="schema")
    model: str
    source: str
    """Document or standard from which the commands are."""
    identify: str = "*IDN?"
    """Empty: it has no such query."""
    expect: Pattern = ""
    """What its answer has to contain, as a regular expression."""
    error_query: str = "SYST:ERR?"
    """Asked after each action until the queue is empty; empty: it has none."""
    no_error: Pattern = r'^[+-]?0+\b|^"?No error'
    """How the empty queue answers."""
    action: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Commands of each action, in order."""
    query: dict[str, Query] = Field(default_factory=dict)

    @field_validator("action")
    @classmethod
    def _known_actions(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, commands in value.items():
            known = ("evse_id", "value") if name.startswith("set_") and name != "set_" else ACTIONS.get(name)
            if known is None:
                raise ValueError(f"{name}: unknown action; known: {', '.join(ACTIONS)}, set_KEY")
            if not commands:
                raise ValueError(f"{name}: needs at least one command")
            for command in commands:
                _placeholders(command, known)
        return value

    @field_validator("query")
    @classmethod
    def _known_queries(cls, value: dict[str, Query]) -> dict[str, Query]:
        for name in value:
            if name not in QUERIES:
                raise ValueError(f"{name}: unknown query; known: {', '.join(QUERIES)}")
        return value

    def lacks(self, roles: tuple[Role, ...]) -> list[str]:
        """Return what these roles need and the map does not have."""
        return [f"{one} ({role})" for role in roles for one in NEEDS[role] if one not in self.action and one not in self.query]


def _placeholders(command: str, known: tuple[str, ...]) -> str:
    try:
        named = [name for _, name, _, _ in Formatter().parse(command) if name is not None]
    except ValueError as error:
        raise ValueError(f"{command!r}: {error}") from None
    for name in named:
        if name not in known:
            raise ValueError(f"{command!r}: unknown {{{name}}}; known: {', '.join(known) or 'none'}")
    return command


def load_instrument_map(rig_path: Path, settings: ScpiInstrument) -> InstrumentMap:
    """Read the command map that a rig file names, relative to it. Raises SettingsError."""
    return load(InstrumentMap, rig_path.parent / settings.commands)
