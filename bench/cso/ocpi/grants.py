"""Why somebody may charge: what the CPO has to say of it in the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from bench.cso.ocpi.findings import Findings
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import PartyId

K = TypeVar("K")

MOST_GRANTS: Final = 10_000
"""So many are remembered, and so many of remote starts."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One authorization."""

    token: Token
    method: Literal["AUTH_REQUEST", "COMMAND", "WHITELIST"]
    at: float
    """In seconds of the clock."""
    reference: str = ""
    """The eMSP's authorization_reference."""

    @property
    def owner(self) -> PartyId:
        """Return the eMSP whose token it is."""
        return self.token.owner


class Grants:
    """The last grant of each token at each station, and that of each remote start. A session keeps its own."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._latest: dict[tuple[str, str], Grant] = {}
        self._starts: dict[tuple[str, int], Grant] = {}
        self._told = False

    def note(self, station: str, grant: Grant) -> None:
        """Remember that a token may charge at a station."""
        self._keep(self._latest, (station, grant.token.uid.casefold()), grant)

    def note_start(self, station: str, remote_start_id: int, grant: Grant) -> None:
        """Remember for whom a remote start was sent."""
        self.note(station, grant)
        self._keep(self._starts, (station, remote_start_id), grant)

    def _keep(self, grants: dict[K, Grant], key: K, grant: Grant) -> None:
        grants.pop(key, None)
        grants[key] = grant
        if len(grants) <= MOST_GRANTS:
            return
        del grants[next(iter(grants))]
        if not self._told:
            self._told = True
            text = f"more than {MOST_GRANTS} tokens or remote starts: the oldest are forgotten, and their eMSPs asked again"
            self._findings.tell("grants_forgotten", text)

    def forget(self, station: str, uid: str) -> None:
        """A token was refused."""
        self._latest.pop((station, uid.casefold()), None)

    def latest(self, station: str, uid: str) -> Grant | None:
        """Return why a token may charge at a station, if it may."""
        return self._latest.get((station, uid.casefold()))

    def of(self, event: Mapping[str, Any]) -> Grant | None:
        """Return why the transaction of an event may charge, where an eMSP answers for it."""
        started = self._starts.get((event["station"], event.get("remote_start_id") or 0))
        latest = self.latest(event["station"], event.get("id_token") or "")
        return latest or started
