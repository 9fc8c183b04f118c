"""What a mock peer knows and was told: raw objects, orders, results, pushes, and what was wrong with them. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bench.peers.misbehave import Misbehaviour
from bench.ports import Clock
from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_exchange import SeenIds, check_session_change, merged_session
from bench.wire.ocpi.checks_objects import check_object
from bench.wire.ocpi.transport import PartyId

ACCEPTED: Final = "ACCEPTED"
GRACE_S: Final = 1.0
"""A result may take so long on its way without being called late."""
_SINGULAR: Final = {"sessions": "session", "locations": "location", "tariffs": "tariff", "cdrs": "cdr", "tokens": "token"}
_ENERGY_KWH: Final = 0.001
"""By how much a CDR's energy may differ from its session's."""


SHOWN_IN: Final[ContextVar[int | None]] = ContextVar("SHOWN_IN", default=None)
"""The number in the journal of the request that is being answered; None where nobody keeps one."""


@dataclass(frozen=True, slots=True)
class Seen(checks.Finding):
    """A finding with the number of the request whose exchange shows it."""

    document: int | None


@dataclass(slots=True)
class SentOrder:
    """One request on a charging profile, or a command, and what came of it."""

    response_id: str
    """Stands in the response_url: OCPI's only correlation."""
    method: str
    """GET, PUT or DELETE of a charging profile; of a command its name."""
    session_id: str
    answer: dict[str, Any]
    """The synchronous answer (`result`, `timeout`); empty where the envelope held none."""
    result: dict[str, Any] | None = None
    """The asynchronous result; None until it comes."""
    result_at: datetime | None = None
    due: datetime | None = None
    """Until when the CSO promised the result."""
    missed: bool = False
    settled: bool = False
    """Whether the answer is in, or will not come: a result is told after it."""

    @property
    def is_command(self) -> bool:
        """Say whether it is a command, whose results have words of their own."""
        return self.method not in ("GET", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """One ActiveChargingProfile that the CSO pushed."""

    at: datetime
    session_id: str
    profile: dict[str, Any]


@dataclass(slots=True)
class Registration:
    """The CSO after registration."""

    token: str
    """What we send (TOKEN_C)."""
    party: PartyId
    home: str
    """The versions URL that we were given with it: the token goes to that host."""
    parties: tuple[PartyId, ...] = ()
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    """URL by identifier and role."""


class Books:
    """The receiving half of a mock peer; findings are computed from raw JSON and headers and decide nothing."""

    def __init__(
        self, clock: Clock, token_b: str, base_url: str, party: PartyId, name: str, version: str, habits: Misbehaviour
    ) -> None:
        self._clock, self._base_url, self._name = clock, base_url, name
        self.habits = habits
        self.version = version
        """Of OCPI: the only one that this mock speaks."""
        self.party = party
        self.token_b = token_b
        """What the CSO must send to us."""
        self.objects: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in _SINGULAR}
        """The raw objects by module and id, the id as it was told first: see `spelt`."""
        self._spelt: dict[tuple[str, str], str] = {}
        self.orders: dict[str, SentOrder] = {}
        """By response id, in the order of sending."""
        self.pushes: list[ReceivedPush] = []
        self.findings: list[Seen] = []
        self.registration: Registration | None = None
        self.on_note: Callable[[str], None] = lambda text: None
        """Told a line for each thing that happens."""
        self.on_told: list[Callable[[str, str, dict[str, Any], bool], None]] = []
        """Called with module, id, body and whether it was a PATCH."""
        self.on_pushed: list[Callable[[ReceivedPush], None]] = []
        self._seen = SeenIds()
        self._timers: list[asyncio.TimerHandle] = []
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @property
    def registered(self) -> bool:
        """Say whether the CSO and we know one another."""
        return self.registration is not None

    @property
    def routed(self) -> bool:
        """Say whether routing headers are due: not between two platforms with one party each, and ours has one."""
        return self.registration is not None and len(self.registration.parties) > 1

    @property
    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return the raw Session objects by id."""
        return self.objects["sessions"]

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Return the asynchronous results by response id."""
        return {one.response_id: one.result for one in self.orders.values() if one.result is not None}

    @property
    def versions_url(self) -> str:
        """Return where a peer begins."""
        return f"{self._base_url}/ocpi/versions"

    @property
    def root(self) -> str:
        """Return the URL of the version details."""
        return f"{self._base_url}/ocpi/{self.version}"

    def found(self, findings: Iterable[checks.Finding], where: str = "", document: int | None = None) -> None:
        """Keep findings, and tell each.

        Args: document: the number of the request that shows them, where it is not the one that is being answered.
        """
        for one in findings:
            shown_in = SHOWN_IN.get() if document is None else document
            finding = Seen(one.code, f"{where}: {one.text}" if where else one.text, shown_in)
            self.findings.append(finding)
            self.on_note(f"FINDING {finding.code}: {finding.text}")

    def find(self, code: str, text: str) -> None:
        """Keep one finding, and tell it."""
        self.found([checks.Finding(code, text)])

    def check_ids(self, headers: Mapping[str, str], where: str) -> None:
        """Find ids of requests that came before."""
        self.found(self._seen.check(headers), where)

    def spelt(self, module: str, object_id: str) -> str:
        """Return an id as it was told first: ids are compared without regard to case (types, CiString)."""
        return self._spelt.setdefault((module, object_id.casefold()), object_id)

    def take(self, module: str, ids: tuple[str, ...], raw: Any, *, patch: bool = False) -> bool:
        """Take an object that the CSO owns, or a part of one; False where a part is of an object that we do not know.

        Args: ids: country code, party id and the object's id, as in the URL.
        """
        name, object_id, book = _SINGULAR[module], self.spelt(module, ids[-1]), self.objects[module]
        known = book.get(object_id)
        self.found(check_object(name, raw, self.version, patch=patch, url_ids=ids))
        self._check_owner(module, ids)
        if patch and known is None:
            return False
        if isinstance(raw, dict):
            if module == "sessions":
                self.found(check_session_change(known, raw, patch=patch), f"session {object_id}")
                book[object_id] = merged_session(known or {}, raw, patch=patch)
            else:
                book[object_id] = {**(known or {}), **raw} if patch else dict(raw)
            self.on_note(f"{'PATCH' if patch else 'PUT'} {name} {object_id} {_state(book[object_id])}".rstrip())
            for told in self.on_told:
                told(module, object_id, raw, patch)
        self.changed()
        return True

    def keep(self, module: str, raw: Any) -> None:
        """Keep an object of a list, unless it is known already: what was pushed is the newer one."""
        object_id = raw.get("id") if isinstance(raw, dict) else None
        if isinstance(object_id, str) and (object_id := self.spelt(module, object_id)) not in self.objects[module]:
            self.objects[module][object_id] = dict(raw)
            for told in self.on_told:
                told(module, object_id, raw, False)
            self.changed()

    def take_part_of_location(self, ids: tuple[str, ...], raw: Any, *, patch: bool) -> bool:
        """Take an EVSE or a connector; False where what it is part of is unknown.

        Args: ids: as in `take`, then the EVSE's uid and the connector's id.
        """
        parts = ("evse", "connector")[: len(ids) - 3]
        self.found(check_object(parts[-1], raw, self.version, patch=patch, url_ids=ids[-1:]))
        whole = self.objects["locations"].get(self.spelt("locations", ids[2]))
        for depth, part in enumerate(parts):
            if whole is None:
                return False
            rows, key = whole.get(f"{part}s"), "uid" if part == "evse" else "id"
            if not isinstance(rows, list):
                rows = whole[f"{part}s"] = []
            inner = next((one for one in rows if isinstance(one, dict) and _same(str(one.get(key)), ids[3 + depth])), None)
            if depth + 1 == len(parts) and isinstance(raw, dict):
                if inner is None and patch:
                    return False
                if inner is None:
                    rows.append(dict(raw))
                else:
                    kept = dict(inner) if patch else {}
                    inner.clear()
                    inner.update(kept | raw)
            whole = inner
        self.on_note(f"{'PATCH' if patch else 'PUT'} {parts[-1]} {ids[-1]} {_state(raw)}".rstrip())
        self.changed()
        return True

    def take_cdr(self, raw: Any) -> str:
        """Take a CDR; return its id, empty where it has none."""
        self.found(check_object("cdr", raw, self.version))
        cdr_id = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(cdr_id, str):
            return ""
        cdr_id = self.spelt("cdrs", cdr_id)
        if cdr_id in self.objects["cdrs"]:
            self.find("cdr_twice", f"CDR {cdr_id} came before; a CDR is never replaced")
        session = self.sessions.get(self.spelt("sessions", str(raw.get("session_id"))))
        total = raw.get("total_energy")
        over = session is not None and session.get("status") == "COMPLETED"  # its last word may still be on its way
        kwh = session.get("kwh") if session is not None and over and raw.get("credit") is not True else None
        if checks.is_number(kwh) and checks.is_number(total) and abs(kwh - total) > _ENERGY_KWH:
            self.find("cdr_session", f"CDR {cdr_id} bills {total:g} kWh, its session has {kwh:g} kWh")
        self.objects["cdrs"][cdr_id] = raw
        self.on_note(f"POST cdr {cdr_id}: {total} kWh, {_cost(raw.get('total_cost'), raw.get('currency'))}")
        self.changed()
        return cdr_id

    def on_push(self, session_id: str, raw: Any) -> None:
        """Take an ActiveChargingProfile."""
        self.found(checks.check_active_profile(raw))
        session_id = self.spelt("sessions", session_id)
        if session_id not in self.sessions:
            self.find("push_unknown_session", f"a push for session {session_id!r}, which was never told")
        asked = [one for one in self.orders.values() if one.method == "PUT" and _same(one.session_id, session_id)]
        if not any(one.answer.get("result", ACCEPTED) == ACCEPTED and (one.result or {}).get("result", ACCEPTED) == ACCEPTED
                   for one in asked):  # fmt: skip
            self.find("push_unasked", f"a push for session {session_id!r}, on which we never set a profile with success")
        if isinstance(raw, dict):
            push = ReceivedPush(self._clock.now(), session_id, raw)
            self.pushes.append(push)
            self.on_note(f"push for session {session_id}: {limits_text(raw)}")
            for pushed in self.on_pushed:
                pushed(push)
        self.changed()

    def on_result(self, response_id: str, raw: Any) -> bool:
        """Take an asynchronous result; False for a response id that was never given out."""
        order = self._order_of(response_id)
        if order is None:
            self.find("result_unknown", f"a result for the unknown response_url of {response_id!r}")
            return False
        what = f"{order.method} on {order.session_id}"
        self.found(check_object("command_result", raw, self.version) if order.is_command else checks.check_result(raw))
        if order.result is not None:
            self.find("result_twice", f"a second result for the {order.method} {response_id}")
            return True
        order.result, order.result_at = raw if isinstance(raw, dict) else {}, self._clock.now()
        if order.answer and order.answer.get("result") != ACCEPTED:
            self.find("result_unasked", f"{what}: a result after the answer {order.answer.get('result')!r}")
        if order.method == "GET" and order.result.get("result") == ACCEPTED and order.result.get("profile") is None:
            self.find("result_profile", f"{what}: ACCEPTED without the ActiveChargingProfile that was asked for")
        late = order.due is not None and order.result_at > order.due + timedelta(seconds=GRACE_S)
        if late and not self.habits.forgives_lateness:
            self.find("result_late", f"{what}: the result came after the {order.answer.get('timeout')} s that were promised")
        if order.settled:
            self.settle(order)
        self.changed()
        return True

    def settle(self, order: SentOrder) -> None:
        """Tell the result of an order, once its answer is in: the one may overtake the other."""
        order.settled = True
        if order.result is not None:
            said = f"{order.result.get('result')} {limits_text(order.result.get('profile'))}".rstrip()
            self.on_note(f"result of {order.method} on {order.session_id}: {said}")

    def answered(self, order: SentOrder, answer: Any, why: Any = None) -> None:
        """Take the synchronous answer to an order; from now on its result is waited for.

        Args: why: the envelope's status_message, told with a refusal.
        """
        order.answer = answer if isinstance(answer, dict) else {}
        said, timeout = order.answer.get("result"), order.answer.get("timeout")
        what = f"{order.method} on {order.session_id}"
        if said is not None:
            reason = f" ({why})" if why else ""
            self.on_note(f"{what}: {said}, result within {timeout} s" if said == ACCEPTED else f"{what}: {said}{reason}")
        if order.result is not None and said != ACCEPTED:
            self.find("result_unasked", f"{what}: a result after the answer {said!r}")
        if said == ACCEPTED and checks.is_int(timeout) and 0 <= timeout < 10**8:
            order.due = self._clock.now() + timedelta(seconds=timeout)
            loop = asyncio.get_running_loop()
            self._timers = [one for one in self._timers if not one.cancelled() and one.when() > loop.time()]
            self._timers.append(loop.call_later(timeout + GRACE_S, self.miss, order))

    def miss(self, order: SentOrder) -> None:
        """Find that an accepted order had no result, once, and only when the promised time is over."""
        over = order.due is None or self._clock.now() >= order.due
        if order.result is None and not order.missed and over and not self.habits.forgives_lateness:
            order.missed = True
            within = f" within {order.answer['timeout']} s" if order.due is not None else ""
            self.find("no_result", f"{order.method} on session {order.session_id}: ACCEPTED, but no result{within}")
            self.changed()

    def now(self) -> datetime:
        """Return the time that stands in our responses."""
        return self._clock.now()

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as the predicate holds, False after that many seconds; looked at whenever the CSO calls."""
        if predicate():
            return True
        waiter = (predicate, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)
        return True

    def changed(self) -> None:
        """Look at what is waited for."""
        for predicate, future in self._waiters:
            if not future.done() and predicate():
                future.set_result(None)

    def close(self) -> None:
        """Wait for no result any more."""
        for timer in self._timers:
            timer.cancel()

    def _order_of(self, response_id: str) -> SentOrder | None:
        """Return the order of a response id; where several have it, the oldest that waits."""
        same = [one for one in self.orders.values() if one.response_id == response_id]
        return next((one for one in same if one.result is None), same[-1] if same else None)

    def _check_owner(self, module: str, ids: tuple[str, ...]) -> None:
        parties = self.registration.parties if self.registration is not None else ()
        if parties and PartyId.of(*ids[:2]) not in parties:
            self.find("wrong_owner", f"{module} of {ids[0]}-{ids[1]}, which is no party of the registered platform")


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _state(raw: Any) -> str:
    """Return the few words of an object that a reader follows."""
    if not isinstance(raw, dict):
        return ""
    shown = {name: raw[name] for name in ("status", "kwh", "evse_uid") if name in raw}
    return " ".join(f"{name}={value}" for name, value in shown.items())


def _cost(price: Any, currency: Any) -> str:
    """Return the Price of a CDR in few words, of 2.2.1 (excl_vat, incl_vat) or of 2.3.0 (before_taxes, taxes)."""
    if not isinstance(price, dict):
        return f"{price} {currency}"
    net, gross, taxes = price.get("before_taxes", price.get("excl_vat")), price.get("incl_vat"), price.get("taxes")
    amounts: list[Any] = [one.get("amount") for one in taxes if isinstance(one, dict)] if isinstance(taxes, list) else []
    if amounts and all(checks.is_number(one) for one in (net, *amounts)):
        gross = round(sum([net, *amounts]), 4)
    return f"{net} {currency} without taxes" + (f", {gross} with" if gross is not None else "")


def limits_text(raw: Any) -> str:
    """Return an active profile in few words."""
    try:
        profile = raw["charging_profile"]
        periods = profile["charging_profile_period"]
        rows = ", ".join(f"{one['limit']:g} from {one['start_period']} s" for one in periods[:5])
        return f"{profile['charging_rate_unit']}: {rows}{' …' if len(periods) > 5 else ''}"
    except (KeyError, TypeError, ValueError):
        return ""
