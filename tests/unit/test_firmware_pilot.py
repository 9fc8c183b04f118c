"""Control pilot of the emulator: IEC 61851-1 Table A.7, both ways."""

from __future__ import annotations

import pytest

from firmware_sim.pilot import current_for, duty_for


@pytest.mark.parametrize(
    ("limit_a", "duty"), [(6, 10.0), (10, 16.66), (16, 26.66), (30, 50.0), (63, 89.2), (80, 96.0), (99, 96.0)]
)
def test_a_limit_becomes_the_duty_cycle_of_the_table_rounded_down(limit_a: float, duty: float) -> None:
    """0.6 A per percent up to 51 A, then 2.5 x (D - 64); 0.01 percent is the generator's step."""
    assert duty_for(limit_a) == pytest.approx(duty)


@pytest.mark.parametrize("limit_a", [0, 0.1, 3, 5.9, 5.999])
def test_below_six_amperes_there_is_no_pwm(limit_a: float) -> None:
    """A limit in (0 A, 6 A) is a pause and never rounded up."""
    assert duty_for(limit_a) is None


def test_a_duty_cycle_never_offers_more_than_the_limit() -> None:
    """Whatever the limit from 6 A to 80 A, what the pilot offers is at or below it, and not more than 0.01 % of duty below."""
    for tenth in range(600, 8000):
        limit_a = tenth / 100
        offered = current_for(duty_for(limit_a))
        assert offered <= limit_a + 1e-9
        assert offered >= (51.0 if 51 < limit_a < 52.53 else limit_a - 0.0251)


@pytest.mark.parametrize(
    ("duty", "amps"),
    [(None, 0), (5, 0), (7.9, 0), (8, 6), (10, 6), (50, 30), (85, 51), (90, 65), (96.5, 80), (97.5, 0), (100, 0)],
)
def test_an_ev_reads_the_duty_cycle_by_the_table(duty: float | None, amps: float) -> None:
    """5 % means digital communication only; 8 to 10 % still allow 6 A; above 97 % nothing."""
    assert current_for(duty) == pytest.approx(amps)
