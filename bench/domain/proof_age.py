"""How old a meter's readings are: from a step of a known load to the first reading that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any, Final

from bench.domain.proof import Objection
from bench.domain.proof_energy import CLOSE_LOOKS, Look, made_wh
from bench.domain.verdicts import FaultClass

_SWITCHES_S: Final = 0.1
"""What the load itself may take to switch after it says that it has."""
_CLASS: Final = FaultClass.TIMING


@dataclass(frozen=True, slots=True)
class Response:
    """How a step of the load came to be seen, in s since 1970."""

    asked: float
    """Just before the load was told."""
    set: float
    """When it had said that it draws."""
    missed: float | None
    """When the last reading was asked for that still showed the load before; None where none did."""
    shown: float | None
    """When the first reading was there that showed the new load; None where none did while somebody looked."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Response:
        """Read it from a proof document."""
        return cls(data["asked"], data["set"], data["missed"], data["shown"])

    @property
    def least_s(self) -> float:
        """Return how old the oldest reading was for sure."""
        return 0.0 if self.missed is None else max(0.0, self.missed - self.set)

    @property
    def most_s(self) -> float | None:
        """Return how old the readings were at most; None where the step was never shown."""
        return None if self.shown is None else self.shown - self.asked


def age_objections(
    responses: Sequence[Response], looks: Sequence[Look], latency_s: tuple[float, float], declared_wh: float = 0.0
) -> Iterator[Objection]:
    """Yield what the steps and the looks say against the latency of the rig file, with the figure that mends it.

    Args: declared_wh: step of the energy register, where somebody said it: digits that stand still though more than two steps
        were due are old. Without it a coarse register explains them.
    """
    shortest, longest = latency_s
    least = max((one.least_s for one in responses), default=0.0)
    never = any(one.missed is not None and one.shown is None for one in responses)
    still = longest_still_s(looks, declared_wh)
    needed = max((*(one.most_s or 0.0 for one in responses), still))
    cure = f"write latency_s = [{shortest:g}, {ceil(needed * 10) / 10:g}] or more into the rig file"
    if least > longest + _SWITCHES_S:
        mend = f"longer than {least:.1f} s, so latency_s of the rig file does not hold" if never else cure
        text = f"a step of the load was not shown {least:.2f} s after it, and {longest:g} s are declared"
        yield Objection(f"{text}: {mend}", _CLASS)
    elif still > longest + _SWITCHES_S:
        yield Objection(f"its registers stood still for {still:.1f} s under load, and {longest:g} s are declared: {cure}", _CLASS)
    soonest = min((one.most_s for one in responses if one.most_s is not None), default=shortest)
    if soonest < shortest:
        text = f"it shows a step after {soonest:.2f} s at most, sooner than the shortest latency of the rig file, {shortest:g} s"
        yield Objection(f"{text}: write latency_s = [0, {longest:g}]", _CLASS)


def longest_still_s(looks: Sequence[Look], declared_wh: float) -> float:
    """Return for how long all registers stood still though more than two steps of energy were due; 0 where they did not."""
    longest, first = 0.0, 0
    for number in range(1, len(looks) + 1):
        if number < len(looks) and not looks[number].renewed:
            continue
        still = looks[first:number]
        lasts = still[-1].requested - still[0].received
        if declared_wh and made_wh(still) > 2 * declared_wh:
            longest = max(longest, lasts)
        first = number
    return longest


def age_words(responses: Sequence[Response], looks: Sequence[Look]) -> str:
    """Say how old the readings are at most; empty where it was not shown."""
    ages = [one.most_s for one in responses if one.most_s is not None]
    if not ages:
        return ""
    changes = [one.received for one in looks[:CLOSE_LOOKS] if one.renewed]
    renewed = [after - before for before, after in pairwise(changes)]
    text = f"shows a step within {max(ages):.2f} s"
    return f"{text}, and its registers change at least every {max(renewed):.1f} s under load" if renewed else text
