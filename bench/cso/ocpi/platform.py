"""The bench's OCPI platform as one object: what the routes ask, and what the CSMS tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.cso.faults import OwnFaults
from bench.cso.ocpi.answers import Answers
from bench.cso.ocpi.authorization import Authorization
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls
from bench.cso.ocpi.clients import Clients
from bench.cso.ocpi.commands import Commands
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grants
from bench.cso.ocpi.handshake import Handshake
from bench.cso.ocpi.orders import Orders
from bench.cso.ocpi.outbox import Outbox
from bench.cso.ocpi.preferences import Preferences
from bench.cso.ocpi.pushes import Pushes
from bench.cso.ocpi.registry import Registry
from bench.cso.ocpi.reservations import Reservations
from bench.cso.ocpi.sessions import Sessions
from bench.cso.ocpi.tokens import Tokens
from bench.cso.relay import Relay
from bench.ports import Clock, IdSource, Journal, OcpiTransport, StationCaller
from bench.settings.ocpi import OcpiSettings
from bench.wire.ocpi.transport import PartyId


class CpoPlatform:
    """Role CPO: sender of sessions; receiver of charging profiles, tokens and commands. Does I/O through ports alone.

    Args:
        stations: the CSMS, for commands; `relay` has it for profiles.
        evses: EVSE ids by station: they make up the one location.
        base_url: where peers reach it, such as `http://cso.bench`; without a slash at the end.
        registry: who may call; made beside it, for the journal names peers by it.
        location_id: of all EVSEs, in OCPI's Sessions.
        call_timeout_s: deadline of one OCPP call; what peers are promised follows from it.
        shortest_s: seconds between two requests of a kind ("PUT", "GET") on one session, else TOO_OFTEN; absent: any.
    """

    def __init__(
        self, clock: Clock, journal: Journal, ids: IdSource, transport: OcpiTransport, relay: Relay, registry: Registry,
        stations: StationCaller, *, base_url: str, own: PartyId, location_id: str, evses: Mapping[str, tuple[int, ...]],
        settings: OcpiSettings, call_timeout_s: float = 30.0,
        shortest_s: Mapping[str, float] | None = None, faults: OwnFaults | None = None,
    ) -> None:  # fmt: skip
        self.own, self.registry, self.relay = own, registry, relay
        self.versions_url = f"{base_url}/ocpi/versions"
        self.answers, self.findings = Answers(clock), Findings(journal)
        self._background = Background()
        self._offline: dict[str, None] = {}
        calls = Calls(transport, ids, own, self.findings)
        shared = self._background, self.findings
        self.handshake = Handshake(registry, calls, self.findings, own, "charge point bench", self.versions_url)
        outbox = Outbox(registry, calls, *shared)
        grants = Grants()
        self.sessions = Sessions(clock, ids, own, location_id, outbox, self.findings, grants)
        self._pushes = Pushes(clock, relay, registry, calls, *shared)
        self.orders = Orders(
            clock, own, registry, self.sessions, relay, self._pushes, calls, *shared,
            offline=self._offline, call_timeout_s=call_timeout_s, shortest_s=dict(shortest_s or {}),
            faults=faults or OwnFaults(),
        )  # fmt: skip
        self.tokens, self.clients = Tokens(registry, registry.learn), Clients()
        self.authorization = Authorization(
            clock, registry, calls, self.tokens, grants, self.findings, location_id=location_id, evses=evses,
            policy=settings.authorize, timeout_s=settings.authorize_timeout_s,
        )  # fmt: skip
        reservations = Reservations(clock, self.sessions, self._background)
        self.commands = Commands(
            clock, ids, own, self.sessions, reservations, grants, stations, calls, *shared,
            location_id=location_id, evses=evses, offline=self._offline, call_timeout_s=call_timeout_s,
        )  # fmt: skip
        self.preferences = Preferences(clock, own, self.sessions, relay, settings.preferences)

    def root(self, version: str) -> str:
        """Return the URL of the version details."""
        return f"{self.versions_url.removesuffix('/versions')}/{version}"

    def endpoints(self, version: str) -> list[dict[str, str]]:
        """Return the rows of the version details; RECEIVER of charging profiles is the CPO (mod_charging_profiles)."""
        senders = ("credentials", "sessions")
        receivers = ("chargingprofiles", "commands", "hubclientinfo", "tokens")
        rows = [*((name, "SENDER") for name in senders), *((name, "RECEIVER") for name in receivers)]
        return [{"identifier": name, "role": role, "url": f"{self.root(version)}/{name}"} for name, role in rows]

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the CSMS; see `bench.cso.csms.Csms`."""
        kind, station = event["event"], event["station"]
        if kind == "connected":
            self._offline.pop(station, None)
        elif kind == "disconnected":
            self._offline[station] = None
        elif kind == "transaction":
            self.sessions.on_transaction(event)
            record = self.sessions.of(station, event["transaction_id"])
            if record is not None and event.get("trigger") == "ChargingRateChanged":
                self._pushes.want(record)
        elif kind == "status":
            self.commands.on_status(event)
        elif kind == "reservation":
            self.commands.on_reservation(event)
        elif kind == "charging_limit":
            for record in self.sessions.at(station, event.get("evse")):
                self._pushes.want(record)

    async def close(self) -> None:
        """End what goes on beside requests. Raises what failed there."""
        await self._background.close()
