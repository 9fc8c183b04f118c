"""How an EV answers a limit of 8 A, of 16 A from second 100 on, of 0 A from 200 on and of 8 A from 250 on."""

from __future__ import annotations

from collections.abc import Callable

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.runs.checks.ev_response import ev_response, imbalance


def answers(draw: Callable[[int], tuple[float, ...]]) -> tuple[dict[str, float | None], list[str]]:
    """Return the measurements by name, and the codes of the findings."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples += [Sample(at, at, draw(at), sum(draw(at)) * 230, 0.0, at) for at in range(300)]
    steps = [(at, ExpectedLimit(amps, "A", amps, 3, 1)) for at, amps in ((0, 8.0), (100, 16.0), (200, 0.0), (250, 8.0))]
    limits: Timeline[ExpectedLimit | None] = Timeline(list(steps), 300)
    return {one.name: one.value for one in ev_response(evse, limits)}, [one.code for one in imbalance(evse)]


def sound(at: int) -> tuple[float, ...]:
    """Rise after 6 s, pause, and resume after 20 s."""
    current = 7.5 if at < 106 else 15.5 if at < 203 else 0.0 if at < 270 else 7.5
    return (current,) * 3


def test_rise_and_resume_are_measured_apart() -> None:
    """6 s up, 20 s to wake."""
    assert answers(sound)[0] == {"limit_rise_time": 6.0, "resume_time": 20.0, "phases_in_use": 3}


def test_what_did_not_come_has_no_time() -> None:
    """It stays asleep."""
    assert answers(lambda at: sound(at) if at < 250 else (0.0,) * 3)[0]["resume_time"] is None


def test_idle_phases_are_no_imbalance() -> None:
    """A car on two phases."""
    values, codes = answers(lambda at: (sound(at)[0], sound(at)[0], 0.0))
    assert (values["phases_in_use"], codes) == (2, [])


def test_phases_that_differ_for_long_are_told_of() -> None:
    """15.5 A and 10 A."""
    assert answers(lambda at: (sound(at)[0], sound(at)[0], sound(at)[0] * 0.65))[1] == ["phase-imbalance"]
