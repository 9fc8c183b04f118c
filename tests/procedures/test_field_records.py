"""The field bugs in what a station reports and records end in the verdict that is due; a sound station passes the same runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from bench.domain.verdicts import RunVerdict, Verdict
from bench.rig.files import field_bugs, find_rig, find_scenario
from bench.rig.session import Order, open_run
from bench.runs.scenario import take_steps
from bench.settings.field_bug import Variant
from tests.support import DEEP

OURS: Final = ("A14", "A27", "A28", "A32", "A34", "A35", "A38", "A41", "A42", "A46", "NA2")
SAMPLE: Final = 3
"""`make test` runs every third variant, `make deep` all of them, with more seeds."""


def variants() -> list[Any]:
    """Return the variants of this slice of the catalogue as test parameters."""
    found = [
        pytest.param(variant, id=f"{bug.id}-{variant.name or bug.family}".replace(" ", "-"))
        for bug in field_bugs()
        for variant in bug.variant
        if bug.id in OURS or variant.fault[0].id in ("station.meter-frozen", "station.meter-sentinel")
    ]
    return found if DEEP else found[::SAMPLE]


def scenarios() -> list[str]:
    """Return the scenarios of this slice, each once."""
    found = sorted({one.values[0].scenario for one in variants()})
    return found if DEEP else found[::SAMPLE]


async def verdict_of(variant: Variant | None, scenario: str, seed: int, folder: Path) -> RunVerdict:
    """Run a scenario with the faults of a variant, or on the sound rig."""
    path, settings = find_scenario(scenario)
    rig_path, rig = find_rig(variant.rig if variant else "emulated")
    faults = variant.fault if variant else ()
    order = Order(settings, path, rig, rig_path, folder / "run", seed=seed, faults=faults, pages=DEEP)
    async with open_run(order) as opened:
        await take_steps(opened.procedure, settings)
    assert opened.outcome is not None
    return opened.outcome.judgement.verdict


@pytest.mark.virtual
@pytest.mark.parametrize("variant", variants())
async def test_what_a_station_records_wrongly_is_found(variant: Variant, tmp_path: Path) -> None:
    """Verdict, leading check, blamed layer, class and warnings are those of the catalogue."""
    due, found = variant.due, await verdict_of(variant, variant.scenario, 1, tmp_path)
    assert found.verdict is due.verdict, found.headline
    assert set(due.warnings) <= {one.code for one in found.warnings}
    if due.verdict is not Verdict.PASS:
        assert (found.leading[0].check, found.blamed, found.fault_class) == (due.check, due.blamed, due.fault_class)


@pytest.mark.virtual
@pytest.mark.parametrize("seed", range(1, 6) if DEEP else [2])
@pytest.mark.parametrize("scenario", scenarios())
async def test_a_sound_station_passes_the_same_run(scenario: str, seed: int, tmp_path: Path) -> None:
    """Without a warning, whatever the noise of its meter."""
    found = await verdict_of(None, scenario, seed, tmp_path)
    assert (found.verdict, found.warnings) == (Verdict.PASS, ()), found.headline
