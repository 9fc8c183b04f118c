"""The supply's voltage decides whether anything can be judged by what was measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.oracle import Supply
from bench.domain.series import Series
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import Layer, Verdict
from bench.runs.checks.supply import judge_supply

Volts = float | None


def case(*readings: tuple[Volts, ...], current_type: str = "AC", **more: Any) -> Any:
    """Return a case of one EVSE whose meter gave these voltages, one reading a second."""
    evse = EvseFacts(
        "CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2), current_type, **more
    )  # fmt: skip
    evse.samples = Series(Sample(at, at + 0.1, (6.0,) * 3, 4140.0, 0.0, at, volts) for at, volts in enumerate(readings))
    scene = SimpleNamespace(evses=[evse])
    return SimpleNamespace(scene=scene, evse=evse, scenario={"checks": ("supply",)})


@pytest.mark.parametrize("volts", [207.0, 230.0, 253.0])
def test_a_supply_up_to_its_bounds_is_fit(volts: float) -> None:
    """207 and 253 V belong to the band."""
    assert judge_supply(case((volts,) * 3)).verdict is Verdict.PASS


@pytest.mark.parametrize(("volts", "word"), [(206.9, "dipped"), (253.1, "rose")])
def test_a_reading_outside_decides_nothing(volts: float, word: str) -> None:
    """One reading of one phase is enough, and it is not the station's doing."""
    result = judge_supply(case((230.0, 230.0, 230.0), (230.0, volts, 230.0), (230.0, 230.0, 230.0)))
    assert (result.verdict, result.blamed, result.refs) == (Verdict.INCONCLUSIVE, (Layer.BENCH,), (1,))
    assert word in result.headline


def test_each_dip_is_told_once() -> None:
    """Readings in a row are one dip with its deepest value; a good one between them makes two."""
    result = judge_supply(case((200.0,), (180.0,), (230.0,), (205.0,)))
    assert [text.split(" V ")[0] for text in result.reasons] == ["the supply dipped to 180.0", "the supply dipped to 205.0"]


def test_an_impossible_voltage_says_nothing_of_the_supply() -> None:
    """A sentinel is the meter's matter."""
    assert judge_supply(case((230.0,), (4.29e9,), (230.0,))).verdict is Verdict.PASS


def test_a_meter_without_voltage_shows_no_supply() -> None:
    """What was not shown is no PASS."""
    result = judge_supply(case((None, None, None)))
    assert (result.verdict, result.blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,))


def test_a_dc_meter_need_not_see_the_supply() -> None:
    """On DC the check does not apply."""
    assert judge_supply(case((400.0,), current_type="DC")).verdict is Verdict.NOT_APPLICABLE
