"""The catalogue of field bugs: complete, each with its source and with what is due."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SettingsError
from bench.rig.files import check_file, field_bugs


def test_catalogue_is_complete() -> None:
    """46 bugs and 7 benign controls, each once and in order."""
    expected = [f"A{number:02}" for number in range(1, 47)] + [f"NA{number}" for number in range(1, 8)]
    assert [one.id for one in field_bugs()] == expected


def test_benign_is_never_convicted() -> None:
    """Nothing that is harmless has a conviction as its due verdict."""
    due = {variant.due.verdict for one in field_bugs() if one.kind == "benign" for variant in one.variant}
    assert due <= {"PASS", "INCONCLUSIVE"}


@pytest.mark.parametrize(
    ("due", "reason"),
    [
        ('{ verdict = "FAIL" }', "a conviction names check, blamed and class"),
        ('{ verdict = "SO-SO" }', "verdict"),
    ],
)
def test_wrong_due_is_refused(tmp_path: Path, due: str, reason: str) -> None:
    """A due verdict that says less than a conviction has to, or none of the eight words, is refused with its place."""
    folder = tmp_path / "faults"
    folder.mkdir()
    path = folder / "mine.toml"
    path.write_text(
        'schema = 1\n[[bug]]\nid = "A1"\nfamily = "x"\nname = "x"\nlayer = "station"\nwhat = "x"\nsource = ["x"]\n'
        f'[[bug.variant]]\nscenario = "x"\nfault = [{{ id = "station.x" }}]\ndue = {due}\n'
    )
    with pytest.raises(SettingsError, match=reason):
        check_file(path)
