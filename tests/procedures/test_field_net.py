"""The catalogue's bugs of the network, the CSMS and OCPI: each variant gets the verdict that is due, the sound rig PASS."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import RunVerdict, Verdict
from bench.rig.files import field_bugs, find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.field_bug import Variant
from bench.settings.scenario import Fault
from tests.support import DEEP

IDS = ("A05", "A10", "A15", "A19", "A23", "A25", "A29", "A31", "A33", "A40", "A43", "NA6")
SAMPLE = 1 if DEEP else 3
VARIANTS = {f"{bug.id} {one.name}".strip(): one for bug in field_bugs() if bug.id in IDS for one in bug.variant}
CHOSEN = dict(list(VARIANTS.items())[::SAMPLE])


def run(variant: Variant, out: Path, faults: tuple[Fault, ...]) -> RunVerdict:
    """Run a variant's scenario on its rig with these faults."""
    rig_path, rig = find_rig(variant.rig)
    path, scenario = find_scenario(variant.scenario)
    return run_scenario(Order(scenario, path, rig, rig_path, out, faults=faults, pages=DEEP)).judgement.verdict


@pytest.mark.virtual
@pytest.mark.parametrize("name", CHOSEN)
def test_a_variant_gets_the_verdict_that_is_due(name: str, tmp_path: Path) -> None:
    """Verdict, leading check, blamed layers, class and warnings are as the catalogue says."""
    variant = CHOSEN[name]
    found, due = run(variant, tmp_path, variant.fault), variant.due
    assert (found.verdict, found.blamed, found.fault_class) == (due.verdict, due.blamed, due.fault_class), found.headline
    assert due.check in ("", found.leading[0].check)
    assert set(due.warnings) <= {one.code for one in found.warnings}


@pytest.mark.virtual
@pytest.mark.parametrize("name", CHOSEN)
def test_the_sound_rig_passes_the_same_scenario_without_a_warning(name: str, tmp_path: Path) -> None:
    """Nothing seeded, nothing found."""
    found = run(CHOSEN[name], tmp_path, ())
    assert (found.verdict, found.warnings) == (Verdict.PASS, ()), found.headline


@pytest.mark.virtual
def test_what_a_dead_connection_swallowed_is_sent_again_when_it_is_back(tmp_path: Path) -> None:
    """The bench's own CSMS reads back after the reconnect and sends what is not there: the limit holds in the end."""
    variant = VARIANTS["A05 and the CSMS forgets to send it again"]
    found = run(variant, tmp_path, variant.fault[:1])
    assert found.verdict is Verdict.PASS, found.headline
