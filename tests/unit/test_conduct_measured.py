"""What the meter shows of requirements, in both directions; EVSE 1 is under test, its limits settle within 8 s."""

from __future__ import annotations

import pytest

from bench.domain.documents import Kind
from bench.domain.verdicts import FaultClass, Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile


def has(story: Story, requirement: str, end: float = 0) -> set[Verdict]:
    """Return the verdicts on a requirement."""
    return set(story.on(requirement, end))


def lowered(drawn: float, *, unit: str = "A", limit: float = 10, identity: int = 1) -> Story:
    """Return a run in which an EV that drew 16 A meets a limit and draws so much of it."""
    story = Story()
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.set(profile(identity, limit=limit, unit=unit))
    story.draw(60, evse1=lambda second: 16.0 if second < 24 else drawn)
    return story


@pytest.mark.parametrize(
    ("requirement", "unit", "limit", "sound"),
    [("K01.FR.51", "A", 10, 9.8), ("K01.FR.50", "W", 6900, 9.8), ("K01.FR.32", "A", 10, 9.8)],
)
def test_a_limit_is_obeyed_in_its_unit(requirement: str, unit: str, limit: float, sound: float) -> None:
    """10 A per phase, or 6900 W in total on three phases of 230 V: 9.8 A obeys, 13 A does not."""
    assert has(lowered(sound, unit=unit, limit=limit), requirement) == {Verdict.PASS}
    broken = lowered(13.0, unit=unit, limit=limit)
    result = broken.check()
    assert {one.verdict for one in result.requirements if one.requirement == requirement} == {Verdict.FAIL}
    assert result.fault_class is FaultClass.OVER_LIMIT


def test_w_as_if_it_were_per_phase_is_too_much() -> None:
    """K01.FR.50: 2300 W are 3.3 A on each of three phases; a station that offers 10 A on each breaks it."""
    assert has(lowered(10.0, unit="W", limit=2300), "K01.FR.50") == {Verdict.FAIL}


def test_w_without_number_of_phases_is_for_three() -> None:
    """K01.FR.49: 6900 W are 10 A on each of three phases; a station that takes them for one phase offers 16 A."""
    assert has(lowered(9.8, unit="W", limit=6900), "K01.FR.49") == {Verdict.PASS}
    assert has(lowered(16.0, unit="W", limit=6900), "K01.FR.49") == {Verdict.FAIL}


def test_a_limit_that_nobody_reached_shows_nothing() -> None:
    """An EV that wants 5 A obeys by accident."""
    story = Story()
    story.transaction()
    story.draw(20, evse1=lambda _: 5.0)
    story.set(profile())
    story.draw(60, evse1=lambda _: 5.0)
    assert has(story, "K01.FR.51") == set()


def after_tx_profile(drawn: float) -> Story:
    """Return a run in which a TxProfile of 16 A runs out after 30 s, with a TxDefaultProfile of 10 A below it."""
    story = Story()
    story.set(profile(1))
    story.transaction()
    story.set(tx_profile(limit=16, duration=30))
    story.draw(30, evse1=lambda _: 15.8)
    story.draw(80, evse1=lambda second: 15.8 if second < 34 else drawn)
    return story


def test_after_a_tx_profile_the_default_counts() -> None:
    """K02.FR.08: 10 A from second 30 on."""
    assert has(after_tx_profile(9.8), "K02.FR.08") == {Verdict.PASS}
    assert has(after_tx_profile(15.8), "K02.FR.08") == {Verdict.FAIL}


def cleared(drawn: float) -> Story:
    """Return a run in which a TxProfile of 16 A is cleared, so that the default of 10 A counts."""
    story = Story()
    story.set(profile(1))
    story.transaction()
    story.set(tx_profile(limit=16))
    story.draw(30, evse1=lambda _: 15.8)
    story.clear(id=5)
    story.draw(80, evse1=lambda second: 15.8 if second < 34 else drawn)
    return story


def test_after_clearing_the_rest_counts() -> None:
    """K10.FR.05: the limits that are left are applied to the running transaction."""
    assert has(cleared(9.8), "K10.FR.05") == {Verdict.PASS}
    assert has(cleared(15.8), "K10.FR.05") == {Verdict.FAIL}


def test_after_clearing_the_only_limit_the_ev_is_free() -> None:
    """K10.FR.05, K10.FR.07: a draw above what was cleared shows it; that nothing rises proves nothing."""
    for drawn, verdicts in ((16.0, {Verdict.PASS}), (9.8, set())):
        story = Story()
        story.set(profile(1))
        story.transaction()
        story.draw(30, evse1=lambda _: 9.8)
        story.clear(id=1)
        story.draw(80, evse1=lambda _, amperes=drawn: amperes)  # type: ignore[misc]
        assert has(story, "K10.FR.07") == verdicts


def test_a_draw_right_after_clearing_shows_that_the_ev_is_free() -> None:
    """K10.FR.05: kept to 10 A until then, 16 A five seconds later: nothing has to settle. Never kept to, it shows nothing."""
    for drawn, verdicts in ((9.8, {Verdict.PASS}), (16.0, set())):
        story = Story()
        story.set(profile(1))
        story.transaction()
        story.draw(30, evse1=lambda _, amperes=drawn: amperes)  # type: ignore[misc]
        story.clear(id=1)
        story.draw(35, evse1=lambda _: 16.0)
        assert {one for one in has(story, "K10.FR.05") if one is Verdict.PASS} == verdicts


def test_a_pilot_that_holds_the_ev_to_a_cleared_limit_convicts() -> None:
    """10 A were cleared, and 40 s later the pilot offers 10 A to an EV that wants 16 A; one that wants 9 A shows nothing."""
    for wants, verdicts in ((16.0, {Verdict.FAIL}), (9.0, set())):
        story = Story()
        story.set(profile(1))
        story.transaction()
        story.draw(30, evse1=lambda _: 9.8)
        story.clear(id=1)
        view = {"station": "CS-EMU-1", "evse": 1, "state": "C", "duty_percent": 16.67, "ev_wants_a": wants}
        story.journal.write(Kind.PILOT_SAMPLE, view)
        story.draw(90, evse1=lambda _: 9.8)
        assert has(story, "K10.FR.05") == has(story, "K10.FR.07") == verdicts


def externally_limited(drawn: float) -> Story:
    """Return a run in which an EMS limits a charging station to 10 A, and releases it at second 60."""
    story = Story(external_limits=True)
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.limit(10)
    story.draw(60, evse1=lambda second: 16.0 if second < 24 else drawn)
    story.limit(None)
    story.draw(100, evse1=lambda _: 16.0)
    return story


def test_an_external_limit_binds_and_is_released() -> None:
    """K11.FR.01: 10 A from outside; K13.FR.01: afterwards 16 A flow again."""
    assert has(externally_limited(9.8), "K11.FR.01") == {Verdict.PASS}
    assert has(externally_limited(16.0), "K11.FR.01") == {Verdict.FAIL}
    assert has(externally_limited(9.8), "K13.FR.01") == {Verdict.PASS}


def offline(drawn: float, *profiles: object) -> Story:
    """Return a run in which the station goes offline from second 30 on."""
    story = Story()
    story.transaction()
    if "tx" in profiles:
        story.set(tx_profile(limit=10))
    if "default" in profiles:
        story.set(profile(limit=10))
    story.draw(30, evse1=lambda second: 9.8 if profiles else 16.0)
    story.link("closed")
    story.draw(80, evse1=lambda _: drawn)
    story.link("connected")
    story.draw(100, evse1=lambda _: 9.8)
    return story


def test_offline_the_profile_is_followed() -> None:
    """K06.FR.01 with a TxProfile, K07.FR.01 with a TxDefaultProfile: 10 A also without the CSMS."""
    assert has(offline(9.8, "tx"), "K06.FR.01") == {Verdict.PASS}
    assert has(offline(16.0, "tx"), "K06.FR.01") == {Verdict.FAIL}
    assert has(offline(9.8, "default"), "K07.FR.01") == {Verdict.PASS}
    assert has(offline(16.0, "default"), "K07.FR.01") == {Verdict.FAIL}


@pytest.mark.parametrize(("duty_percent", "verdicts"), [(10.0, {Verdict.FAIL}), (26.67, set()), (5.0, set())])
def test_who_holds_an_ev_down_while_offline_the_pilot_says(duty_percent: float, verdicts: set[Verdict]) -> None:
    """K06.FR.02: 16 A are wanted, 6 A drawn: the station's doing at 10 % duty, the EV's at 26.67 %; 5 % offers nothing."""
    story = Story()
    story.transaction()
    story.draw(30, evse1=lambda _: 16.0)
    story.link("closed")
    view = {"station": "CS-EMU-1", "evse": 1, "state": "C", "duty_percent": duty_percent, "ev_wants_a": 16.0}
    story.journal.write(Kind.PILOT_SAMPLE, view)
    story.draw(80, evse1=lambda _: 5.9)
    story.link("connected")
    story.draw(85, evse1=lambda _: 16.0)
    assert has(story, "K06.FR.02") == verdicts


@pytest.mark.parametrize(("drawn", "verdict"), [(9.8, Verdict.PASS), (16.0, Verdict.FAIL)])
def test_a_transaction_that_began_offline_is_judged_from_its_begin(drawn: float, verdict: Verdict) -> None:
    """K07.FR.01: it began at second 10 and is told at second 60, marked as offline; the default of 10 A bound it from 10 on."""
    story = Story()
    story.set(profile(limit=10))
    story.at(5).link("closed")
    story.draw(60, evse1=lambda second: drawn if second > 12 else 0.0)
    story.link("connected")
    story.transaction(offline=True, timestamp=stamp(10))
    story.draw(65, evse1=lambda _: 9.8)
    assert has(story, "K07.FR.01") == {verdict}


def test_a_station_that_is_switched_off_shows_no_obedience() -> None:
    """It has no connection, and no current either."""
    assert has(offline(0.0, "tx"), "K06.FR.01") == set()


def test_offline_without_a_profile_nothing_limits() -> None:
    """K06.FR.02: it goes on as before; an EV that draws less proves nothing."""
    assert has(offline(16.0), "K06.FR.02") == {Verdict.PASS}
    assert has(offline(5.0), "K06.FR.02") == set()


ONE_PHASE = [{"startPeriod": 0, "limit": 10, "numberPhases": 1}]


def one_phase(drawn: tuple[float, float, float], until: int = 100, **more: int) -> Story:
    """Return a run in which a limit of 10 A on one phase meets a three-phase EV."""
    story = Story(phases_3to1=True, ac_phase_switching=True)
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.set(profile(periods=[ONE_PHASE[0] | more]))
    story.draw(until, evse1=lambda second: 16.0 if second < 24 else drawn)
    return story


def test_more_phases_than_allowed_are_a_breach() -> None:
    """K01.FR.43: 9.8 A on three phases obey the limit per phase, and break the number of phases."""
    assert has(one_phase((9.8, 0.0, 0.0)), "K01.FR.43") == {Verdict.PASS}
    broken = one_phase((9.8, 9.8, 9.8)).check()
    assert [one.verdict for one in broken.requirements if one.requirement == "K01.FR.43"] == [Verdict.FAIL]
    assert broken.fault_class is FaultClass.OVER_LIMIT


def test_switching_phases_may_take_its_time() -> None:
    """30 s beyond the settling time are granted: three phases up to second 50 convict nobody."""
    story = one_phase((9.8, 9.8, 9.8), until=50)
    story.draw(100, evse1=lambda _: (9.8, 0.0, 0.0))
    assert has(story, "K01.FR.43") == {Verdict.PASS}


def test_the_phase_that_was_asked_for_is_used() -> None:
    """K01.FR.46: phaseToUse 2, and the EV is fed by L1."""
    assert has(one_phase((0.0, 9.8, 0.0), phaseToUse=2), "K01.FR.46") == {Verdict.PASS}
    assert has(one_phase((9.8, 0.0, 0.0), phaseToUse=2), "K01.FR.46") == {Verdict.FAIL}


def station_max(*draws: float, **checks: tuple[str, ...]) -> Story:
    """Return a run with a station maximum of 20 A; each of two EVs drew 16 A before, and so much 4 s later."""
    story = Story(**checks)
    story.transaction()
    story.transaction(evse=2, identity="tx-2")
    story.draw(20, evse1=lambda _: 16.0, evse2=lambda _: 16.0 if len(draws) > 1 else 0.0)
    story.set(profile(1, "ChargingStationMaxProfile", limit=20), 0)
    first, second = (*draws, 0.0)[:2]
    story.draw(60, evse1=lambda now: 16.0 if now < 24 else first,
               evse2=lambda now: (16.0 if len(draws) > 1 else 0.0) if now < 24 else second)  # fmt: skip
    return story


def test_the_sum_obeys_the_stations_maximum() -> None:
    """K04.FR.05: 2 x 9.8 A under 20 A; 2 x 16 A are each under it, and together over it."""
    assert has(station_max(9.8, 9.8), "K04.FR.05") == {Verdict.PASS}
    assert has(station_max(16.0, 16.0), "K04.FR.05") == {Verdict.FAIL}
    result = station_max(16.0, 16.0, checks=("station_power",)).check("station_power")
    assert result.verdict is Verdict.FAIL
    assert "CS-EMU-1 as a whole exceeded its limit of 20.0 A by 12.0 A" in result.headline


def test_one_car_cannot_show_the_sum() -> None:
    """The second EVSE is idle: held, not exercised."""
    result = station_max(16.0, checks=("station_power",)).check("station_power")
    assert result.verdict is Verdict.INCONCLUSIVE
    assert has(station_max(16.0), "K04.FR.05") == set()


def test_an_external_limit_binds_the_sum() -> None:
    """K12.FR.01: 20 A from outside, before two transactions began."""
    for drawn, verdict in ((9.8, Verdict.PASS), (16.0, Verdict.FAIL)):
        story = Story(external_limits=True)
        story.limit(20)
        story.transaction()
        story.transaction(evse=2, identity="tx-2")
        story.draw(60, evse1=lambda _, one=drawn: one, evse2=lambda _, one=drawn: one)  # type: ignore[misc]
        assert has(story, "K12.FR.01") == {verdict}
