"""A case for a tool: one JSON document from a file or from standard input, with errors that name the place in it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import SettingsError, UsageError
from bench.settings.base import Settings, check

S = TypeVar("S", bound=Settings)


class CaseError(UsageError):
    """A case is wrong; `path` is the place in it, such as `station.n_evses`, empty for the document as a whole."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path else reason)

    def as_json(self) -> dict[str, str]:
        """Return it as the tools print it."""
        return {"error": self.reason, "path": self.path}


def read_case(name: str, *, finite: bool = True) -> dict[str, Any]:
    """Return the JSON object in a file, or on standard input for `-`. Raises CaseError.

    Keys that stand twice are refused; so are numbers that JSON does not have (NaN, Infinity, 1e999), unless `finite` is false:
    then whoever reads the content has to refuse them, and can say at which place.
    """
    constant, number = (_refuse, _finite) if finite else (float, float)
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        content = json.loads(raw.decode("utf-8-sig"), parse_constant=constant, parse_float=number, object_pairs_hook=_once)
    except OSError as error:
        raise CaseError("", f"{name}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError) as error:
        raise CaseError("", f"{name}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise CaseError("", f"{name}: must be a JSON object")
    return content


def check_case(model: type[S], content: dict[str, Any]) -> S:
    """Return the content of a case as its model. Raises CaseError for a missing, unknown or wrong key."""
    try:
        return check(model, content, Path("case"))
    except SettingsError as error:
        shown = json.dumps(error.value, ensure_ascii=False, default=str)
        got = "" if error.value is None else f"{shown if len(shown) <= 80 else shown[:79] + '…'}: "
        more = f" (and {error.further} more)" if error.further else ""
        raise CaseError(error.key, f"{got}{error.reason}{more}") from None


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond any number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice in one object")
    return content
