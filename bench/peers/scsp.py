"""A mock SCSP: registers for real, hears of sessions, sends charging profiles, collects results and pushes.

What it finds wrong with the CSO is computed from raw JSON and headers, and decides nothing. `python -m bench.peers.scsp` runs it.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # the imports take a second, in which Ctrl-C is not to end in a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from bench.adapters.ocpi_client import AddressBook
from bench.peers.misbehave import Misbehaviour
from bench.peers.peer import Peer, open_peer
from bench.ports import Clock, IdSource
from bench.wire.ocpi.transport import VERSIONS, PartyId


class MockScsp(Peer):
    """One platform with one party of role SCSP."""

    ROLE: ClassVar = "SCSP"
    NAME: ClassVar = "mock SCSP"
    PARTY: ClassVar = PartyId("NL", "SCP")
    LOGICAL_URL: ClassVar = "http://scsp.bench"
    MODULES: ClassVar = (
        ("sessions", "RECEIVER"), ("chargingprofiles", "SENDER"), ("locations", "RECEIVER"), ("tariffs", "RECEIVER"),
    )  # fmt: skip
    NEEDED: ClassVar = (("chargingprofiles", "RECEIVER"),)


def open_scsp(
    clock: Clock, ids: IdSource, addresses: AddressBook, *, host: str = "127.0.0.1", port: int = 0, base_url: str = "",
    party: PartyId | None = None, version: str = VERSIONS[0], habits: Misbehaviour | None = None,
    allow_hosts: Sequence[str] = (),
) -> AbstractAsyncContextManager[MockScsp]:  # fmt: skip
    """Serve a mock SCSP; see `open_peer`."""
    return open_peer(
        MockScsp, clock, ids, addresses, host=host, port=port, base_url=base_url, party=party, version=version, habits=habits,
        allow_hosts=allow_hosts,
    )  # fmt: skip


if __name__ == "__main__":
    from bench.peers.command import scsp_main

    sys.exit(scsp_main())
