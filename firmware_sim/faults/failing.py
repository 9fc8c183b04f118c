"""What a fault's own method did wrong, in words: a lab's fault may raise anything, or return what nobody can use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

from ocpp.v201 import call

from firmware_sim.composite import CompositePeriod
from firmware_sim.profiles import Profile
from firmware_sim.validation import Refusal

MAY_BE_NONE: Final = frozenset(("idle", "notice", "on_link", "on_set_profile", "on_start_profile"))
"""The points at which None means something, or does not matter."""
_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (str, "a text"), (bytes, "a text of bytes"), ((list, tuple), "a list"), (Mapping, "a dictionary"),
)  # fmt: skip

_RANGES: Final = {"encoded": 0xFFFF, "lines": 2, "ev_lines": 2}
"""The greatest whole number that each value may be."""
_AS_MANY: Final = frozenset(("encoded", "share"))
"""The points at which there are as many values as before."""
_PROFILE_POINTS: Final = (
    "applied", "composite_profiles", "composite_window", "end_transaction", "on_clear", "on_restart", "on_set_profile",
    "on_start_profile", "profiles", "report_found",
)  # fmt: skip
_OBJECTS: Final[Mapping[str, type]] = {
    **dict.fromkeys(_PROFILE_POINTS, Profile), "composite": CompositePeriod, "refusals": Refusal,
}  # fmt: skip
"""What the value of a point, or each in its list, has to be."""
_REQUESTS: Final = frozenset(("notice", "on_accepted", "replayed", "reports", "request"))
"""The points whose values are requests of ocpp.v201.call."""


class FaultError(Exception):
    """A seeded fault that could not be asked; the text names it, its method, and where."""


def place_of(method: Any, error: BaseException | None = None) -> str:
    """Return `METHOD (FILE:LINE)`: of the line of its file that raised, or of its head."""
    name, code = getattr(method, "__name__", repr(method)), getattr(method, "__code__", None)
    if code is None:
        return str(name)
    line = code.co_firstlineno
    for frame, number in walk_tb(error.__traceback__ if error is not None else None):
        if frame.f_code.co_filename == code.co_filename:
            line = number
    return f"{name} ({Path(code.co_filename).name}:{line})"


def misfit(point: str, given: Any, returned: Any) -> str:
    """Say what is wrong with the value that came back in place of `given`; empty where it can be used."""
    if returned is None:
        return "" if given is None or point in MAY_BE_NONE else f"returned None in place of {_short(given)}"
    if _is_number(given):
        return "" if _is_number(returned) else f"returned {_short(returned)}: a number is due"
    for kind, name in _KINDS:
        if isinstance(given, kind) and not isinstance(returned, kind):
            return f"returned {_short(returned)}: {name} is due"
    items, before = _items(returned), _items(given)
    if amiss := _wrong_object(point, items if isinstance(returned, list | tuple) else [returned]):
        return f"returned {_short(returned)}: {amiss}"
    if before and all(map(_is_number, before)) and (wrong := [one for one in items if not _is_number(one)]):
        return f"returned {_short(wrong[0])} among its values: numbers are due"
    if point in _RANGES and (wrong := [one for one in items if not isinstance(one, int) or not 0 <= one <= _RANGES[point]]):
        return f"returned {_short(wrong[0])} among its values: whole numbers from 0 to {_RANGES[point]} are due"
    if point in _AS_MANY and len(items) != len(before):
        return f"returned {len(items)} values in place of {len(before)}"
    if point == "dead_spans" and (wrong := [one for one in items if not _is_pair(one)]):
        return f"returned {_short(wrong[0])} among its values: pairs of numbers are due"
    if point == "answers_after" and (wrong := [one for one in items if not _is_number(one)]):
        return f"returned {_short(wrong[0])} among its values: numbers are due"
    return ""


def _wrong_object(point: str, values: Sequence[Any]) -> str:
    """Say what is due of an object where one of the values is another; empty where all can be used."""
    due = _OBJECTS.get(point)
    if due is not None and not all(isinstance(one, due) for one in values):
        return f"each has to be a {due.__name__} of {due.__module__}"
    if point in _REQUESTS and not all(type(one).__module__ == call.__name__ for one in values):
        return f"each has to be a request of {call.__name__}"
    return ""


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list | tuple) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
