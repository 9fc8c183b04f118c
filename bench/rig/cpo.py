"""Opens the bench's OCPI platform on its CSMS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.adapters.ocpi_tap import OcpiTap
from bench.cso.arbitration import Policy
from bench.cso.faults import OwnFaults
from bench.cso.local_limits import LocalLimits
from bench.cso.ocpi.app import ocpi_app, too_long_app
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.registry import Registry
from bench.cso.relay import Relay, supplies_of
from bench.ports import Clock, IdSource, Journal, Stations, Store
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import PartyId

LOGICAL_URL: Final = "http://cso.bench"


@dataclass(frozen=True, slots=True)
class Cpo:
    """The open platform."""

    versions_url: str
    """Where a peer begins, below the base URL."""
    token_a: str
    """For the first registration; `platform.registry.invite()` gives more."""
    port: int
    platform: CpoPlatform
    limits: LocalLimits
    """Of writers that do not come by OCPI."""


@asynccontextmanager
async def open_cpo(
    settings: RigSettings,
    clock: Clock,
    journal: Journal,
    ids: IdSource,
    stations: Stations,
    addresses: AddressBook,
    *,
    base_url: str = LOGICAL_URL,
    shortest_s: Mapping[str, float] | None = None,
    policy: Policy | None = None,
    store: Store | None = None,
    faults: OwnFaults | None = None,
) -> AsyncIterator[Cpo]:
    """Serve OCPI for the stations of a rig, and journal each exchange.

    Args:
        stations: the CSMS, or a fault in front of it.
        base_url: the address that peers are told. The one that is given by default is logical and entered into `addresses`; for
            a peer outside this process give the real one.
        shortest_s, policy: see CpoPlatform; absent: as the rig file says.
        store: see CpoPlatform.
        faults: what is seeded into the platform.
    Raises: RigError where the address of the rig file cannot be listened on.
    """
    ocpi = settings.ocpi
    own = PartyId(ocpi.country_code, ocpi.party_id)
    tap = OcpiTap(journal, str(own))
    registry = Registry(ids, tap.learn)
    tap.name_of = registry.name_of
    async with open_transport(addresses, ocpi.ca_file, ocpi.allow_hosts) as transport:
        faults = faults or OwnFaults()
        relay = Relay(stations, supplies_of(settings), faults)
        platform = CpoPlatform(
            clock, journal, ids, tap.client(transport), relay, registry, stations,
            base_url=base_url, own=own, rig=settings, call_timeout_s=settings.csms.call_timeout_s,
            shortest_s=shortest_s or ocpi.shortest_s, faults=faults, policy=policy or ocpi.policy, store=store,
            requests_per_minute=ocpi.requests_per_minute, allow_hosts=ocpi.allow_hosts,
        )  # fmt: skip
        given = None if ocpi.token_a is None else ocpi.token_a.get_secret_value()
        token_a = registry.invite(None if given in registry.spent else given)
        unsubscribe = stations.subscribe(platform.on_event)
        everyone_again = stations.authorize_by(platform.authorization.decide)
        try:
            app, too_long = tap.server(ocpi_app(platform)), tap.server(too_long_app(platform))
            async with open_http_server(
                app, ocpi.host, ocpi.port, too_long=too_long, max_body_bytes=ocpi.max_body_bytes,
                certificate=ocpi.certificate, private_key=ocpi.private_key,
            ) as server:  # fmt: skip
                with addresses.entry(base_url, server) if base_url == LOGICAL_URL else nullcontext():
                    limits = LocalLimits(clock, platform.arbiter, relay, platform.sessions, journal)
                    yield Cpo(platform.versions_url, token_a, server.port, platform, limits)
        finally:
            unsubscribe()
            everyone_again()
            await platform.close()
