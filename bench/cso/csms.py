"""The bench's CSMS: serves the connections of many stations, journals every frame, and sends calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from bench.cso.answering import DEFECT, Answering
from bench.cso.background import Background, Work
from bench.cso.charging_needs import Needs, NeedsPolicy
from bench.cso.connection import Connection
from bench.cso.device_model import DeviceModel
from bench.cso.faults import OwnFaults
from bench.cso.handlers import Handlers, accept_everyone
from bench.cso.knocks import MOST_OF_AN_ID, Knock, Knocks
from bench.cso.profile_book import State, became
from bench.cso.profile_gate import Rules, judge_before_sending, station_view
from bench.cso.profiles import Profiles
from bench.cso.station import Outbox, StationState, Transaction, learnable_tokens
from bench.domain.documents import Kind
from bench.errors import CallRejectedError, CallTimeoutError, InvalidAnswerError, StationError, StationOfflineError
from bench.ports import Authorizer, Clock, IdSource, Journal, Listener, StationLink, Unsubscribe
from bench.settings.rig import RigSettings
from bench.wire.ocppj import BadFrame, CallReceived, ErrorReceived, Event, OcppSession, Remark, ResultReceived, call_id

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
PEER_BROKE_WEBSOCKET: Final = (1002, 1007, 1009)
"""Close codes of a peer that broke the WebSocket protocol itself, sent text that is not UTF-8, or far too much of it."""
SHOWN_OF_OVERSIZED: Final = 2_000
TOO_LONG_TO_JOURNAL: Final = "oversized_frame"

_log = logging.getLogger("bench.ocpp")


class Csms:
    """All stations of a rig. Does I/O through ports alone.

    `stations` has each station of the rig file from the start.

    Args:
        listeners: called with each event, a mapping such as `{"event": "transaction", "station": …}`, after the answer
            to the message that caused it is on its way, a transaction's before. Events: connected, disconnected, boot, status,
            authorize, transaction (`phase` Started, Updated, Ended), meter_values, charging_limit, charging_needs, ev_schedule,
            report, event_data, security_event, log_status, firmware_status.
        authorize: gives the status of an identification token, or what gives it later; see `authorize_by`.
        needs: how charging needs of ISO 15118 EVs are answered; a profile at once where absent.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        ids: IdSource,
        settings: RigSettings,
        *,
        listeners: Iterable[Listener] = (),
        authorize: Authorizer = accept_everyone,
        needs: NeedsPolicy | None = None,
    ) -> None:
        self.clock, self.ids, self._journal, self._settings = clock, ids, journal, settings.csms
        self.call_timeout_s: float = settings.csms.call_timeout_s
        self._listeners: list[Listener] = list(listeners)
        self._described = {one.id: one for one in settings.station}
        self._background = Background(self._failed)
        self._connections: dict[str, Connection] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._closing: list[asyncio.Task[None]] = []
        self.stations: dict[str, StationState] = {
            one.id: StationState(one.id, tuple(evse.id for evse in one.evse)) for one in settings.station
        }
        self._knocks = Knocks()
        for one in settings.station:
            if one.password is not None:
                journal.secret(one.password.get_secret_value())
        self.faults = OwnFaults()
        self.profiles, self.device = Profiles(self), DeviceModel(self)
        self.needs = Needs(self, self.profiles, settings, needs or NeedsPolicy())
        own = {**self.profiles.handlers, **self.device.handlers, **self.needs.handlers}
        self._handlers = Handlers(clock, settings.csms.heartbeat_interval_s, authorize, own)
        self._answering = Answering(self._handlers, self.faults, partial(self.finding, source="bench"))

    # connections -----------------------------------------------------------------------------------------------

    async def attach(self, station_id: str, link: StationLink, peer: str = "") -> None:
        """Serve one connection until it ends. A second one of the same station supersedes the first."""
        station = self.stations.setdefault(station_id, StationState(station_id))
        session = OcppSession(max_bytes=self._settings.max_frame_bytes, seen=station.seen)
        connection, previous = Connection(link, session), self._connections.get(station_id)
        if previous is not None:
            self._supersede(station_id, previous)
        self._connections[station_id] = connection
        station.online, station.connections = True, station.connections + 1
        self._knocks.note(self.clock.now(), station_id, peer, True)
        self._journal.write(Kind.STATION_LINK, {"station": station_id, "event": "connected", "reason": "", "remedy": ""})
        self._publish([{"event": "connected", "station": station_id}])
        try:
            await link.serve(partial(self._receive, station, connection))
        finally:
            self._detach(station, connection)

    def knock(self, station_id: str, peer: str, reason: str, remedy: str) -> None:
        """Note someone who was refused, with a reason and a remedy in words."""
        self._knocks.note(self.clock.now(), station_id, peer, False, reason, remedy)
        data = {"station": station_id[:MOST_OF_AN_ID], "event": "refused", "peer": peer, "reason": reason, "remedy": remedy}
        self._journal.write(Kind.STATION_LINK, data)
        self._changed()

    @property
    def knocks(self) -> list[Knock]:
        """Everyone who tried to connect; the same one for the same reason once, with a count."""
        return self._knocks.all()

    def _supersede(self, station_id: str, previous: Connection) -> None:
        """Close the old connection in the background: its other end may be long gone and never answer."""
        self.finding(station_id, "superseded", "a second connection of this station replaces the first")
        previous.end("superseded by a new connection")
        self._closing = [task for task in self._closing if not task.done()]
        closing = previous.link.close(POLICY_VIOLATION, "superseded by a new connection")
        self._closing.append(asyncio.ensure_future(closing))

    def _detach(self, station: StationState, connection: Connection) -> None:
        code, reason = connection.link.ended() or (1006, "")
        text = f"{code} {reason}".rstrip()
        connection.end(f"the connection ended ({text})")
        data = {"station": station.station_id, "event": "closed", "reason": text, "remedy": ""}
        self._journal.write(Kind.STATION_LINK, data)
        if code in PEER_BROKE_WEBSOCKET:
            self.finding(station.station_id, "websocket_violation", f"the connection had to be closed: {text}")
        if self._connections.get(station.station_id) is connection:
            del self._connections[station.station_id]
            station.online = False
            self._publish([{"event": "disconnected", "station": station.station_id}])

    async def close(self) -> None:
        """End what runs in the background, close all connections with 1001, and wait for them."""
        await self._background.close()
        links = [connection.link for connection in self._connections.values()]
        await asyncio.gather(*(link.close(GOING_AWAY, "the bench is closing") for link in links), *self._closing)

    # frames ----------------------------------------------------------------------------------------------------

    def _receive(self, station: StationState, connection: Connection, frame: str | bytes) -> None:
        """Journal a frame, act on it, answer it, and tell what came of it: in this order, but for a transaction's."""
        if self._connections.get(station.station_id) is not connection:
            return  # superseded: what still lay in the old connection's buffer
        event = self._understood(connection, frame)
        if isinstance(event, CallReceived) and ("idToken" in event.payload or "reportData" in event.payload):
            self._learn(event.payload)
        ref = self._journal_received(station.station_id, frame, event)
        station.last_seen = self.clock.now()
        if isinstance(event, CallReceived):
            out = Outbox()
            reply = self._answering.answer(station, connection.session, event, out)
            self._remark(station.station_id, event.remarks, ref)
            if out.later is not None:
                waiting = self._answer_later(station, connection, event, out, ref)
                self.spawn(station.station_id, f"answer to document {ref}", waiting)
                self._changed()
                return
        elif isinstance(event, BadFrame):
            out, reply = Outbox(), event.reply
            self._remark(station.station_id, (event.remark,), ref)
        else:
            self._remark(station.station_id, event.remarks, ref)
            if connection.answer is not None and not connection.answer.done():
                connection.answer.set_result(event)
            return
        self._finish(station.station_id, connection, reply, out, ref)

    async def _answer_later(
        self, station: StationState, connection: Connection, call: CallReceived, out: Outbox, ref: int
    ) -> None:
        """Answer once an identification token is decided on; the station's other frames do not wait for it."""
        reply = await self._answering.later(station, connection.session, call, out)
        self._finish(station.station_id, connection, reply, out, ref)

    def _finish(self, station_id: str, connection: Connection, reply: str | None, out: Outbox, ref: int) -> None:
        """Answer a frame, then tell what came of it; of a transaction before, to be kept: once answered, none tells it again."""
        try:
            if first := [one for one in out.events if one["event"] == "transaction"]:
                self._publish(first)
        finally:
            try:
                if reply is not None:
                    self._send(station_id, connection, reply)
            except StationOfflineError:  # the end of the connection will say so
                self.finding(station_id, "answer_not_sent", "the connection was closed before the answer", ref)
        for code, text in out.findings:
            self.finding(station_id, code, text, ref)
        self._publish(one for one in out.events if one not in first)

    def _understood(self, connection: Connection, frame: str | bytes) -> Event:
        """Return what a frame means; a defect of ours costs neither its place in the journal nor the connection."""
        try:
            return connection.session.receive(frame, self.clock.monotonic())
        except Exception as error:
            _log.exception("a frame could not be read")
            remark = Remark(DEFECT, f"the bench failed to read a frame: {type(error).__name__}: {error}")
            message_id = call_id(frame)
            reply = message_id and connection.session.make_error(message_id, "InternalError", "the bench failed to read it")
            return BadFrame(reply, remark)

    def _learn(self, payload: Mapping[str, Any]) -> None:
        for token in learnable_tokens(payload):
            self._journal.secret(token)

    def _send(self, station_id: str, connection: Connection, text: str) -> None:
        """Put a frame on the wire and into the journal, with nothing between: what was not sent is not in it."""
        connection.link.send(text)
        self._journal_frame(station_id, "out", text)

    def _journal_received(self, station_id: str, frame: str | bytes, event: object) -> int:
        if isinstance(frame, bytes):
            text = frame.decode(errors="backslashreplace")
            return self._journal_frame(station_id, "in", text[:SHOWN_OF_OVERSIZED], binary=True, length=len(frame))
        if isinstance(event, BadFrame) and event.remark.code == TOO_LONG_TO_JOURNAL:
            return self._journal_frame(station_id, "in", frame[:SHOWN_OF_OVERSIZED], truncated=True, length=len(frame))
        return self._journal_frame(station_id, "in", frame)

    def _journal_frame(self, station_id: str, direction: str, raw: str, **more: object) -> int:
        return self._journal.write(Kind.OCPP_FRAME, {"station": station_id, "dir": direction, "raw": raw, **more})

    def _remark(self, station_id: str, remarks: Iterable[Remark], ref: int) -> None:
        for remark in remarks:
            self.finding(station_id, remark.code, remark.text, ref, source="bench" if remark.code == DEFECT else "station")

    def finding(self, station_id: str, code: str, text: str, *refs: int, source: str = "station") -> None:
        """Journal something worth knowing about a station."""
        data = {"source": source, "station": station_id, "code": code, "text": text, "refs": list(refs)}
        self._journal.write(Kind.FINDING, data)

    # calls -----------------------------------------------------------------------------------------------------

    async def call(
        self,
        station_id: str,
        action: str,
        payload: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        check: bool = True,
        rules: Rules | None = None,
        by: str = "",
    ) -> dict[str, Any]:
        """Send one CALL and return the CALLRESULT's payload. Calls to one station wait for one another, in order.

        Args:
            timeout_s: from the sending of the frame to its answer; the rig file's `call_timeout_s` where absent.
            check: off for negative tests: an invalid payload is sent and an invalid answer is returned.
            rules: what becomes of a charging profile that breaks a rule which is the CSMS's to keep (K01): refused, but where
                `check` is off, which is an order to break one.
            by: who asks, for the book of charging profiles.
        Raises: SchemaError, ProfileRuleError, StationOfflineError, CallTimeoutError, CallRejectedError, InvalidAnswerError.
        """
        payload = self.faults.outgoing(station_id, action, payload)
        lock = self._locks.get(station_id)
        if lock is None:
            lock = self._locks[station_id] = asyncio.Lock()
        async with lock:
            connection = self._connections.get(station_id)
            if connection is None:
                raise StationOfflineError(f"{station_id} is not connected")
            kept: Rules = rules or ("refuse" if check else "deliberate")
            for code, text in self.profile_findings(station_id, action, payload, kept):
                self.finding(station_id, code, text, source="bench")
            settle = self.profiles.asking(station_id, action, payload, by, kept == "deliberate")
            self.device.asking(station_id, action, payload)
            state: State = "unknown"
            try:
                event = await self._exchange(station_id, connection, action, payload, timeout_s, check)
                state = became(None if isinstance(event, ErrorReceived) else event.payload)
            finally:
                if settle is not None:
                    settle(state)
        if isinstance(event, ErrorReceived):
            if event.code == "NotImplemented":
                self.finding(station_id, "not_implemented", f"the station does not know {action}")
            raise CallRejectedError(action, event.code, event.description, event.details)
        if event.violation is not None and check:
            raise InvalidAnswerError(action, str(event.violation), event.payload)
        for more, content in self.faults.apply("follow_up", station_id, action, value=[]):
            await self.call(station_id, more, content)
        answer: dict[str, Any] = event.payload
        return answer

    def profile_findings(self, station_id: str, action: str, payload: Mapping[str, Any], rules: Rules) -> list[tuple[str, str]]:
        """Return what is wrong with a profile, see `judge_before_sending`; nothing at a station that no rig file describes."""
        described = self._described.get(station_id)
        if described is None:
            return []
        held = tuple((one["evseId"], one["chargingProfile"]) for one in self.profiles.installed_view(station_id))
        view = station_view(self.stations[station_id], described.features, len(described.evse), held)
        return judge_before_sending(action, payload, view, rules)

    async def _exchange(
        self, station_id: str, connection: Connection, action: str, payload: Mapping[str, Any], timeout_s: float | None,
        check: bool,
    ) -> ResultReceived | ErrorReceived:  # fmt: skip
        limit_s = self._settings.call_timeout_s if timeout_s is None else timeout_s
        text = connection.session.make_call(action, payload, self.ids.token(32), self.clock.monotonic(), check=check)
        if "idToken" in payload:
            self._learn(payload)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ResultReceived | ErrorReceived] = loop.create_future()
        connection.answer = answer

        def expire() -> None:
            if not answer.done():
                answer.set_exception(CallTimeoutError(f"{station_id} did not answer {action} within {limit_s:g} s"))

        deadline = loop.call_later(limit_s, expire)
        try:
            self._send(station_id, connection, text)
            return await answer
        finally:
            deadline.cancel()
            connection.session.give_up()
            connection.answer = None

    async def installed_profiles(self, station_id: str, evse_id: int | None = None) -> list[dict[str, Any]]:
        """Return `{"evse_id", "source", "profile"}` for each installed charging profile; see `Profiles.report`."""
        return await self.profiles.report(station_id, evse_id=evse_id)

    def spawn(self, station_id: str, name: str, work: Work) -> None:
        """Do something in the background, after what bears the same name at the same station; it ends with the CSMS."""
        self._background.start(station_id, name, work)

    def _failed(self, station_id: str, name: str, error: Exception) -> None:
        if isinstance(error, StationError):
            self.finding(station_id, "background_failed", f"{name}: {error}")
            return
        _log.error("what ran in the background failed", exc_info=error)
        self.finding(station_id, DEFECT, f"{name}: {type(error).__name__}: {error}", source="bench")

    def recall(self, station_id: str, transaction: Transaction) -> None:
        """Know a transaction of before a restart: what the station tells of it is no news."""
        self._learn({"idToken": {"idToken": transaction.id_token}})
        self.stations.setdefault(station_id, StationState(station_id)).transactions[transaction.transaction_id] = transaction

    def shift_clock(self, station_id: str, shift: timedelta) -> None:
        """From now on serve this station, in BootNotification and Heartbeat answers, a time that is ahead by `shift`."""
        self.stations.setdefault(station_id, StationState(station_id)).clock_shift = shift

    def station_time(self, station_id: str) -> datetime:
        """Return the time that this station is served: the base of startSchedule, validFrom and validTo, in UTC."""
        state = self.stations.get(station_id)
        return self.clock.now() + (state.clock_shift if state is not None else timedelta(0))

    # what others wait for --------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Call `listener` with each event from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as the predicate holds, False after that many seconds; checked at each change of state."""
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

    def authorize_by(self, authorizer: Authorizer) -> Unsubscribe:
        """Let somebody else decide on identification tokens from now on; returns what ends that."""
        before, self._handlers.authorize = self._handlers.authorize, authorizer

        def end() -> None:
            self._handlers.authorize = before

        return end

    def _publish(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            self.profiles.heard(event)
            for listener in tuple(self._listeners):
                listener(event)
        self._changed()

    def _changed(self) -> None:
        for predicate, future in self._waiters:
            if not future.done() and predicate():
                future.set_result(None)
