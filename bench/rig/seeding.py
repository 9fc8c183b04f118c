"""Faults that can be seeded, a lab's own among them."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any

from bench.cso.faults import describe_own_faults
from bench.errors import UsageError

_ORIGINS: dict[str, dict[str, str]] = {}
"""File and SHA-256 of the module by the id of each fault that came from one."""


def describe_faults() -> list[dict[str, Any]]:
    """Return id, layer, text and params (name to meaning) of each fault."""
    from bench.rig import emulated

    return [*emulated.describe_faults(), *describe_own_faults()]


def load_fault_module(path: Path) -> list[str]:
    """Take the faults of a Python file: each class in it that has an ID. Return their ids. Raises UsageError."""
    from bench.rig.emulated import register_fault

    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--fault-module {path}: {error.strerror}") from None
    spec = importlib.util.spec_from_file_location(f"lab_faults_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--fault-module {path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a lab's file raises, the lab has to read it
        raise UsageError(f"--fault-module {path}: {type(error).__name__}: {error}") from error
    own = [one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__]
    classes = [one for one in own if hasattr(one, "ID")]
    if not classes:
        raise UsageError(f"--fault-module {path}: has no class with an ID")
    for one in classes:
        try:
            register_fault(one)
        except ValueError as error:
            raise UsageError(f"--fault-module {path}: {error}") from None
        _ORIGINS[one.ID] = {"module": path.name, "sha256": hashlib.sha256(source).hexdigest()}
    return [one.ID for one in classes]


def origin(fault_id: str) -> dict[str, str]:
    """Return `module` and `sha256` of the file that a fault came from; nothing for one of the bench's own."""
    return _ORIGINS.get(fault_id, {})
