"""Do the meters agree? What the station's supply takes is what its EVSEs take and its own draw."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from bench.domain.evidence import EvseFacts, Sample
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict
from bench.runs.checks.case import Case

CHECK: Final = "supply_sum"
BEFORE_S: Final = 5.0
AFTER_S: Final = 1.0
"""The EVSEs count with the lowest and the highest reading around one of the supply: a ramp convicts nobody."""
_LASTS_S: Final = 10.0
_LEAST: Final = 3
OWN_PERCENT: Final = 20.0
"""How far the own draw may be from what the rig file says, and at least so many W."""
OWN_LEAST_W: Final = 5.0


def judge_supply_sum(case: Case) -> CheckResult:
    """Judge whether the meter in the station's supply and those of its EVSEs agree within their uncertainties together.

    They disagree where it lasts for ten seconds and three readings: then one of them is wrong, or power flows past an EVSE's
    meter, and no verdict on the station rests on either: INCONCLUSIVE, blamed on the meters.
    """
    station, title = case.evse.station, f"The meters of {case.evse.station} agree with the one in its supply"
    supply = case.facts.supplies.get(station)
    if supply is None:
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, (f"no meter sits in the supply of {station}",))
    evses = case.scene.evses
    unseen = next((one.name for one in evses if not one.meter or not one.samples), "")
    if unseen or not all(one.power.known for one in (supply, *evses)) or not supply.samples:
        why = f"no meter sees {unseen}" if unseen else "a meter gave no reading, or its accuracy is not known"
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, (f"{why}, so the sum is not known",), (Layer.METER,))
    own_w: float = next(one for one in case.facts.rig["station"] if one["id"] == station).get("own_draw_w", 0.0)
    times = [[one.received for one in evse.samples] for evse in evses]
    off: list[tuple[Sample, float]] = []
    for sample in supply.samples:
        known = _apart(sample, supply, evses, times, own_w)
        if known is not None:
            off.append((sample, known))
    if len(off) < _LEAST:
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, ("too few readings stand side by side",), (Layer.METER,))
    most = max((apart for _, apart in off), key=abs)
    seen = (Measurement("apart", round(most, 1), "W", "supply less EVSEs and own draw, beyond all uncertainty, at most"),)
    run: list[Sample] = []
    for sample, apart in off:
        run = [*run, sample] if apart else []
        if len(run) >= _LEAST and run[-1].received - run[0].received >= _LASTS_S:
            more = "more" if apart > 0 else "less"
            text = f"the supply takes {abs(apart):.0f} W {more} than EVSEs and own draw, around {clock_text(sample.received)}"
            refs = (run[0].seq, run[-1].seq)
            return CheckResult(
                CHECK, title, Verdict.INCONCLUSIVE, (text,), (Layer.METER,), FaultClass.METERING, refs=refs, measurements=seen
            )
    return CheckResult(CHECK, title, Verdict.PASS, (f"{len(off)} readings agree",), measurements=seen)


def _apart(
    sample: Sample, supply: EvseFacts, evses: Sequence[EvseFacts], times: Sequence[Sequence[float]], own_w: float
) -> float | None:
    """Return by how many W a reading of the supply lies above (or below) all that is explained; None where nothing is near."""
    if sample.power_w is None:
        return None
    low = high = own_w
    room = supply.power.expanded(sample.power_w) + max(OWN_LEAST_W, own_w * OWN_PERCENT / 100)
    for evse, at in zip(evses, times, strict=True):
        first = bisect_left(at, sample.requested - supply.latency_s[1] - BEFORE_S)
        around = evse.samples[first : bisect_left(at, sample.received + AFTER_S)]
        powers = [evse.at_supply(one.power_w) for one in around if one.power_w is not None]
        near = [one for one in powers if one is not None]
        if not near:
            return None
        low, high, room = low + min(near), high + max(near), room + evse.power.expanded(max(near)) + _curve(evse, max(near))
    return max(0.0, sample.power_w - high - room) or min(0.0, sample.power_w - low + room)


def _curve(evse: EvseFacts, watts: float) -> float:
    return watts * evse.efficiency_uncertainty_percent / 100 if evse.side == "DC" else 0.0
