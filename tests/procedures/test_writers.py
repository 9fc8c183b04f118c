"""Several writers at one EVSE on the emulated rig: whose limit rules, and who is convicted where another one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bench.cso.arbiter as arbiter
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, run_scenario
from bench.runs.checks.writers import SCSP, Wish, counting
from bench.settings.scenario import Fault, ScenarioSettings
from bench.wire.ocpi.limits import merge
from tests.support import DEEP

SCENARIO = "dso-limit-during-profile"


def run(out: Path, scenario: ScenarioSettings | None = None, *, pages: bool = True) -> Outcome:
    """Run the shipped scenario, or another one in its place."""
    path, shipped = find_scenario(SCENARIO)
    rig_path, rig = find_rig("emulated")
    return run_scenario(Order(scenario or shipped, path, rig, rig_path, out, seed=1, pages=pages))


def writers(outcome: Outcome) -> CheckResult:
    """Return the check's result."""
    return next(one for one in outcome.judgement.verdict.checks if one.check == "writers")


def variant(policy: str, *steps: dict[str, Any]) -> ScenarioSettings:
    """Return the scenario with other limits on the spot, all at 10 A or as they say, judged by who rules alone."""
    raw = find_scenario(SCENARIO)[1].model_dump(mode="json", by_alias=True, exclude_none=True)
    kept = [one for one in raw["step"] if one["do"] in ("demand", "plug", "authorise", "scsp_plan")]
    told = [{"do": "local_limit", "periods": [[0, 10]]} | one for one in steps]
    raw["scsp"] |= {"policy": policy, "periods": [[0, 14]]}
    raw |= {"step": sorted([*kept, *told], key=lambda one: float(one["at_s"])), "checks": ["writers"], "duration_s": 150}
    return ScenarioSettings.model_validate(raw)


def test_the_lower_limit_of_scsp_and_dso_rules_and_is_obeyed(tmp_path: Path) -> None:
    """PASS, and the report says who ruled when."""
    outcome = run(tmp_path / "run")
    assert outcome.judgement.verdict.verdict is Verdict.PASS, outcome.judgement.verdict.headline
    assert [one.partition(": ")[2] for one in writers(outcome).reasons[1:]] == [
        "16 A of the SCSP", "10 A of the DSO", "8 A of the SCSP", "6 A of the DSO", "8 A of the SCSP",
    ]  # fmt: skip


def test_a_station_that_ignores_the_limit_of_the_dso_is_to_blame(tmp_path: Path) -> None:
    """The merging was right, and the plug gave 16 A: the report names the station, and both who wanted the limit."""
    scenario = find_scenario(SCENARIO)[1]
    fault = Fault(id="station.ignores-limit", params={"limit": 10, "unit": "A"})
    outcome = run(tmp_path / "run", scenario.model_copy(update={"fault": fault}))
    assert (outcome.judgement.verdict.verdict, outcome.judgement.verdict.blamed) == (Verdict.FAIL, (Layer.STATION,))
    assert writers(outcome).verdict is Verdict.PASS
    assert "wanted by the SCSP and DSO" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize(("choose", "fault"), [(0, FaultClass.OVER_LIMIT), (3.0, FaultClass.UNDER_DELIVERY)])
def test_a_platform_that_merges_wrongly_is_convicted(
    choose: float, fault: FaultClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the first writer's limits alone, or less than the lowest: FAIL, blamed on OCPI, though the plug obeys."""

    def wrong(profiles: Any, unit: str, *more: Any) -> Any:
        if not choose:
            return merge(profiles[:1], unit, *more)
        return [type(one)(one.start, one.end, one.limit - choose) for one in merge(profiles, unit, *more)]

    monkeypatch.setattr(arbiter, "merge", wrong)
    outcome = run(tmp_path / "run")
    verdict = outcome.judgement.verdict
    assert (verdict.verdict, verdict.blamed) == (Verdict.FAIL, (Layer.OCPI,))
    assert writers(outcome).fault_class is fault
    assert [one.check for one in verdict.checks if one.verdict is Verdict.FAIL] == ["writers"]


@pytest.mark.parametrize(
    ("policy", "steps", "ruled", "refused"),
    [
        ("one_writer", [{"by": "DSO", "at_s": 60}], ["14 A of the SCSP"], 1),
        ("one_writer", [{"by": "DSO", "at_s": 10}, {"by": "DSO", "at_s": 60, "periods": []}], ["10 A of the DSO"], 0),
        ("bems_owns", [{"by": "BEMS", "at_s": 60, "periods": [[0, 15]]}], ["14 A of the SCSP", "15 A of the BEMS"], 0),
        ("bems_owns", [{"by": "BEMS", "at_s": 60, "periods": [[0, 15]], "duration_s": 30}],
         ["14 A of the SCSP", "15 A of the BEMS", "14 A of the SCSP"], 0),
        ("scsp_owns", [{"by": "BEMS", "at_s": 60}], ["14 A of the SCSP"], 1),
        ("scsp_owns", [{"by": "BEMS", "at_s": 60, "emergency": True}], ["14 A of the SCSP", "10 A of the BEMS"], 0),
        ("minimum", [{"by": "DSO", "at_s": 0}, {"by": "DSO", "at_s": 60, "periods": [[0, 4]], "duration_s": 30}],
         ["10 A of the DSO", "4 A of the DSO", "14 A of the SCSP"], 0),
        ("minimum", [{"by": "DSO", "at_s": 60, "unit": "W", "periods": [[0, 4140]]}], ["14 A of the SCSP", "6 A of the DSO"], 0),
    ],
)  # fmt: skip
def test_each_policy_has_its_ruler(
    policy: str, steps: list[dict[str, Any]], ruled: list[str], refused: int, tmp_path: Path
) -> None:
    """What the platform installs is what the oracle of the check says, and who does not count is refused."""
    found = writers(run(tmp_path / "run", variant(policy, *steps), pages=DEEP))
    assert found.verdict is Verdict.PASS, found.reasons
    told = [one.partition(": ")[2] for one in found.reasons[1:]]
    assert told[: len(ruled)] == ruled
    assert len([one for one in found.reasons if one.startswith("refused")]) == refused


def test_what_the_station_refuses_does_not_rule(tmp_path: Path) -> None:
    """The second TxProfile of the transaction is rejected: the SCSP's goes on to rule, and so the oracle has it."""
    fault = Fault(id="station.keeps-first-schedule", params={})
    scenario = variant("minimum", {"by": "DSO", "at_s": 60}).model_copy(update={"fault": fault})
    found = writers(run(tmp_path / "run", scenario, pages=DEEP))
    assert found.verdict is Verdict.PASS, found.reasons
    assert [one.partition(": ")[0] for one in found.reasons[2:]] == ["refused"]


def test_the_policies_of_the_oracle() -> None:
    """By hand, in the words of the manual."""
    scsp, bems, dso = (Wish(by, ((0.0, 10.0),), 1e9, False) for by in (SCSP, "BEMS", "DSO"))
    urgent = Wish("BEMS", ((0.0, 10.0),), 1e9, True)
    assert counting("minimum", [scsp, bems, dso], 1.0) == [scsp, bems, dso]
    assert counting("one_writer", [dso, scsp], 1.0) == [dso]
    assert counting("bems_owns", [scsp, bems, dso], 1.0) == [bems, dso]
    assert counting("bems_owns", [scsp, dso], 1.0) == [scsp, dso]
    assert counting("scsp_owns", [bems, scsp, dso], 1.0) == [scsp, dso]
    assert counting("scsp_owns", [urgent, scsp], 1.0) == [urgent, scsp]
    assert counting("scsp_owns", [bems, dso], 1.0) == [bems, dso]
    over = Wish("BEMS", ((0.0, 10.0),), 30.0, False)
    assert counting("bems_owns", [scsp, over], 29.0) == [over]
    assert counting("bems_owns", [scsp, over], 30.0) == [scsp, over]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scsp": None}, "a local_limit step needs the \\[scsp\\] table"),
        ({"checks": ["relay"]}, "the check that judges it is writers"),
    ],
)
def test_a_scenario_that_cannot_be_judged_so_is_refused(change: dict[str, Any], words: str) -> None:
    """When the file is read."""
    raw = find_scenario(SCENARIO)[1].model_dump(mode="json", by_alias=True, exclude_none=True)
    raw["step"] = [one for one in raw["step"] if not one["do"].startswith("scsp_")]
    with pytest.raises(ValueError, match=words):
        ScenarioSettings.model_validate(raw | change)


def test_only_a_bems_has_emergencies() -> None:
    """A DSO's limit always counts where it counts at all."""
    with pytest.raises((ValueError, UsageError), match="an emergency is a BEMS's alone"):
        variant("minimum", {"by": "DSO", "at_s": 60, "emergency": True})
