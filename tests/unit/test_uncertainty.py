"""Uncertainty: each formula with numbers that were worked by hand."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.domain import uncertainty as u
from bench.domain.decision import DecisionRule, decide, fails, passes
from bench.domain.uncertainty import Accuracy, CalibrationPoint, Certificate, Moment
from bench.domain.verdicts import Verdict

CLASSES = {"A": 3.5, "B": 2.0, "C": 0.7, "0.5S": 0.5, "analyser": 0.1}
CERTIFICATE = Certificate((CalibrationPoint(5, 0.01, 0.02), CalibrationPoint(10, 0.03, 0.04), CalibrationPoint(20, -0.02, 0.10)))

METERS = (
    Accuracy(2.0, 0.01, offset=0.06), Accuracy(0.5, 0.1, certificate=CERTIFICATE, drift_percent=0.1),
    Accuracy(inf, 0.1, certificate=CERTIFICATE), u.summed([Accuracy(2.0, 0.01), Accuracy(0.5, 0.1, certificate=CERTIFICATE)]),
    Accuracy(0.5, 0.1, certificate=Certificate(CERTIFICATE.points[1:2])),
)  # fmt: skip
"""By data sheet, by certificate, with nothing known outside of it, a sum, and a certificate of one point."""


@pytest.mark.parametrize(
    ("amperes", "expected"),
    [
        (6, (0.24, 0.14, 0.05, 0.036, 0.013)),
        (10, (0.40, 0.23, 0.08, 0.059, 0.016)),
        (16, (0.65, 0.37, 0.13, 0.093, 0.021)),
        (32, (1.29, 0.74, 0.26, 0.185, 0.038)),
    ],
)
def test_plateau_of_20_readings(amperes: float, expected: tuple[float, ...]) -> None:
    """U by class with r = 0.01 A and s = 0.02 A: at 16 A and 2 %, 2 sqrt(0.1848^2 + 0.0029^2 + 0.0045^2) = 0.370 A."""
    for percent, wanted in zip(CLASSES.values(), expected, strict=True):
        found = Accuracy(percent, 0.01).expanded(amperes, repeatability=0.02 / sqrt(20))
        assert found == pytest.approx(wanted, abs=0.0051 if wanted in (0.24, 0.14, 0.05) or wanted >= 0.08 else 0.00051)


def test_resolution_and_range() -> None:
    """0.5 % of 10 A and 0.1 % of 60 A with steps of 0.1 A: u = sqrt((0.05 + 0.06)^2 / 3 + 0.1^2 / 12) = 0.0698 A."""
    assert Accuracy(0.5, 0.1, offset=0.06).standard(10) == pytest.approx(0.06976, abs=1e-5)


@pytest.mark.parametrize(
    ("reading", "error", "uncertainty"),
    [(5, 0.01, 0.02), (7.5, 0.02, 0.03), (10, 0.03, 0.04), (15, 0.005, 0.07), (20, -0.02, 0.1)],
)
def test_certificate_between_its_points(reading: float, error: float, uncertainty: float) -> None:
    """Error and U are linear between the points; the error widens U by its size."""
    accuracy = Accuracy(2.0, 0, certificate=CERTIFICATE)
    assert accuracy.error(reading) == pytest.approx(error)
    assert accuracy.expanded(reading) == pytest.approx(uncertainty + abs(error))
    assert accuracy.basis(reading) == "by certificate"


@pytest.mark.parametrize("reading", [4.99, 20.01])
def test_outside_of_the_certificate_the_data_sheet_counts(reading: float) -> None:
    """No point is stretched beyond what was calibrated."""
    accuracy = Accuracy(2.0, 0, certificate=CERTIFICATE)
    assert "outside of the points" in accuracy.basis(reading)
    assert accuracy.expanded(reading) == pytest.approx(Accuracy(2.0, 0).expanded(reading))


def test_outside_of_the_certificate_without_a_data_sheet_nothing_is_known() -> None:
    """U is infinite there, even at 0, and so the verdict INCONCLUSIVE."""
    accuracy = u.accuracy_of({"certified": {"k": 2, "current": [(5, 0, 0.1), (10, 0, 0.1)]}}, "current", "a")
    assert accuracy.expanded(0) == accuracy.expanded(16) == inf
    assert decide(16, 10, inf, DecisionRule.SIMPLE) is Verdict.INCONCLUSIVE
    assert accuracy.expanded(6) == pytest.approx(0.1)


def test_drift_since_the_calibration() -> None:
    """U = 0.04 A at 10 A and 0.1 % a year over two years: u = sqrt(0.02^2 + (0.02 / sqrt 3)^2) = 0.0231 A."""
    assert Accuracy(2.0, 0, certificate=CERTIFICATE, drift_percent=0.2).standard(10) == pytest.approx(0.02309, abs=1e-5)


def test_like_meters_err_the_same_way() -> None:
    """Two meters of 2 % and 0.01 A at 32 A in total: u = sqrt((2 % x 32 / sqrt 3)^2 + 2 (0.01 / sqrt 12)^2), not / sqrt 2."""
    both = u.summed([Accuracy(2.0, 0.01), Accuracy(2.0, 0.01)])
    assert both.standard(32) == pytest.approx(sqrt((0.64**2) / 3 + 2 * 0.01**2 / 12))
    assert both.standard(32, repeatability=0.3) == pytest.approx(sqrt(0.64**2 / 3 + 2 * 0.01**2 / 12 + 0.09))


def test_the_worse_meter_may_carry_it_all() -> None:
    """1 % and 0.1 %: how the sum is shared is not known, so 1 % of it counts; the shares of the ranges add up."""
    assert u.summed([Accuracy(1.0, 0, offset=0.1), Accuracy(0.1, 0, offset=0.2)]).standard(30) == pytest.approx(0.6 / sqrt(3))
    certified = Accuracy(5.0, 0, certificate=Certificate((CalibrationPoint(1, 0, 0.2), CalibrationPoint(40, 0, 0.2))))
    assert u.summed([certified, certified]).standard(30) == pytest.approx(0.2)


def test_a_sum_with_an_unknown_meter_is_not_known() -> None:
    """One meter without accuracy takes it from the sum."""
    assert not u.summed([Accuracy(1.0, 0), u.UNKNOWN]).known
    assert u.summed([Accuracy(1.0, 0)]) == Accuracy(1.0, 0)


def test_repeatability_of_independent_readings() -> None:
    """1, -1, -1, 1 about 10 (no correlation to the next that is positive): s = 2 / sqrt 3, u_rep = s / 2 = 0.577."""
    assert u.repeatability_of([11, 9, 9, 11]) == pytest.approx(0.57735, abs=1e-5)
    assert u.repeatability_of([11, 9]) == u.repeatability_of([7, 7, 7]) == 0


def test_readings_that_follow_each_other_count_less() -> None:
    """A slow change: r is high, n_eff is low, so u_rep is much more than s / sqrt n."""
    rising = [10 + step / 10 for step in range(20)]
    assert u.repeatability_of(rising) > 2 * 0.5916 / sqrt(20)


def test_scatter_is_not_moved_by_an_excursion() -> None:
    """Differences of 0.02: s = 0.02 / 0.954 = 0.0210, and one reading of 20 does not hide itself."""
    readings = [10.0, 10.02] * 10
    assert u.scatter_of_steps(np.diff(readings)) == pytest.approx(0.02097, abs=1e-5)
    assert u.scatter_of_steps(np.diff([*readings[:9], 20, *readings[10:]])) == pytest.approx(0.02097, abs=1e-5)


def test_energy_of_a_register_with_steps() -> None:
    """2 q / sqrt 6: steps of 1 Wh give 0.816 Wh, which is 1 % of 82 Wh; 10 Wh give 8.16 Wh, 1 % of 816 Wh."""
    assert u.register_uncertainty(1) == pytest.approx(0.8165, abs=1e-4)
    assert u.register_uncertainty(10) == pytest.approx(8.165, abs=1e-3)


def test_probability_of_conformity() -> None:
    """The numbers of JCGM 106 7.4: y = 13.6, u = 1.8 within 12.5 to 16.3 gives 0.6626."""
    assert u.conformance_probability(13.6, 1.8, 12.5, 16.3) == pytest.approx(0.6626, abs=5e-5)


@pytest.mark.parametrize(("guard", "wanted"), [(0, 0.5), (1, 0.159), (1.645, 0.05), (2, 0.023)])
def test_false_accept_at_the_acceptance_limit(guard: float, wanted: float) -> None:
    """Without a guard band every second item right at the limit is wrongly accepted, with w = U 2.3 %."""
    assert u.false_accept(guard) == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize(
    ("amperes", "verdict"),
    [
        (16.23, Verdict.PASS), (16.24, Verdict.CONDITIONAL_PASS), (16.60, Verdict.CONDITIONAL_PASS),
        (16.61, Verdict.CONDITIONAL_FAIL), (16.97, Verdict.CONDITIONAL_FAIL), (16.98, Verdict.FAIL),
    ],
)  # fmt: skip
def test_16_a_with_a_class_b_meter(amperes: float, verdict: Verdict) -> None:
    """Limit 16 A, product tolerance 0.6 A, U = 0.37 A: the borders are 16.23, 16.60 and 16.97 A."""
    uncertainty = round(Accuracy(2.0, 0.01).expanded(16.0), 2)
    assert decide(amperes, 16 + 0.6, uncertainty, DecisionRule.FOUR_WAY) is verdict


def test_detection_limit_and_ratio() -> None:
    """16 A and class B: u = 0.1848 A, so 16 + 0.370 + 0.304 = 16.674 A; 0.6 A / 0.37 A = 1.6."""
    meter = Accuracy(2.0, 0.01)
    assert u.detection_limit(16, meter.expanded(16), meter.standard(16)) == pytest.approx(16.6736, abs=1e-3)
    assert u.test_uncertainty_ratio(0.6, 0.37) == pytest.approx(1.62, abs=0.01)
    assert u.test_uncertainty_ratio(0.6, 0) == inf


@pytest.mark.parametrize(
    ("seen", "interval", "verdict"),
    [
        (9.4, (7.1, 9.3), Verdict.PASS), (10.6, (8.3, 10.5), Verdict.INCONCLUSIVE), (12.4, (10.1, 12.3), Verdict.FAIL),
    ],
)  # fmt: skip
def test_when_a_limit_was_reached(seen: float, interval: tuple[float, float], verdict: Verdict) -> None:
    """T = 10 s, readings each second, latency 0.2 to 1.2 s, clock good to 0.1 s: 2.2 s wide."""
    found = u.reached(seen - 1, seen, (0.2, 1.2), 0.1)
    assert (found.earliest, found.latest) == pytest.approx(interval)
    assert found.within(10) is verdict
    assert u.interval_width(1, (0.2, 1.2), 0.1) == pytest.approx(2.2)


def test_a_time_limit_includes_its_end() -> None:
    """Reached at T at the latest is within; at T at the earliest may be."""
    assert Moment(9, 10).within(10) is Verdict.PASS
    assert Moment(10, 11).within(10) is Verdict.INCONCLUSIVE


@given(st.lists(st.floats(0, 40), min_size=1, max_size=8), st.sampled_from(METERS), st.floats(0, 0.1))
def test_many_readings_at_once_are_like_each_by_itself(readings: list[float], meter: u.Accuracy, noise: float) -> None:
    """U and the bounds of a column of readings are those of each, to the last bit."""
    column = np.array([*readings, 5.0, 10.0, 20.0])  # the points of the certificate as well
    readings = column.tolist()
    assert meter.expanded_of(column, 3, column * noise).tolist() == [meter.expanded(one, 3, one * noise) for one in readings]
    assert meter.largest_of(column).tolist() == [meter.largest(one) for one in readings]


@given(st.floats(-1, 40), st.floats(0, 40), st.sampled_from([0.0, 0.4, 50.0, inf]), st.sampled_from(DecisionRule))
def test_many_decisions_at_once_are_like_each_by_itself(reading: float, limit: float, guard: float, rule: DecisionRule) -> None:
    """What passes and what fails in a column is what `decide` says of it, at the border too."""
    for one in (reading, limit, limit + guard, max(limit - guard, 0.0)):
        column = np.array([one]), np.array([limit]), np.array([guard])
        verdict = decide(one, limit, guard, rule)
        assert passes(*column, rule).item() is (verdict is Verdict.PASS)
        assert fails(*column, rule).item() is (verdict is Verdict.FAIL)
