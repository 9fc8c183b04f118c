"""What a run works with: ports and the CSMS, put together by `bench.rig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.cso.csms import Csms
from bench.ports import Clock, Guard, IdSource, Journal, Link, Meter, RigControl, Witness
from bench.settings.rig import RigSettings


class PlanSender(Protocol):
    """The SCSP, and who limits beside it, as a run sees them."""

    async def own(self, uid: str) -> None:
        """Let whoever owns the drivers' cards own this one too, before it is shown."""
        ...

    async def send_plan(self, within_s: float) -> str:
        """Build the plan for the running session, send it by OCPI and return the asynchronous result's word."""
        ...

    async def clear_plan(self, within_s: float) -> str:
        """Take back the plan of the running session by OCPI and return the asynchronous result's word."""
        ...

    async def ask_active(self, duration_s: int, within_s: float) -> str:
        """Ask by OCPI what limits the running session and return the asynchronous result's word."""
        ...

    async def local_limit(self, evse_id: int, by: str, profile: Mapping[str, Any] | None, emergency: bool) -> str:
        """Let a BEMS, a DSO or an operator limit an EVSE by an OCPI ChargingProfile (None: release it); return the outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """One rig, open and connected."""

    settings: RigSettings
    clock: Clock
    journal: Journal
    ids: IdSource
    csms: Csms
    meters: Mapping[str, Meter]
    controls: Mapping[str, RigControl]
    """By station id; empty where a station's surroundings cannot be acted on."""
    witnesses: Mapping[str, Witness]
    """By station id; empty where nobody sees the control pilot."""
    guard: Guard
    """Holds the contactors and loads; a person at a prompt is none of them."""
    scsp: PlanSender | None = None
    host: Mapping[str, Any] = field(default_factory=dict)
    """Facts of this computer: ports, versions. They never enter the journal."""
    link: Link | None = None
    """What can disturb the connections of stations; None where the rig file has no [link]."""
    identities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What METER_IDENTITY says, by the meter's name."""
    left_running: Mapping[str, Path] = field(default_factory=dict)
    """Transactions of the station under test that earlier runs saw begin and not end, with the folder of the run."""
