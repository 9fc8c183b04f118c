"""The delivery check on hand-made runs: a limit of 16 A, 8 A from second 100 on, 16 A again from second 200 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.domain.evidence import EvseFacts, Limits, LinkChange, PilotSample, RunFacts, Sample, TransactionSpan
from bench.domain.oracle import ExpectedLimit, Supply, Transaction
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.case import Case
from bench.runs.checks.delivery import judge_delivery
from bench.runs.scene import Scene

Course = Callable[[int], float]


def line(*steps: tuple[float, float | None], unit: str = "A", phases: int = 3) -> Limits:
    """Return limits up to second 400; W are shared by so many phases at 230 V."""
    per_a = 1 if unit == "A" else 230 * phases
    return Timeline([(at, None if a is None else ExpectedLimit(a, unit, a / per_a, phases, 1)) for at, a in steps], 400)


LIMITS = line((0, 16), (100, 8), (200, 16))
NOTHING = line((0, None))


def allowed(second: int) -> float:
    """Offer what the limit says, 3 s late."""
    return 8.0 if 103 <= second < 203 else 16.0


def stuck(second: int) -> float:
    """Offer 8 A for ever once it was due."""
    return 16.0 if second < 103 else 8.0


def verdict_on(
    offer: Course, draw: Course | None = None, *, wants: float | None = 16, state: str = "C", limits: Limits = LIMITS,
    caps: Limits = NOTHING, **changes: Any,
) -> CheckResult:  # fmt: skip
    """Judge a run with this offer; the EV draws half an ampere less, or what `draw` says."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.max_current_a = 16
    for second in range(400):
        current = draw(second) if draw else max(0.0, offer(second) - 0.5)
        count = changes["phases_of"](second) if "phases_of" in changes else 3
        currents = (current,) * count + (0.0,) * (3 - count)
        evse.samples.append(Sample(second, second + 0.01, currents, current * 230 * count, 0.0, second))
        evse.pilot.append(PilotSample(second + 0.02, state, offer(second), wants, 1000 + second, changes.get("digital", False)))
    evse.transactions.append(TransactionSpan(Transaction("tx", 0, 0), 0))
    other = EvseFacts("CS", 2, "n", (1, 2, 3), Supply(), 0.0, evse.current, evse.power, (0.0, 0.2), max_current_a=16)
    if changes.get("shared"):
        other.transactions.append(TransactionSpan(Transaction("tx2", 0, 0), 0))
    station = {"id": "CS", "features": changes.get("features", {}), "max_current_a": changes.get("station_a")}
    facts = RunFacts({"resume_s": 60}, {"station": [station]}, 1, 0, 400, RunState.COMPLETED, "", [], [], [evse, other])
    facts.links += changes.get("links", [])
    return judge_delivery(Case(Scene(facts, "CS", [], {}), evse, limits, caps))


def test_an_offer_that_follows_the_limit_passes() -> None:
    """Up and down within seconds, and the EV would take more."""
    assert verdict_on(allowed).verdict is Verdict.PASS


def test_an_offer_that_stays_low_is_the_stations_under_delivery() -> None:
    """The limit rose, the EV asks for 16 A, the pilot says 8 A to the end."""
    result = verdict_on(stuck)
    assert (result.verdict, result.blamed, result.fault_class) == (Verdict.FAIL, (Layer.STATION,), FaultClass.UNDER_DELIVERY)
    assert result.pair == "installed/physical"
    assert "offered 8.0 A of the 16.0 A" in result.headline


def test_what_the_ev_leaves_of_a_right_offer_convicts_nobody() -> None:
    """It asks for 16 A and takes 3 A: its own affair."""
    assert verdict_on(allowed, lambda second: 3.0).verdict is Verdict.PASS


def test_without_demand_a_low_offer_is_no_defect() -> None:
    """The EV wants 7 A, and 8 A are offered."""
    assert verdict_on(stuck, wants=7).verdict is not Verdict.FAIL


def test_demand_may_be_proven_by_what_was_drawn_before() -> None:
    """The witness sees the pilot alone; the EV drew 15.5 A before and follows the low offer closely."""
    assert verdict_on(stuck, wants=None).verdict is Verdict.FAIL


def test_an_ev_that_leaves_the_low_offer_unused_proves_no_demand() -> None:
    """It drew 15.5 A before and draws 2 A of 8 A now: it tapers."""
    result = verdict_on(stuck, lambda second: 15.5 if second < 100 else 2.0, wants=None)
    assert result.verdict is not Verdict.FAIL


def test_a_station_may_round_down_to_whole_amperes() -> None:
    """15 A minus one percentage point of duty for a limit of 15.9 A."""
    assert verdict_on(lambda second: 14.4, limits=line((0, 15.9))).verdict is Verdict.PASS


def test_a_slow_rise_is_no_under_delivery() -> None:
    """50 s after the limit rose the offer follows."""
    assert verdict_on(lambda second: 8.0 if 103 <= second < 250 else 16.0).verdict is Verdict.PASS


def test_below_six_amperes_nothing_can_be_offered() -> None:
    """A limit of 5.9 A is a pause."""
    assert verdict_on(lambda second: 0.0, limits=line((0, 5.9))).verdict is Verdict.NOT_APPLICABLE


def test_a_pause_under_a_limit_that_allows_charging_is_under_delivery() -> None:
    """No PWM although 16 A are allowed, and the EV stays in B and wants them."""
    assert verdict_on(lambda second: 0.0, state="B", limits=line((0, 16))).verdict is Verdict.FAIL


def test_digital_communication_offers_by_other_means() -> None:
    """A duty of 5 % is no pause."""
    assert verdict_on(lambda second: 0.0, digital=True).verdict is Verdict.NOT_APPLICABLE


def test_nobody_at_the_pilot_convicts_nobody() -> None:
    """Without a witness nothing is proven."""
    assert verdict_on(stuck, state=None).verdict is Verdict.NOT_APPLICABLE  # type: ignore[arg-type]


def test_without_a_limit_the_evses_own_maximum_is_due() -> None:
    """No profile rules, and 8 of 16 A are offered: what an old profile leaves behind."""
    assert verdict_on(stuck, limits=NOTHING).verdict is Verdict.FAIL


def test_a_shared_station_limit_is_not_judged_by_one_evse() -> None:
    """Another EVSE charges under a limit of the whole station."""
    assert verdict_on(stuck, caps=line((0, 16)), shared=True).verdict is not Verdict.FAIL


def test_a_shared_supply_is_not_judged_by_one_evse() -> None:
    """The station's supply carries less than both EVSEs together."""
    assert verdict_on(stuck, station_a=20, shared=True).verdict is not Verdict.FAIL


def test_another_evse_on_a_supply_that_carries_both_is_no_excuse() -> None:
    """Nothing is shared."""
    assert verdict_on(stuck, shared=True).verdict is Verdict.FAIL


def test_watts_on_a_station_that_cannot_switch_are_shared_by_all_phases() -> None:
    """3680 W on one phase are 16 A; a station that has to give three offers 5.3 A, so it pauses."""
    assert verdict_on(lambda second: 0.0, limits=line((0, 3680), unit="W", phases=1)).verdict is Verdict.NOT_APPLICABLE


def test_watts_on_one_phase_are_due_where_the_station_switches() -> None:
    """A third of them is under-delivery once a switch would be over."""
    features = {"ac_phase_switching": True}
    result = verdict_on(lambda second: 0.0, limits=line((0, 3680), unit="W", phases=1), features=features)
    assert result.verdict is Verdict.FAIL


def test_an_offline_station_is_not_judged() -> None:
    """It may fall back to a limit of its own."""
    links = [LinkChange(0, 1, "CS", True), LinkChange(150, 2, "CS", False)]
    assert verdict_on(stuck, links=links).verdict is not Verdict.FAIL


def phases_of(second: int) -> int:
    """Charge on three phases, on one from second 100 to 300 for no reason, on three again."""
    return 1 if 100 <= second < 300 else 3


def on_phases(*, station_pauses: bool) -> CheckResult:
    """Judge a run under 10 A on three phases in which the EV's phases change, with or without a pause of the offer."""

    def offer(second: int) -> float:
        return 0.0 if station_pauses and (90 <= second < 100 or 290 <= second < 300) else 10.0

    def draw(second: int) -> float:
        return 0.0 if 90 <= second < 100 or 290 <= second < 300 else 9.5

    return verdict_on(offer, draw, limits=line((0, 10)), phases_of=phases_of)


def test_phases_that_the_station_takes_away_are_under_delivery() -> None:
    """It pauses, goes on with one phase, pauses, and goes on with three, under a limit for three."""
    result = on_phases(station_pauses=True)
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))
    assert "charged on 1 phase" in result.headline


def test_phases_that_the_ev_drops_by_itself_are_its_own_affair() -> None:
    """The offer stays the same all the while."""
    assert on_phases(station_pauses=False).verdict is Verdict.PASS
