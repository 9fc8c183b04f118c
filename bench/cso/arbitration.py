"""Who may limit a session when several want to: the policies, as pure functions of the claims in the order of their coming.

OCPI has no rule of priority, and stacked TxProfiles would not give the lowest limit, for in OCPP the highest level wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Final

from bench.settings.ocpi_relay import Policy as Policy  # its home is the settings
from bench.wire.ocpi.limits import Span, Window, end_of, window
from bench.wire.ocpi.profiles import ChargingProfile

LOCAL: Final = ("BEMS", "DSO", "OPERATOR")
"""Roles of writers that do not come by OCPI."""


@dataclass(slots=True, eq=False)
class Claim:
    """One writer's wish at a session or at an EVSE."""

    writer: str
    role: str
    """SCSP, EMSP, … or one of `LOCAL`."""
    order: int
    """Ascends with the coming of claims."""
    profile: ChargingProfile | None = None
    """None: it holds its place, and nothing of it is at the station."""
    emergency: bool = False
    """A BEMS's, which counts whoever owns the flexibility."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What counts at a session, as one schedule."""

    whole: ChargingProfile | None
    """As it was asked for, where one profile alone counts and the station can hold it."""
    spans: list[Span]
    unit: str
    most: int
    """Periods that the station holds."""
    hint: float | None = None
    """`min_charging_rate`, where one profile alone counts."""

    def window(self, now: float) -> Window | None:
        """Return what the station is given now; None where nothing is left of the schedule."""
        if self.whole is not None:
            return Window(self.whole, None)
        cut = window(self.spans, now, self.unit, self.most)
        if cut is None or self.hint is None:
            return cut
        return Window(cut.profile.model_copy(update={"min_charging_rate": self.hint}), cut.renew_at)


def lasting(claims: Collection[Claim], at: float, began: datetime | None) -> list[Claim]:
    """Return the claims that have their place at a moment: a writer's on the spot has lost it once its limit is over."""
    return [one for one in claims if one.role not in LOCAL or one.profile is None or end_of(one.profile, began) > at]


def place_ends(policy: Policy, claims: Collection[Claim], began: datetime | None) -> float | None:
    """Return when the one writer that counts loses its place to the next, in seconds of the calendar; None where none will."""
    first, *others = sorted(claims, key=lambda one: one.order)
    if policy != "one_writer" or not others or first.role not in LOCAL or first.profile is None:
        return None
    ends = end_of(first.profile, began)
    return None if ends == inf else ends


def standing(policy: Policy, claims: Sequence[Claim], idle: Collection[Claim] = ()) -> list[Claim]:
    """Return the claims that count, in the order of their coming; of these the lowest limit holds at each moment.

    one_writer: the first one alone. minimum: all. bems_owns: a BEMS rules out every party that comes by OCPI. scsp_owns: a party
    that comes by OCPI rules out a BEMS but for its emergencies. In the last two one party by OCPI counts, the first, and DSO
    and OPERATOR always do.

    Args: idle: claims that ask for nothing at the moment in question, and so rule nobody out there.
    """
    claims = sorted(claims, key=lambda one: one.order)
    if policy == "one_writer":
        return claims[:1]
    if policy == "minimum":
        return claims
    outside = [one for one in claims if one.role not in LOCAL][:1]
    if policy == "bems_owns":
        ruled_out = outside if any(one.role == "BEMS" and one.profile is not None and one not in idle for one in claims) else []
    else:
        owned = any(one.profile is not None and one not in idle for one in outside)
        ruled_out = [one for one in claims if owned and one.role == "BEMS" and not one.emergency]
    return [one for one in claims if (one.role in LOCAL or one in outside) and one not in ruled_out]


def counting_of(policy: Policy, wishes: Sequence[Claim]) -> Callable[[set[int]], set[int]]:
    """Return what gives, of the indexes of wishes that ask for something at a moment, those that count then; for `merge`."""

    def counting(there: set[int]) -> set[int]:
        counted = standing(policy, wishes, [one for index, one in enumerate(wishes) if index not in there])
        return {index for index in there if wishes[index] in counted}

    return counting


def refusal(policy: Policy, counted: Sequence[Claim], candidate: Claim) -> str:
    """Return why a claim does not count, given those that do; empty where it does."""
    if candidate in counted:
        return ""
    owners = [one for one in counted if one.profile is not None] or counted
    return f"{owners[0].writer} steers this session (policy {policy})"
