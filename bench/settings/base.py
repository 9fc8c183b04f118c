"""Reading a TOML file into typed settings, with errors from which alone it can be mended."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import SettingsError


class Settings(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError(str(path), "", str(path), "no such file") from None
    except IsADirectoryError:
        raise SettingsError(str(path), "", str(path), "is a directory, not a file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), "", path.name, f"not valid TOML: {error}") from None


def load(model: type[S], path: Path) -> S:
    """Read and check one settings file. Raises SettingsError that names file, key, value and reason."""
    return check(model, read_toml(path), path)


def check(model: type[S], content: dict[str, Any], path: Path) -> S:
    """Check the content of a settings file. Raises SettingsError."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = _key(first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        if first["type"] == "missing":
            raise SettingsError(str(path), key, None, f"is required{more}") from None
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(_known_keys(model, first["loc"])))
            raise SettingsError(str(path), key, first["input"], f"unknown key{known and f'; known: {known}'}{more}") from None
        value = first["input"] if not isinstance(first["input"], dict) else "…"
        raise SettingsError(str(path), key, value, f"{reason}{more}") from None


def _key(location: tuple[int | str, ...]) -> str:
    """Return `station[0].evse[1].meter` for a place in a file."""
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Return the keys that exist beside an unknown one, where that can be said; else none."""
    if len(location) == 1:
        return {field.alias or name for name, field in model.model_fields.items()}
    return set()
