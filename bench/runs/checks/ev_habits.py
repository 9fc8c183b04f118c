"""What the EV at an EVSE does by itself: findings on the EV, which explain readings and convict nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.domain.evidence import EvseFacts, PilotSample, Sample
from bench.domain.quantities import MINIMUM_CURRENT_A, clock_text
from bench.domain.verdicts import Layer, Warn
from bench.runs.checks.phases import DRAWING_A
from bench.runs.checks.pilot import Pilot

MINIMUM: Final = "ev-minimum"
CYCLING: Final = "ev-cycling"
SLOW_RESUME: Final = "ev-slow-resume"
PLATEAU_S: Final = 15.0
"""An EV answers an offer within this, a slow one too."""
CYCLES: Final = 3
"""So often it lets go by itself before that is a habit."""
CYCLE_S: Final = 600.0
"""From one time to the next at most."""
RESUME_S: Final = 300.0
"""A wake-up of a sleeping EV takes up to 218 s; after longer it counts as one that stays asleep."""


@dataclass(slots=True)
class _Plateau:
    """A span of readings in one transaction under one offer of at least 6 A, the EV at the cable."""

    offered_a: float
    looks: list[tuple[Sample, PilotSample]]

    @property
    def settled(self) -> list[tuple[Sample, PilotSample]]:
        start = self.looks[0][0].requested
        return [one for one in self.looks if one[0].requested >= start + PLATEAU_S]

    @property
    def refused(self) -> bool:
        """Say whether the EV did not ask at all, once it had had time to, though it wants energy."""
        return bool(self.settled) and all(
            seen.state == "B" and seen.ev_wants_a != 0 and max(sample.current_a) <= DRAWING_A for sample, seen in self.settled
        )

    @property
    def charged(self) -> bool:
        return bool(self.settled) and all(max(sample.current_a) > DRAWING_A for sample, _ in self.settled)


def ev_habits(evse: EvseFacts) -> tuple[Warn, ...]:
    """Return what the witness and the meter show of the EV's habits; nothing where nobody saw the pilot, and on DC."""
    if evse.current_type == "DC" or not evse.pilot:
        return ()
    found: list[Warn] = []
    for plateaus in _by_transaction(evse):
        found += [*_minimum(evse, plateaus), *_cycling(evse, plateaus), *_asleep(evse, plateaus)]
    return tuple({one.code: one for one in reversed(found)}.values())


def _by_transaction(evse: EvseFacts) -> Iterator[list[_Plateau]]:
    pilot = Pilot(evse)
    for span in evse.transactions:
        plateaus: list[_Plateau] = []
        broken = True
        for sample in evse.samples:
            if sample.requested < span.begun or (span.ended is not None and sample.received >= span.ended):
                continue
            seen = pilot.around(sample)
            if seen is None or seen.state not in ("B", "C", "D") or seen.offered_a < MINIMUM_CURRENT_A:
                broken = True
                continue
            if broken or plateaus[-1].offered_a != seen.offered_a:
                plateaus.append(_Plateau(seen.offered_a, []))
            plateaus[-1].looks.append((sample, seen))
            broken = False
        yield plateaus


def _minimum(evse: EvseFacts, plateaus: Sequence[_Plateau]) -> Iterator[Warn]:
    """An EV that does not ask under low offers and charges under higher ones, before and after: one threshold fits all."""
    refused = [one for one in plateaus if one.refused]
    charged = [one for one in plateaus if one.charged]
    if not refused or not charged:
        return
    least, most = min(one.offered_a for one in charged), max(one.offered_a for one in refused)
    order = [one.charged for one in plateaus if one.charged or one.refused]
    if most < least and order[0] and order[-1]:
        refs = (refused[0].settled[0][0].seq, refused[0].settled[0][1].seq, charged[-1].settled[0][0].seq)
        text = f"the EV at {evse.name} charges from an offer of {least:.1f} A on and not at {most:.1f} A and below"
        yield Warn(MINIMUM, text, (Layer.EV,), refs)


def _cycling(evse: EvseFacts, plateaus: Sequence[_Plateau]) -> Iterator[Warn]:
    """An EV that lets go again and again under an offer that stays, and comes back."""
    falls: list[Sample] = []
    back = 0
    for plateau in plateaus:
        begun = plateau.looks[0][0].requested
        for (before, _), (after, seen) in pairwise(plateau.looks):
            drew, draws = max(before.current_a) > DRAWING_A, max(after.current_a) > DRAWING_A
            alone = after.requested - begun > PLATEAU_S / 3 and seen.ev_wants_a != 0
            if drew and not draws and alone and (not falls or after.received - falls[-1].received < CYCLE_S):
                falls.append(after)
            elif draws and not drew and falls:
                back += 1
    if min(len(falls), back) >= CYCLES:
        span = f"between {clock_text(falls[0].received)} and {clock_text(falls[-1].received)}"
        text = f"the EV at {evse.name} stopped {len(falls)} times by itself {span} and started again under the same offer"
        yield Warn(CYCLING, text, (Layer.EV,), tuple(one.seq for one in falls))


def _asleep(evse: EvseFacts, plateaus: Sequence[_Plateau]) -> Iterator[Warn]:
    """An EV that charged, was paused, and does not ask again though it is offered enough for minutes."""
    charged_at = [one.offered_a for one in plateaus if one.charged]
    for before, plateau in pairwise(plateaus):
        looks = plateau.looks
        lasts = looks[-1][0].received - looks[0][0].requested
        paused = looks[0][0].requested - before.looks[-1][0].received > PLATEAU_S
        if paused and lasts > RESUME_S and plateau.refused and charged_at and plateau.offered_a >= min(charged_at):
            offer = f"an offer of {plateau.offered_a:.1f} A after a pause"
            text = f"the EV at {evse.name} did not ask again within {lasts:.0f} s of {offer}"
            yield Warn(SLOW_RESUME, text, (Layer.EV,), (looks[0][1].seq, looks[-1][0].seq))
