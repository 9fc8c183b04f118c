"""Cases of response_urls, of other ways to write an address, and of profiles that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bench.domain.verdicts import Verdict
from bench.peers.check.case import Case, Saw, case, failed, not_shown, passed
from bench.peers.check.desk import SLOW_S
from bench.peers.check.orders import no_result, profile_of
from bench.peers.check.probe import Probe
from bench.wire.ocpi.transport import INVALID, SUCCESS

_OWN_QUERY: Final = "?a=1&b=2"
_SOON_S: Final = 5.0
"""So soon a CSO answers others while one peer is slow."""
_AFTER_S: Final = 30.0
"""So long a second try is waited for."""
_PATIENCE: Final = 6
"""Tries until a CSO that was held up answers again, so that other cases do not meet that."""
_REFUSED: Final = ("REJECTED", "NOT_SUPPORTED")


@case(
    "response-url", "The result goes to exactly the response_url",
    "mod_charging_profiles, Flow: the sender tells its requests apart by the response_url, which may have a query of its own",
    "session",
)
async def response_url(probe: Probe) -> Saw:
    """GET with a query in the response_url, percent-encoded; and no result of any order went elsewhere."""
    order = await probe.order("GET", query=_OWN_QUERY)
    strays = {f"{stray.method} {stray.target}": stray.document for one in probe.orders for stray in probe.strays(one)}
    if strays:
        refs = tuple(one for one in strays.values() if one is not None)
        return Saw(Verdict.FAIL, (f"results came to addresses that were not given out: {', '.join(sorted(strays))}",), refs)
    if (saw := no_result(probe, order, ends=False)) is not None:
        return saw
    if not order.exact:
        came = ", ".join(f"{one.method} {one.target}" for one in order.came)
        return failed(f"the response_url ends in {_OWN_QUERY}; what came: {came}", order=order)
    return passed("the result came with the whole query", order=order)


@case(
    "unencoded-query", "A query that is not percent-encoded is not cut off in silence",
    "RFC 3986: an & within a parameter is encoded; the example of mod_charging_profiles is not, so that a CSO may meet this",
    "results",
)
async def unencoded_query(probe: Probe) -> Saw:
    """GET as the text's example has it: 2001, or the whole address, is right; a cut one helps nobody."""
    order = await probe.order("GET", query=_OWN_QUERY, encoded=False, counted=False)
    if order.reply.code == INVALID:
        return passed("refused with 2001")
    if order.exact:
        return passed("the result came with the whole query", order=order)
    if order.came:
        return not_shown("the result went to an address cut at the &, which the text does not forbid", order=order)
    return not_shown(f"{order.reply}, and no result")


@case(
    "trailing-slash", "A trailing slash changes nothing",
    "mod_charging_profiles writes the session's id with and without a slash between: serve both, without a redirect", "results",
)
async def trailing_slash(probe: Probe) -> Saw:
    """GET below the session's URL with a slash at its end."""
    order = await probe.order("GET", slash=True, counted=False, wait=True)
    if order.accepted and order.came:
        return passed("answered as without it", order=order)
    return not_shown(f"{order.reply}: the text does not say that it must be served")


@case(
    "session-id-case", "Session ids are compared without regard to case", "types, CiString: a case-insensitive string", "results"
)
async def session_id_case(probe: Probe) -> Saw:
    """GET with the case of the session's id turned round."""
    turned = probe.session_id.swapcase()
    if turned == probe.session_id:
        return not_shown(f"the id {probe.session_id} has no letters")
    order = await probe.order("GET", session_id=turned)
    if (order.reply.code == SUCCESS and order.word == "UNKNOWN_SESSION") or order.reply.status == 404:
        return failed(f"GET on {turned}: {order.reply}; the session is {probe.session_id}")
    return passed(f"GET on {turned}: {order.word}", order=order) if order.accepted else not_shown(str(order.reply))


def _lasting(habit: str, title: str) -> Case:
    async def run(probe: Probe) -> Saw:
        return await _troubled(probe, habit)

    clause = "mod_charging_profiles, ChargingProfileResponse: no retries; a result not taken is lost, all else goes on"
    return case(f"response-url-{habit}", title, clause, "results")(run)


async def _troubled(probe: Probe, habit: str) -> Saw:
    """GET whose result meets trouble: the CSO answers another request meanwhile, and does not post again."""
    if any(probe.count(one) > 1 for one in probe.orders):
        return not_shown("results come twice without any trouble, see result-once")
    order = await probe.order("GET", habit=habit)
    if (saw := no_result(probe, order, ends=False)) is not None:
        return saw
    begun = probe.clock.monotonic()
    other = await probe.send("GET", probe.versions_url, functional=False, apart=True, timeout_s=SLOW_S)
    took = probe.clock.monotonic() - begun
    if not other.status or took > _SOON_S:
        for _ in range(_PATIENCE):
            if (await probe.send("GET", probe.versions_url, functional=False, apart=True, timeout_s=SLOW_S)).status:
                break
        said = f"GET versions meanwhile: {other}, after {took:.1f} s"
        return failed(said, order=order) if took > _SOON_S else not_shown(said, order=order)
    await probe.peer.wait_until(lambda: probe.count(order) > 1, SLOW_S + _AFTER_S)
    if probe.count(order) > 1:
        probe.orders.remove(order)  # so that the other troubles are judged by themselves
        return failed(f"the result was posted {probe.count(order)} times", order=order)
    return passed(f"others are answered meanwhile, after {took:.1f} s, and the result was posted once", order=order)


SLOW: Final = _lasting("slow", "A slow response_url holds nobody up")
ERROR: Final = _lasting("error", "HTTP 500 from a response_url is not tried again")
SILENT: Final = _lasting("silent", "A response_url that never answers holds nobody up")


def _meaningless(name: str, title: str, periods: Callable[[float], list[dict[str, Any]]]) -> Case:
    async def run(probe: Probe) -> Saw:
        profile = profile_of(probe, 1)
        limit = profile["charging_profile_period"][0]["limit"]
        return await _odd(probe, profile | {"charging_profile_period": periods(limit)})

    clause = "mod_charging_profiles, ChargingProfilePeriod: each ends where the next begins, from the profile's start; 2001"
    return case(name, title, clause, "session")(run)


async def _odd(probe: Probe, profile: dict[str, Any]) -> Saw:
    """PUT a profile that no station can follow: refused at once, or by the station."""
    order = await probe.order("PUT", profile=profile, counted=False)
    if 200 <= order.reply.status < 300 and order.reply.code == INVALID:
        return passed("HTTP 200 with 2001")
    if order.reply.status and not 200 <= order.reply.status < 300:
        return failed(f"{order.reply}: no HTTP error is due for the content of a request")
    if order.word in _REFUSED or (order.accepted and order.outcome == "REJECTED"):
        word = order.word if order.word in _REFUSED else "the result REJECTED"
        if not any(one.method == "PUT" and one.outcome == "ACCEPTED" for one in probe.orders):
            return not_shown(f"refused by {word}, as every other profile was", order=order)
        return passed(f"refused by {word}; 2001 would say why", order=order)
    if order.accepted and order.outcome == "ACCEPTED":
        probe.sent = {}
        return not_shown("it was set, though the text does not say what it means", order=order)
    return not_shown(f"{order.reply}; result: {order.outcome or 'none'}", order=order)


def _period(start: int, limit: float) -> dict[str, Any]:
    return {"start_period": start, "limit": limit}


EMPTY: Final = _meaningless("periods-empty", "A profile without periods is refused", lambda limit: [])
LATE_START: Final = _meaningless(
    "periods-start", "A profile whose first period does not begin at 0 is refused", lambda limit: [_period(60, limit)]
)
UNSORTED: Final = _meaningless(
    "periods-unsorted", "Periods that do not ascend are refused",
    lambda limit: [_period(0, limit), _period(900, limit), _period(300, limit)],
)  # fmt: skip

