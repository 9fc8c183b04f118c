"""Opens the bench's OCPI platform on its CSMS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.adapters.ocpi_tap import OcpiTap
from bench.cso.faults import OwnFaults
from bench.cso.ocpi.app import ocpi_app, too_long_app
from bench.cso.ocpi.platform import CpoPlatform
from bench.cso.ocpi.registry import Registry
from bench.cso.relay import Relay, supplies_of
from bench.ports import Clock, IdSource, Journal, Stations
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
    faults: OwnFaults | None = None,
) -> AsyncIterator[Cpo]:
    """Serve OCPI for the stations of a rig, and journal each exchange.

    Args:
        stations: the CSMS, or a fault in front of it.
        base_url: the address that peers are told. Without a port it is logical and entered into `addresses`; for a peer
            outside this process give the real one, with its port.
        shortest_s: see CpoPlatform.
        faults: what is seeded into the platform.
    Raises: RigError where the address of the rig file cannot be listened on.
    """
    own = PartyId(settings.ocpi.country_code, settings.ocpi.party_id)
    tap = OcpiTap(journal, str(own))
    registry = Registry(ids, tap.learn)
    tap.name_of = registry.name_of
    given = settings.ocpi.token_a
    token_a = registry.invite(given.get_secret_value() if given else None)
    async with open_transport(addresses) as transport:
        faults = faults or OwnFaults()
        relay = Relay(stations, supplies_of(settings), faults)
        platform = CpoPlatform(
            clock, journal, ids, tap.client(transport), relay, registry, stations,
            base_url=base_url, own=own, location_id=settings.name, settings=settings.ocpi,
            evses={one.id: tuple(evse.id for evse in one.evse) for one in settings.station},
            call_timeout_s=settings.csms.call_timeout_s, shortest_s=shortest_s, faults=faults,
        )  # fmt: skip
        unsubscribe = stations.subscribe(platform.on_event)
        everyone_again = stations.authorize_by(platform.authorization.decide)
        try:
            app, too_long = tap.server(ocpi_app(platform)), tap.server(too_long_app(platform))
            async with open_http_server(app, settings.ocpi.host, settings.ocpi.port, too_long=too_long) as server:
                with addresses.entry(base_url, server):
                    yield Cpo(platform.versions_url, token_a, server.port, platform)
        finally:
            unsubscribe()
            everyone_again()
            await platform.close()
