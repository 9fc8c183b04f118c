"""The arbiter: of all that writers want of a session it makes one TxProfile, and keeps that at the station.

A station that holds fewer periods than the schedule has gets it in windows. A window is renewed before its last period begins;
where that fails, the lowest limit that is still to come goes on (`bench.wire.ocpi.limits`), and a finding tells it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from bench.cso.arbitration import LOCAL, Claim, Policy, Ruling, counting_of, lasting, place_ends, refusal, standing
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.sessions import Sessions
from bench.cso.relay import Outcome, Relay
from bench.ports import Clock
from bench.wire.ocpi.limits import asks, common_unit, merge, spans_of
from bench.wire.ocpi.mapping import NotConvertibleError
from bench.wire.ocpi.profiles import MOST_PERIODS, ChargingProfile

RETRY_S: Final = 60.0
"""After a failed renewal the next one is tried so much later."""

OVER: Final = "nothing of the schedule is left"

Claims = dict[str, Claim]
"""By writer."""
Overruled = Callable[[SessionRecord, str, bool], None]
"""Called with a session, a writer, and whether its claim counts now."""


class Arbiter:
    """Rules over the sessions of a platform.

    Args:
        want_push: called with each session whose limits may have changed.
        changed: called after each change of a claim.
    """

    def __init__(
        self, policy: Policy, clock: Clock, relay: Relay, sessions: Sessions, background: Background, findings: Findings,
        want_push: Callable[[SessionRecord], None], changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.policy: Policy = policy
        self._clock, self._relay, self._sessions = clock, relay, sessions
        self._background, self._findings = background, findings
        self._want_push, self._changed = want_push, changed
        self._order = 0
        self.at_evse: dict[tuple[str, int], Claims] = {}
        """Limits of writers on the spot, by station and EVSE."""
        self.overruled: list[Overruled] = []
        """Told when a claim that counted does not any more, or does again."""

    # parties that come by OCPI ----------------------------------------------------------------------------------

    def refusal(self, record: SessionRecord, writer: str, role: str, *, clears: bool = False) -> str:
        """Return why a party may not set (or clear) a profile at a session; empty where it may. What it has set it may clear."""
        known = record.steering.claims.get(writer)
        if known is not None and clears:
            return ""
        candidate = known or Claim(writer, role, self._order + 1)
        claims = [*(one for one in self.claims(record) if one is not candidate), candidate]
        return refusal(self.policy, self.counting(claims, record.began), candidate)

    def unsupported(self, record: SessionRecord, writer: str, role: str, profile: ChargingProfile) -> str:
        """Return why a profile cannot be given to the station, alone or with what else counts; empty where it can."""
        known = record.steering.claims.get(writer)
        wanted = Claim(writer, role, self._order + 1 if known is None else known.order, profile)
        try:
            ruling = self._ruling(record, [*(one for one in self.claims(record) if one is not known), wanted])
        except NotConvertibleError as error:
            return str(error)
        cut = None if ruling is None else ruling.window(self._clock.now().timestamp())
        return OVER if cut is None else self._relay.not_supported(record.target, cut.profile)

    def hold(self, record: SessionRecord, writer: str, role: str) -> bool:
        """Keep a party's place from the moment its PUT was accepted; say whether it had none."""
        new = writer not in record.steering.claims
        if new:
            claim = record.steering.claims[writer] = self._claim(writer, role)
            self._relay.reserve(record.target, self._slot(claim))
        return new

    def dismiss(self, registered: set[str]) -> None:
        """Take back the claims of parties that have left; what others want goes on."""
        for record in self._sessions.running():
            for one in record.steering.claims.values():
                if one.role not in LOCAL and one.writer not in registered:
                    self._background.start(self._dismiss(record, one))

    async def _dismiss(self, record: SessionRecord, claim: Claim) -> None:
        async with record.steering.turn:
            if record.ended is not None or record.steering.claims.get(claim.writer) is not claim:
                return
            outcome = await self.clear(record, claim.writer)
        if outcome.word == "REJECTED":  # it is tried again when the station is back
            text = f"session {record.session_id}: the profile of {claim.writer}, which has left: {outcome.reason}"
            self._findings.tell("not_withdrawn", text)
        self._want_push(record)

    async def set(
        self, record: SessionRecord, writer: str, role: str, profile: ChargingProfile, *,
        emergency: bool = False, claims: Claims | None = None,
    ) -> Outcome:  # fmt: skip
        """Let a claim rule, within the session's turn; it counts only once the station has accepted what follows from it.

        Where no answer came, the station may hold it all the same: what counts is then brought there again.
        """
        claims = record.steering.claims if claims is None else claims
        before, known = self._counting(record), self._known(claims, writer, record.began)
        claim = known or self._claim(writer, role)
        wish = Claim(writer, claim.role, claim.order, profile, emergency)
        wanted = [*(one for one in self.claims(record) if one is not known), wish]
        sure = False
        try:
            if wish in self.counting(wanted, record.began):
                outcome = await self._install(record, wanted) or Outcome("REJECTED", OVER)
            else:
                outcome = Outcome("REJECTED", "another writer has come to rule this session")
            sure = outcome.sure
        finally:
            if not sure:
                self.resume(record)
        if outcome.word == "ACCEPTED":
            claims[writer], claim.profile, claim.emergency = claim, profile, emergency
            record.steering.opened = True
        self._settle(record, before, claim)
        return outcome

    async def clear(self, record: SessionRecord, writer: str, claims: Claims | None = None) -> Outcome:
        """Take a claim back, within the session's turn: what others want goes on."""
        claims = record.steering.claims if claims is None else claims
        before, claim = self._counting(record), claims.get(writer)
        others = [one for one in self.claims(record) if one is not claim]
        rest = [one for one in self.counting(others, record.began) if one.profile is not None]
        if rest and (claim is None or claim.profile is None):
            claims.pop(writer, None)
            return Outcome("UNKNOWN", "this party has set no profile in this session")
        sure = False
        try:
            outcome = await self._cleared(record, writer, claim, others)
            sure = outcome.sure
        finally:
            if not sure:
                self.resume(record)
        if outcome.word != "REJECTED":
            claims.pop(writer, None)
        self._settle(record, before, claim)
        return outcome

    async def _cleared(self, record: SessionRecord, writer: str, claim: Claim | None, others: list[Claim]) -> Outcome:
        if claim is not None and claim.profile is not None and others:
            claims = self._lasting([*others, claim], record.began)
            if claim not in standing(self.policy, claims, claims):
                return Outcome("ACCEPTED")  # it is over or overruled for ever: nothing of it is at the station
        left = await self._install(record, others) if any(one.profile for one in others) else None
        outcome = left or await self._relay.clear_profile(record.target, self._slot(claim, writer))
        if left is None and outcome.word != "REJECTED":
            self._renew_at(record, None)
        return outcome

    # writers on the spot ----------------------------------------------------------------------------------------

    async def limit(
        self, where: str | tuple[str, int], writer: str, role: str, profile: ChargingProfile, *, emergency: bool = False
    ) -> Outcome:
        """Limit a session, or an EVSE of a station with all sessions to come there; REJECTED where the policy has it so.

        UNKNOWN for a session that does not run.

        Args:
            where: a session's id, or station and EVSE.
            role: one of `LOCAL`.
        """
        claims, records = self._place(where)
        if isinstance(where, str) and not records:
            return Outcome("UNKNOWN", f"no session {where} runs")
        for record in records:
            known = self._known(claims, writer, record.began)
            candidate = Claim(writer, role, known.order if known else self._order + 1, profile, emergency)
            if not self._lasting([candidate], record.began):
                return Outcome("REJECTED", OVER)
            claims_then = [*(one for one in self.claims(record) if one is not known), candidate]
            if reason := refusal(self.policy, self.counting(claims_then, record.began), candidate):
                return Outcome("REJECTED", reason)
        stands = False
        for record in records:
            async with record.steering.turn:
                outcome = Outcome("REJECTED", "the session has ended")
                if record.ended is None:
                    outcome = await self.set(record, writer, role, profile, emergency=emergency, claims=claims)
            self._want_push(record)
            if outcome.word != "ACCEPTED" and (record.ended is None or isinstance(where, str)):
                return outcome
            if not stands and isinstance(where, tuple):
                records += [one for one in self._sessions.at(*where) if one not in records]
            stands = stands or outcome.word == "ACCEPTED"
        if not stands:
            claim = claims[writer] = self._known(claims, writer, None) or self._claim(writer, role)
            claim.profile, claim.emergency = profile, emergency
            self._changed()
        return Outcome("ACCEPTED")

    async def release(self, where: str | tuple[str, int], writer: str) -> Outcome:
        """Take a limit back; UNKNOWN where there is none."""
        claims, records = self._place(where)
        if (claim := claims.get(writer)) is None:
            return Outcome("UNKNOWN", f"{writer} limits nothing there")
        profile = claim.profile
        for record in records:
            async with record.steering.turn:
                outcome = Outcome("ACCEPTED") if record.ended else await self.clear(record, writer, {writer: claim})
            self._want_push(record)
            if outcome.word == "REJECTED" and record.ended is None:
                return outcome
            if writer in claims and (claims[writer] is not claim or claim.profile is not profile):
                return Outcome("ACCEPTED")  # what stands there now was set meanwhile
            if claims.pop(writer, None) and isinstance(where, tuple):
                records += [one for one in self._sessions.at(*where) if one not in records]
        claims.pop(writer, None)
        self._changed()
        return Outcome("ACCEPTED")

    def opened(self, record: SessionRecord) -> None:
        """Take a session's events: the first one brings what already limits its EVSE."""
        if not record.steering.opened and record.ended is None:
            record.steering.opened = True
            self.resume(record)

    def resume(self, record: SessionRecord, *, windows: bool = False) -> None:
        """Bring to the station, in its turn, what counts at a session; `windows`: such, and what is not known to be there."""
        counting = self._counting(record)
        if not counting:
            return
        if windows:
            try:
                ruling = self._ruling(record, counting)
            except NotConvertibleError:
                return
            slot, whole = self._slot(counting[0]), None if ruling is None else ruling.whole
            if ruling is None or (whole is not None and self._relay.is_installed(record.target, slot, whole)):
                return
        self._renew_at(record, self._clock.now().timestamp(), again=True)

    # what counts ------------------------------------------------------------------------------------------------

    def claims(self, record: SessionRecord) -> list[Claim]:
        """Return all claims at a session in the order of their coming, with those at its EVSE."""
        at_evse = self.at_evse.get((record.target.station, record.target.evse_id), {})
        return sorted([*record.steering.claims.values(), *at_evse.values()], key=lambda one: one.order)

    def restore(self, record: SessionRecord, claims: list[Claim]) -> None:
        """Take back the claims that a session had before a restart."""
        record.steering.claims = {one.writer: one for one in claims}
        self._order = max([self._order, *(one.order for one in claims)])

    def restore_at(self, where: tuple[str, int], claims: list[Claim]) -> None:
        """Take back the limits that an EVSE had before a restart."""
        self.at_evse[where] = {one.writer: one for one in claims}
        self._order = max([self._order, *(one.order for one in claims)])

    def due(self, record: SessionRecord, writer: str, profile: ChargingProfile, at: float) -> dict[str, Any] | None:
        """Return the OCPP profile that a writer's wish led to at a moment; None where it led to none."""
        known = record.steering.claims.get(writer)
        if known is None:
            return None
        wanted = Claim(writer, known.role, known.order, profile)
        claims = [wanted if one is known else one for one in self.claims(record)]
        try:
            ruling = self._ruling(record, claims, at)
            cut = None if ruling is None or wanted not in self.counting(claims, record.began, at) else ruling.window(at)
            return None if cut is None else self._relay.as_sent(record.target, self._slot(wanted), cut.profile)
        except NotConvertibleError:
            return None

    def take(self, record: SessionRecord, writer: str, profile: ChargingProfile | None) -> None:
        """Take a writer's wish for installed, for the station shows it; None: for cleared."""
        claim = record.steering.claims.get(writer)
        if claim is None:
            return
        claim.profile = profile
        if profile is None:
            del record.steering.claims[writer]
        self._relay.found(record.target, self._slot(claim), profile)
        self._changed()

    def _ruling(self, record: SessionRecord, claims: list[Claim], at: float | None = None) -> Ruling | None:
        claims = self._lasting(claims, record.began, at)
        wishes = {one: one.profile for one in standing(self.policy, claims, claims) if one.profile is not None}
        supply = self._relay.supply(record.target)
        if not wishes or supply is None:
            return None
        most, profiles = min(supply.periods, MOST_PERIODS), list(wishes.values())
        if len(profiles) > 1:
            unit, counting = common_unit(profiles, supply), counting_of(self.policy, list(wishes))
            return Ruling(None, merge(profiles, unit, supply, record.began, counting), unit, most)
        (only,) = profiles
        if len(only.charging_profile_period) <= most:
            return Ruling(only, [], only.charging_rate_unit, most)
        return Ruling(None, spans_of(only, record.began), only.charging_rate_unit, most, only.min_charging_rate)

    def counting(self, claims: Collection[Claim], began: datetime | None, at: float | None = None) -> list[Claim]:
        """Return the claims that count at a moment, now where none is given: one that asks for nothing then rules nobody out."""
        at = self._clock.now().timestamp() if at is None else at
        idle = [one for one in claims if one.profile is not None and not asks(one.profile, at, began)]
        return standing(self.policy, lasting(claims, at, began), idle)

    def _known(self, claims: Claims, writer: str, began: datetime | None) -> Claim | None:
        """Return a writer's claim, unless it has lost its place."""
        return next(iter(self._lasting([one for one in (claims.get(writer),) if one], began)), None)

    def _lasting(self, claims: Collection[Claim], began: datetime | None, at: float | None = None) -> list[Claim]:
        return lasting(claims, self._clock.now().timestamp() if at is None else at, began)

    def _counting(self, record: SessionRecord) -> list[Claim]:
        return [one for one in self.counting(self.claims(record), record.began) if one.profile is not None]

    def _settle(self, record: SessionRecord, before: list[Claim], actor: Claim | None) -> None:
        """Tell all but the one who acted whether their claims count no more, or count again."""
        self._changed()
        after = self._counting(record)
        for one in self.claims(record):
            if one is not actor and (one in before) != (one in after):
                self._tell(record, one, one in after)

    def _tell(self, record: SessionRecord, claim: Claim, counts: bool) -> None:
        how = "counts again" if counts else "was overruled"
        text = f"session {record.session_id}: the profile of {claim.writer} ({claim.role}) {how} (policy {self.policy})"
        self._findings.tell("overruled", text)
        for listener in tuple(self.overruled):
            listener(record, claim.writer, counts)

    def _claim(self, writer: str, role: str) -> Claim:
        self._order += 1
        return Claim(writer, role, self._order)

    def _place(self, where: str | tuple[str, int]) -> tuple[Claims, list[SessionRecord]]:
        if isinstance(where, tuple):
            return self.at_evse.setdefault(where, {}), self._sessions.at(*where)
        record = self._sessions.find(where)
        return ({}, []) if record is None or record.ended is not None else (record.steering.claims, [record])

    def _slot(self, claim: Claim | None, writer: str = "") -> str:
        """Return under whose name the session's one TxProfile is installed: one id for one writer, one for what is merged."""
        return (claim.writer if claim else writer) if self.policy == "one_writer" else ""

    # at the station ---------------------------------------------------------------------------------------------

    async def _install(self, record: SessionRecord, claims: list[Claim]) -> Outcome | None:
        """Give the station what follows from claims; None where nothing is left to give."""
        counted = [one for one in self.counting(claims, record.began) if one.profile is not None]
        try:
            ruling = self._ruling(record, claims)
        except NotConvertibleError as error:
            return Outcome("REJECTED", str(error))
        cut = None if ruling is None else ruling.window(self._clock.now().timestamp())
        if cut is None:
            return None
        outcome = await self._relay.set_profile(record.target, self._slot(counted[0]), cut.profile)
        if outcome.word == "ACCEPTED":
            followed_at = place_ends(self.policy, self._lasting(claims, record.began), record.began)
            self._renew_at(record, min((at for at in (cut.renew_at, followed_at) if at is not None), default=None))
        return outcome

    def _renew_at(self, record: SessionRecord, at: float | None, *, again: bool = False) -> None:
        """Let the next window follow at a moment, in seconds of the calendar, or what counts once more; None: nothing follows."""
        former, record.steering.renewal = record.steering.renewal, None
        if former is not None and former is not asyncio.current_task():
            former.cancel()
        if at is not None:
            record.steering.renewal = self._background.start(self._renew(record, at, again))

    async def _renew(self, record: SessionRecord, at: float, again: bool) -> None:
        told = False
        while not await self._over(record, at - self._clock.now().timestamp()):
            async with record.steering.turn:
                if record.ended is not None:
                    return
                outcome = await self._install(record, self.claims(record))
            self._want_push(record)
            if outcome is None or outcome.word == "ACCEPTED":
                return
            if not told:
                what = "what counts there" if again else "the next part of the schedule"
                goes_on = "" if again else "the lowest limit that is still to come goes on, and "
                text = f"session {record.session_id}: {what} is not at the station: {outcome.reason}"
                self._findings.tell("renewal_failed", f"{text}; {goes_on}it is tried again every {RETRY_S:g} s")
                told = True
            at = self._clock.now().timestamp() + RETRY_S

    async def _over(self, record: SessionRecord, seconds: float) -> bool:
        """Wait so long, or until the session has ended; say whether it has."""
        if not record.over.done() and seconds > 0:
            await asyncio.wait([record.over], timeout=seconds)
        return record.over.done()

