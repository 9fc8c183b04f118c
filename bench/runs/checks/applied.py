"""Was a lowered limit obeyed in time? By the interval of the moment at which it was reached, never by a single time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.quantities import clock_text
from bench.domain.uncertainty import Moment, reached
from bench.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Applied:
    """How a lowered limit was obeyed."""

    start: float
    moment: Moment
    verdict: Verdict
    text: str
    refs: tuple[int, ...]


def applied(
    evse: EvseFacts, start: float, samples: Sequence[Sample], obeys: Callable[[Sample], bool], within_s: float
) -> Applied | None:
    """Return when a limit that is due at `start` was reached for good, and whether that was in time.

    None where the current was already below, so that nothing was commanded, and where it never came below: that is for the
    verdict on power. The lower bound takes the reading before from its request on, the upper one the first that obeys to its
    receipt. Times are the bench's own, so that no clock error is added; a period that begins by the station's clock counts from
    when it should have begun.

    Args: samples: of the period, in order.
    """
    above = [index for index, sample in enumerate(samples) if not obeys(sample)]
    if not above or above[-1] + 1 >= len(samples):
        return None
    last, first = samples[above[-1]], samples[above[-1] + 1]
    moment = reached(last.requested - start, first.received - start, evse.latency_s)
    verdict = moment.within(within_s)
    text = (
        f"the limit due at {clock_text(start)} was reached between {max(0.0, moment.earliest):.1f} s and {moment.latest:.1f} s "
        f"later; {within_s:g} s are allowed"
    )
    return Applied(start, moment, verdict, text, (last.seq, first.seq))
