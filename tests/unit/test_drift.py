"""A meter whose power and own energy register part after its proof."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, RunFacts, Sample
from bench.domain.oracle import Supply
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import RunState
from bench.runs.trust import trusted

TENTHS = 10
"""Steps of the load in a second."""
Load = Callable[[float], float]


def plateaus(t: float) -> float:
    """Return 11 kW and 4.1 kW in turn, three minutes each, in W."""
    return 11_000.0 if t % 360 < 180 else 4_100.0


def dips(t: float) -> float:
    """Return 11 kW that falls to nothing for 4 s of each 70 s."""
    return 0.0 if t % 70 < 4 else 11_000.0


def one_dip(t: float) -> float:
    """Return 11 kW that fall to nothing once, between two polls of each 10 s."""
    return 0.0 if 400.5 < t < 409.5 else 11_000.0


def blinks(t: float) -> float:
    """Return 11 kW at each full minute, and nothing half of the time."""
    return 11_000.0 if t % 60 < 30 else 0.0


def climbs(t: float) -> float:
    """Return what climbs to 11 kW by 230 W each second, and begins anew each five minutes."""
    return min(11_000.0, 230 * (t % 300))


LOADS: dict[str, Load] = {"plateaus": plateaus, "climbs": climbs, "dips": dips, "one dip": one_dip, "blinks": blinks}


def evse(
    load: str = "plateaus", *, seconds: int = 900, poll_s: float = 1, step_wh: float = 0.01, renewed_s: float = 0.1,
    behind_s: float = 0, drifts: tuple[float, float, float] = (1e9, 1, 1), register: bool = True, latency_s: float = 0.2,
) -> EvseFacts:  # fmt: skip
    """Return what a meter shows of a load.

    Args: step_wh, renewed_s: of its register; behind_s: how old its power is; drifts: from when on which factor counts for
        power and energy.
    """
    power = [LOADS[load](number / TENTHS) for number in range(seconds * TENTHS + 1)]
    since, of_power, of_energy = drifts
    energy = [5000.0]
    for number, watts in enumerate(power):
        energy.append(energy[-1] + watts / TENTHS / 3600 * (of_energy if number / TENTHS >= since else 1))
    found = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.25, 0.1), (0.0, latency_s))
    for poll in range(int(seconds / poll_s)):
        at = poll * poll_s
        watts = power[max(0, round((at - behind_s) * TENTHS))] * (of_power if at >= since else 1) + 0.1 * (poll % 7)
        counted = math.floor(energy[round(at // renewed_s * renewed_s * TENTHS)] / step_wh) * step_wh if register else None
        found.samples += [Sample(at, at + 0.01, (watts / 690,) * 3, watts, counted, poll, (230.0,) * 3)]
    return found


def doubted(found: EvseFacts) -> list[str]:
    """Return the codes of the doubts."""
    trusted(RunFacts({}, {}, 1, 0, 900, RunState.COMPLETED, "", [], [], [found]))
    return [one.code for one in found.doubts]


@pytest.mark.parametrize(
    "drifts", [(300, 1.05, 1), (300, 0.95, 1), (300, 1, 1.05), (300, 1, 0.95)], ids=["P up", "P down", "E up", "E down"]
)
def test_a_drift_of_five_percent_is_a_doubt(drifts: tuple[float, float, float]) -> None:
    """From second 300 on; whether power or register drifted, no reading from then on is left, and the first ones are."""
    found = evse(drifts=drifts)
    assert doubted(found) == ["drift"]
    assert 100 < found.samples[-1].received < 300
    assert "its own energy register counts" in found.doubts[0].text


@pytest.mark.parametrize(
    "shape",
    [
        {"step_wh": 0.01}, {"step_wh": 10}, {"step_wh": 100}, {"renewed_s": 5}, {"behind_s": 20, "latency_s": 20},
        {"poll_s": 10}, {"poll_s": 10, "load": "one dip"}, {"poll_s": 10, "load": "dips"}, {"poll_s": 60, "load": "blinks"},
        {"load": "dips"}, {"load": "dips", "renewed_s": 5, "step_wh": 1},
        {"load": "climbs", "poll_s": 2, "renewed_s": 1.5}, {"load": "climbs", "poll_s": 1.03, "renewed_s": 1, "step_wh": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_sound_meter_is_not_doubted(shape: dict[str, Any]) -> None:
    """Coarse or slow registers, an age that is declared, slow polls, a load that changes between them unseen, and registers that
    are renewed about as often as they are read."""
    assert doubted(evse(**shape)) == []


@pytest.mark.parametrize("seconds", range(880, 890))
@pytest.mark.parametrize(("since", "step_wh"), [(300, 0.01), (306, 0.01), (400, 5), (440, 5), (480, 5), (520, 5)])
def test_no_reading_is_left_from_the_drift_on(since: float, step_wh: float, seconds: int) -> None:
    """Wherever in a window it begins, and though the last seconds may be too short to tell anything."""
    found = evse(seconds=seconds, step_wh=step_wh, drifts=(since, 1.05, 1))
    assert doubted(found) == ["drift"]
    assert found.samples[-1].received < since


@pytest.mark.parametrize(
    "shape",
    [{"register": False}, {"step_wh": 10_000}, {"step_wh": 100, "seconds": 400}, {"seconds": 301}],
    ids=str,
)
def test_a_register_that_cannot_tell_raises_no_doubt(shape: dict[str, Any]) -> None:
    """None, one too coarse for the run, and a drift that has just begun: nothing was shown."""
    assert doubted(evse(drifts=(300, 1.05, 1), **shape)) == []


def test_a_coarse_register_tells_once_enough_has_flowed() -> None:
    """In two hours a register of 100 Wh shows 10 %."""
    assert doubted(evse(seconds=7200, step_wh=100, drifts=(300, 1.1, 1))) == ["drift"]


@pytest.mark.parametrize(("poll_s", "seconds", "factor"), [(5, 1800, 1.05), (10, 900, 1.1)])
def test_slow_polls_tell_a_drift_too(poll_s: float, seconds: int, factor: float) -> None:
    """A change that they might have missed is not allowed for where the register shows none."""
    assert doubted(evse("climbs", poll_s=poll_s, seconds=seconds, drifts=(300, factor, 1))) == ["drift"]


def test_a_small_drift_belongs_to_the_large_one_that_follows() -> None:
    """By 0.9 % from second 200 on, not yet in doubt itself, and by 5 % from second 300 on: all of it is taken out."""
    found = evse(drifts=(200, 1.009, 1))
    found.samples = type(found.samples)([
        one._replace(power_w=(one.power_w or 0.0) * 1.04) if one.requested >= 300 else one for one in found.samples
    ])  # fmt: skip
    assert doubted(found) == ["drift"]
    assert found.samples[-1].received < 250


@pytest.mark.parametrize(("first", "last"), [(300, 315), (180, 205)])
def test_what_flows_while_nobody_reads_is_no_drift(first: int, last: int) -> None:
    """The power was another one in a gap, or nobody knows when in it the power changed."""
    found = evse("climbs")
    found.samples = type(found.samples)([one for one in found.samples if not first <= one.requested < last])
    assert doubted(found) == []


def test_exported_energy_is_no_drift() -> None:
    """The register counts what is imported; from second 400 to 600 a car gives 4 kW back."""
    found, stood = evse(), 0.0
    samples = list(found.samples)
    for index, one in enumerate(samples):
        back = 400 <= one.requested < 600
        stood += 0.0 if not back else (one.energy_wh or 0.0) - (found.samples[index - 1].energy_wh or 0.0)
        power = -4000.0 + 0.1 * (index % 7) if back else one.power_w
        samples[index] = one._replace(power_w=power, energy_wh=(one.energy_wh or 0.0) - stood)
    found.samples = type(found.samples)(samples)
    assert "drift" not in doubted(found)


def test_a_register_that_begins_anew_is_no_drift() -> None:
    """A meter that lost power goes on from where it last stored its energy."""
    found = evse()
    for index, one in enumerate(samples := list(found.samples)):
        if index >= 450:
            samples[index] = one._replace(energy_wh=(one.energy_wh or 0.0) - 500)
    found.samples = type(found.samples)(samples)
    assert doubted(found) == []
