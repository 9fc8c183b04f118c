"""Options that the commands of the mock peers share: the token, where they listen, what a CSO is told, and who they are."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from bench.errors import UsageError
from bench.wire.ocpi.transport import PartyId

TOKEN_VARIABLE: Final = "BENCH_OCPI_TOKEN"
_ALL: Final = ("0.0.0.0", "::")


def registration_token(given: str | None) -> str:
    """Return the token of `--token`, or of the environment. Raises UsageError."""
    token = given or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise UsageError(f"no registration token: give --token, or set {TOKEN_VARIABLE}")
    return token


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `--listen`. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--listen {text}: must be HOST:PORT")
    return host.strip("[]"), int(port)


def told_url(given: str | None, host: str, port: int) -> str:
    """Return what the CSO is told: `--public-url`, or the address that is listened on. Raises UsageError."""
    if given is None:
        if host in _ALL:
            raise UsageError("--listen on every interface needs --public-url: the address that the CSO is told")
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname:
        raise UsageError(f"--public-url {given}: must begin with http:// or https://")
    return given.rstrip("/")


def named_party(text: str, option: str = "--party") -> PartyId:
    """Return the party that an option names. Raises UsageError."""
    country, _, party = text.partition("-")
    if len(country) != 2 or len(party) != 3 or not (country + party).isalnum():
        raise UsageError(f"{option} {text}: must be such as NL-SCP")
    return PartyId.of(country, party)
