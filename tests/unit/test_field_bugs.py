"""The catalogue of field bugs: complete, each with its source and with what is due."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SettingsError, UsageError
from bench.rig.files import check_file, field_bugs, find_scenario
from bench.rig.matrix import chosen


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


CONFIG = Path(__file__).parents[2] / "config"
BUG = 'schema = 1\n[[bug]]\nid = "A1"\nfamily = "x"\nname = "x"\nlayer = "station"\nwhat = "x"\nsource = ["x"]\n'
VARIANT = """[[bug.variant]]
scenario = "field-resume"
rig = "emulated"
fault = [{ id = "station.zero-resume" }]
due = { verdict = "FAIL", check = "power", blamed = ["station"], class = "over limit" }
"""


@pytest.mark.parametrize("path", sorted((CONFIG / "faults").glob("*.toml")), ids=lambda path: str(path.stem))
def test_a_shipped_file_is_sound(path: Path) -> None:
    """Each scenario, rig and fault that it names is there."""
    assert check_file(path) == "field bug"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("field-resume", "field-resme", "scenario = 'field-resme': no scenario .*did you mean: field-resume"),
        ('"emulated"', '"emulatde"', "rig = 'emulatde': no rig .*did you mean: emulated"),
        ("zero-resume", "zero-resum", r"fault\[0\] = 'station.zero-resum': unknown fault .*did you mean: station.zero-resume"),
        ('zero-resume"', 'zero-resume", params = { a = 1 }', r"fault\[0\] = 'station.zero-resume': .*wrong or missing: a"),
        ('"FAIL"', '"FALI"', "due.verdict = 'FALI': must be 'PASS'"),
        ('"power"', '"powre"', "due.check = 'powre': must be"),
    ],
)
def test_a_variant_that_cannot_be_run_is_named(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    """By file, place, value and reason; a matrix would only say ERROR after its minute."""
    path = tmp_path / "faults/mine.toml"
    path.parent.mkdir()
    path.write_text(BUG + VARIANT + VARIANT.replace(right, wrong))
    with pytest.raises(UsageError, match=rf"^{path}: bug\[0\].variant\[1\].{told}"):
        check_file(path)


def test_a_name_like_no_other_points_to_the_list() -> None:
    """Sixty names in a line help nobody."""
    with pytest.raises(UsageError, match=r"no scenario 'qqq' in config/scenarios; there are \d+: `bench list` names them"):
        find_scenario("qqq")


@pytest.mark.parametrize(("wrong", "told"), [("a4", "did you mean: A04"), ("x", "lists them")])
def test_an_unknown_bug_names_what_is_near_it(wrong: str, told: str) -> None:
    """Fifty ids in a line help nobody."""
    with pytest.raises(UsageError, match=f"no field bug {wrong}; .*{told}"):
        chosen([wrong])
