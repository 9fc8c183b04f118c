"""A port that is free when it is looked for, and stays so until a test has listened on it."""

from __future__ import annotations

import socket
from random import SystemRandom


def free_port() -> int:
    """Return a free port below those that the system gives to outgoing connections, any of which might take it meanwhile."""
    dice = SystemRandom()
    while True:
        port = dice.randrange(15_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
