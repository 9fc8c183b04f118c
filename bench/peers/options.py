"""Options that the commands of the mock peers share: the token, where they listen, what a CSO is told, and who they are."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from bench.errors import UsageError
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.url import plain_host

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
    return http_url(given, "--public-url").rstrip("/")


def http_url(text: str, option: str) -> str:
    """Return the URL of an option. Raises UsageError."""
    try:
        good = urlsplit(text).scheme in ("http", "https") and bool(urlsplit(text).hostname)
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{option} {text}: must begin with http:// or https:// and name a host")
    return text


def named_party(text: str, option: str = "--party") -> PartyId:
    """Return the party that an option names. Raises UsageError."""
    country, _, party = text.partition("-")
    if len(country) != 2 or len(party) != 3 or not (country + party).isalnum() or not text.isascii():
        raise UsageError(f"{option} {text}: must be a country code of two characters and a party id of three, such as NL-SCP")
    return PartyId.of(country, party)


def allowed_hosts(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the hosts of `--allow-host`. Raises UsageError."""
    for text in texts:
        if not plain_host(text):
            raise UsageError(f"--allow-host {text}: must be a host's name or address, without a port")
    return tuple(texts)


def positive(text: str) -> float:
    """Return a number above 0, for argparse. Raises ArgumentTypeError."""
    number = not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return number


def not_negative(text: str) -> float:
    """Return a finite number from 0 on, for argparse. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be a number, and not below 0")
    return number


def levels(text: str) -> tuple[float, ...]:
    """Return limits above 0 in W, given with commas between, for argparse. Raises ArgumentTypeError."""
    return tuple(positive(one) for one in text.split(","))


def token_uids(text: str) -> list[str]:
    """Return uids of tokens, given with commas between, for argparse. Raises ArgumentTypeError."""
    uids = [one.strip() for one in text.split(",")]
    if not all(0 < len(one) <= 36 and one.isascii() and one.isprintable() for one in uids):
        raise argparse.ArgumentTypeError(f"{text!r} must be uids of 1 to 36 characters with commas between")
    return uids
