"""The reference in docs/ is generated from the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

GENERATOR = Path(__file__).parents[2] / "docs" / "generate.py"


def test_reference_is_fresh() -> None:
    """Each page is what the generator writes now; run `python docs/generate.py` after a change."""
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale = [
        name
        for name, text in module.pages().items()
        if not (module.FOLDER / name).is_file() or (module.FOLDER / name).read_text(encoding="utf-8") != module.NOTE + text
    ]
    assert not stale
