"""What a case is, and how it says what it saw."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from bench.domain.verdicts import Verdict
from bench.peers.books import Seen
from bench.peers.check.probe import Probe
from bench.peers.check.reply import Order, Reply
from bench.wire.ocpi.checks import Finding

Needs = Literal["", "registered", "session", "results"]
"""Where it stands in the course: before the registration, after it, with an ACTIVE session, with results that come at all."""
MOST_SAID: Final = 12
_MOST_PLACES: Final = 3
_PLACE: Final = re.compile(r"((?:answer to )?[A-Z]+ /\S*): (.+)", re.DOTALL)
"""Where something was seen, and what."""


@dataclass(frozen=True, slots=True)
class Saw:
    """What a case saw."""

    verdict: Verdict
    said: tuple[str, ...]
    refs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One named case."""

    name: str
    title: str
    clause: str
    needs: Needs
    run: Callable[[Probe], Awaitable[Saw]]


def case(
    name: str, title: str, clause: str, needs: Needs = "registered"
) -> Callable[[Callable[[Probe], Awaitable[Saw]]], Case]:
    """Make a case of a function."""
    return lambda run: Case(name, title, clause, needs, run)


def passed(*said: str, order: Order | None = None) -> Saw:
    """Say that it was shown."""
    return Saw(Verdict.PASS, said, order.refs if order else ())


def failed(*said: str, order: Order | None = None) -> Saw:
    """Say that the rule was broken."""
    return Saw(Verdict.FAIL, said, order.refs if order else ())


def not_shown(*said: str, order: Order | None = None) -> Saw:
    """Say that it could not be shown."""
    return Saw(Verdict.INCONCLUSIVE, said, order.refs if order else ())


def missed(what: str, reply: Reply, due: str) -> Saw:
    """Say that another answer than the one that is due came; where none came at all, it was not shown."""
    return failed(f"{what}: {reply}, not {due}") if reply.status else not_shown(f"{what}: {reply}")


def of_parts(parts: Iterable[Saw], shown: str) -> Saw:
    """Return what failed of a case's parts, else what was not shown of them, else PASS."""
    parts = list(parts)
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        said = tuple(text for one in parts if one.verdict is verdict for text in one.said)
        if said:
            return Saw(verdict, said)
    return passed(shown)


def not_applicable(*said: str) -> Saw:
    """Say that there is nothing to show."""
    return Saw(Verdict.NOT_APPLICABLE, said)


def judged(found: Iterable[Finding], shown: str, *, looked_at: bool = True, nothing: str = "") -> Saw:
    """Return FAIL with what was found, PASS where all that was looked at is right, INCONCLUSIVE where there was nothing."""
    found = list(found)
    texts = _grouped(one.text for one in found)
    if texts:
        more = [f"and {len(texts) - MOST_SAID} more"] if len(texts) > MOST_SAID else []
        refs = dict.fromkeys(one.document for one in found if isinstance(one, Seen) and one.document is not None)
        return Saw(Verdict.FAIL, (*texts[:MOST_SAID], *more), tuple(refs))
    return passed(shown) if looked_at else not_shown(nothing)


def _grouped(texts: Iterable[str]) -> list[str]:
    """Return each thing that is wrong once, with the places where it was seen behind it."""
    places: dict[str, list[str]] = {}
    for text in texts:
        match = _PLACE.fullmatch(text)
        seen = places.setdefault(match.group(2) if match else text, [])
        if match and match.group(1) not in seen:
            seen.append(match.group(1))
    return [f"{what}: {_listed(seen)}" if seen else what for what, seen in places.items()]


def _listed(places: list[str]) -> str:
    more = len(places) - _MOST_PLACES
    return ", ".join(places[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
