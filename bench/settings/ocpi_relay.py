"""What the table [ocpi] of a rig file says of the relay: who rules, how often, over which connections, what survives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.settings.base import Settings, written

Policy = Literal["one_writer", "minimum", "bems_owns", "scsp_owns"]
_HOST = written(r"^([A-Za-z0-9._-]+|[A-Fa-f0-9.:]*:[A-Fa-f0-9.]*:[A-Fa-f0-9.:]*)$", "a host's name or address, without a port")
Host = Annotated[str, Field(pattern=_HOST)]
"""A name or an address, without a port."""
_PLACE = written(
    r"^https?://([A-Za-z0-9._-]+|\[[A-Fa-f0-9:.]+\])(:\d+)?$",
    "http:// or https://, a host, and a port where it is not the usual one, such as https://cso.lab.example:9001; no path",
)


class RelaySettings(Settings):
    """Charging profiles by OCPI, and how peers may call."""

    policy: Policy = "one_writer"
    """Whose limits count where several want to steer a session: the first writer's; the lowest of all; a BEMS's before a party's
    by OCPI; such a party's before a BEMS's, but for its emergencies."""
    put_interval_s: float = Field(default=0, ge=0)
    """Seconds between two PUTs of a charging profile by one party on one session; more often is answered with TOO_OFTEN.
    0: no limit."""
    get_interval_s: float = Field(default=0, ge=0)
    """The same for GETs of an ActiveChargingProfile."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Most requests of one platform in a minute; 0: any. OCPI has no HTTP 429: more are answered with 2000, on charging profiles
    with TOO_OFTEN."""
    max_body_bytes: int = Field(default=1_000_000, ge=1024)
    """A longer request is refused unread, with HTTP 413."""
    store: Path | None = None
    """A file in which `bench serve` keeps registrations, sessions, profiles and promises over a restart; the path is seen from
    the rig file's folder. Tokens and what is over are kept beside it: `ocpi.json` has `ocpi.rows.sqlite`. Both hold tokens and
    are readable by their owner alone. Absent: nothing is kept."""
    public_url: str | None = Field(default=None, pattern=_PLACE)
    """What peers are told, where they reach `bench serve` by another name than its address, such as https://cso.lab.example:9001;
    without a port for the usual one, 443 or 80."""
    certificate: Path | None = None
    """PEM file with the server's certificate chain; `bench serve` then speaks HTTPS."""
    private_key: Path | None = None
    ca_file: Path | None = None
    """PEM file with the authorities that peers' certificates are checked by; absent: the well-known ones."""
    allow_hosts: tuple[Host, ...] = ()
    """Hosts that may be called with a platform's token beside its own, the one of its credentials: for its endpoints and for
    results. A link-local address or a cloud's metadata service, or a name that leads to one, is called only where it is named
    here. Without ports: any may be called."""

    @model_validator(mode="after")
    def _tls_is_complete(self) -> RelaySettings:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        return self

    @property
    def shortest_s(self) -> dict[str, float]:
        """Return the seconds between two requests of a kind on one session, where there is a limit."""
        return {name: value for name, value in (("PUT", self.put_interval_s), ("GET", self.get_interval_s)) if value}
