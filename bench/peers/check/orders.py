"""Cases of setting, asking for and clearing a profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bench.domain.verdicts import Verdict
from bench.peers.books import Seen
from bench.peers.check.case import Saw, case, failed, judged, missed, not_shown, of_parts, passed
from bench.peers.check.desk import Received
from bench.peers.check.probe import MOST_WAIT_S, Probe
from bench.peers.check.reply import Order
from bench.wire.ocpi import checks
from bench.wire.ocpi.checks import Finding, is_number
from bench.wire.ocpi.mapping import round_down
from bench.wire.ocpi.transport import INVALID, SUCCESS
from bench.wire.ocpi.types import utc_text

LOW: Final = {"A": (8.3, 6.1), "W": (3900.3, 1400.1)}
"""The limits that are set, one after the other; never more than what held before. One decimal, to see it kept."""
_PUSH_S: Final = 10.0
_UNKNOWN: Final = "no-such-session-4f1d"


def profile_of(probe: Probe, number: int) -> dict[str, Any]:
    """Return the first or second profile; where the limit that held before is not known, the lower one both times."""
    limit = LOW[probe.unit][number if probe.most is not None else 1]
    limit = limit if probe.most is None else round_down(min(limit, probe.most))
    start = utc_text(probe.clock.now().replace(microsecond=0))
    periods = [{"start_period": 0, "limit": limit}]
    return {"start_date_time": start, "duration": 3600, "charging_rate_unit": probe.unit, "charging_profile_period": periods}


def no_result(probe: Probe, order: Order, *, ends: bool = True) -> Saw | None:
    """Return what a refused order, or one without a result, amounts to; None where a result came.

    Args: ends: whether "nothing followed" is a FAIL here; elsewhere another case has said it.
    """
    what = f"{order.method} on {probe.session_id}"
    if not order.reply.status:
        return not_shown(f"{what}: {order.reply}", order=order)
    if order.reply.code != SUCCESS or not order.word:
        return failed(f"{what}: {order.reply}", order=order)
    if order.word == "UNKNOWN_SESSION":
        return failed(f"{what}: UNKNOWN_SESSION, though the CSO told this session as ACTIVE")
    if not order.accepted:
        return not_shown(f"{what}: {order.word} {order.reply.raw.get('status_message', '')}".rstrip())
    if order.came:
        return None
    if probe.strays(order):
        return not_shown(f"{what}: a result came, but not to the response_url; see response-url")
    promised = "no time promised" if order.promised_s is None else f"a result promised within {order.promised_s:g} s"
    earlier = {probe.path(one): f"the late result of an earlier {one.method}" for one in probe.orders if one is not order}
    seen = sorted({earlier.get(one.path, f"{one.method} {one.path}") for one in probe.desk.received[order.since :]})
    text = f"{what}: ACCEPTED, {promised}, and nothing followed in {probe.waited_s(order):g} s"
    text += f"; seen meanwhile: {', '.join(seen)}" if seen else "; the CSO sent nothing at all"
    return failed(text) if ends and (order.promised_s or 0) <= MOST_WAIT_S else not_shown(text)


@case(
    "active-first", "What limits the session can be asked for",
    "mod_charging_profiles, GET: needs no PUT before it; the result brings the ActiveChargingProfile", "session",
)
async def active_first(probe: Probe) -> Saw:
    """GET before anything is set; what it says caps what is set afterwards."""
    order = await probe.order("GET")
    if (saw := no_result(probe, order)) is not None:
        return saw
    if order.outcome != "ACCEPTED":
        return not_shown(f"the result is {order.outcome}: what limits the session is not known", order=order)
    found = checks.check_result(order.result)
    if order.result.get("profile") is None:
        found.append(Finding("result_profile", "ACCEPTED without the ActiveChargingProfile that was asked for"))
    limits = _limits(order.result.get("profile"))
    if limits:
        probe.most, probe.unit = min(limits), order.result["profile"]["charging_profile"]["charging_rate_unit"]
    return judged(found, f"the lowest limit of the next 10 minutes is {probe.most} {probe.unit}")


@case(
    "set", "A profile is set, and its result follows",
    "mod_charging_profiles, PUT: ACCEPTED promises that the request goes to the station and that its result is posted", "session",
)
async def set_profile(probe: Probe) -> Saw:
    """PUT a low limit."""
    return await _put(probe, 0)


@case(
    "replace", "A second profile takes the place of the first",
    "mod_charging_profiles, PUT: creates or updates the profile of a session; there is one, without an id", "results",
)
async def replace_profile(probe: Probe) -> Saw:
    """PUT again on the same session."""
    first = bool(probe.sent)
    saw = await _put(probe, 1)
    if first and saw.verdict is Verdict.INCONCLUSIVE and probe.orders[-1].outcome == "REJECTED":
        return failed("the first profile was ACCEPTED, the second on the same session REJECTED", order=probe.orders[-1])
    return saw


async def _put(probe: Probe, number: int) -> Saw:
    profile = profile_of(probe, number)
    order = await probe.order("PUT", profile=profile)
    if (saw := no_result(probe, order)) is not None:
        return saw
    if order.outcome != "ACCEPTED":
        return not_shown(f"the result is {order.outcome}: nothing was set", order=order)
    found = checks.check_result(order.result)
    probe.sent = profile
    limit = profile["charging_profile_period"][0]["limit"]
    return judged(found, f"{limit:g} {probe.unit}: ACCEPTED, and the result is ACCEPTED")


@case(
    "active", "What was set is what limits",
    "mod_charging_profiles, ActiveChargingProfile: the limits are at most those that were set, in A per phase or W in total",
    "results",
)
async def active(probe: Probe) -> Saw:
    """GET after PUT: at most what was asked, to the tenth."""
    order = await probe.order("GET")
    if (saw := no_result(probe, order)) is not None:
        return saw
    profile = order.result.get("profile")
    if order.outcome != "ACCEPTED" or profile is None:
        return not_shown(f"the result is {order.outcome}, without a profile", order=order)
    found = checks.check_result(order.result)
    if found:
        return judged(found, "")
    if not probe.sent:
        return not_shown("no profile of ours holds", order=order)
    unit = profile["charging_profile"]["charging_rate_unit"]
    if unit != probe.unit:
        return not_shown(f"told in {unit}, set in {probe.unit}: not to be compared without the phases", order=order)
    asked = probe.sent["charging_profile_period"][0]["limit"]
    limits = _limits(profile, _moment(probe.sent["start_date_time"]))
    above = [one for one in limits if one > asked + 0.001]
    if above:
        return failed(f"{asked:g} {unit} was set with success, and {max(above):g} {unit} limits", order=order)
    if not limits:
        return not_shown("the profile told covers no moment of the one that was set", order=order)
    return passed(f"set: {asked:g} {unit}; told: at most {max(limits):g} {unit}", order=order)


def _limits(active: Any, since: datetime | None = None) -> list[float]:
    """Return the limits of an ActiveChargingProfile in the next 10 minutes, those that end before `since` left out."""
    if not isinstance(active, Mapping) or checks.check_active_profile(active):
        return []
    profile = active["charging_profile"]
    begin, periods = _moment(profile.get("start_date_time") or active["start_date_time"]), profile["charging_profile_period"]
    ends = [*(one["start_period"] for one in periods[1:]), profile.get("duration") or 10**8]
    last = _moment(active["start_date_time"]) + timedelta(seconds=600)
    return [
        float(one["limit"]) for one, end in zip(periods, ends, strict=True)
        if is_number(one["limit"]) and begin + timedelta(seconds=one["start_period"]) < last
        and (since is None or begin + timedelta(seconds=end) > since)
    ]  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text if text.endswith("Z") else text + "Z")


@case(
    "unknown-session", "An unknown session is named so",
    "mod_charging_profiles, ChargingProfileResponse: UNKNOWN_SESSION, which is a success (1000) of OCPI",
)
async def unknown_session(probe: Probe) -> Saw:
    """PUT, GET and DELETE on a session that nobody told; HTTP 404 is what the status codes have for the GET."""
    held, wrong = probe.may_hold, []
    for method in ("PUT", "GET", "DELETE"):
        profile = profile_of(probe, 1) if method == "PUT" else None
        order = await probe.order(method, session_id=_UNKNOWN, profile=profile, wait=False, counted=False)
        what = f"{method} on a session that does not exist"
        if method == "GET" and order.reply.status == 404:
            wrong.append(not_shown(f"{what}: {order.reply}, which the text has for a GET too"))
        elif not (order.reply.ok and order.word == "UNKNOWN_SESSION"):
            wrong.append(missed(what, order.reply, "1000 with UNKNOWN_SESSION"))
    probe.may_hold = held
    return of_parts(wrong, "1000 with UNKNOWN_SESSION for PUT, GET and DELETE")


@case(
    "body-not-json", "A body that is no JSON is HTTP 400",
    "status codes: HTTP errors are for what cannot be parsed; everything else is told by status_code",
)
async def body_not_json(probe: Probe) -> Saw:
    """PUT half an object."""
    url = probe.profiles_url(probe.session_id or _UNKNOWN)
    reply = await probe.send("PUT", url, content=b'{"charging_profile": ', counted=False)
    return passed("HTTP 400") if reply.status == 400 else missed("PUT with a body that is no JSON", reply, "HTTP 400")


@case(
    "invalid-object", "An invalid object is 2001 with HTTP 200",
    "status codes: once authenticated and parsed, a request gets no HTTP error for its content; 2001 is a missing parameter",
)
async def invalid_object(probe: Probe) -> Saw:
    """PUT without a profile, without a response_url, and GET without duration."""
    url, wrong = probe.profiles_url(probe.session_id or _UNKNOWN), []
    where = f"{probe.base_url}/ocpi/results/none"
    probe.desk.habits["/ocpi/results/none"] = ""
    for name, method, query, body in (
        ("without charging_profile", "PUT", "", {"response_url": where}),
        ("without response_url", "PUT", "", {"charging_profile": profile_of(probe, 1)}),
        ("without duration", "GET", f"?response_url={where}", None),
    ):
        held = probe.may_hold
        probe.may_hold |= method == "PUT" and bool(probe.session_id)
        reply = await probe.send(method, url + query, body, counted=False)
        probe.may_hold = held if reply.code == INVALID else probe.may_hold
        if reply.ok and reply.thing.get("result") == "UNKNOWN_SESSION" and not probe.session_id:
            wrong.append(not_shown(f"{method} {name}: without an ACTIVE session the CSO says UNKNOWN_SESSION first"))
        elif not 200 <= reply.status < 300 or reply.code != INVALID:
            wrong.append(missed(f"{method} {name}", reply, "HTTP 200 with 2001"))
    return of_parts(wrong, "HTTP 200 with 2001")


@case(
    "clear", "The profile is cleared, and the result follows",
    "mod_charging_profiles, DELETE: clears what this party has set; the result is posted as ClearProfileResult", "session",
)
async def clear(probe: Probe) -> Saw:
    """DELETE once."""
    held = bool(probe.sent)
    order = await probe.order("DELETE")
    if (saw := no_result(probe, order)) is not None:
        return saw
    found = checks.check_result(order.result)
    if found:
        return judged(found, "")
    if held and order.outcome == "UNKNOWN":
        return failed("the PUT's result was ACCEPTED, and the DELETE finds no profile (UNKNOWN)", order=order)
    if held and order.outcome == "REJECTED" and await _is_gone(probe):
        probe.sent = {}
        return failed("the result is REJECTED, yet what was set limits no more", order=order)
    if not held or order.outcome != "ACCEPTED":
        said = f"the result is {order.outcome}; {'a profile of ours held' if held else 'whether one of ours held is not known'}"
        return not_shown(said, order=order)
    probe.sent = {}
    return passed("the result is ACCEPTED", order=order)


async def _is_gone(probe: Probe) -> bool:
    """Ask what limits, and say whether it is certainly not the profile that was set."""
    order = await probe.order("GET")
    limits, profile = _limits(order.result.get("profile")), order.result.get("profile") or {}
    same = bool(limits) and profile["charging_profile"]["charging_rate_unit"] == probe.unit
    return same and min(limits) > probe.sent["charging_profile_period"][0]["limit"]


@case(
    "clear-twice", "Nothing more to clear is UNKNOWN",
    "mod_charging_profiles, ChargingProfileResultType: UNKNOWN where no profile was found", "results",
)
async def clear_twice(probe: Probe) -> Saw:
    """DELETE again."""
    if probe.sent:
        return not_shown("the first DELETE did not clear the profile")
    order = await probe.order("DELETE")
    if (saw := no_result(probe, order, ends=False)) is not None:
        return saw
    if order.outcome == "UNKNOWN":
        return passed("UNKNOWN", order=order)
    said = f"a DELETE when nothing of ours is left has the result {order.outcome or checks.short(order.result)}, not UNKNOWN"
    return failed(said, order=order) if order.outcome == "ACCEPTED" else not_shown(said, order=order)


@case(
    "push", "Changes are pushed to our endpoint",
    "mod_charging_profiles, SENDER PUT: an ActiveChargingProfile below our chargingprofiles endpoint, by the session's id",
    "session",
)
async def push(probe: Probe) -> Saw:
    """Look at what was pushed since the first PUT, and after a change by hand where the user makes one."""
    right = f"/ocpi/{probe.version}/chargingprofiles/{probe.session_id}".casefold()

    def pushes() -> list[Received]:
        return [
            one for one in probe.desk.received
            if one.method in ("PUT", "POST", "PATCH") and isinstance(one.body, dict) and "charging_profile" in one.body
        ]  # fmt: skip

    await probe.peer.wait_until(lambda: bool(pushes()), _PUSH_S)
    before, within = len(pushes()), probe.push_within_s
    if within:
        probe.tell(f"now change what limits the station, past this check; a push is waited for up to {within:g} s")
        await probe.peer.wait_until(lambda: len(pushes()) > before, within)
    came = pushes()
    wrong = {f"{one.method} {one.path}": one for one in came if one.method != "PUT" or one.path.rstrip("/").casefold() != right}
    if wrong:
        ours = f"PUT to our chargingprofiles endpoint with /{probe.session_id}"
        refs = tuple(one.document for one in wrong.values() if one.document is not None)
        return Saw(Verdict.FAIL, (f"an ActiveChargingProfile came by {', '.join(sorted(wrong))}; due is a {ours}",), refs)
    if not came:
        return not_shown("no push came; the station need not have reported any change")
    found: list[Finding] = [
        Seen(one.code, one.text, push.document) for push in came for one in checks.check_active_profile(push.body)
    ]
    found += [one for one in probe.peer.findings if one.code == "push_unasked"]
    if within and len(came) == before and not found:
        return not_shown(f"no push in the {within:g} s for a change by hand; one is due where the station has reported it")
    count = len(came)
    return judged(found, f"{count} {'push' if count == 1 else 'pushes'}" + ", one after a change by hand" * bool(within))
