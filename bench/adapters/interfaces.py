"""The addresses under which this computer can be reached, for the URL that someone types into a charging station."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from typing import Final

_SIOCGIFADDR: Final = 0x8915
_ANY: Final = ("0.0.0.0", "::", "")


def reachable_addresses(host: str) -> list[str]:
    """Return `host` itself or, where it means every interface, the IPv4 address of each, loopback last."""
    if host not in _ANY:
        return [host]
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):  # an interface without an IPv4 address
                found.append(socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24]))
    return sorted(dict.fromkeys(found), key=is_loopback) or ["127.0.0.1"]


def is_loopback(host: str) -> bool:
    """Tell whether a listening address is reachable from this computer alone."""
    return host.startswith("127.") or host in ("::1", "localhost")
