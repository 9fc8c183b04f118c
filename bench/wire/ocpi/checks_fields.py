"""A table of fields, and what of a raw JSON object breaks it. Finds, never raises, and leaves unknown fields alone.

A field is (name, cardinality, kind). Cardinality as the specification writes it: 1, ?, * or +. A kind is a function that says
what is wrong with a value, or a table of its own. Source: OCPI 2.2.1 and 2.3.0, chapter Types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from bench.wire.ocpi.checks import DATE_TIME, Finding, is_int, is_number, kind_of, short
from bench.wire.ocpi.url import web_host

NOT_AVAILABLE: Final = "#NA"
"""Stands in a required text that cannot be filled."""
_MOST_DECIMALS: Final = 4
_MOST_FOUND: Final = 50
"""Findings on one object: a list of a thousand wrong entries is one mistake."""

Kind = Callable[[Any], str]
"""Returns what is wrong, empty where nothing is."""
Table = tuple[tuple[str, str, "Kind | Table"], ...]


def text(longest: int) -> Kind:
    """Return the kind string(n): printable."""

    def wrong(value: Any) -> str:
        if not isinstance(value, str):
            return f"is {kind_of(value)}, not a text"
        if len(value) > longest:
            return f"has {len(value)} characters, not at most {longest}"
        return "" if value.isprintable() else "has characters that cannot be printed"

    return wrong


def ci_text(longest: int) -> Kind:
    """Return the kind CiString(n): printable ASCII."""

    def wrong(value: Any) -> str:
        return text(longest)(value) or ("" if value.isascii() else "has characters beyond ASCII")

    return wrong


def exact_text(pattern: str, words: str) -> Kind:
    """Return the kind of a text that has one form only."""
    form = re.compile(pattern)

    def wrong(value: Any) -> str:
        return "" if isinstance(value, str) and form.fullmatch(value) else f"is {short(value)}, not {words}"

    return wrong


def one_of(*words: str) -> Kind:
    """Return the kind of an enum that nobody may extend."""

    def wrong(value: Any) -> str:
        return "" if isinstance(value, str) and value in words else f"is {short(value)}, none of {', '.join(words)}"

    return wrong


def moment(value: Any) -> str:
    """Check a DateTime: RFC 3339, UTC, at most 25 characters."""
    if isinstance(value, str) and len(value) <= 25 and DATE_TIME.fullmatch(value):
        try:
            datetime.fromisoformat(value)
            return ""
        except ValueError:
            pass  # told below: the shape is right, the moment does not exist
    return f"is {short(value)}, not a UTC date-time of at most 25 characters ending in Z or in nothing"


def number(value: Any) -> str:
    """Check a number: JSON's, with 4 decimals at most."""
    if not is_number(value):
        return f"is {kind_of(value)}, not a number"
    if isinstance(value, float) and round(value, _MOST_DECIMALS) != value:
        return f"is {short(value)}: more than {_MOST_DECIMALS} decimals"
    return ""


def at_least(least: float) -> Kind:
    """Return the kind of a number with a lower bound."""

    def wrong(value: Any) -> str:
        return number(value) or ("" if value >= least else f"is {short(value)}, less than {least:g}")

    return wrong


def percent(value: Any) -> str:
    """Check a number from 0 to 100."""
    return number(value) or ("" if 0 <= value <= 100 else f"is {short(value)}, not from 0 to 100")


def whole(value: Any) -> str:
    """Check an int."""
    return "" if is_int(value) else f"is {short(value)}, not an integer"


def count(value: Any) -> str:
    """Check an int that is not negative."""
    return whole(value) or ("" if value >= 0 else f"is {short(value)}, less than 0")


def flag(value: Any) -> str:
    """Check a boolean."""
    return "" if isinstance(value, bool) else f"is {short(value)}, neither true nor false"


def url(value: Any) -> str:
    """Check a URL."""
    return text(255)(value) or ("" if web_host(value) else f"is {short(value)}, no web address")


def credentials_token(value: Any) -> str:
    """Check a credentials token; what is wrong does not repeat it."""
    right = isinstance(value, str) and re.fullmatch(r"[!-~]{1,64}", value)
    return "" if right else "is no text of 1 to 64 printable ASCII characters without blanks"


def check_fields(raw: Any, table: Table, code: str, *, patch: bool = False) -> list[Finding]:
    """Check an object against a table: `CODE_field` for a missing field, `CODE_value` for a wrong value.

    Args: patch: only `last_updated` is required, and nested objects are whole.
    """
    if not isinstance(raw, dict):
        return [Finding(f"{code}_value", f"{code} is an object, not {kind_of(raw)}")]
    return [one for one, _ in zip(_object(raw, table, code, "", patch), range(_MOST_FOUND), strict=False)]


def _object(raw: Mapping[str, Any], table: Table, code: str, path: str, patch: bool) -> Iterator[Finding]:
    for name, cardinality, kind in table:
        where, value = f"{path}{name}", raw.get(name)
        required = name == "last_updated" if patch else cardinality in "1+"
        if value is None:
            if required or (patch and name in raw and cardinality in "1+"):
                yield Finding(f"{code}_field", f"{where} is missing")
        elif cardinality in "1?":
            yield from _value(value, kind, code, where)
        elif not isinstance(value, list):
            yield Finding(f"{code}_value", f"{where} is {kind_of(value)}, not a list")
        elif cardinality == "+" and not value:
            yield Finding(f"{code}_field", f"{where} is an empty list")
        else:
            for index, one in enumerate(value):
                yield from _value(one, kind, code, f"{where}[{index}]")


def _value(value: Any, kind: Kind | Table, code: str, where: str) -> Iterator[Finding]:
    if not isinstance(kind, tuple):
        wrong = kind(value)
        if wrong:
            yield Finding(f"{code}_value", f"{where} {wrong}")
    elif isinstance(value, dict):
        yield from _object(value, kind, code, f"{where}.", False)
    else:
        yield Finding(f"{code}_value", f"{where} is {kind_of(value)}, not an object")
