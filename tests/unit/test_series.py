"""A meter's readings as columns, and as a sequence of samples."""

from __future__ import annotations

import numpy as np
import pytest

from bench.domain.evidence import Sample
from bench.domain.series import Series


def reading(second: int, power_w: float | None = 690.0) -> Sample:
    """Return a reading of 1 A on three phases, one of whose voltages nobody measured."""
    return Sample(float(second), second + 0.25, (1.0, 1.5, 2.0), power_w, None, 10 + second, (230.0, None, 231.0))


READINGS = [reading(second, None if second == 3 else second * 100.0) for second in range(40)]


def test_what_goes_in_comes_out() -> None:
    """Each reading is again the one that was given, a missing value included."""
    assert list(Series(READINGS)) == READINGS
    assert [Series(READINGS)[index] for index in (0, 3, -1)] == [READINGS[0], READINGS[3], READINGS[-1]]


@pytest.mark.parametrize("part", [slice(5, 20), slice(20, 5), slice(-3, None), slice(None, None, 7)])
def test_a_slice_is_a_series(part: slice) -> None:
    """A slice and a slice of that have the readings that a list's would have."""
    assert list(Series(READINGS)[part]) == READINGS[part]
    assert list(Series(READINGS)[part][1:3]) == READINGS[part][1:3]
    assert [*Series(READINGS)[part]][-1:] == READINGS[part][-1:]


def test_readings_can_be_added() -> None:
    """What is added after the columns were read is in them."""
    series = Series(READINGS[:2])
    assert len(series.received) == 2
    series.append(READINGS[2])
    assert list(series) == READINGS[:3]
    series += READINGS[3:]
    assert (list(series), series.received.tolist()) == (READINGS, [one.received for one in READINGS])


def test_columns_cannot_be_written() -> None:
    """No check changes what another reads."""
    series = Series(READINGS)
    for column in (series.received, series[3:5].current_a, series.seq):
        with pytest.raises(ValueError, match="read-only"):
            column[..., 0] = 0


def test_a_slice_cannot_grow() -> None:
    """It shares the arrays of the whole."""
    with pytest.raises(TypeError, match="cannot grow"):
        Series(READINGS)[1:].append(READINGS[0])


def test_columns_of_different_lengths_are_refused() -> None:
    """They are no readings."""
    with pytest.raises(ValueError, match="different lengths"):
        Series.of_columns([1.0], [1.0, 2.0], np.ones((3, 2)), [1.0, 1.0], [1.0, 1.0], [1, 2])


@pytest.mark.parametrize("chosen", [range(3, 9), (1, 4, 39), ()])
def test_readings_are_taken_by_a_mask(chosen: range | tuple[int, ...]) -> None:
    """Neighbours or not, of a whole or of a slice."""
    mask = np.isin(np.arange(40), chosen)
    assert list(Series(READINGS).taken(mask)) == [READINGS[index] for index in chosen]
    assert list(Series(READINGS)[1:].taken(mask[1:])) == [READINGS[index] for index in chosen]
