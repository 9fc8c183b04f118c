"""The bench's OCPI platform as one object: what the routes ask, and what the CSMS tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bench.cso.arbiter import Arbiter
from bench.cso.arbitration import Policy
from bench.cso.faults import OwnFaults
from bench.cso.ocpi.answers import Answers, OcpiError
from bench.cso.ocpi.authorization import Authorization
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls
from bench.cso.ocpi.cdrs import Cdrs
from bench.cso.ocpi.clients import Clients
from bench.cso.ocpi.commands import Commands
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grants
from bench.cso.ocpi.handshake import Handshake
from bench.cso.ocpi.keeper import Keeper
from bench.cso.ocpi.locations import Locations
from bench.cso.ocpi.orders import Orders
from bench.cso.ocpi.outbox import RETRY_S, Meant, Outbox, Push
from bench.cso.ocpi.preferences import Preferences
from bench.cso.ocpi.promises import Promises
from bench.cso.ocpi.pulls import Pulls
from bench.cso.ocpi.pushes import Pushes
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Registry
from bench.cso.ocpi.request_limit import RequestLimit
from bench.cso.ocpi.reservations import Reservations
from bench.cso.ocpi.sessions import MOST_ENDED, Sessions
from bench.cso.ocpi.tariffs import Tariffs
from bench.cso.ocpi.tokens import TokenKey, Tokens
from bench.cso.relay import Relay
from bench.errors import RigError
from bench.ports import Clock, IdSource, Journal, OcpiTransport, StationCaller, Store
from bench.settings.rig import RigSettings
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import SERVER_ERROR, PartyId


class CpoPlatform:
    """Role CPO: sender of sessions; receiver of charging profiles, tokens and commands. Does I/O through ports alone.

    Args:
        stations: the CSMS, for commands; `relay` has it for profiles.
        base_url: where peers reach it, such as `http://cso.bench`; without a slash at the end.
        registry: who may call; made beside it, for the journal names peers by it.
        rig: the stations, which become EVSEs of one Location, and what of them is told.
        call_timeout_s: deadline of one OCPP call; what peers are promised follows from it.
        shortest_s: seconds between two requests of a kind (PUT, GET) by one party on one session, else TOO_OFTEN; absent: any.
        policy: whose limits count where several want to steer a session; see `bench.cso.arbitration`.
        requests_per_minute: most of one platform; 0: any.
        allow_hosts: which hosts may be called for any platform, beside its own.
        store: what keeps registrations, sessions, profiles and promises over a restart; absent: nothing does.
    """

    def __init__(
        self, clock: Clock, journal: Journal, ids: IdSource, transport: OcpiTransport, relay: Relay, registry: Registry,
        stations: StationCaller, *, base_url: str, own: PartyId, rig: RigSettings, call_timeout_s: float = 30.0,
        shortest_s: Mapping[str, float] | None = None, faults: OwnFaults | None = None, policy: Policy = "one_writer",
        store: Store | None = None, requests_per_minute: int = 0, allow_hosts: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.own, self.registry, self.relay, self._clock = own, registry, relay, clock
        self.versions_url = f"{base_url}/ocpi/versions"
        self.answers, self.findings = Answers(clock), Findings(journal)
        self._background = Background()
        self.limit = RequestLimit(clock, requests_per_minute)
        self._offline: dict[str, None] = {}
        calls = Calls(transport, ids, own, self.findings, allow_hosts)
        shared = (self._background, self.findings)
        self.handshake = Handshake(registry, calls, self.findings, own, "charge point bench", self.versions_url)
        outbox = self._outbox = Outbox(registry, calls, *shared)
        grants, evses = Grants(self.findings), {one.id: tuple(evse.id for evse in one.evse) for one in rig.station}
        self.tariffs = Tariffs(clock, own, rig.ocpi.location.time_zone, outbox, rig.ocpi.tariff)
        self.locations = Locations(clock, own, rig, self.tariffs, outbox)
        self.sessions = Sessions(
            clock, ids, own, self.locations.location_id, outbox, self.findings, grants, self.tariffs, rig.ocpi.session_update_s
        )
        self.cdrs = Cdrs(own, self.sessions, self.locations, self.tariffs, outbox)
        self.sessions.ended = self._ended
        self._pushes = Pushes(clock, relay, registry, calls, *shared)
        self.arbiter = Arbiter(policy, clock, relay, self.sessions, *shared, self._pushes.want, self._save)
        self._promises = Promises(
            clock, registry, self.sessions, relay, self.arbiter, calls, self.findings, self._pushes.want, self._save_promise
        )
        self.tokens, self.clients = Tokens(registry, journal.secret), Clients(registry)
        self._keeper = Keeper(store, registry, self.sessions, relay, self.arbiter, self._promises, self.tokens, outbox)
        self.orders = Orders(
            clock, own, self.sessions, relay, self.arbiter, self._pushes, self._promises, *shared,
            offline=self._offline, call_timeout_s=call_timeout_s, shortest_s=dict(shortest_s or {}),
            capable="CHARGING_PROFILE_CAPABLE" in rig.ocpi.location.capabilities,
            faults=faults or OwnFaults(),
        )  # fmt: skip
        self.authorization = Authorization(
            clock, registry, calls, self.tokens, grants, self.findings, location_id=self.locations.location_id, evses=evses,
            policy=rig.ocpi.authorize, timeout_s=rig.ocpi.authorize_timeout_s,
        )  # fmt: skip
        reservations = Reservations(clock, self.sessions, self._background)
        self.commands = Commands(
            clock, ids, own, self.sessions, reservations, grants, stations, self._promises, *shared,
            location_id=self.locations.location_id, evses=evses, offline=self._offline, call_timeout_s=call_timeout_s,
            capabilities=rig.ocpi.location.capabilities,
        )  # fmt: skip
        self.preferences = Preferences(clock, own, self.sessions, self.tariffs, relay, rig.ocpi.preferences, self._save)
        self._pulls = Pulls(clock, registry, calls, *shared, self.tokens, self.clients, rig.ocpi.pull_every_s)
        self._keeper.kept = self.cdrs.tell
        self._to_save = self._catching_up = False
        self._restore()
        registry.changed, self.tokens.keep, outbox.changed = self._registered, self._keep_tokens, self._save_soon
        self.handshake.keep = self._keep_registration

    def keep(self) -> None:
        """Bring the state to the disk before this returns. Raises RigError."""
        self._keeper.save()

    def invite(self) -> str:
        """Return another registration token, which outlives a restart. Raises RigError where it cannot be kept."""
        token = self.registry.invite()
        try:
            self.keep()
        except RigError:
            self.registry.invitations.remove(token)
            raise
        return token

    def root(self, version: str) -> str:
        """Return the URL of the version details."""
        return f"{self.versions_url.removesuffix('/versions')}/{version}"

    def endpoints(self, version: str) -> list[dict[str, str]]:
        """Return the rows of the version details; RECEIVER of charging profiles is the CPO (mod_charging_profiles)."""
        senders = ("credentials", "locations", "tariffs", "sessions", "cdrs")
        receivers = ("chargingprofiles", "commands", "hubclientinfo", "tokens")
        rows = [*((name, "SENDER") for name in senders), *((name, "RECEIVER") for name in receivers)]
        return [{"identifier": name, "role": role, "url": f"{self.root(version)}/{name}"} for name, role in rows]

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the CSMS; see `bench.cso.csms.Csms`."""
        kind, station = event["event"], event["station"]
        self.locations.on_event(event)
        if kind != "disconnected" and (kind == "connected" or station in self._offline):
            self._connected(station)
        if kind == "disconnected":
            self._offline[station] = None
            self._promises.disconnected(station)
        elif kind == "meter_values":
            self.sessions.on_meter_values(event)
        elif kind == "transaction":
            self.sessions.on_transaction(event)
            record = self.sessions.of(station, event["transaction_id"])
            if record is not None and not event.get("offline"):
                self.arbiter.opened(record)
            if record is not None and event.get("trigger") == "ChargingRateChanged":
                self._pushes.want(record)
        elif kind == "status":
            self.commands.on_status(event)
        elif kind == "reservation":
            self.commands.on_reservation(event)
        elif kind in ("charging_limit", "boot"):
            for record in self.sessions.at(station, event.get("evse")):
                self._pushes.want(record)
        if kind == "transaction":
            self._save()

    def _connected(self, station: str) -> None:
        self._offline.pop(station, None)
        self._promises.connected(station)
        self._dismiss_who_left()
        for record in self.sessions.at(station, None):
            self.arbiter.resume(record, windows=True)
            self._pushes.want(record)  # what limits it may be something else by now

    def _ended(self, record: SessionRecord) -> None:
        """Make the CDR of a session that is over, and keep both; the oldest ones are forgotten for it.

        It is told once it is kept: a CDR never changes, and after a death another one could be made with its id.
        """
        if not record.reserved:
            self.cdrs.on_end(record)
        self.relay.forget(record.target)
        self._or_told(partial(self._keeper.keep_ended, record))
        if self._keeper.is_behind and not self._catching_up:
            self._background.start(self._catch_up())
        for old in self.sessions.forget_oldest():
            self._or_told(partial(self._keeper.drop_ended, old))
            self.findings.tell("session_forgotten", f"session {old.session_id} and its CDR: the newest {MOST_ENDED} are kept")

    def _registered(self) -> None:
        self._outbox.forget_who_left()
        self._dismiss_who_left()
        self._pulls.look()
        self._save()

    def _dismiss_who_left(self) -> None:
        parties = {party.id for one in self.registry.platforms for party in one.parties}
        self.arbiter.dismiss({str(one) for one in parties})
        for record in self.sessions.running():
            steering = record.steering
            steering.watchers = {party: platform for party, platform in steering.watchers.items() if party in parties}
            steering.told = {party: profile for party, profile in steering.told.items() if party in parties}

    def _save(self) -> None:
        """Save what has changed."""
        self._to_save = False
        self._or_told(self._keeper.save)

    def _save_soon(self) -> None:
        """Save once for all that changes in this turn of the event loop."""
        if not self._to_save:
            self._to_save = True
            asyncio.get_running_loop().call_soon(self._save_now)

    def _save_now(self) -> None:
        if self._to_save:
            self._save()

    async def _catch_up(self) -> None:
        """Try again until each session that is over is kept."""
        self._catching_up = True
        while self._keeper.is_behind:
            await self._clock.sleep(RETRY_S)
            self._save()
        self._catching_up = False

    def _or_told(self, save: Callable[[], None]) -> None:
        """Bring something to the disk; where that fails it is told, for what goes on at the stations must go on."""
        try:
            save()
        except RigError as error:
            self.findings.tell("not_saved", str(error))

    def _save_promise(self) -> None:
        """Save before a promise goes out: one that would not survive a restart is not given."""
        self._or_refused(self._keeper.save, "the order cannot be kept over a restart: it is not accepted")

    def _keep_registration(self) -> None:
        self._or_refused(self._keeper.save, "the registration cannot be kept over a restart: it is not taken")

    def _keep_tokens(self, tokens: Mapping[TokenKey, Token]) -> None:
        self._or_refused(partial(self._keeper.keep_tokens, tokens), "the Token cannot be kept over a restart: it is not taken")

    def _or_refused(self, save: Callable[[], None], text: str) -> None:
        """Bring something to the disk that a peer relies on, or refuse it."""
        try:
            save()
        except RigError as error:
            self.findings.tell("not_saved", str(error))
            raise OcpiError(SERVER_ERROR, text) from None

    def _restore(self) -> None:
        """Go on where a former life ended: its stations are taken for offline until they are seen."""
        restored = self._keeper.restore()
        for one in restored.running:
            one.steering.opened = True
            self._offline[one.target.station] = None
        modules: dict[str, Callable[[str], tuple[Push, Meant] | None]] = {
            "locations": self.locations.due, "tariffs": self.tariffs.due, "sessions": self.sessions.due, "cdrs": self.cdrs.due,
        }  # fmt: skip
        for platform, (module, key) in restored.owed:
            if (due := modules[module](key)) is not None:
                self._outbox.tell_one(platform, *due)
        for one in restored.untold:
            for module in ("sessions", "cdrs"):
                if (due := modules[module](one.session_id)) is not None:
                    self._outbox.tell(*due)
        for promise in list(self._promises.open):
            self._background.start(self._promises.keep(promise))
        if self._keeper.is_behind:
            self._save_soon()
        self._pulls.look()

    async def close(self) -> None:
        """End what goes on beside requests. Raises what failed there."""
        self._save_now()
        await self._background.close()
