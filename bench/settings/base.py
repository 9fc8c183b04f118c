"""Reading a TOML file into typed settings, with errors from which alone it can be mended."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from bench.errors import SettingsError

_NUMBER: Final = re.compile(r"\s*[+-]?[\d._]+(e[+-]?\d+)?\s*", re.IGNORECASE)
"""Texts that would be taken for the number in them."""


class Settings(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_written_as_numbers(cls, content: Any) -> Any:
        for name, field in cls.model_fields.items() if isinstance(content, dict) else ():
            value = content.get(field.alias or name)
            quoted = isinstance(value, bool) or (isinstance(value, str) and _NUMBER.fullmatch(value))
            if quoted and {*(get_args(field.annotation) or (field.annotation,))} <= {int, float, type(None)}:
                raise PydanticCustomError("quoted", "must be a number, without quotes", {"key": field.alias or name})
        return content


S = TypeVar("S", bound=Settings)
_WORDS: Final[dict[str, str]] = {}
"""What a pattern asks for, in words."""
_SECRET: Final = re.compile("pass|token|secret", re.IGNORECASE)
"""Keys whose values never stand in a message."""
_KINDS: Final = {
    "^Input should": "must", "a valid string": "a text", "a valid integer": "an integer", "a valid number": "a number",
    "a valid boolean": "true or false", "a valid (tuple|list)": "a list", "a valid dictionary.*": "a table (an object)",
    "have timezone info": "have a time zone, such as Z",
}  # fmt: skip
"""pydantic's words, and those of people who write TOML and JSON."""
_MOST: Final = 10
"""Errors of one file that are told at once."""
_BARE: Final = re.compile(r"[\w-]+")
"""Keys that TOML writes without quotes."""


def written(pattern: str, words: str) -> str:
    """Return a pattern for a text; whoever breaks it is told the words, such as `two capital letters`."""
    _WORDS[pattern] = words
    return pattern


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises SettingsError."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise SettingsError(str(path), "", None, "is no file")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(str(path), "", None, (error.strerror or str(error)).lower()) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(str(path), "", None, f"not valid TOML: {error}") from None


def load(model: type[S], path: Path) -> S:
    """Read and check one settings file. Raises SettingsError that names file, key, value and reason."""
    return check(model, read_toml(path), path)


def check(model: type[S], content: dict[str, Any], path: Path) -> S:
    """Check the content of a settings file. Raises SettingsError."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        wrong = [one for one in found if one["type"] != "too_short" or not _has_more_within(one, found)]
        first, *others = [described(model, one) for one in wrong[:_MOST]]
        raise SettingsError(str(path), *first, others, len(wrong) - len(others) - 1) from None


def _has_more_within(error: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Say whether a list is called too short because members of it are wrong, which is told of them."""
    depth = len(error["loc"])
    return any(len(one["loc"]) > depth and one["loc"][:depth] == error["loc"] for one in found)


def described(model: type[BaseModel], error: ErrorDetails) -> tuple[str, Any, str]:
    """Return key, value and reason of one error."""
    loc, value = error["loc"], error["input"]
    if error["type"] == "quoted":
        loc, value = (*loc, error["ctx"]["key"]), value[error["ctx"]["key"]]
    elif error["type"] == "union_tag_invalid":
        tag = error["ctx"]["discriminator"].strip("'")
        loc, value = (*loc, tag), value[tag]
    if loc and loc[-1] == "[key]":
        loc, value = loc[:-1], None
    key, siblings = _place(model, loc)
    if error["type"] == "missing" or isinstance(value, dict) or (isinstance(value, list) and dict in map(type, value)):
        value = None
    elif _SECRET.search(key.rpartition(".")[2]):
        value = "…"
    return key, value, _reason(error, siblings)


def _reason(error: ErrorDetails, siblings: list[str]) -> str:
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "union_tag_invalid":
        named, tag = {"'do'": "step"}.get(error["ctx"]["discriminator"], "kind"), error["ctx"]["tag"]
        known = error["ctx"]["expected_tags"].replace("'", "")
        near = get_close_matches(tag, known.split(", "), n=3)
        return f"unknown {named} {tag!r}; " + (f"did you mean: {', '.join(near)}; " if near else "") + f"known: {known}"
    if error["type"] == "union_tag_not_found":
        return f"{error['ctx']['discriminator']} is required"
    if error["type"] == "too_short":
        return f"must have at least {error['ctx']['min_length']}, has {error['ctx']['actual_length']}"
    if error["type"] == "string_pattern_mismatch":
        pattern = error["ctx"]["pattern"]
        return f"must be {_WORDS[pattern]}" if pattern in _WORDS else f"must match {pattern}"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(str(error["loc"][-1]), siblings, n=3)
        meant = f"; did you mean: {', '.join(near)}" if near else ""
        return f"unknown key{meant}; known: {', '.join(siblings)}" if siblings else "unknown key"
    reason = error["msg"]
    own = reason.removeprefix("Value error, ")
    if own != reason:
        return own
    for theirs, ours in _KINDS.items():
        reason = re.sub(theirs, ours, reason)
    return reason[:1].lower() + reason[1:]


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return a place in a file as `station[0].evse[1].meter`, and the keys that are known beside it.

    pydantic puts the names of union members between the keys; they stand in no file and are left out.
    """
    key, models, named = "", [model], False
    siblings: list[str] = []
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
            continue
        fields = {field.alias or name: field for one in models for name, field in one.model_fields.items()}
        tagged = [one for one in models if part in _tags(one)]
        if part in fields:
            models, named = _models(fields[part].annotation), get_origin(fields[part].annotation) is dict
        elif tagged:
            models = tagged
            continue
        elif not models and not named:
            continue
        else:
            named = False
        siblings = sorted(fields)
        shown = part if _BARE.fullmatch(part) else repr(part)
        key += f".{shown}" if key else shown
    return key, siblings


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the settings that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tags(model: type[BaseModel]) -> set[str]:
    """Return the values by which a member of a union is chosen."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return {tag for one in annotations if get_origin(one) is Literal for tag in get_args(one)}
