"""The check `random_delay` on hand-made starts, and how often it accuses a station that is sound."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bench.domain.timeline import Timeline
from bench.domain.verdicts import CheckResult, Verdict
from bench.runs.checks.random_delay import judge_random_delay

EACH = 1000.0
LONGEST = 600


def judged(delays: Sequence[float], declared: bool = True) -> CheckResult:
    """Judge starts that took so long, a second of the station's own added, where 600 s were set."""
    features = {"random_delay": declared, "random_delay_variable": "Ctrlr.Delay"}
    item = {"component": {"name": "Ctrlr"}, "variable": {"name": "Delay"}, "attributeValue": str(LONGEST)}
    setting = SimpleNamespace(
        from_station=False, action="SetVariables", answered=1.0, request={"setVariableData": [item]},
        response={"setVariableResult": [{"attributeStatus": "Accepted"}]},
    )  # fmt: skip
    begins = [EACH * (number + 1) for number in range(len(delays))]
    pilot = [SimpleNamespace(at=0.0, offered_a=0.0, seq=0)]
    for begin, delay in zip(begins, delays, strict=True):
        pilot.append(SimpleNamespace(at=begin + delay + 1, offered_a=16.0, seq=1))
        pilot.append(SimpleNamespace(at=begin + 900, offered_a=0.0, seq=2))
    spans = [SimpleNamespace(begun=one, ended=one + 900, begun_seq=0, remote_start_id=None) for one in begins]
    facts = SimpleNamespace(features=lambda station: features)
    scene = SimpleNamespace(facts=facts, station="CS", calls=[setting], history=[])
    evse = SimpleNamespace(station="CS", name="CS EVSE 1", pilot=pilot, samples=[], transactions=spans)
    limits = Timeline[Any]([(0.0, None)], EACH * (len(delays) + 2))
    case: Any = SimpleNamespace(facts=facts, scene=scene, evse=evse, limits=limits, scenario={"settle_s": 15})
    return judge_random_delay(case)


def drawn(seed: int, count: int) -> list[int]:
    """Return whole delays as a sound station draws them."""
    chance = random.Random(seed)
    return [chance.randint(0, LONGEST) for _ in range(count)]


def test_sound_stations_are_hardly_ever_accused() -> None:
    """Of 360 hardly one by the 0.1 % rule; both with few starts and with many."""
    accused = [count for count in (10, 20, 40) for seed in range(120) if judged(drawn(seed, count)).verdict is not Verdict.PASS]
    assert len(accused) <= 2


@pytest.mark.parametrize(
    ("delays", "reason"),
    [
        ([300] * 12, "12 delays are all"),
        ([0] * 12, "12 delays are all"),
        ([*range(0, 120, 10)], "not spread evenly"),
        ([*drawn(1, 11), 640], "took 641.0 s, with one of at most 600 s"),
    ],
)
def test_what_is_not_random(delays: list[int], reason: str) -> None:
    """Constant, none, short ones only, and one that is too long."""
    result = judged(delays)
    assert result.verdict is Verdict.FAIL
    assert any(reason in one for one in result.reasons)


def test_few_starts_say_nothing() -> None:
    """Nine are too few."""
    assert judged(drawn(1, 9)).verdict is Verdict.INCONCLUSIVE


def test_parts_of_seconds_are_told() -> None:
    """Whole seconds are asked for; without a start that has no delay the station's own second is not known, but is whole here."""
    assert [one.code for one in judged([one + 0.5 for one in drawn(1, 12)]).warnings] == ["fractional-delay"]


def test_who_declares_none_is_not_asked() -> None:
    """The check does not apply."""
    assert judged([0] * 12, declared=False).verdict is Verdict.NOT_APPLICABLE
