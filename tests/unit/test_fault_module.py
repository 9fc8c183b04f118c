"""A lab's own faults, from a Python file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ocpp.v201 import call

from bench.errors import UsageError
from bench.rig.seeding import describe_faults, load_fault_module, origin
from firmware_sim.faults import FAULTS
from firmware_sim.faults.failing import misfit
from firmware_sim.profiles import Profile

PROFILE = Profile(1, 1, 0, "TxProfile", "Absolute", None, None, None, None, "A", None, None, (), {})
SOUND = '''
class Thirsty:
    ID = "EV.thirsty"
    LAYER = "EV"
    TEXT = "takes twice as much"
    PARAMS = {}

    def ev_current(self, evse_id, t, amps):
        return 2 * amps
'''


@pytest.fixture
def restored() -> Iterator[None]:
    """Take away what a test has registered."""
    before = dict(FAULTS)
    yield
    FAULTS.clear()
    FAULTS.update(before)


@pytest.mark.usefixtures("restored")
def test_a_module_adds_its_faults(tmp_path: Path) -> None:
    """Each class with an ID is a fault from then on, and the journal will name the file and its hash."""
    file = tmp_path / "mine.py"
    file.write_text(SOUND)
    assert load_fault_module(file) == ["EV.thirsty"]
    assert "EV.thirsty" in [one["id"] for one in describe_faults()]
    assert origin("EV.thirsty")["module"] == "mine.py"
    assert origin("station.zero-resume") == {}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "has no class with an ID"),
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("class A:\n    ID = 'x.y'", "LAYER is missing or no text"),
        (SOUND.replace("EV.thirsty", "station.zero-resume"), "there is a fault with this id"),
        (SOUND.replace("ev_current", "ev_curent"), "nothing asks a fault for that; did you mean: ev_current"),
        (SOUND.replace('LAYER = "EV"', 'LAYER = "statoin"'), "must be one of station, EV, meter, network"),
        (SOUND.partition("    def")[0], "has no method at any point"),
    ],
)
def test_a_wrong_module_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """What cannot be seeded is refused with file and reason."""
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=f"mine.py: .*{reason}"):
        load_fault_module(file)


def test_a_missing_module_is_refused(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(UsageError, match=r"none\.py: No such file"):
        load_fault_module(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("point", "given", "returned", "told"),
    [
        ("switch_pause", 5, None, "in place of 5"),
        ("switch_pause", 5, float("nan"), "a number is due"),
        ("registers", {"voltage_l1": 230.0}, {"voltage_l1": "high"}, "'high' among its values: numbers are due"),
        ("ev_lines", (0, 1), (7,), "7 among its values: whole numbers from 0 to 2"),
        ("encoded", [1, 2], [1], "1 values in place of 2"),
        ("dead_spans", [], [1], "pairs of numbers are due"),
        ("dead_spans", [], [("a", "b")], "pairs of numbers are due"),
        ("answers_after", [0.0], ["soon"], "numbers are due"),
        ("profiles", [], [1, 2], "returned [1, 2]: each has to be a Profile of firmware_sim.profiles"),
        ("on_set_profile", PROFILE, {"id": 1}, "each has to be a Profile"),
        ("composite", [], ["a"], "each has to be a CompositePeriod"),
        ("refusals", [], ["TooManyPeriods"], "each has to be a Refusal"),
        ("replayed", [], [{"eventType": "Started"}], "each has to be a request of ocpp.v201.call"),
        ("profiles", [], [PROFILE], ""),
        ("on_accepted", [], [call.Heartbeat()], ""),
        ("telegram", b"x", "x", "a text of bytes is due"),
        ("notice", call.Heartbeat(), None, ""),
        ("ev_changes_at", 3.0, float("inf"), ""),
        ("answers_after", [0.0], [0.0, 2], ""),
    ],
)
def test_what_nobody_can_use_is_told(point: str, given: object, returned: object, told: str) -> None:
    """A value of another kind than the last one is the fault's failure; what its point allows is none."""
    said = misfit(point, given, returned)
    assert told in said
    assert bool(said) is bool(told)


def test_a_module_that_ends_the_program_is_refused(tmp_path: Path) -> None:
    """Else a CI job would be green without any run."""
    path = tmp_path / "gone.py"
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(UsageError, match="SystemExit: 0"):
        load_fault_module(path)
