"""A target file as text: the same values give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bench.settings.base import Settings
from bench.settings.target import Origin, TargetSettings

_ESCAPED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def target_text(target: TargetSettings, comments: tuple[str, ...] = ()) -> str:
    """Return the TOML of a target file: each value with its origin behind it, sections and keys in a fixed order.

    Args: comments: lines for the head of the file, of any text.
    Returns: text from which `tomllib` and TargetSettings give the same target again.
    """
    lines = [f"# {_line(one)}".rstrip() for one in comments]
    lines += [f"schema = {target.version}"]
    lines += [f"{name} = {toml_value(getattr(target, name))}" for name in ("name", "vendor", "model", "firmware")]
    lines += _section("[features]", target.features, target.origin, "")
    lines += _section("[reported]", target.reported, target.origin, "")
    lines += _section("[observed]", target.observed, target.origin, "")
    for evse in target.evse:
        lines += _section("[[evse]]", evse, target.origin, f"evse.{evse.id}.")
    lines += ["", "[origin]"]
    lines += [f"{_key(name)} = {toml_value(value)}" for name, value in sorted(target.origin.items())]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """Return a value as TOML. Raises TypeError for one that has no place in a settings file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return f'"{"".join(_character(one) for one in value)}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    raise TypeError(f"{type(value).__name__} has no place in a settings file")


def _section(head: str, section: Settings, origin: dict[str, Origin], prefix: str) -> list[str]:
    lines = [_entry(name, value, origin.get(prefix + name)) for name, value in _values(section, origin, prefix)]
    return ["", head, *lines] if lines else []


def _values(section: Settings, origin: dict[str, Origin], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield what is set: a default that has no origin is left to the model."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if value is not None and (prefix + name in origin or name in section.model_fields_set):
            yield name, value


def _entry(name: str, value: Any, origin: Origin | None) -> str:
    text = f"{name} = {toml_value(value)}"
    return f"{text:<44} # {origin}" if origin else text


def _key(name: str) -> str:
    return toml_value(name) if "." in name else name


def _character(one: str) -> str:
    if one in _ESCAPED:
        return _ESCAPED[one]
    return one if one.isprintable() else f"\\u{ord(one):04X}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08X}"


def _line(text: str) -> str:
    """Return a text that cannot leave its comment line."""
    return "".join(one if one.isprintable() else " " for one in text)
