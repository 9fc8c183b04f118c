"""The course of a check: registration, session, cases, and always the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from bench.domain.conformance import CaseResult
from bench.domain.verdicts import Verdict
from bench.errors import PeerError, UsageError
from bench.peers.check import addresses, begin, commands, orders, whole
from bench.peers.check.case import Case, Saw, not_applicable, not_shown
from bench.peers.check.probe import Probe
from bench.peers.msp import MockMsp
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text
from bench.wire.ocpi.url import hide_secrets

_NOT_REGISTERED: Final = "not registered"
_HANDSHAKE: Final = ("register", "credentials-token", "register-twice", "renew")
_BACK_S: Final = 20.0
"""How long each step of the way back may take."""
COMMANDS: Final[tuple[Case, ...]] = (commands.location, commands.session, commands.reservation)
COMMANDED: Final[tuple[Case, ...]] = (commands.answer, commands.results)
"""They look at all commands: when the session that was started is stopped."""
REGISTERED: Final[tuple[Case, ...]] = (
    begin.credentials_token, begin.register_twice, begin.renew, begin.wrong_token, begin.paging, orders.unknown_session,
    orders.body_not_json, *COMMANDS,
)  # fmt: skip
STEERING: Final[tuple[Case, ...]] = (
    begin.session, orders.active_first, orders.set_profile, orders.replace_profile, orders.active, addresses.response_url,
    addresses.unencoded_query, addresses.trailing_slash, addresses.session_id_case, addresses.SLOW, addresses.ERROR,
    addresses.SILENT, orders.invalid_object, addresses.EMPTY, addresses.LATE_START, addresses.UNSORTED, orders.clear,
    orders.clear_twice, orders.push,
)  # fmt: skip
WHOLE: Final[tuple[Case, ...]] = (
    whole.answer, whole.result_in_time, whole.result_once, whole.id_kept, whole.envelope, whole.response_headers,
    whole.request_headers, whole.sent_token, whole.objects,
)  # fmt: skip
NAMES: Final = ("versions", "register", *(one.name for one in (*REGISTERED, *STEERING, *WHOLE, *COMMANDED)), "unregister")
_EARLIER: Final = {
    "replace": ("active-first", "set"), "set": ("active-first",), "active": ("active-first", "set"),
    "clear": ("active-first", "set"), "clear-twice": ("active-first", "set", "clear"), "push": ("active-first", "set"),
    **dict.fromkeys(("periods-empty", "periods-start", "periods-unsorted"), ("active-first", "set")),
    "result-in-time": ("active-first",), "result-once": ("active-first",), "answer": ("active-first",),
    "id-kept": ("active-first", "set", "push"), "objects": ("paging",),
    "command-answer": ("command-session",), "command-result": ("command-reservation",),
}  # fmt: skip
"""Which cases make what others look at: they run where `--only` names one of those, and are not told."""


@dataclass(frozen=True, slots=True)
class Start:
    """A session that is started by command."""

    uid: str
    location: str
    evse: str
    """Empty: the CSO chooses."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for."""

    token: str
    session_within_s: float = 0.0
    evse: str = ""
    """Only a session at this EVSE is steered; empty: the first that is ACTIVE."""
    start: Start | None = None
    only: tuple[str, ...] = ()
    keep: bool = False
    """Stay registered."""
    by_hand: tuple[PartyId, str] | None = None
    """The CSO's party and the token that it sends to us, where both sides agreed upon tokens without a handshake."""
    push_within_s: float = 0.0
    """How long a push is waited for after the user has changed a limit by hand; 0: none is changed."""

    @property
    def stays(self) -> bool:
        """Say whether the registration outlives the check: where that is wished, and where the check did not make it."""
        return self.keep or self.by_hand is not None

    def __post_init__(self) -> None:
        unknown = [one for one in self.only if one not in NAMES]
        if unknown:
            raise UsageError(f"no case {', '.join(unknown)}; there are {', '.join(NAMES)}")


Tell = Callable[[str], None]


class Course:
    """Runs the cases of one version.

    Args:
        results: grows as cases end.
        last: whether this is the last version, which unregisters.
    """

    def __init__(self, probe: Probe, wishes: Wishes, tell: Tell, results: list[CaseResult], *, last: bool = True) -> None:
        self._probe, self._wishes, self._tell, self._results, self._last = probe, wishes, tell, results, last
        self._needed = _needed(wishes.only)
        self._untold: list[tuple[Case, Saw]] = []
        """What was not shown of cases that nobody asked for."""
        self._started = False
        self._gone, self._whole = False, False
        probe.push_within_s, probe.tell = wishes.push_within_s, tell

    async def run(self) -> None:
        """Run all, and undo what was done, also when cancelled. Raises PeerError where the CSO cannot be reached at all."""
        try:
            await self._run()
        finally:
            await self._back()

    async def _run(self) -> None:
        probe, token = self._probe, self._wishes.token
        known = probe.peer.registered
        if known:
            token = probe.token
        elif not (first := await probe.send("GET", probe.versions_url, token=token, functional=False)).status:
            raise PeerError(f"the CSO cannot be reached: {first.trouble}")
        await self._case(begin.versions(token))
        if self._wishes.by_hand is not None and probe.details:
            probe.assume(token, *self._wishes.by_hand)
        if probe.details.get(("credentials", "SENDER")):
            await self._case(begin.register(token))
        if not probe.peer.registered:
            for one, saw in self._untold:  # whatever was asked for fails by them
                self._add(one, saw)
            self._tell("not registered: the cases that need it are INCONCLUSIVE (tokens agreed upon by hand: --registered)")
        await self._cases(REGISTERED)
        if probe.peer.registered and not probe.unsure and self._wanted(STEERING, WHOLE):
            await self._find_session()
        await self._cases(STEERING)
        await self._withdraw()
        await self._cases(WHOLE)
        await self._stop_session()
        await self._cases(COMMANDED)
        if self._asked("unregister"):
            if self._wishes.stays or not self._last:
                why = "the registration is kept" if self._wishes.stays else "the next version takes the registration over"
                self._put(begin.unregister, not_applicable(why))
            else:
                await self._case(begin.unregister)
                self._gone = not probe.peer.registered
        self._whole = True

    def _asked(self, name: str) -> bool:
        return not self._wishes.only or name in self._wishes.only

    def _wanted(self, *groups: Collection[Case]) -> bool:
        steering = [one for group in groups for one in group if one.needs in ("session", "results")]
        started = COMMANDED if self._wishes.start is not None else ()
        return any(one.name in self._needed for one in (begin.session, *steering, *started))

    async def _cases(self, cases: Collection[Case]) -> None:
        for one in cases:
            if one.name in self._needed:
                await self._case(one)

    async def _case(self, one: Case) -> None:
        if self._wishes.by_hand is not None and one.name in _HANDSHAKE:
            self._put(one, not_applicable("the tokens were agreed upon by hand"))
            return
        lacking = self._lacking(one)
        if lacking:
            self._put(one, not_shown(lacking))
            return
        since = len(self._probe.sent_documents)
        try:
            saw = await one.run(self._probe)
        except PeerError as error:
            saw = not_shown(str(error))
        refs = dict.fromkeys((*saw.refs, *self._probe.sent_documents[since:]))
        self._put(one, replace(saw, refs=tuple(refs)))

    def _lacking(self, one: Case) -> str:
        if one.needs and not self._probe.peer.registered:
            return _NOT_REGISTERED
        if one.needs and self._probe.unsure:
            return self._probe.unsure
        if one.needs in ("session", "results") and not self._probe.session and one.name != "session":
            why = self._probe.session_note or "no session"
            return "there is no session to steer, see session" if self._asked("session") else why
        if one.needs == "results" and not any(order.came for order in self._probe.orders):
            return "no result of any order came, see active-first and set"
        return ""

    def _put(self, one: Case, saw: Saw) -> None:
        if self._asked(one.name):
            self._add(one, saw)
        elif saw.verdict is not Verdict.PASS:
            self._untold.append((one, saw))

    def _add(self, one: Case, saw: Saw) -> None:
        said = tuple(hide_secrets(self._probe.hide(text)) for text in saw.said)
        result = CaseResult(one.name, one.title, one.clause, self._probe.version, saw.verdict, said, saw.refs)
        self._results.append(result)
        if said != (_NOT_REGISTERED,):  # told once, not for each case
            self._tell(f"{saw.verdict:<14} {one.name:<20} {said[0] if said else ''}".rstrip())

    async def _find_session(self) -> None:
        """Wait for an ACTIVE session; one that is running already is listed."""
        probe, wishes = self._probe, self._wishes
        await self._pull()
        start, earlier = wishes.start, {one.casefold() for one in probe.peer.sessions}
        evse = start.evse if start is not None else wishes.evse
        if start is not None:
            note = await self._start(start)
            if note:
                probe.session_note = note
                return

        def is_ours(session: Mapping[str, Any]) -> bool:
            """Say whether it may be steered: of those that began before ours, and of other tokens, none."""
            began = start is None or (str(session.get("id")).casefold() not in earlier and _is_of(session, start.uid))
            return began and _is_at(session, evse)

        within = max(wishes.session_within_s, 60.0 if wishes.start is not None else 0.0)
        if within:
            self._tell(f"waiting up to {within:g} s for an ACTIVE session{f' at {evse}' if evse else ''}")
        try:
            probe.session = await probe.peer.wait_session(is_ours, within)
            probe.session_note = "ACTIVE"
        except PeerError:
            kind, whose = ("new ACTIVE session", f" of the token {start.uid}") if start is not None else ("ACTIVE session", "")
            where = f" at {evse}" if evse else ""
            probe.session_note = f"the CSO told of no {kind}{whose}{where} within {within:g} s"

    async def _pull(self) -> None:
        probe = self._probe
        url = probe.peer.cso().endpoints.get(("sessions", "SENDER"))
        if url is None:
            return
        since = utc_text(probe.clock.now().replace(microsecond=0) - timedelta(days=1))
        listed = (await probe.send("GET", f"{url}?date_from={since}")).data
        for one in listed if isinstance(listed, list) else ():
            probe.peer.keep("sessions", one)

    async def _start(self, wanted: Start) -> str:
        """Tell our token and start a session with it; return why that failed, or nothing."""
        peer, probe = self._probe.peer, self._probe
        if not isinstance(peer, MockMsp):
            return "a session is started by an EMSP: --role EMSP"
        if ("commands", "RECEIVER") not in peer.cso().endpoints:
            return "the CSO serves no commands: no session can be started"
        token = peer.add_token(wanted.uid)
        if ("tokens", "RECEIVER") in peer.cso().endpoints:
            await probe.send("PUT", peer.token_url(wanted.uid), token)
        place = {"location_id": wanted.location} | ({"evse_uid": wanted.evse} if wanted.evse else {})
        order = await probe.command("START_SESSION", {"token": token, **place}, wait=False)
        self._started = order.word == "ACCEPTED" or not order.reply.status  # where no response came it may have
        return "" if self._started else f"START_SESSION: {order.reply}"

    async def _withdraw(self) -> None:
        """Take our profile back, where the CSO may still hold one."""
        if self._probe.may_hold and self._probe.session and self._probe.peer.registered:
            order = await self._probe.order("DELETE")
            said = "was withdrawn" if order.outcome in ("ACCEPTED", "UNKNOWN") else "may still hold"
            self._tell(f"our profile {said}: DELETE: {order.word or order.reply}, {order.outcome or 'no result'}")

    async def _stop_session(self) -> None:
        probe = self._probe
        if not self._started or not probe.session or not probe.peer.registered:
            return
        self._started = False
        order = await probe.command("STOP_SESSION", {"session_id": probe.session_id})
        self._tell(f"STOP_SESSION: {order.reply}")

    async def _back(self) -> None:
        """Withdraw, stop what we started, unregister: each as far as it goes."""
        unregister = not (self._wishes.stays or self._gone) and (self._last or not self._whole)
        for step in (self._withdraw, self._stop_session, *((self._unregister,) if unregister else ())):
            with suppress(PeerError, TimeoutError):
                async with asyncio.timeout(_BACK_S):
                    await step()

    async def _unregister(self) -> None:
        if self._probe.peer.registered:
            await self._probe.send("DELETE", self._probe.details["credentials", "SENDER"], functional=False)
            self._probe.peer.registration = None


def _needed(only: Collection[str]) -> set[str]:
    """Return which cases have to run for those that are asked for; all where none is named."""
    if not only:
        return set(NAMES)
    on_results = {one.name for one in (*STEERING, *WHOLE) if one.needs == "results"}
    earlier = {one for name in only for one in _EARLIER.get(name, ())}
    return {*only, *earlier, *(("active-first",) if on_results & set(only) else ())}


def _is_of(session: Mapping[str, Any], uid: str) -> bool:
    """Say whether a session may be of that token: of one that does not say whose it is, yes."""
    token = session.get("cdr_token")
    given = token.get("uid") if isinstance(token, dict) else None
    return not isinstance(given, str) or given.casefold() == uid.casefold()


def _is_at(session: Mapping[str, Any], evse: str) -> bool:
    return not evse or str(session.get("evse_uid", "")).casefold() == evse.casefold()
