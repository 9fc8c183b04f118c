"""Charging profiles at the stations: set, clear, get and report, composite, remote start; intent and installed (K01-K10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bench.cso.core import CsmsCore, Handler, Payload
from bench.cso.profile_book import EXTERNAL, Installed, Intended, ProfileBook, State
from bench.cso.station import Outbox, ProfileReport, RemoteStart, StationState
from bench.errors import CallTimeoutError, StationError, UsageError

MOST_REPORTED: Final = 10_000
"""Profiles of one report, and its parts; what comes beyond is dropped."""
MOST_WAITS: Final = 20
"""So many times the time of a call a report may take in all, for a station that never comes to an end."""
MOST_LOOSE: Final = 20
"""Reports that are awaited for a raw GetChargingProfiles, at one station."""
Settle = Callable[[State], None]


class Profiles:
    """The profiles of all stations. Each call to a station is noted in its book, whoever sends it."""

    def __init__(self, core: CsmsCore) -> None:
        self._core = core
        self.books: dict[str, ProfileBook] = {}
        """By station id."""
        self.handlers: dict[str, Handler] = {"ReportChargingProfiles": self._reported}
        self.follow = False
        """True: read back by itself after a boot and after the end of a transaction."""

    def book(self, station_id: str) -> ProfileBook:
        """Return what is intended and what is installed at one station."""
        return self.books.setdefault(station_id, ProfileBook())

    def installed_view(self, station_id: str) -> list[dict[str, Any]]:
        """Return `{"evseId", "chargingProfile"}` of what is installed by the last read-back, else of what was accepted."""
        book = self.book(station_id)
        if book.installed is not None and not book.due:
            return [{"evseId": one.evse_id, "chargingProfile": dict(one.profile)} for one in book.installed]
        held: list[Installed | Intended] = [*book.found.values()]
        held += [one for one in book.intent.values() if one.evse_id is not None]
        return [{"evseId": one.evse_id, "chargingProfile": dict(one.profile)} for one in held]

    # what is sent ----------------------------------------------------------------------------------------------

    async def set(
        self,
        station_id: str,
        evse_id: int,
        profile: Mapping[str, Any],
        *,
        read_back: bool = True,
        by: str = "",
        deliberate: bool = False,
        check: bool = True,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send a SetChargingProfile, read the store back, and return the answer.

        At any time (K01.FR.02): a TxProfile limits one running transaction (K01.FR.01), a TxDefaultProfile any (K01.FR.08).
        Args: profile: a ChargingProfileType. by: who asks for it. deliberate: a rule is broken on purpose.
        Raises: as `Csms.call`; a CallTimeoutError says what the read-back showed. Source: K01.
        """
        request = {"evseId": evse_id, "chargingProfile": dict(profile)}
        options: dict[str, Any] = {"check": check, "timeout_s": timeout_s, "by": by, **_rules(deliberate)}
        return await self._change(station_id, "SetChargingProfile", request, read_back, options)

    async def clear(
        self,
        station_id: str,
        *,
        profile_id: int | None = None,
        criteria: Mapping[str, Any] | None = None,
        read_back: bool = True,
        deliberate: bool = False,
    ) -> dict[str, Any]:
        """Send a ClearChargingProfile, read the store back, and return the answer.

        Args: criteria: one or more of evseId, stackLevel, chargingProfilePurpose.
        Raises: UsageError where K10.FR.02 or FR.06 is broken and that is not deliberate; else as `set`.
        """
        request: dict[str, Any] = {} if profile_id is None else {"chargingProfileId": profile_id}
        if criteria is not None:
            request["chargingProfileCriteria"] = dict(criteria)
        if not deliberate:
            if (profile_id is None) == (not criteria):
                raise UsageError("clear names either a profile id, or one or more of evseId, stackLevel and purpose (K10.FR.02)")
            if criteria and criteria.get("chargingProfilePurpose") == EXTERNAL:
                raise UsageError(f"a CSMS does not clear {EXTERNAL} (K10.FR.06)")
        return await self._change(station_id, "ClearChargingProfile", request, read_back, _rules(deliberate))

    async def request_start(
        self,
        station_id: str,
        id_token: Mapping[str, Any],
        evse_id: int | None = None,
        profile: Mapping[str, Any] | None = None,
        *,
        read_back: bool = True,
        by: str = "",
        deliberate: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        """Send a RequestStartTransaction, on request with a TxProfile (K05.FR.01); return its remoteStartId and the answer.

        `StationState.remote_starts` says which transaction came of it.
        Raises: UsageError for a profile that is no TxProfile or names a transaction, unless deliberate (K05.FR.02).
        """
        remote_start_id = self._core.ids.number(2**31 - 1)
        request: dict[str, Any] = {"remoteStartId": remote_start_id, "idToken": dict(id_token)}
        if evse_id is not None:
            request["evseId"] = evse_id
        if profile is not None:
            request["chargingProfile"] = dict(profile)
            wrong = profile.get("chargingProfilePurpose") != "TxProfile" or "transactionId" in profile
            if wrong and not deliberate:
                raise UsageError("a profile with a remote start is a TxProfile without transactionId (K05.FR.02)")
        options: dict[str, Any] = {"by": by, **_rules(deliberate)}
        reads = read_back and profile is not None
        return remote_start_id, await self._change(station_id, "RequestStartTransaction", request, reads, options)

    async def composite(self, station_id: str, evse_id: int, duration_s: int, unit: str | None = None) -> dict[str, Any]:
        """Return the answer to a GetCompositeSchedule of an EVSE, or of the station (`evse_id` 0).

        Raises: as `call`. Source: K08.FR.01.
        """
        request: dict[str, Any] = {"evseId": evse_id, "duration": duration_s}
        if unit is not None:
            request["chargingRateUnit"] = unit
        return await self._core.call(station_id, "GetCompositeSchedule", request)

    async def report(
        self,
        station_id: str,
        *,
        evse_id: int | None = None,
        ids: Sequence[int] | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
        sources: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return `{"evse_id", "source", "profile"}` for each installed profile that matches, in the order of the report.

        Without arguments it is the read-back of the whole store, which is compared with the intent.
        Args: evse_id: one EVSE, 0 for the station's own profiles, None for all.
        Raises: UsageError where ids stand beside other criteria (K09.FR.03); as `call`; CallTimeoutError where the
            announced report does not come to its end.
        """
        others = {"chargingProfilePurpose": purpose, "stackLevel": stack_level, "chargingLimitSource": sources}
        criteria: dict[str, Any] = {key: value for key, value in others.items() if value is not None}
        if ids is not None:
            if criteria:
                raise UsageError("criteria are either profile ids, or stack level, source and purpose (K09.FR.03)")
            criteria["chargingProfileId"] = list(ids)
        request_id = self._core.ids.number(2**31 - 1)
        request: dict[str, Any] = {"requestId": request_id, "chargingProfile": criteria}
        if evse_id is not None:
            request["evseId"] = evse_id
        station = self._core.stations.setdefault(station_id, StationState(station_id))
        report = station.reports[request_id] = ProfileReport(evse_id, not criteria and evse_id is None)
        report.version = self.book(station_id).version
        try:
            answer = await self._core.call(station_id, "GetChargingProfiles", request)
            if answer["status"] == "NoProfiles":
                self._completed(station_id, report)
                return []
            await self._complete(station_id, report)
            return report.profiles()
        finally:
            station.reports.pop(request_id, None)

    async def _complete(self, station_id: str, report: ProfileReport) -> None:
        """Wait for the end of a report, as long as another part comes within the time of a call, and not for ever."""
        limit_s = self._core.call_timeout_s
        deadline = self._core.clock.monotonic() + MOST_WAITS * limit_s
        while not report.complete:
            before = len(report.parts)
            moved = await self._core.wait_until(partial(report.moved_since, before), limit_s)
            if report.overflowed and not report.complete:
                raise StationError(f"{station_id}: ReportChargingProfiles does not end after {len(report.parts)} parts")
            if not moved or (not report.complete and self._core.clock.monotonic() >= deadline):
                before = len(report.parts)
                came = f"{before} parts with {report.size} profiles came, the last with tbc" if before else "no part came"
                waited_s = MOST_WAITS * limit_s if moved else limit_s
                raise CallTimeoutError(f"{station_id} did not complete ReportChargingProfiles within {waited_s:g} s: {came}")

    async def _change(
        self, station_id: str, action: str, request: dict[str, Any], read_back: bool, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            answer = await self._core.call(station_id, action, request, **options)
        except CallTimeoutError as error:
            if not read_back or not await self.verify(station_id):
                raise
            raise CallTimeoutError(f"{error}; the store as read back: {self._shown(station_id)}") from None
        if read_back:
            await self.verify(station_id)
        return answer

    async def verify(self, station_id: str) -> bool:
        """Read the whole store back and compare it with the intent; return whether that succeeded, a finding where not."""
        try:
            await self.report(station_id)
        except StationError as error:
            self._core.finding(station_id, "read_back_failed", str(error))
            return False
        return True

    def _shown(self, station_id: str) -> str:
        held = self.book(station_id).installed or ()
        return ", ".join(f"profile {one.profile['id']} on EVSE {one.evse_id}" for one in held[:20]) or "no profile"

    # what calls and events change ------------------------------------------------------------------------------

    def asking(self, station_id: str, action: str, payload: Mapping[str, Any], by: str, deliberate: bool) -> Settle | None:
        """Note a call that is about to go out; returns what is told of its answer, or None where it is of no interest."""
        book, now = self.book(station_id), self._core.clock.now()
        profile, evse_id, remote = payload.get("chargingProfile"), payload.get("evseId"), payload.get("remoteStartId")
        if action == "ClearChargingProfile":
            return lambda state: book.cleared(payload, state)
        if action == "GetChargingProfiles":
            self._expect_loose(station_id, payload)
        starts = action == "RequestStartTransaction"
        if starts and isinstance(remote, int):
            state_of_station = self._core.stations.setdefault(station_id, StationState(station_id))
            state_of_station.remote_starts[remote] = RemoteStart(evse_id)
        if not isinstance(profile, Mapping) or not (starts or action == "SetChargingProfile"):
            return None
        one = Intended(evse_id, profile, by, deliberate, now, remote_start_id=remote if starts else None)
        book.sent(one)
        return lambda state: book.answered(one, state)

    def _expect_loose(self, station_id: str, payload: Mapping[str, Any]) -> None:
        """Expect the report of a GetChargingProfiles that somebody sends by himself."""
        reports, request_id = self._core.stations[station_id].reports, payload.get("requestId")
        loose = [known for known, report in reports.items() if report.loose]
        if isinstance(request_id, int) and request_id not in reports and len(loose) < MOST_LOOSE:
            whole = payload.get("chargingProfile") == {} and "evseId" not in payload
            reports[request_id] = ProfileReport(payload.get("evseId"), whole, loose=True)
            reports[request_id].version = self.book(station_id).version

    def heard(self, event: Mapping[str, Any]) -> None:
        """Take an event of the CSMS: boots and transactions change what is installed."""
        station_id, kind = event["station"], event["event"]
        if kind == "connected" and self._unanswered(station_id) and self._core.faults.apply("resends", station_id, value=True):
            self._core.spawn(station_id, "send again", self._settle(station_id))
        if kind == "boot":
            self.book(station_id).changed("the station booted")
        elif kind == "transaction":
            self._transaction(station_id, event)
        if self.follow and (kind == "boot" or (kind == "transaction" and event["phase"] == "Ended")):
            self._core.spawn(station_id, "read back", self._verify_later(station_id))

    def _unanswered(self, station_id: str) -> list[Intended]:
        return [one for one in self.book(station_id).intent.values() if one.state == "unknown" and not one.deliberate]

    async def _settle(self, station_id: str) -> None:
        """Read back what was never answered before the connection broke, and send again what is not there."""
        asked = self._unanswered(station_id)
        if not await self.verify(station_id):
            return
        transactions = self._core.stations[station_id].transactions
        for one in asked:
            running = transactions.get(one.profile.get("transactionId", ""))
            over = "transactionId" in one.profile and (running is None or running.ended is not None)
            if one.state == "refused" and one.evse_id is not None and not over:
                await self.set(station_id, one.evse_id, one.profile, by=one.by)

    def _transaction(self, station_id: str, event: Mapping[str, Any]) -> None:
        book, remote = self.book(station_id), event["remote_start_id"]
        if remote is not None:
            start = self._core.stations[station_id].remote_starts.get(remote)
            if start is None:
                text = f"transaction {event['transaction_id'][:60]} names remoteStartId {remote}, which was not asked for"
                self._core.finding(station_id, "unknown_remote_start", text)
            elif start.transaction_id is None:
                start.transaction_id = event["transaction_id"]
                book.bound(remote, event["transaction_id"], event["evse"])
        if event["phase"] == "Ended":
            book.transaction_ended(event["transaction_id"])

    async def _verify_later(self, station_id: str) -> None:
        await self.verify(station_id)

    # what the station reports ----------------------------------------------------------------------------------

    def _reported(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """K09: the parts of one report share a requestId; `tbc` says that more follow."""
        request_id = payload["requestId"]
        report = station.reports.get(request_id)
        if report is None or report.complete:
            text = f"requestId {request_id} was not asked for, or its report was complete"
            out.findings.append(("unexpected_report", text))
            self.book(station.station_id).due = "a part of a report came outside of it"
            return {}
        known = {(one["evse_id"], one["profile"]["id"]) for one in report.profiles()} if len(report.parts) < 100 else set()
        twice = sorted({one["id"] for one in payload["chargingProfile"] if (payload["evseId"], one["id"]) in known})
        if twice:
            out.findings.append(("report_repeated", f"requestId {request_id}: profiles {twice[:10]} were reported before"))
        if report.evse_id not in (None, payload["evseId"]):
            text = f"requestId {request_id} asked for EVSE {report.evse_id}, reported is EVSE {payload['evseId']} (K09.FR.04)"
            out.findings.append(("report_not_asked_for", text))
        if report.size >= MOST_REPORTED or len(report.parts) >= MOST_REPORTED:
            if not report.overflowed:
                out.findings.append(("report_too_long", f"requestId {request_id}: more than {MOST_REPORTED} profiles or parts"))
            report.overflowed = True
        else:
            report.parts.append(payload)
            report.size += len(payload["chargingProfile"])
        if not payload.get("tbc", False):
            self._completed(station.station_id, report, out)
            if report.loose:
                del station.reports[request_id]
        return {}

    def _completed(self, station_id: str, report: ProfileReport, out: Outbox | None = None) -> None:
        """Take a complete report; of the whole store, and with nothing changed meanwhile, it is a read-back."""
        report.complete = True
        book = self.book(station_id)
        if not report.whole or report.overflowed or report.version != book.version:
            return
        shown = [Installed(one["evse_id"], one["source"], one["profile"]) for one in report.profiles()]
        parted = book.read_back(shown, self._core.clock.now())
        text = str(parted)
        if parted and text != book.told and out is not None:
            out.findings.append(("intent_installed_differ", text))
        elif parted and text != book.told:
            self._core.finding(station_id, "intent_installed_differ", text)
        book.told = text


def _rules(deliberate: bool) -> dict[str, Any]:
    """Return how `Csms.call` is told that a rule is broken on purpose."""
    return {"rules": "deliberate"} if deliberate else {}
