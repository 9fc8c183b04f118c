"""What a series of fast readings tells of a meter."""

from __future__ import annotations

import pytest

from bench.domain.meter_quality import Reading, meter_quality


def series(power: list[float], refresh: int = 5) -> list[Reading]:
    """Return readings every 0.1 s, 20 ms each, of a meter that renews its values every `refresh` readings."""
    shown = [power[index - index % refresh] for index in range(len(power))]
    return [
        Reading(index / 10, index / 10 + 0.02, one, f"{index // refresh}") for index, one in enumerate(shown)
    ]


def test_refresh_and_reply() -> None:
    """Values that change every 0.5 s, replies after 20 ms; both are in the latency for the rig file."""
    found = meter_quality(series([1000.0] * 100))
    assert found.refresh_s is not None
    assert found.refresh_s["p50"] == pytest.approx(0.5)
    assert found.refresh_histogram == {"0.5": 18}
    assert found.reply_s["p99"] == pytest.approx(0.02)
    assert (found.noise_w, found.latency_s) == (0.0, (0.0, 0.52))


def test_a_slow_average_shows_in_the_ramp() -> None:
    """3 s from the old power to the new one: that is the ramp, and it counts as latency."""
    ramp = [1000.0 + 100 * index for index in range(1, 30)]
    found = meter_quality(series([1000.0] * 50 + ramp + [4000.0] * 50, refresh=1))
    assert [(one.from_w, one.to_w) for one in found.steps] == [(1000.0, 4000.0)]
    assert found.steps[0].ramp_s == pytest.approx(3.0, abs=0.11)
    assert found.latency_s[1] == pytest.approx(3.2, abs=0.2)


def test_noise_is_no_step() -> None:
    """A restless load of ± 30 W: its standard deviation, no step, and the missing ramp is told."""
    found = meter_quality(series([1000.0 + (30 if index % 2 else -30) for index in range(100)], refresh=1))
    assert found.noise_w == pytest.approx(30)
    assert found.steps == ()
    assert any("ramp" in one for one in found.not_shown)


def test_a_restless_load_is_quiet_between_two_renewals() -> None:
    """Values that repeat until the meter renews them hide no noise, and a step over it is one."""
    power = [base + (30 if index % 10 < 5 else -30) for base in (1000.0, 4000.0) for index in range(100)]
    found = meter_quality(series(power))
    assert found.noise_w == pytest.approx(30)
    assert [round(one.to_w - one.from_w) for one in found.steps] == [3000]


def test_a_change_within_ten_times_the_noise_is_no_step() -> None:
    """± 30 W around 1000 W and then around 1250 W: more than 100 W, but what a restless load does by itself."""
    power = [base + (30 if index % 2 else -30) for base in (1000.0, 1250.0) for index in range(50)]
    assert meter_quality(series(power, refresh=1)).steps == ()


def test_one_reading_is_no_series() -> None:
    """Fewer than two readings show nothing."""
    with pytest.raises(ValueError, match="1 readings"):
        meter_quality(series([1.0]))
