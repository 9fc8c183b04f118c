"""Cases of versions, credentials and lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from bench.peers.check.case import Case, Saw, case, failed, judged, missed, not_applicable, not_shown, of_parts, passed
from bench.peers.check.probe import Probe
from bench.peers.check.reply import Reply
from bench.wire.ocpi.checks import Finding
from bench.wire.ocpi.checks_exchange import check_page, next_page
from bench.wire.ocpi.checks_fields import credentials_token as check_token
from bench.wire.ocpi.checks_objects import check_object
from bench.wire.ocpi.transport import NO_MATCHING_ENDPOINT, UNSUPPORTED_VERSION, UNUSABLE_API
from bench.wire.ocpi.types import utc_text

_LISTS: Final = {"sessions": "session", "locations": "location", "tariffs": "tariff", "cdrs": "cdr"}
_MOST_PAGES: Final = 200
_NO_TOKEN: Final = "a-token-that-nobody-gave-out"


def versions(token: str) -> Case:
    """Return the case of the first two requests, with that token."""

    async def run(probe: Probe) -> Saw:
        reply, wrong = await probe.discover(token)
        if wrong:
            return failed(wrong) if reply.status else not_shown(wrong)
        return passed(f"{len(probe.details)} endpoints in {probe.version}")

    return case(
        "versions", "Versions and their endpoints are listed",
        "versions: GET lists versions and URLs, GET of one lists endpoints; a CPO serves chargingprofiles as RECEIVER", "",
    )(run)  # fmt: skip


def register(token: str) -> Case:
    """Return the case of the registration with that token, by PUT where we are registered in another version."""

    async def run(probe: Probe) -> Saw:
        already, since = probe.peer.registered, len(probe.desk.received)
        reply = await probe.give_credentials("PUT" if already else "POST", token)
        if not probe.peer.registered or not reply.ok:
            called = len(probe.desk.received) > since
            said = f"{'PUT' if already else 'POST'} credentials: {reply}", _advice(probe, reply, called=called)
            return failed(*said) if reply.status else not_shown(*said)
        fetched = [one.path for one in probe.desk.received[since:] if one.method == "GET"]
        missing = [name for name in ("versions", probe.version) if not any(one.rstrip("/").endswith(name) for one in fetched)]
        if missing:
            return failed(f"the CSO took our credentials and never fetched our {' and '.join(missing)}")
        return passed(f"registered with {probe.peer.cso().party}; it fetched our versions and endpoints")

    return case(
        "register", "The registration is taken",
        "credentials, POST (PUT to change the version): the CSO fetches our endpoints and answers with its credentials", "",
    )(run)  # fmt: skip


def _advice(probe: Probe, reply: Reply, *, called: bool) -> str:
    """Return what whoever runs the check can do about a registration that was not taken."""
    if reply.status == 405:
        return f"it knows the owner of this token already: end the former registration of {probe.peer.party} on its side"
    if reply.status in (401, 403):
        return "it takes this token for versions only: it may be spent, for a registration token serves once"
    if reply.ok:
        return "its Credentials object lacks the token, or a role with party_id and country_code: nobody can go on with it"
    if not reply.status or reply.code in (UNUSABLE_API, UNSUPPORTED_VERSION, NO_MATCHING_ENDPOINT):
        return "it called us: see the exchange" if called else f"it never called us: can it reach {probe.base_url}?"
    ours = "our Credentials object has what its table requires, and no optional field: look for one that the CSO demands"
    return f"{ours}, or for a former registration of {probe.peer.party} on its side"


@case(
    "credentials-token", "The token given is one that can be sent",
    "credentials, Credentials object: url, roles, and a token of 1 to 64 printable ASCII characters without blanks",
)
async def credentials_token(probe: Probe) -> Saw:
    """Look at the CSO's Credentials object."""
    reply = await probe.send("GET", probe.details["credentials", "SENDER"], functional=False)
    given = reply.thing if reply.ok else {}
    found = check_object("credentials", given, probe.peer.version) if given else []
    if wrong := check_token(probe.token):
        found.append(Finding("credentials_value", f"token {wrong}"))
    return judged(found, "the token has only characters that it may have")


@case("register-twice", "A second registration is refused", "credentials, POST: HTTP 405 where the client is registered already")
async def register_twice(probe: Probe) -> Saw:
    """POST again."""
    reply = await probe.give_credentials("POST", probe.token)
    if reply.status == 405:
        return passed("HTTP 405")
    return missed("the second POST", reply, "HTTP 405")


@case("renew", "Credentials are renewed", "credentials, PUT: the CSO fetches our endpoints again and answers with a new token")
async def renew(probe: Probe) -> Saw:
    """PUT with a new token of ours; the CSO's new one has to open it."""
    peer, before, since = probe.peer, probe.token, len(probe.desk.received)
    ours, told = peer.token_b, len(peer.findings)
    peer.token_b = peer.ids.token(48)
    reply = await probe.give_credentials("PUT", before)
    if not reply.ok:
        peer.token_b = ours
    peer.findings[told:] = [one for one in peer.findings[told:] if one.code != "wrong_token"]  # both tokens are under way
    if not reply.ok:
        return missed("PUT credentials", reply, "the new credentials")
    if probe.token == before:
        return failed("the token in the answer is the old one")
    if not any(one.method == "GET" for one in probe.desk.received[since:]):
        return failed("the CSO did not fetch our endpoints again")
    fresh = await probe.send("GET", probe.versions_url, functional=False)
    if not fresh.ok:
        return missed("GET versions with the new token", fresh, "a success")
    old = await probe.send("GET", probe.versions_url, token=before, functional=False, counted=False)
    note = ["the old token still opens the CSO, which the text does not forbid in words"] if old.ok else []
    return passed("a new token, and it works", *note)


@case("wrong-token", "A wrong token is refused", "transport, Authorization header: HTTP 401 where it is missing or wrong")
async def wrong_token(probe: Probe) -> Saw:
    """Ask with a token that nobody gave out, for versions and for a profile."""
    where = {
        "versions": (probe.versions_url, False),
        "chargingprofiles": (probe.profiles_url("NO-SESSION") + f"?duration=60&response_url={probe.base_url}", True),
    }
    wrong = []
    for name, (url, functional) in where.items():
        reply = await probe.send("GET", url, token=_NO_TOKEN, functional=functional, counted=False)
        if reply.status != 401:
            wrong.append(missed(f"GET {name} with a wrong token", reply, "HTTP 401"))
    return of_parts(wrong, "HTTP 401 from versions and chargingprofiles")


@case(
    "paging", "Lists come page by page",
    "transport, Pagination: X-Total-Count, X-Limit, and a Link to the next page as long as there is one, filters kept",
)
async def paging(probe: Probe) -> Saw:
    """Fetch each list of the CSO with limit=1."""
    since = utc_text(probe.clock.now().replace(microsecond=0) - timedelta(days=1))
    served = [name for name in _LISTS if (name, "SENDER") in probe.peer.cso().endpoints]
    if not served:
        return not_applicable("the CSO serves no list (sessions, locations, tariffs, cdrs)")
    found, several, said, silent = [], False, [], []
    for name in served:
        url: str | None = probe.peer.endpoint(name, "SENDER") + "?" + urlencode({"limit": 1, "date_from": since}, safe=":")
        if name in ("locations", "tariffs"):
            url = probe.peer.endpoint(name, "SENDER") + "?limit=1"
        pages, ids = 0, []
        while url is not None and pages < _MOST_PAGES:
            reply = await probe.send("GET", url)
            pages += 1
            if not reply.status:
                silent.append(f"GET {name}, page {pages}: {reply}")
                break
            if not reply.ok:
                found.append(Finding("page", f"GET {name}, page {pages}: {reply}"))
                break
            found += [Finding(one.code, f"GET {name}, page {pages}: {one.text}") for one in _page(url, reply)]
            ids += _take(probe, name, reply)
            url = next_page(url, reply.headers)
        several = several or pages > 1
        said.append(f"{name}: {len(ids)} in {pages} {'page' if pages == 1 else 'pages'}")
        if len(set(ids)) < len(ids):
            found.append(Finding("page", f"GET {name}: an object comes on two pages"))
    told = "; ".join(said)
    if silent and not found:
        return not_shown(*silent)
    return judged(found, told, looked_at=several, nothing=f"no list has a second page to go to ({told}); headers are right")


def _page(url: str, reply: Reply) -> list[Finding]:
    """Check a page; objects that change while we turn pages may come again."""
    return check_page(url, reply.headers, reply.data)


def _take(probe: Probe, name: str, reply: Reply) -> list[str]:
    ids = []
    for one in reply.data if isinstance(reply.data, list) else ():
        probe.peer.found(check_object(_LISTS[name], one, probe.version), f"GET {name}", reply.document)
        probe.peer.keep(name, one)
        ids.append(str(one.get("id")) if isinstance(one, dict) else "")
    return ids


@case("unregister", "The registration ends", "credentials, DELETE: the tokens are void from then on")
async def unregister(probe: Probe) -> Saw:
    """DELETE; the token opens nothing any more."""
    token, party = probe.token, probe.peer.cso()
    reply = await probe.send("DELETE", probe.details["credentials", "SENDER"], functional=False)
    if not reply.ok:
        return missed("DELETE credentials", reply, "a success")
    probe.peer.registration = replace(party)  # for the headers of the next two requests only
    try:
        url = probe.profiles_url("NO-SESSION") + f"?duration=60&response_url={probe.base_url}"
        again = await probe.send(
            "DELETE", probe.details["credentials", "SENDER"], token=token, functional=False, counted=False
        )
        after = await probe.send("GET", url, token=token, counted=False)
    finally:
        probe.peer.registration = None
    tried = (("GET chargingprofiles", after), ("a second DELETE", again))
    opened = [
        missed(f"{what} with the token that has ended", later, "refused")
        for what, later in tried if not later.status or 200 <= later.status < 300
    ]  # fmt: skip
    return of_parts(opened, "the token opens nothing any more")


@case(
    "session", "An ACTIVE session is told",
    "mod_charging_profiles: whoever steers depends on the CSO's sending sessions; mod_sessions, Session object",
)
async def session(probe: Probe) -> Saw:
    """Say which session is steered."""
    if not probe.session:
        return not_shown(probe.session_note)
    found = check_object("session", probe.session, probe.version)
    return judged(found, f"session {probe.session_id} at EVSE {probe.session.get('evse_uid')}: {probe.session_note}")
