"""What a station reports and records, on runs written by hand: an EV takes 10 A on each of three phases of EVSE 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile

POWER_W = 6900.0
ENERGY = "Energy.Active.Import.Register"


def sampled(value: float, measurand: str, unit: str, **more: Any) -> dict[str, Any]:
    """Return a SampledValueType."""
    return {"value": value, "measurand": measurand, "unitOfMeasure": {"unit": unit, **more.pop("scaled", {})}, **more}


def values(second: float, *more: dict[str, Any], power: float = POWER_W, energy: float | None = None, at: str = "") -> Any:
    """Return a list of one MeterValueType: the power, and the register at this second as the EV charges."""
    register = POWER_W * second / 3600 if energy is None else energy
    listed = [sampled(power, "Power.Active.Import", "W"), sampled(register, ENERGY, "Wh"), *more]
    return [{"timestamp": at or stamp(second), "sampledValue": listed}]


class Session:
    """A session of which a station tells every 10 s up to second 100."""

    def __init__(self, check: str, **features: Any) -> None:
        self.check = check
        self.story = Story(checks=[check], **features)
        self.number = -1

    def tell(self, event: str = "Updated", second: float | None = None, *, seq: int | None = None, **more: Any) -> None:
        """One TransactionEvent of this moment, or of `second`."""
        at = self.story.clock.elapsed_s if second is None else second
        self.number = self.number + 1 if seq is None else seq
        more.setdefault("meterValue", values(at))
        self.story.transaction(event, seqNo=self.number, **{"timestamp": stamp(at), **more})

    def run(self, told: Callable[[int], dict[str, Any] | None] = lambda second: {}, until: int = 100) -> Session:
        """Charge; `told(second)` is what is special about the event of that second, None for no event."""
        self.tell("Started")
        for second in range(10, until + 1, 10):
            self.story.draw(second, evse1=lambda _: 10.0)
            more = told(second)
            if more is not None:
                self.tell(**more)
        return self

    def result(self) -> CheckResult:
        """End the run."""
        return self.story.check(self.check)


def test_values_of_the_reference_pass() -> None:
    """Power and register as the reference meter has them."""
    result = Session("meter_values").run().result()
    assert (result.verdict, result.warnings) == (Verdict.PASS, ())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda second: {"power": -POWER_W},
        lambda second: {"power": 1.25 * POWER_W},
        lambda second: {"power": POWER_W / 1000},
        lambda second: {"power": 4294967295.0},
        lambda second: {"energy": 76.7},
        lambda second: {"energy": POWER_W * second / 3600 + 500},
        lambda second: {"energy": 1.0},
    ],
)
def test_values_that_part_from_the_reference_fail(wrong: Callable[[int], dict[str, Any]]) -> None:
    """From second 50 on: wrong sign, 25 % more, kW as W, a sentinel, a register that stands still, jumps or goes back."""
    result = Session("meter_values").run(lambda at: {"meterValue": values(at, **wrong(at))} if at >= 50 else {}).result()
    assert (result.verdict, result.blamed, result.fault_class) == (Verdict.FAIL, (Layer.STATION,), FaultClass.METERING)


@pytest.mark.parametrize(("percent", "verdict"), [(10, Verdict.FAIL), (25, Verdict.PASS)])
def test_the_target_says_how_far_its_meter_may_be_off(percent: float, verdict: Verdict) -> None:
    """20 % too much."""
    session = Session("meter_values", station_meter_percent=percent)
    assert session.run(lambda at: {"meterValue": values(at, power=1.2 * POWER_W)}).result().verdict is verdict


@pytest.mark.parametrize("scaled", [{"unit": "kW"}, {"multiplier": 3}])
def test_units_and_multipliers_count(scaled: dict[str, Any]) -> None:
    """6.9 kW, or 6.9 W times 10 to the third."""
    power = sampled(6.9, "Power.Active.Import", "W", scaled=scaled)
    assert Session("meter_values").run(lambda at: {"meterValue": values(at, power)}).result().verdict is Verdict.PASS


@pytest.mark.parametrize(("drawn", "verdict"), [(10.0, Verdict.PASS), (13.0, Verdict.FAIL)])
def test_a_current_is_compared_with_that_of_its_phase(drawn: float, verdict: Verdict) -> None:
    """L2 alone."""
    current = sampled(drawn, "Current.Import", "A", phase="L2")
    assert Session("meter_values").run(lambda at: {"meterValue": values(at, current)}).result().verdict is verdict


def test_a_ramp_convicts_nobody() -> None:
    """The station measures a second before the load falls from 16 A to 6 A, and says so two seconds after."""
    session = Session("meter_values")
    session.tell("Started", meterValue=values(0, power=11_040))
    session.story.draw(60, evse1=lambda second: 16.0 if second < 58 else 6.0)
    session.tell(meterValue=[{"timestamp": stamp(57), "sampledValue": [sampled(11_040, "Power.Active.Import", "W")]}])
    session.story.draw(80, evse1=lambda _: 6.0)
    assert session.result().verdict is Verdict.PASS


def test_a_repeated_begin_is_no_frozen_register() -> None:
    """It is another context of the same measurand: worth a word."""
    begin = sampled(0.0, ENERGY, "Wh", context="Transaction.Begin")
    result = Session("meter_values").run(lambda at: {"meterValue": values(at, begin)}).result()
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, ["repeated-begin"])


def test_more_is_offered_than_is_installed() -> None:
    """16 A under a limit of 10 A: the report alone is wrong."""
    session = Session("meter_values")
    session.story.set(profile(limit=10))
    offered = sampled(16.0, "Current.Offered", "A")
    result = session.run(lambda at: {"meterValue": values(at, offered)}).result()
    assert (result.verdict, result.fault_class, result.pair) == (Verdict.FAIL, FaultClass.REPORT_ONLY, "installed/reported")


def test_without_a_reference_nothing_is_said() -> None:
    """No reading at all."""
    session = Session("meter_values")
    session.tell("Started")
    assert session.result().verdict is Verdict.INCONCLUSIVE


def test_a_blind_reference_convicts_nobody() -> None:
    """Station, pilot and EV say that 10 A flow; the reference meter shows nothing."""
    session = Session("meter_values")
    seen = {"state": "C", "duty_percent": 16 / 0.6, "ev_wants_a": 16.0}
    session.story.journal.write("pilot.sample", {"station": "CS-EMU-1", "evse": 1, **seen})
    for second in range(10, 60, 10):
        session.story.draw(second, evse1=lambda _: 0.0)
        session.tell()
    result = session.result()
    assert (result.verdict, result.blamed) == (Verdict.INCONCLUSIVE, (Layer.METER,))


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([("Started", 0), ("Updated", 1), ("Ended", 2)], Verdict.PASS),
        ([("Started", 0), ("Updated", 2), ("Ended", 3)], Verdict.FAIL),
        ([("Started", 0), ("Updated", 2), ("Updated", 1), ("Ended", 3)], Verdict.PASS),
        ([("Started", 0), ("Ended", 1), ("Ended", 2)], Verdict.FAIL),
        ([("Started", 0), ("Ended", 1), ("Updated", 2)], Verdict.FAIL),
        ([("Started", 0), ("Updated", 1), ("Ended", 1)], Verdict.FAIL),
        ([("Updated", 0), ("Ended", 1)], Verdict.FAIL),
        ([("Updated", 7), ("Ended", 8)], Verdict.PASS),
        ([("Started", 0), ("Started", 1)], Verdict.FAIL),
    ],
)
def test_events_are_complete_and_once(events: list[tuple[str, int]], verdict: Verdict) -> None:
    """Gaps, two ends, an event after the end, a number twice; another order is none, nor one that began before the run."""
    session = Session("transactions")
    for event, number in events:
        session.tell(event, seq=number)
    result = session.result()
    assert result.verdict is verdict
    assert result.fault_class is (FaultClass.PROTOCOL if verdict is Verdict.FAIL else None)


def test_the_same_message_again_is_a_retransmission() -> None:
    """The station may not have seen the answer: no finding."""
    session = Session("transactions")
    session.tell("Started")
    for _ in range(2):
        session.tell("Ended", 0, seq=1)
    result = session.result()
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, [])


def test_what_is_missing_from_an_outage_may_have_been_dropped() -> None:
    """Updated events alone, and worth a word."""
    session = Session("transactions")
    session.tell("Started")
    session.story.at(20).link("closed")
    session.story.at(120).link("connected")
    session.tell("Updated", seq=5)
    result = session.result()
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, ["dropped-offline"])


def test_a_register_that_stood_still_for_a_while_is_found() -> None:
    """From second 40 to 80, and right again after."""
    stood = {second: {"meterValue": values(second, energy=POWER_W * 40 / 3600)} for second in range(50, 90, 10)}
    result = Session("meter_values").run(lambda at: stood.get(at, {}), until=160).result()
    assert (result.verdict, result.fault_class) == (Verdict.FAIL, FaultClass.METERING)


def test_numbers_that_do_not_begin_at_0_are_worth_a_word() -> None:
    """Started with seqNo 5."""
    session = Session("transactions")
    session.tell("Started", seq=5)
    result = session.result()
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, ["seqno-start"])


@pytest.mark.parametrize(
    ("second", "more", "verdict"),
    [(90, {}, Verdict.FAIL), (90, {"offline": True}, Verdict.PASS), (25, {}, Verdict.PASS), (125, {}, Verdict.PASS)],
)
def test_what_happened_offline_says_so(second: int, more: dict[str, Any], verdict: Verdict) -> None:
    """Away from second 20 to 120: an event from its middle, one from before anybody could know, one from after."""
    session = Session("transactions")
    session.tell("Started")
    session.story.at(20).link("closed")
    session.story.at(120).link("connected")
    session.story.at(130)
    session.tell(second=second, **more)
    assert session.result().verdict is verdict


def status_of(state: str, until: int, **more: Any) -> CheckResult:
    """Return what the check says of a state that is told while 10 A flow up to a second."""
    story = Story(checks=["status"])
    info = {"transactionId": "tx-1", "chargingState": state}
    story.transaction("Started", transactionInfo=info)
    for offered in more.get("pilot", ()):
        seen = {"state": "C", "duty_percent": offered / 0.6 if offered else None, "ev_wants_a": 16.0}
        story.journal.write("pilot.sample", {"station": "CS-EMU-1", "evse": 1, **seen})
    story.draw(until, evse1=lambda _: 10.0)
    return story.check("status")


@pytest.mark.parametrize(
    ("state", "until", "verdict", "codes"),
    [
        ("Charging", 200, Verdict.PASS, []),
        ("SuspendedEVSE", 10, Verdict.PASS, []),
        ("SuspendedEVSE", 50, Verdict.PASS, ["late-state"]),
        ("SuspendedEVSE", 70, Verdict.FAIL, []),
        ("SuspendedEV", 70, Verdict.FAIL, []),
    ],
)
def test_a_state_is_held_against_power(state: str, until: int, verdict: Verdict, codes: list[str]) -> None:
    """Late for up to a minute, wrong after."""
    result = status_of(state, until)
    assert (result.verdict, [one.code for one in result.warnings]) == (verdict, codes)


@pytest.mark.parametrize(("offered", "verdict"), [(10.0, Verdict.FAIL), (0.0, Verdict.PASS)])
def test_an_ev_that_ignores_the_pilot_is_not_the_states_fault(offered: float, verdict: Verdict) -> None:
    """Where nothing is offered, SuspendedEVSE is true."""
    assert status_of("SuspendedEVSE", 100, pilot=[offered]).verdict is verdict


@pytest.mark.parametrize(
    ("at", "verdict", "fault"),
    [
        (stamp(60), Verdict.PASS, None),
        (stamp(60).removesuffix("Z"), Verdict.FAIL, FaultClass.PROTOCOL),
        (stamp(60 + 7200), Verdict.FAIL, FaultClass.TIMING),
        (stamp(60 - 7200), Verdict.FAIL, FaultClass.TIMING),
        (stamp(60).replace("Z", "+00:00"), Verdict.PASS, None),
        ("1970-01-01T00:01:00Z", Verdict.FAIL, FaultClass.TIMING),
        ("yesterday", Verdict.FAIL, FaultClass.PROTOCOL),
    ],
)
def test_time_stamps(at: str, verdict: Verdict, fault: FaultClass | None) -> None:
    """Right, without a zone, two hours off with a false Z, another spelling of UTC, never set, none."""
    session = Session("time")
    session.story.at(60)
    session.tell("Started", timestamp=at)
    result = session.result()
    assert (result.verdict, result.fault_class) == (verdict, fault)


def test_a_clock_that_drifts_is_worth_a_word() -> None:
    """25 s ahead."""
    session = Session("time")
    session.tell("Started", timestamp=stamp(25))
    result = session.result()
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, ["clock-drift"])


def test_what_waited_for_the_network_may_be_old() -> None:
    """Half an hour offline."""
    session = Session("time")
    session.story.at(20).link("closed")
    session.story.at(1900).link("connected")
    session.tell("Started", 100, offline=True)
    result = session.result()
    assert (result.verdict, result.warnings) == (Verdict.PASS, ())


@pytest.mark.parametrize(("drawn", "verdict"), [(9.8, Verdict.PASS), (13.0, Verdict.FAIL)])
def test_the_energy_of_a_period_is_bounded(drawn: float, verdict: Verdict) -> None:
    """10 A for 300 s: ramp, uncertainty and the supply's voltage explain 10 %, not 30 %."""
    story = Story(checks=["energy", "power"])
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.set(tx_profile(limit=10))
    story.draw(320, evse1=lambda second: 16.0 if second < 26 else drawn)
    result = story.check("energy", 321)
    assert result.verdict is verdict
    assert result.fault_class is (FaultClass.OVER_LIMIT if verdict is Verdict.FAIL else None)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.PASS), (2.0, Verdict.FAIL)])
def test_the_session_is_counted_alike(factor: float, verdict: Verdict) -> None:
    """The register's last value, once as it is and once with the session added again."""
    session = Session("energy").run()
    session.tell("Ended", meterValue=values(100, energy=factor * POWER_W * 100 / 3600))
    result = session.result()
    assert result.verdict is verdict
    assert {one.name: one.value for one in result.measurements}["session_1_station"] == round(factor * 191.667, 1)


@pytest.mark.parametrize(
    ("duration", "limit", "verdict", "fault"),
    [(0, 10, Verdict.PASS, None), (1, 10, Verdict.PASS, None), (0, 16, Verdict.FAIL, FaultClass.REPORT_ONLY)],
)
def test_a_composite_schedule_of_no_duration_is_the_limit_of_now(
    duration: int, limit: float, verdict: Verdict, fault: FaultClass | None
) -> None:
    """10 A are installed."""
    story = Story(checks=["composite"])
    story.transaction()
    story.set(profile(limit=10))
    story.composite((0, limit), duration=duration)
    result = story.check("composite")
    assert (result.verdict, result.fault_class) == (verdict, fault)


@pytest.mark.parametrize("periods", [[(1, 10)], [(0, 10), (50, 10), (0, 10)], []])
def test_a_list_of_periods_that_is_none_breaks_the_protocol(periods: list[tuple[int, float]]) -> None:
    """The first after 0, one list after the other, none at all."""
    story = Story(checks=["composite"])
    story.transaction()
    story.set(profile(limit=10))
    story.composite(*periods)
    result = story.check("composite")
    assert (result.verdict, result.fault_class) == (Verdict.FAIL, FaultClass.PROTOCOL)
