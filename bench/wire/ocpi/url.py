"""Web addresses that peers name: which of them may be used, and how one is written where others read it."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_USERINFO: Final = re.compile(r"""(:(?:\\?/){2})[^/\\\s"'<>?#]+@""")
"""What stands before a host, also where JSON has escaped the slashes."""

_QUERY: Final = re.compile(r"""(?i)([?&][\w-]*(?:token|key|secret|password|signature)=)[^&#\\\s"'<>]+""")

_AUTHORITY: Final = re.compile(r"(?i)https?://[^/?#]*")
"""An address up to its path: few differ, where each order has a response_url of its own."""
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
"""The last label of an IPv4 address; no name ends in one."""
_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_METADATA: Final = (
    "metadata.google.internal", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23",
    "fd20:ce::254",
)  # fmt: skip
"""Where clouds keep a machine's secrets, beside 169.254.169.254."""
_TRANSLATED: Final = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
"""Whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215), the old compatible form, and that of SIIT (RFC 2765)."""

_UID: Final = re.compile(r"(/tokens/+[^/?\s]+/+[^/?\s]+/+)[^/?\s]+?(?=[/?]|:?\s|$)|/[^/?\s]+(?=/authorize(?:\?|:?\s|$))")
"""The uid of a Token, in the URL that it is told at and in that of its authorization, also within a text."""


def web_host(url: str) -> tuple[str, str] | None:
    """Return scheme and host of an http or https address; None for anything else.

    None too for a port that does not exist, for a user name or password, for blanks and control characters, and for a host
    that is a number or has letters beyond ASCII: programs read such addresses differently, or send what stands there in
    place of OCPI's token. A host has one form: lower case, no dot at its end, an IPv6 address as short as can be.
    """
    found = _AUTHORITY.match(url)
    return _web_host(found[0]) if found is not None and url.isprintable() and " " not in url else None


@lru_cache(1024)
def _web_host(authority: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(authority)
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc:
        return None
    host = plain_host(parts.hostname)
    return (parts.scheme, host) if host else None


def plain_host(text: str) -> str:
    """Return the one form of a host's name or address; empty for what can be read in two ways."""
    host = text.lower().removesuffix(".")
    if not is_address(host):
        return host if _NAME.fullmatch(host) else ""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(host.partition("%")[0])
    return str(address)


def not_to_be_called(url: str, home: str, allowed: Collection[str] = ()) -> str:
    """Return why the token of a platform must not be sent to an address, without repeating it; empty where it may.

    Ports are free: a platform may be several programs on one host.

    Args:
        home: the URL that the platform gave with its token.
        allowed: other hosts that may be called, in their plain form.
    """
    place, own = web_host(url), web_host(home)
    if place is None or own is None:
        return "it is no http or https address, or has a user name, an impossible port or a host that can be read in two ways"
    if place[1] not in allowed:
        if is_off_limits(place[1]):
            return f"{place[1]} is link-local or a cloud's metadata service"
        if place[1] != own[1]:
            return f"{place[1]} is not the platform's host, {own[1]}"
    down = (own[0], place[0]) == ("https", "http")
    return "it is http, and the platform's own address is https" if down else ""


@lru_cache(1024)
def is_off_limits(host: str) -> bool:
    """Say whether a host, in its plain form, is link-local or a cloud's metadata service: nobody's who is to get a token."""
    if not is_address(host):
        return host in _METADATA
    address = ip_address(host)
    meant = [address, *(_within(address) if isinstance(address, IPv6Address) else [])]
    return any(one.is_link_local or str(one) in _METADATA for one in meant)


def _within(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address may lead to: by mapping, translation, 6to4 or Teredo."""
    named = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED):
        named.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in named if one is not None]


def is_address(host: str) -> bool:
    """Say whether a host in lower case is an address, or a number that may be read as one: no name."""
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def hide_secrets(text: str) -> str:
    """Return a text in which no address has its user name and password any more, nor what its query calls a token or the like."""
    if "@" in text:
        text = _USERINFO.sub(r"\1(hidden)@", text)
    return _QUERY.sub(r"\1(hidden)", text) if "=" in text else text


def hide_token_uid(text: str) -> str:
    """Return a URL, or a text that names one, without whose Token it is about."""
    return _UID.sub(lambda match: f"{match[1] or '/'}(hidden)", text)
