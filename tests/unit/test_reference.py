"""The reference in docs/ is generated from the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

GENERATOR = Path(__file__).parents[2] / "docs" / "generate.py"
COMMANDS = GENERATOR.parent / "reference" / "command-line.md"


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


@pytest.mark.parametrize(
    ("program", "option"),
    [
        ("python -m bench.peers.scsp", "--version {2.3.0,2.2.1}"),
        ("python -m bench.peers.msp", "--start TOKEN_UID LOCATION EVSE"),
        ("python -m firmware_sim", "--control PORT"),
    ],
)
def test_every_program_has_its_options_there(program: str, option: str) -> None:
    """The mock peers and the emulated station are commands too, though `bench` does not know them; choices are told."""
    section = COMMANDS.read_text(encoding="utf-8").partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    assert f"| `{option}` |" in section
