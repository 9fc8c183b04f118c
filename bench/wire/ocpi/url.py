"""Web addresses that peers name: which of them may be used, and how one is written where others read it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_USERINFO: Final = re.compile(r"""(:(?:\\?/){2})[^/\\\s"'<>?#]+@""")
"""What stands before a host, also where JSON has escaped the slashes."""

_UID: Final = re.compile(r"(/tokens/[^/?]+/[^/?]+/)[^/?]+|/[^/?]+(?=/authorize(?:\?|$))")
"""The uid of a Token, in the URL that it is told at and in that of its authorization."""


def web_host(url: str) -> tuple[str, str] | None:
    """Return scheme and host of an http or https address; None for anything else.

    None too for a port that does not exist, for a user name or password, and for blanks and control characters: programs
    read such addresses differently, or send what stands there in place of OCPI's token.
    """
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname


def hide_userinfo(text: str) -> str:
    """Return a text in which no address has its user name and password any more."""
    return _USERINFO.sub(r"\1(hidden)@", text)


def hide_token_uid(url: str) -> str:
    """Return a URL that does not say whose Token it is about."""
    return _UID.sub(lambda match: f"{match[1] or '/'}(hidden)", url)
