"""The check of the relay on orders that never left: what excuses a sound platform, and what does not."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, LinkChange, RunFacts, TransactionSpan, Wanted
from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import Supply, Transaction
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.relay import judge_relay

T0 = 1_767_225_600.0
TIMEOUT_S = 45


def put(limit: float, at: float, name: str = "a", *, session: str = "S-1", result: str = "ACCEPTED") -> HttpExchange:
    """Return a PUT of one limit, so many seconds after T0, with a result promised within 45 s."""
    profile = {
        "start_date_time": "2026-01-01T00:00:00Z", "charging_rate_unit": "A",
        "charging_profile_period": [{"start_period": 0, "limit": limit}],
    }  # fmt: skip
    body = {"charging_profile": profile, "response_url": f"http://scsp.bench/cb/{name}"}
    return _answered("PUT", f"http://cso.bench/ocpi/2.2.1/chargingprofiles/{session}", body, at, result)


def delete(at: float, name: str = "d") -> HttpExchange:
    """Return a DELETE, with a result promised within 45 s."""
    url = f"http://cso.bench/ocpi/2.2.1/chargingprofiles/S-1?response_url=http%3A%2F%2Fscsp.bench%2Fcb%2F{name}"
    return _answered("DELETE", url, None, at, "ACCEPTED")


def result(word: str, at: float, name: str = "a") -> HttpExchange:
    """Return the POST of a result."""
    url = f"http://scsp.bench/cb/{name}"
    return HttpExchange("CSO", "SCSP", "POST", url, {"result": word}, T0 + at, _seq(at), 200, {}, T0 + at, _seq(at) + 1)


def session(evse: int, name: str, status: str = "ACTIVE", at: float = 0) -> HttpExchange:
    """Return what the CSO tells of a session."""
    body = {"id": name, "evse_uid": f"CS-{evse}", "status": status}
    url = f"http://scsp.bench/ocpi/2.2.1/sessions/NL/CSO/{name}"
    return HttpExchange("CSO", "SCSP", "PUT", url, body, T0 + at, _seq(at), 200, {}, T0 + at, _seq(at) + 1)


def sent(limit: float, at: float, evse: int = 1) -> Call:
    """Return the SetChargingProfile of one limit."""
    schedule = {
        "id": evse, "startSchedule": "2026-01-01T00:00:00Z", "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }  # fmt: skip
    profile = {
        "id": evse, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": f"tx-{evse}", "chargingSchedule": [schedule],
    }  # fmt: skip
    request = {"evseId": evse, "chargingProfile": profile}
    return Call("CS", False, "SetChargingProfile", request, T0 + at, _seq(at), {"status": "Accepted"}, "", T0 + at, _seq(at) + 1)


def cleared(at: float) -> Call:
    """Return the ClearChargingProfile of what was sent to EVSE 1."""
    return Call("CS", False, "ClearChargingProfile", {"chargingProfileId": 1}, T0 + at, _seq(at), {"status": "Accepted"})


def judged(
    *documents: HttpExchange | Call, ends: float | None = None, lost: float | None = None, lasts: float = 3600,
    intents: Sequence[Wanted] = (),
) -> CheckResult:  # fmt: skip
    """Judge these, told by the CSO of a session at each EVSE.

    Args:
        ends: when the transaction of EVSE 1 ends, in seconds after T0.
        lost: when the station's connection ends; it is back a second later.
        lasts: how long the run is.
    """
    accuracy = Accuracy(0, 0)
    evses = [EvseFacts("CS", number, "m", (1, 2, 3), Supply(), 0.0, accuracy, accuracy, (0, 0)) for number in (1, 2)]
    for evse in evses:
        evse.transactions.append(TransactionSpan(Transaction(f"tx-{evse.evse_id}", T0), T0))
    if ends is not None:
        evses[0].transactions[0].ended, evses[0].transactions[0].ended_seq = T0 + ends, _seq(ends)
    links = [] if lost is None else [LinkChange(T0 + lost, _seq(lost), "CS", False), LinkChange(T0 + lost + 1, 0, "CS", True)]
    links = links and [LinkChange(T0, 0, "CS", True), *links]
    rig = {"station": [{"id": "CS", "features": {"rate_units": ["A", "W"]}}]}
    told = [session(1, "S-1"), session(2, "S-2")]
    http = sorted([*told, *(one for one in documents if isinstance(one, HttpExchange))], key=lambda one: one.asked_seq)
    calls = [one for one in documents if isinstance(one, Call)]
    facts = RunFacts({}, rig, 1, T0, T0 + lasts, RunState.COMPLETED, "", calls, http, evses, links=links, intents=[*intents])
    return judge_relay(facts)


def _seq(at: float) -> int:
    return round(at * 100)


def _answered(method: str, url: str, body: Any, at: float, word: str) -> HttpExchange:
    answer = {"data": {"result": word, "timeout": TIMEOUT_S}}
    copied = copy.deepcopy(body)
    return HttpExchange("SCSP", "CSO", method, url, copied, T0 + at, _seq(at), 200, answer, T0 + at, _seq(at) + 1)


def test_a_session_that_ends_before_its_order_left_convicts_nobody() -> None:
    """A profile rules a running session: there is nothing to send, and nothing was shown."""
    found = judged(put(16, 10), ends=11)
    assert (found.verdict, found.blamed) == (Verdict.INCONCLUSIVE, ())
    assert "the session ended first" in found.headline


def test_a_session_that_ends_when_the_promised_time_is_over_excuses_nothing() -> None:
    """The order had 45 s to leave."""
    assert judged(put(16, 10), ends=60).verdict is Verdict.FAIL


def test_an_end_excuses_nobody_who_told_success() -> None:
    """A result is the station's: ACCEPTED, where it was never asked, is made up."""
    assert judged(put(16, 10), result("ACCEPTED", 12), ends=11).verdict is Verdict.FAIL


@pytest.mark.parametrize("word", ["REJECTED", "UNKNOWN"])
def test_a_result_that_says_no_convicts_nobody(word: str) -> None:
    """Whoever gave the order was told that nothing came of it."""
    found = judged(put(16, 10), result(word, 12))
    assert (found.verdict, f"told {word}" in found.headline) == (Verdict.INCONCLUSIVE, True)


def test_nineteen_of_twenty_told_no_are_no_pass() -> None:
    """The result is the station's, which was not asked: that the platform relays is not shown by the one that left."""
    orders = [put(10, 100 + 60 * number, f"n{number}") for number in range(19)]
    told = [result("REJECTED", 101 + 60 * number, f"n{number}") for number in range(19)]
    found = judged(put(16, 10), sent(16, 11), *orders, *told)
    assert (found.verdict, found.blamed) == (Verdict.INCONCLUSIVE, ())
    assert "told REJECTED" in found.headline


def test_who_has_to_make_way_for_another_is_rightly_told_no() -> None:
    """A limit of the DSO, or an order of another party, may rule the session."""
    told = (put(16, 10), sent(16, 11), put(10, 100, "b"), result("REJECTED", 101, "b"))
    assert judged(*told, intents=[Wanted(T0 + 5, 500, "CS", {"by": "DSO", "evse": 1})]).verdict is Verdict.PASS
    assert judged(*told, replace(put(8, 90, "c"), sender="MSP"), sent(8, 91)).verdict is Verdict.PASS


@pytest.mark.parametrize("kind", ["lost", "ends", "lasts"])
def test_what_comes_late_hides_nobody_who_relays_nothing(kind: str) -> None:
    """Station, session or run were there for 30 s after the second order: a sound platform had sent it by then."""
    more: dict[str, Any] = {kind: 130}
    assert judged(put(16, 10), sent(16, 11), put(10, 100, "b"), **more).verdict is Verdict.INCONCLUSIVE
    more[kind] = 101
    assert judged(put(16, 10), sent(16, 11), put(10, 100, "b"), **more).verdict is Verdict.PASS


def test_a_station_that_is_gone_meanwhile_convicts_nobody() -> None:
    """Nothing is queued in OCPI."""
    assert judged(put(16, 10), lost=12).verdict is Verdict.INCONCLUSIVE
    assert judged(put(16, 10), lost=70).verdict is Verdict.FAIL


def test_a_run_that_ends_within_the_promised_time_convicts_nobody() -> None:
    """It may have been about to leave."""
    assert judged(put(16, 10), lasts=20).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("second", [16, 10])
def test_an_order_that_is_replaced_while_it_waits_need_not_leave(second: float) -> None:
    """PUT replaces the profile of a session: what left is the second one, also where both say the same."""
    found = judged(put(16, 10), put(second, 11, "b"), sent(second, 12))
    assert (found.verdict, "1 of 2 relayed unchanged" in found.headline) == (Verdict.PASS, True)
    assert "another order took its place" in found.reasons[1]


def test_who_replaces_a_waiting_order_has_to_leave() -> None:
    """The second one is the one that counts: that the first one left instead is no excuse."""
    assert judged(put(16, 10), put(10, 11, "b"), sent(16, 12)).verdict is Verdict.FAIL


def test_an_order_of_another_session_replaces_nothing() -> None:
    """Each has a profile of its own."""
    assert judged(put(16, 10), put(10, 11, "b", session="S-2"), sent(10, 12, 2)).verdict is Verdict.FAIL


def test_an_order_that_was_answered_long_before_is_not_replaced() -> None:
    """It had 45 s to leave before the next one came."""
    assert judged(put(16, 10), put(10, 100, "b"), sent(10, 101)).verdict is Verdict.FAIL


def test_orders_that_come_often_excuse_no_platform_that_sends_none() -> None:
    """Each takes the place of the one before, and in an hour nothing left. The last ones may have been about to."""
    orders = [put(16 - number % 3, 10 + 10 * number, f"n{number}") for number in range(360)]
    found = judged(*orders, lasts=3615)
    assert (found.verdict, found.blamed, len(found.reasons)) == (Verdict.FAIL, (Layer.OCPI,), 353)
    assert judged(*orders, sent(16, 3601), lasts=3615).verdict is Verdict.FAIL


@pytest.mark.parametrize("last", [(result("REJECTED", 20, "b"),), (delete(22),)], ids=["told REJECTED", "taken back"])
def test_orders_of_which_the_last_one_need_not_leave_are_not_dropped(last: tuple[HttpExchange]) -> None:
    """What excuses the order that counts excuses those before it."""
    assert judged(put(16, 10), put(10, 12, "b"), *last).verdict is Verdict.INCONCLUSIVE


def test_a_station_that_does_not_answer_keeps_orders_waiting() -> None:
    """Before its answer nothing else may be sent to it."""
    waiting = replace(sent(8, 11, 2), action="GetBaseReport", response=None, answered=None)
    assert judged(put(16, 10), put(10, 12, "b"), waiting, result("REJECTED", 60, "b")).verdict is Verdict.INCONCLUSIVE
    assert judged(put(16, 10), put(10, 12, "b"), waiting).verdict is Verdict.FAIL


def test_an_order_that_leaves_after_the_one_that_took_its_place_undoes_it() -> None:
    """Both left, each as it was meant, and the station holds what nobody wants any more."""
    found = judged(put(16, 10), put(10, 11, "b"), sent(10, 12), sent(16, 13))
    assert (found.verdict, found.fault_class) == (Verdict.FAIL, FaultClass.OVER_LIMIT)
    assert "after the order that had taken its place: limit 16 for 10" in found.headline


def test_a_refused_order_is_not_undone_by_earlier_ones() -> None:
    """It says what the first one said, which left late, and was told REJECTED: what stays is the second one's."""
    found = judged(put(16, 10), put(10, 11, "b"), put(16, 12, "c"), result("REJECTED", 13, "c"), sent(16, 14), sent(10, 15))
    assert found.verdict is Verdict.PASS


def test_an_earlier_order_that_is_sent_again_undoes_a_later_one() -> None:
    """Such as after a reconnect: it equals a request, and the wrong one."""
    assert judged(put(16, 10), sent(16, 11), put(10, 20, "b"), sent(10, 21), sent(16, 30)).verdict is Verdict.FAIL
    assert judged(put(16, 10), sent(16, 11), put(10, 20, "b"), sent(10, 21), sent(16, 30), sent(10, 30.5)).verdict is Verdict.PASS


def test_an_order_that_is_taken_back_while_it_waits_need_not_leave() -> None:
    """DELETE right after PUT: neither has to reach the station, which holds nothing."""
    found = judged(put(16, 10), delete(11), result("UNKNOWN", 12, "d"))
    assert (found.verdict, found.blamed) == (Verdict.INCONCLUSIVE, ())


@pytest.mark.parametrize("second", [16, 10])
def test_an_order_that_was_taken_back_and_given_again_leaves_once(second: float) -> None:
    """PUT, DELETE, PUT while the station is busy: the last one counts, also where it says the same as the first."""
    found = judged(put(16, 10), delete(11), put(second, 12, "b"), sent(second, 13))
    assert (found.verdict, "1 of 2 relayed unchanged" in found.headline) == (Verdict.PASS, True)


def test_an_order_that_fell_away_takes_no_later_call() -> None:
    """The first was replaced before it left: each later call is that of the order just before it, though all say the same."""
    early = (put(16, 10), delete(11), result("UNKNOWN", 12, "d"))
    found = judged(*early, put(16, 100, "b"), sent(16, 101), put(16, 200, "c"), sent(16, 201), result("ACCEPTED", 202, "c"))
    assert found.verdict is Verdict.PASS
    assert [one.value for one in found.measurements] == [1, 1]


def test_a_put_after_a_delete_makes_nothing_stand() -> None:
    """Nothing was set when the DELETE was answered; what came after it is another matter."""
    found = judged(put(16, 10), sent(16, 11), delete(20), cleared(21), delete(30, "e"), result("UNKNOWN", 31, "e"),
                   put(10, 32, "b"), sent(10, 33))  # fmt: skip
    assert found.verdict is Verdict.PASS


def test_what_was_sent_for_another_session_is_its_own() -> None:
    """The first was told REJECTED; that the second, for the other EVSE, says the same makes it no stray one."""
    found = judged(put(16, 10), result("REJECTED", 11), put(16, 12, "b", session="S-2"), sent(16, 13, 2))
    assert (found.verdict, "1 of 2 relayed unchanged" in found.reasons) == (Verdict.INCONCLUSIVE, True)


def test_two_orders_that_wait_together_may_both_leave() -> None:
    """The station was busy: each has its call."""
    found = judged(put(16, 10), put(10, 11, "b"), sent(16, 12), sent(10, 13))
    assert (found.verdict, len(found.measurements)) == (Verdict.PASS, 2)


def test_a_call_that_crosses_the_end_of_its_transaction_convicts_nobody() -> None:
    """The station's word was on its way when the profile left; a second later it was known."""
    assert judged(put(16, 10), sent(16, 11.2), ends=11).verdict is Verdict.PASS
    assert judged(put(16, 10), sent(16, 13), ends=11).verdict is Verdict.FAIL


@pytest.mark.parametrize("word", ["UNKNOWN", "REJECTED"])
def test_a_delete_where_nothing_is_set_need_not_leave(word: str) -> None:
    """The result says so."""
    found = judged(put(16, 10), sent(16, 11), delete(20), cleared(21), delete(30, "e"), result(word, 31, "e"))
    assert found.verdict is Verdict.PASS


def test_a_profile_that_stands_is_not_unknown() -> None:
    """The station held it and was not asked."""
    found = judged(put(16, 10), sent(16, 11), delete(20), result("UNKNOWN", 21, "d"))
    assert found.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "more", [{"ends": 21}, {"lost": 21}, {"lasts": 30}], ids=["the session ends", "the station is gone", "the run ends"]
)
def test_a_delete_that_could_not_leave_convicts_nobody(more: dict[str, Any]) -> None:
    """As for a PUT."""
    assert judged(put(16, 10), sent(16, 11), delete(20), **more).verdict is Verdict.PASS


def test_a_result_is_found_at_an_address_that_the_journal_has_hidden_in_part() -> None:
    """What a query calls a token is hidden where it stands in clear, and not where it is percent-encoded."""
    order, told = delete(20, "d%3Forder_token%3D7"), result("REJECTED", 21, "d?order_token=(hidden)")
    assert judged(put(16, 10), sent(16, 11), order, told).verdict is Verdict.INCONCLUSIVE


def test_a_delete_that_a_put_follows_at_once_need_not_leave() -> None:
    """The new profile takes the place of the one that was to be cleared."""
    found = judged(put(16, 10), sent(16, 11), delete(20), put(10, 21, "b"), sent(10, 22))
    assert found.verdict is Verdict.PASS


def test_a_session_that_is_over_may_be_unknown() -> None:
    """UNKNOWN_SESSION is wrong for one that runs only."""
    assert judged(put(16, 10, result="UNKNOWN_SESSION")).verdict is Verdict.FAIL
    assert judged(put(16, 10, result="UNKNOWN_SESSION"), ends=5).verdict is Verdict.INCONCLUSIVE
    assert judged(session(1, "S-1", "COMPLETED", 5), put(16, 10, result="UNKNOWN_SESSION")).verdict is Verdict.INCONCLUSIVE


def _sound_run(seed: int) -> tuple[list[HttpExchange | Call], float | None]:
    """Return what a sound platform with a slow station made of some orders, and when their session ended."""
    random, now, orders = Random(seed), 10.0, list[tuple[float, HttpExchange, str]]()
    for number in range(random.randint(1, 6)):
        now = round(now + random.choice([0.5, 2, 10, 50, 100]) + random.random(), 2)
        name = f"n{number}"
        limit = random.choice([8, 10, 16])
        orders.append((now, delete(now, name) if number and random.random() < 0.3 else put(limit, now, name), name))
    ends = round(now * random.random() + 20, 2) if random.random() < 0.3 else None
    orders = [one for one in orders if ends is None or one[0] < ends]
    documents, free, held = [one for _, one, _ in orders], 0.0, False
    more: list[HttpExchange | Call] = []
    for at, order, name in orders:
        go = round(max(at, free) + 0.05 + random.random() * random.choice([0.1, 5, 20]), 2)
        said = "REJECTED" if (ends is not None and go >= ends) or go - at > 40 else ""
        replaced = any(at < other <= go for other, _, _ in orders) and random.random() < 0.5
        if not said and not replaced and (order.method == "PUT" or held):
            free, held, said = go + random.random(), order.method == "PUT", "ACCEPTED"
            limits = order.body["charging_profile"]["charging_profile_period"] if held else []
            more.append(sent(limits[0]["limit"], go) if held else cleared(go))
        elif not said and order.method == "DELETE" and not held:
            said = "UNKNOWN"
        if said or random.random() < 0.5:
            more.append(result(said or "REJECTED", min(max(go, free), at + 44) + 0.02, name))
    return [*documents, *more], ends


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_a_sound_platform_is_never_convicted(first: int) -> None:
    """Whatever the order of orders, calls, results and the end of the session."""
    for seed in range(first, first + 250):
        documents, ends = _sound_run(seed)
        found = judged(*documents, ends=ends)
        assert found.verdict is not Verdict.FAIL, (seed, found.reasons)
