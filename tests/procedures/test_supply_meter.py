"""A meter in the supply of a station: it has to agree with those of its EVSEs, and the station's own draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.domain.verdicts import CheckResult, Layer, RunVerdict, Verdict
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.settings.rig import MeterError, RigSettings

pytestmark = pytest.mark.virtual


def judged(folder: Path, gain_percent: float) -> tuple[RunVerdict, CheckResult]:
    """Run a scenario with a supply meter that is off by so much."""
    (path, scenario), (rig_path, rig) = find_scenario("field-unit"), find_rig("emulated-supply")
    assert rig.emulator is not None
    emulator = rig.emulator.model_copy(update={"meter_errors": {"supply": MeterError(gain_percent=gain_percent)}})
    rig = rig.model_copy(update={"emulator": emulator})
    verdict = run_scenario(Order(scenario, path, rig, rig_path, folder / "run", pages=False)).judgement.verdict
    return verdict, next(one for one in verdict.checks if one.check == "supply_sum")


def test_two_evses_and_25_w_of_its_own(tmp_path: Path) -> None:
    """All agree, and the run passes."""
    verdict, summed = judged(tmp_path, 0)
    assert (verdict.verdict, summed.verdict) == (Verdict.PASS, Verdict.PASS)


def test_a_supply_that_takes_more_than_is_explained(tmp_path: Path) -> None:
    """Three percent more than the meters of the EVSEs say: no verdict rests on them."""
    verdict, summed = judged(tmp_path, 3)
    assert (verdict.verdict, summed.blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,))
    assert "W more than EVSEs and own draw" in summed.reasons[0]


@pytest.mark.parametrize(
    ("name", "meter", "reason"),
    [
        ("evse1", {"role": "supply"}, "names it as its own"),
        ("supply", {"role": "evse"}, "no EVSE names it"),
        ("supply", {"role": "building", "station": "CS-EMU-1"}, "goes with the role supply"),
        ("supply", {"station": "CS-2"}, "stations: CS-EMU-1"),
        ("evse1", {"side": "DC"}, "only an EVSE of a DC station"),
    ],
)
def test_a_role_has_to_fit(name: str, meter: dict[str, str], reason: str) -> None:
    """A rig file that says two things of one meter is refused."""
    _, rig = find_rig("emulated-supply")
    data = rig.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["meters"][name] |= meter
    with pytest.raises(ValueError, match=reason):
        RigSettings.model_validate(data, strict=False)
