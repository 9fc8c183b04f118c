"""Bad habits of a mock peer, on order: what a CSO has to live with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from bench.adapters.http_server import AsgiApp, Receive, Scope, Send
from bench.errors import UsageError
from bench.ports import Clock

WRONG_TOKEN: Final = "not-the-token-that-was-given"


@dataclass(slots=True)
class Misbehaviour:
    """What a peer does wrong; may be changed while it runs. Registration always works, but for `wrong_token`'s later requests."""

    slow_s: float = 0.0
    """Answers requests of functional modules after so many seconds."""
    unreachable: bool = False
    """Never answers them."""
    http_500: bool = False
    """Answers them with HTTP 500 and no JSON."""
    wrong_token: bool = False
    """Sends another token than the one it was given, once it is registered."""
    unencoded_query: bool = False
    """Gives a response_url with a query of its own, and does not percent-encode it in GET and DELETE."""
    duplicated_ids: bool = False
    """Sends the same X-Request-ID with each request, and the same response_url with each order."""
    late_callback_ok: bool = False
    """No bad habit of its own: takes a result that comes after the promised time without a finding."""

    @property
    def forgives_lateness(self) -> bool:
        """Say whether a result that is late or missing may be our own fault, or is to be taken so."""
        return self.late_callback_ok or self.unreachable or self.http_500 or self.slow_s > 0


NAMES: Final = ("slow", *(one.name for one in fields(Misbehaviour) if one.name != "slow_s"))


def misbehaviour(names: Sequence[str], slow_s: float = 10.0) -> Misbehaviour:
    """Return the habits of these names. Raises UsageError for an unknown one."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise UsageError(f"no bad habit {', '.join(unknown)}; there are {', '.join(NAMES)}")
    habits = Misbehaviour(**{name: True for name in names if name != "slow"})
    habits.slow_s = slow_s if "slow" in names else 0.0
    return habits


def misbehaving(app: AsgiApp, habits: Misbehaviour, clock: Clock, functional: Callable[[str], bool]) -> AsgiApp:
    """Return an application that answers functional modules as the habits have it; `functional` tells them by their path."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and functional(scope["path"]):
            if habits.slow_s:
                await clock.sleep(habits.slow_s)
            if habits.unreachable:
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
            if habits.http_500:
                headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
                await send({"type": "http.response.start", "status": 500, "headers": headers})
                await send({"type": "http.response.body", "body": b"broken"})
                return
        await app(scope, receive, send)

    return served
