"""What the report draws: thinning out, steps, marks, and the still picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from math import isnan

import pytest

from bench.domain.evidence import Judgement
from bench.report.series import EvseSeries, corners, evse_series, placed, thinned, value_at
from bench.report.svg import still_picture
from bench.runs.judge import judge
from tests.support_report import Day


@pytest.fixture(scope="module")
def failed() -> Judgement:
    """Return the judgement on the day of the disobedient station."""
    return judge(Day(disobedient=True).documents())


@pytest.fixture(scope="module")
def series(failed: Judgement) -> EvseSeries:
    """Return what is drawn for it."""
    return evse_series(failed, Day(disobedient=True).documents())[0]


def test_thinning_keeps_each_bucket_s_extremes() -> None:
    """A spike of one reading among ten thousand is still drawn, upwards and downwards."""
    values = [5.0] * 10_000
    values[1234], values[7777] = 9.0, 1.0
    kept = thinned([float(one) for one in range(10_000)], [values], set(), buckets=50)
    assert {0, 1234, 7777, 9999} <= set(kept)
    assert len(kept) <= 2 * 50 + 3


def test_thinning_keeps_what_must_be_kept() -> None:
    """A reading that is neither lowest nor highest stays when it must."""
    kept = thinned([float(one) for one in range(1000)], [[float(one) for one in range(1000)]], {501, 502}, buckets=10)
    assert {501, 502} <= set(kept)


def test_only_an_evse_with_readings_or_limits_is_drawn(failed: Judgement) -> None:
    """The second EVSE of the rig had neither."""
    assert [one.name for one in evse_series(failed, [])] == ["CS-EMU-1 EVSE 1"]


def test_every_reading_of_a_breach_is_drawn(failed: Judgement, series: EvseSeries) -> None:
    """Thinning out never hides a breach."""
    first, last = series.breaches[0].start, series.breaches[0].end
    there = [one.seq for one in failed.traces[0].facts.samples if first <= one.received <= last]
    assert len(there) > 300
    assert set(there) <= set(series.seqs)
    assert len(series.seqs) < series.readings / 4


def test_every_step_of_the_limit_is_drawn(failed: Judgement, series: EvseSeries) -> None:
    """The line of the expected limit has a corner where each segment begins and ends."""
    edges = {edge for one in failed.traces[0].limits.segments() for edge in (one.start, one.end)}
    assert edges <= set(series.expected[0])


def test_a_reported_schedule_ends_where_the_next_one_begins(series: EvseSeries) -> None:
    """Two composite schedules overlap in what they cover; the line never goes back."""
    times, _ = series.reported
    assert times == sorted(times)
    assert series.start + 43_200 in times


def test_a_line_is_broken_where_nothing_holds() -> None:
    """Between two spans that do not touch there is no line."""
    times, values = corners([(0, 10, 1.0), (20, 30, 2.0)])
    assert times == [0, 10, 10, 20, 30]
    assert isnan(values[2])


def test_a_line_tells_its_value_at_any_time() -> None:
    """At a step the new value holds; outside the line there is none."""
    line = corners([(10, 20, 1.0), (20, 30, 2.0)])
    assert (value_at(line, 19.9), value_at(line, 20), value_at(line, 30)) == (1.0, 2.0, 2.0)
    assert isnan(value_at(line, 9))
    assert isnan(value_at(line, 31))


def test_the_line_of_readings_is_broken_at_a_gap(failed: Judgement) -> None:
    """An outage of the meter is drawn as a gap, never as a line across it."""
    facts = failed.traces[0].facts
    facts.gaps.append(facts.samples[1000].received - 0.5)
    drawn = evse_series(failed, [])[0]
    facts.gaps.clear()
    assert drawn.seqs.count(-1) == 1
    assert isnan(drawn.measured[1][drawn.seqs.index(-1)])


def test_names_of_steps_do_not_overlap() -> None:
    """Steps at nearly the same time have their names on lines of their own; the last one's stands left of it."""
    plug, authorise, later, last = placed([(0, "plug"), (5, "authorise"), (43_200, "composite"), (86_000, "unplug")], 0, 86_400)
    assert (plug.level, authorise.level, later.level) == (0, 1, 0)
    assert last.before
    assert not plug.before


def test_a_crowd_of_steps_loses_no_name() -> None:
    """More steps at one moment than there are lines share the last line; each still has its own mark."""
    marks = placed([(float(one), f"step{one}") for one in range(12)], 0, 86_400)
    assert len(marks) == 12
    assert ", ".join(one.name for one in marks if one.name) == ", ".join(f"step{one}" for one in range(12))


def test_a_station_that_reports_far_too_much_does_not_flatten_the_rest(series: EvseSeries) -> None:
    """A reported limit of a gigawatt leaves the axis to what was expected and measured."""
    boasting = replace(series, reported=([series.start, series.end], [1e6, 1e6]))
    assert boasting.highest < 20


def test_the_still_picture_shows_the_same(series: EvseSeries) -> None:
    """Lines, breaches and steps all stand in the SVG, which is well-formed."""
    root = ET.fromstring(still_picture(series))
    kinds = {one.get("class") for one in root.iter()}
    assert {"line expected", "line reported", "line offered", "line measured", "line l3", "breach", "head", "settling"} <= kinds
    assert {"plug", "scsp_plan", "unplug"} <= {one.text for one in root.iter() if one.tag.endswith("text")}
