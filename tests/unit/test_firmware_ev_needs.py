"""The ISO 15118 side of the emulated EV."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.ev_needs import EvNeeds, Schedule, charging_needs, choose, differ, ev_answer, shortened, within


def schedule(*steps: tuple[int, float], start: float = 1000, duration_s: int = 3600, id_: int = 1) -> Schedule:
    """Return a schedule of an hour from second 1,000."""
    return Schedule(id_, start, duration_s, steps, 3)


def test_settings_are_split_between_the_plug_and_the_wire() -> None:
    """What is said over ISO 15118 stays here, the rest is the physical EV's; what is not named stays."""
    needs, rest = EvNeeds(departure_s=60).changed({"iso15118": 1, "ev_profile": "inside", "phases": 1, "colour": 2})
    assert needs == EvNeeds(iso15118=True, departure_s=60, ev_profile="inside")
    assert rest == {"phases": 1, "colour": 2}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"iso15118": 2}, "iso15118 = 2: must be 0 or 1"),
        ({"iso15118": "yes"}, "iso15118 = 'yes'"),
        ({"departure_s": "soon"}, "departure_s = 'soon': must be a number from 1"),
        ({"departure_s": float("nan")}, "departure_s = nan"),
        ({"energy_wh": -1}, "energy_wh = -1"),
        ({"max_schedule_tuples": 0}, "max_schedule_tuples = 0: must be a number from 1 to 1024"),
        ({"ev_profile": "beside"}, "must be one of inside, outside, stubborn, none"),
        ({"requested_mode": 3}, "requested_mode = 3: must be one of AC_single_phase"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], reason: str) -> None:
    """The message names key, value and what is allowed."""
    with pytest.raises(ValueError, match=reason):
        EvNeeds().changed(settings)


def test_a_limit_holds_from_its_step_to_the_next_and_not_beyond_the_end() -> None:
    """10 A for 600 s, then 6 A; outside of its time a schedule says nothing."""
    one = schedule((0, 10.0), (600, 6.0))
    assert [one.limit_at(t) for t in (999, 1000, 1599, 1600, 4599, 4600)] == [float("inf"), 10, 10, 6, 6, float("inf")]


def test_inside_means_at_every_moment() -> None:
    """8 A under 10 A then 6 A: inside for 600 s, then outside; a step later or earlier is outside as well."""
    offered = schedule((0, 10.0), (600, 6.0))
    assert within(schedule((0, 10.0), (600, 6.0)), offered)
    assert within(schedule((0, 8.0), (599, 6.0)), offered)
    assert not within(schedule((0, 8.0)), offered)
    assert not within(schedule((0, 10.0), (601, 6.0)), offered)


def test_a_changed_schedule_is_seen_from_now_on_only() -> None:
    """From second 1,600 both say 6 A, whatever they said before; the ends differ, and do not count."""
    before, now = schedule((0, 10.0), (600, 6.0)), schedule((0, 6.0), start=1600, duration_s=7200)
    assert not differ(before, now, 1600)
    assert differ(before, schedule((0, 6.0), (10, 7.0), start=1600), 1600)


def test_too_many_entries_are_joined_to_the_lowest() -> None:
    """10, 6, 14, 8 A in two entries: 10 A, then 6 A; nothing is allowed that was not."""
    assert shortened([(0, 10), (60, 6), (120, 14), (180, 8)], 2) == ((0, 10), (60, 6))
    assert shortened([(0, 10), (60, 6)], 2) == ((0, 10), (60, 6))


def test_the_ev_chooses_what_gives_it_most() -> None:
    """For an EV of 16 A, 32 A for 1,200 s and then nothing is 19,200 As; 10 A for the hour is 36,000 As."""
    short, long = schedule((0, 32.0), (1200, 0.0)), schedule((0, 10.0), id_=2)
    assert choose([short, long], 16) is long
    assert choose([long, schedule((0, 10.0), id_=3)], 16) is long


def test_what_the_ev_answers() -> None:
    """Inside: 80 %, rounded down to 0.1 A; outside: 125 % and at least 2 A more; or nothing."""
    offered = schedule((0, 10.0), (600, 6.1), (1200, 0.0))
    inside, outside = ev_answer(offered, "inside"), ev_answer(offered, "outside")
    assert inside is not None
    assert outside is not None
    assert [limit for _, limit in inside.steps] == [8.0, 4.8, 0.0]
    assert [limit for _, limit in outside.steps] == [12.5, 8.1, 2.0]
    assert ev_answer(offered, "none") is None


@pytest.mark.parametrize(("phases", "mode"), [(1, "AC_single_phase"), (2, "AC_two_phase"), (3, "AC_three_phase")])
def test_the_mode_follows_the_phases(phases: int, mode: str) -> None:
    """Where nothing else is asked for."""
    content = charging_needs(
        EvNeeds(), phases=phases, max_current_a=16, battery_wh=60_000, soc_percent=50, departure="2026-01-15T08:00:00.000Z"
    )
    assert content["requested_energy_transfer"] == mode
    assert content["ac_charging_parameters"]["energy_amount"] == 30_000
    assert content["departure_time"] == "2026-01-15T08:00:00.000Z"


def test_at_a_dc_evse_it_asks_for_dc() -> None:
    """DC parameters only: 60 kWh at 50 %."""
    content = charging_needs(EvNeeds(), phases=1, max_current_a=60, battery_wh=60_000, soc_percent=50, departure=None, dc=True)
    assert content["requested_energy_transfer"] == "DC"
    assert content["dc_charging_parameters"]["energy_amount"] == 30_000
    assert "ac_charging_parameters" not in content
