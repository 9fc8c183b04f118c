"""The detection matrix: what counts as found, and what as a false alarm."""

from __future__ import annotations

import pytest

from bench.cli import main
from bench.domain.verdicts import FaultClass, Layer, Verdict
from bench.report.curve import Curve
from bench.report.detection import Detection, due_text
from bench.rig.files import field_bugs, find_rig, find_scenario
from bench.rig.matrix import Result, Trial, another_car, detection, tally, trials, varied
from bench.settings.field_bug import Due, FieldBug

DUE = Due.model_validate({"verdict": "FAIL", "check": "power", "blamed": ["station"], "class": "over limit"})
BUG = FieldBug.model_validate(
    {"id": "A1", "family": "x", "name": "Ignores it", "layer": "station", "what": "x", "source": ["a#1"],
     "variant": [{"scenario": "s", "fault": [{"id": "station.x"}], "due": DUE.model_dump(by_alias=True)}]}
)  # fmt: skip


def result(
    verdict: Verdict = Verdict.FAIL, check: str = "power", blamed: tuple[Layer, ...] = (Layer.STATION,),
    fault: FaultClass | None = FaultClass.OVER_LIMIT, warnings: tuple[str, ...] = (), *, seeded: bool = True,
) -> Result:  # fmt: skip
    """Return what a trial came to; by default what is due."""
    return Result(Trial("A1", 0, 1, seeded), verdict, check, blamed, fault, warnings, "said", 0.5)


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        (result(), True),
        (result(Verdict.CONDITIONAL_FAIL), False),
        (result(check="delivery"), False),
        (result(blamed=(Layer.STATION, Layer.EV)), False),
        (result(fault=FaultClass.TIMING), False),
        (result(warnings=("ev-minimum",)), False),
    ],
    ids=["as due", "other verdict", "other check", "not separated", "other class", "a finding too many"],
)
def test_a_bug_is_found_only_as_is_due(found: Result, fits: bool) -> None:
    """Verdict, leading check, exactly the blamed layers, class and findings: one that differs is not as due."""
    assert found.meets(DUE) is fits


def test_a_conditional_pass_is_as_good_as_a_pass() -> None:
    """Where PASS is due, a value within the uncertainty below its limit counts."""
    assert result(Verdict.CONDITIONAL_PASS, "", (), None).meets(Due(verdict=Verdict.PASS))


def test_a_finding_about_a_sound_rig_is_a_false_alarm() -> None:
    """Not only a conviction wrongs a sound rig; what is merely not decided does not."""
    sound = [
        result(Verdict.PASS, "", (), None, seeded=False),
        result(Verdict.PASS, "", (), None, ("ev-minimum",), seeded=False),
        result(Verdict.INCONCLUSIVE, "", (), None, seeded=False),
    ]
    found = detection([BUG], [result(), *sound])
    assert (len(found.false_alarms), len(found.undecided), found.sound_runs) == (1, 1, 3)
    assert not found.clean


def test_the_page_counts_runs_and_names_what_is_due() -> None:
    """Two runs, one of them otherwise: 1/2 convicted, and the bug does not end as is due."""
    both = [result(), result(Verdict.PASS, "power", (), None)]
    found = Detection([BUG], {("A1", 0): tally(DUE, both)}, 0)
    assert "| A1 Ignores it |  | FAIL station, over limit (power) | 1/2 | 2/2 | 1/2 | 1/2 | 0.5 |" in found.page()
    assert found.summary()[0].startswith("0 of 1 bugs")
    assert due_text(DUE) == "FAIL station, over limit (power)"


def test_a_variant_that_was_not_run_is_not_found() -> None:
    """0 of 0 runs show nothing."""
    found = detection([BUG], [])
    assert not found.clean
    assert found.summary()[0].startswith("0 of 1 bugs")


@pytest.mark.parametrize("wrong", [["--matrix", "--seeds", "0"], ["--matrix", "--jobs", "0"], ["--write", "page.md"]])
def test_a_matrix_of_nothing_is_refused(wrong: list[str]) -> None:
    """No seed, no process, or a page of no matrix: the command line is wrong."""
    try:
        code: object = main(["faults", "A02", *wrong])
    except SystemExit as error:
        code = error.code
    assert code == 2


def test_each_sound_rig_is_run_once() -> None:
    """Variants that share scenario and rig share their sound runs."""
    planned = list(trials(field_bugs(), seeds=1, sound_seeds=2))
    places = {(variant.scenario, variant.rig) for bug in field_bugs() for variant in bug.variant}
    assert len([one for one in planned if not one.seeded]) == 2 * len(places)


def test_a_seed_moves_meters_within_their_accuracy() -> None:
    """Another seed is another rig: voltage, speed and meter errors differ, and none is worse than the rig file says."""
    _, rig = find_rig("emulated")
    other = varied(rig, 7).emulator
    assert other is not None
    assert other.supply_voltage_v != 230
    assert all(abs(error.gain_percent) <= 0.2 for error in other.meter_errors.values())
    assert varied(rig, 7) == varied(rig, 7)
    assert varied(rig, 1) == rig


def test_a_seed_brings_a_car_as_strong_that_behaves_otherwise() -> None:
    """Another model of the same phases and current; a scenario that does not say which car it needs keeps its own."""
    _, scenario = find_scenario("lowered-limit")
    others = {another_car(scenario, seed).vehicle for seed in range(2, 12)}
    assert {one.model for one in others if one is not None} == {"three-phase-11kw", "sluggish", "modest"}
    assert another_car(scenario, 1) == scenario
    assert another_car(scenario.model_copy(update={"vehicle": None}), 5).vehicle is None


def test_the_page_explains_its_cells() -> None:
    """A 1/1 alone tells nobody how far it carries."""
    page = detection([BUG], []).page()
    assert "A cell such as 1/1 says" in page
    assert "| right verdict |" in page


def test_a_curve_on_a_terminal_says_what_it_shows() -> None:
    """The limit, what stands beside each rate, and how many runs are needed."""
    head = Curve(12, 0.02, []).text()[:2]
    assert "12 A: each rate, its 95 % interval, and in brackets the predicted rate" in head[0]
    assert "take 200 or more" in head[1]
