"""Why a serial port cannot be opened, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

BY_ID = Path("/dev/serial/by-id")


def why_not(port: str, error: OSError) -> str:
    """Return in words why a port cannot be opened, and what mends it."""
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"there is no such device: {plugged_in()}"
        case errno.EACCES | errno.EPERM:
            group = _group(port)
            return f"not permitted: `sudo usermod -aG {group} $USER` and a new login put you into the group {group}"
        case errno.EBUSY | errno.EAGAIN:
            return f"is taken by another program or another run: `fuser -v {port}` names it"
        case _:
            return f"cannot be opened: {error}"


def plugged_in() -> str:
    """Return which serial adapters there are, by their stable names."""
    names = sorted(str(one) for one in BY_ID.iterdir()) if BY_ID.is_dir() else []
    return f"adapters that are plugged in: {', '.join(names)}" if names else "no serial adapter is plugged in"


def _group(port: str) -> str:
    try:
        return Path(port).group()
    except (OSError, KeyError):
        return "dialout"
