"""The station's clock from readings between two moments of the bench; the numbers are worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from bench.domain.clock_offset import ClockReading, bounds_of, estimate_offset, resolution_of, wait_for_rollover

START = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()


def reading(at: float, offset: float, *, trip: float = 0.02, step: float = 1.0, digits: int = 0) -> ClockReading:
    """Return what a station with that offset says, read in the middle of the round trip and cut off to `step`."""
    station = START + at + trip / 2 + offset
    told = math.floor(station / step + 1e-6) * step
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=told)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{round(told % 1 * 1000):03d}" if digits else "") + "Z"
    return ClockReading(START + at, START + at + trip, text)


def around_rollovers(offset: float, *, count: int = 14, drift_ppm: float = 0.0) -> list[ClockReading]:
    """Return readings as the bench takes them: each aims at where the station's next second is thought to begin."""
    readings, at = [reading(0.0, offset), reading(0.37, offset), reading(0.71, offset)], 1.0
    for _ in range(count):
        at += wait_for_rollover(readings, START + at, lead_s=0.01)
        readings.append(reading(at, offset + drift_ppm * 1e-6 * at))
        at += 0.3
    return readings


def test_one_reading_in_whole_seconds_bounds_the_offset_by_a_second_and_the_round_trip() -> None:
    """Sent at 12:00:10.0, there at 12:00:10.2, told 12:00:12: between 12 - 10.2 = 1.8 and 13 - 10.0 = 3.0."""
    low, high = bounds_of(ClockReading(START + 10.0, START + 10.2, "2026-01-15T12:00:12Z"), 1.0)
    assert [low, high] == pytest.approx([1.8, 3.0], abs=1e-5)


def test_two_readings_either_side_of_a_second_pin_the_offset() -> None:
    """12:00:12 at 10.40 to 10.42, 12:00:13 at 10.50 to 10.52: within 13 - 10.52 = 2.48 and 13 - 10.40 = 2.60."""
    before = ClockReading(START + 10.40, START + 10.42, "2026-01-15T12:00:12Z")
    after = ClockReading(START + 10.50, START + 10.52, "2026-01-15T12:00:13Z")
    found = estimate_offset([before, after])
    assert [found.offset_s, found.uncertainty_s] == pytest.approx([2.54, 0.06], abs=1e-4)
    assert not found.jumped


@pytest.mark.parametrize("offset", [0.0, 0.237, -3.875, 120.5, -7200.0])
def test_whole_seconds_are_pinned_to_half_the_round_trip(offset: float) -> None:
    """A round trip of 20 ms leaves about 10 ms either way, after at least five roll-overs."""
    found = estimate_offset(around_rollovers(offset))
    assert abs(found.offset_s - offset) <= found.uncertainty_s <= 0.0125
    assert found.resolution_s == 1.0
    assert found.rollovers >= 5


def test_milliseconds_need_no_rollover() -> None:
    """Told with milliseconds, one reading leaves half the round trip and half a millisecond: 10.5 ms."""
    found = estimate_offset([reading(at, 1.2345, step=0.001, digits=3) for at in (0.0, 0.37, 0.71)])
    assert found.resolution_s == 0.001
    assert abs(found.offset_s - 1.2345) <= found.uncertainty_s <= 0.0106


def test_zeros_after_the_point_resolve_nothing() -> None:
    """A station that always writes .000 keeps whole seconds; one digit other than zero shows more."""
    assert resolution_of(["2026-01-15T12:00:00.000Z", "2026-01-15T12:00:01.000Z"]) == 1.0
    assert resolution_of(["2026-01-15T12:00:00.000Z", "2026-01-15T12:00:01.25Z"]) == 0.01


def test_drift_is_told_apart_from_a_jump() -> None:
    """500 ppm over 400 s move the clock by 0.2 s: no single offset fits readings that are good to 10 ms."""
    readings = [reading(at, 500e-6 * at, step=0.001, digits=3) for at in range(0, 401, 50)]
    found = estimate_offset(readings)
    assert found.drift_ppm == pytest.approx(500, rel=0.1)
    assert not found.jumped
    assert abs(found.offset_s - 0.2) <= found.uncertainty_s + 1e-6


def test_a_jump_is_told_and_the_last_offset_counts() -> None:
    """Two seconds ahead, then suddenly on time."""
    found = estimate_offset([*around_rollovers(2.0), *(reading(at, 0.0) for at in (40.0, 40.3, 40.6, 40.9))])
    assert found.jumped
    assert found.drift_ppm is None
    assert abs(found.offset_s) <= found.uncertainty_s


def test_what_is_no_time_is_refused() -> None:
    """The station's text is a peer's text."""
    with pytest.raises(ValueError, match="Invalid isoformat"):
        estimate_offset([ClockReading(START, START, "noon")])
    with pytest.raises(ValueError, match="never read"):
        estimate_offset([])
