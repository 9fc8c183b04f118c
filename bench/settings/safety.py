"""How a rig is kept safe, how its network is disturbed, and to whom it tells how things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from bench.settings.base import Settings


class SafetySettings(Settings):
    """The safe state of a rig. Software never replaces an emergency stop, a residual-current device and a fuse."""

    floor: bool | None = None
    """Install a TxDefaultProfile of 0 A on EVSE 0 before anything is energised. Absent: where the rig has no contactor, and
    where `dead_man_s` is set. false on a rig without a contactor: somebody at the rig stands in for both."""
    dead_man_s: float | None = Field(default=None, ge=10)
    """TxProfiles of the bench last no longer and are renewed at half of it, so that its death ends at the floor."""
    max_current_a: float | None = Field(default=None, gt=0)
    """Hard cap per phase of each meter: a reading above it is a hard stop."""
    max_power_w: float | None = Field(default=None, gt=0)
    """Hard cap in total of each meter."""
    max_voltage_v: float | None = Field(default=None, gt=0)
    """Hard cap of each phase voltage."""
    heartbeat_s: float = Field(default=2.0, ge=0.5, le=2.5)
    """After so long a silence of the bench the guard opens the contactor."""
    unattended: bool = False
    """Nobody is at the rig: each station then needs a relay with a communication watchdog of its own, of 3 s at most."""

    @model_validator(mode="after")
    def _falls_to_a_floor(self) -> SafetySettings:
        if self.dead_man_s is not None and self.floor is False:
            raise ValueError("dead_man_s needs the floor: without it a TxProfile that expires raises power")
        if self.unattended and self.floor is False:
            raise ValueError("floor = false needs somebody at the rig, and unattended says that there is none")
        return self

    @property
    def capped(self) -> bool:
        """Say whether there is a hard cap."""
        return (self.max_current_a, self.max_power_w, self.max_voltage_v) != (None, None, None)


class Budget(Settings):
    """What one command may take of a rig; what would take more is refused before it begins."""

    duration_s: float | None = Field(default=None, gt=0)
    energy_wh: float | None = Field(default=None, gt=0)
    contactor_cycles: int | None = Field(default=None, ge=1)
    profile_writes: int | None = Field(default=None, ge=1)
    """Stations keep their profiles in memory that wears out."""


class ProofSettings(Settings):
    """A record of known loads that the meters were shown (`bench baseline`), for runs that do not prove them anew."""

    file: Path
    """Relative to the rig file."""
    max_age_days: float = Field(default=30, gt=0)
    """An older record proves nothing any more."""
    load_percent: float = Field(default=1.0, ge=0, le=20)
    """Largest error of the known load, percent of its value; counts when a record is made."""


class LinkSettings(Settings):
    """Present: stations connect through a relay in front of the CSMS that can disturb the connection."""


class MqttSettings(Settings):
    """Present: what happens is published to an MQTT broker."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    bench: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,48}$")] = ""
    """The bench's name in the topics, `hil/v1/<bench>/…`; absent: the rig's."""
    username: str = ""
    password: SecretStr | None = None
    tls: bool = False
    ca_file: str = ""
    """PEM file of the authority that the broker's certificate is checked with; absent: the system's."""
    home_assistant: bool = False
    """Publish discovery messages for Home Assistant as well."""
    allow_abort: bool = True
    """Obey `cmd/abort`."""
