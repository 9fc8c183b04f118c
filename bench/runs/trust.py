"""Readings that cannot be trusted are taken out before any check judges by them: they become gaps with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from bench.domain.evidence import Doubt, EvseFacts, RunFacts, Sample
from bench.domain.quantities import clock_text

T = TypeVar("T")
_IMPLAUSIBLE_A: Final = 200.0
"""No EVSE carries more per phase; more than five times the EVSE's own limit is implausible as well."""
_IMPLAUSIBLE_V: Final = 500.0
SUPPLY: Final = "supply"
"""Code of a doubt for which the meter is not to blame: the voltage that it saw."""
_SOUND_SUPPLY: Final = (0.9, 1.1)
"""Of the nominal voltage: 207 to 253 V (EN 50160)."""
_OFF: Final = 0.1
"""Below this part of the nominal voltage on all phases the supply is off, and nothing can be drawn."""
_STEP_WH: Final = 10.0
"""The coarsest step of an energy register that is taken for granted where the readings show none."""
_LASTS_S: Final = 5.0
"""How long P and V x I have to disagree before the wiring is doubted: on a ramp they may."""
_STILL_S: Final = 10.0
_DISAGREE: Final = 0.2
_APPARENT_W: Final = 500.0


@dataclass(frozen=True, slots=True)
class _Span:
    """Samples first to last, by index."""

    first: int
    last: int
    code: str
    text: str


def trusted(facts: RunFacts) -> None:
    """Take out of each EVSE's readings what cannot be trusted, and note why."""
    for evse in (*facts.evses, *facts.supplies.values()):
        if evse.meter and evse.samples:
            _sort_out(evse)


def _sort_out(evse: EvseFacts) -> None:
    single = [index for index, sample in enumerate(evse.samples) if _implausible(evse, sample)]
    single += [index for index in _wild_energy(evse) if index not in single]
    spans = [*_frozen(evse.samples, evse), *_disagreeing(evse.samples), *_badly_supplied(evse)]
    out = set(single)
    for span in spans:
        out |= set(range(span.first, span.last + 1))
    if not out:
        return
    evse.discarded = [evse.samples[index].seq for index in sorted(single)]
    evse.doubts = [
        Doubt(evse.samples[one.first].requested, evse.samples[one.last].received, one.code, one.text,
              (evse.samples[one.first].seq, evse.samples[one.last].seq))
        for one in spans
    ]  # fmt: skip
    evse.samples = [sample for index, sample in enumerate(evse.samples) if index not in out]
    if evse.doubts:
        evse.gap_reason = evse.doubts[0].text


def _implausible(evse: EvseFacts, sample: Sample) -> bool:
    """Say whether a reading cannot be one: what a meter's registers hold while it boots, or a frame that slipped through."""
    most = max(_IMPLAUSIBLE_A, 5 * evse.max_current_a)
    if not evse.evse_id:
        most *= 4  # a supply carries several EVSEs
    currents = any(abs(one) > most for one in sample.current_a)
    highest = _IMPLAUSIBLE_V * (3 if evse.side == "DC" else 1)
    volts = any(one is not None and abs(one) > highest for one in sample.voltage_v)
    power = sample.power_w is not None and abs(sample.power_w) > 3 * most * highest
    return currents or volts or power


def _wild_energy(evse: EvseFacts) -> list[int]:
    """Return the readings whose energy lies off the way from the one before to the one after: a sentinel, not a counter."""
    found = []
    for index in range(1, len(evse.samples) - 1):
        before, here, after = (evse.samples[one].energy_wh for one in (index - 1, index, index + 1))
        if before is None or here is None or after is None or not before <= after:
            continue
        if not before - 1 <= here <= after + 1:
            found.append(index)
    return found


def _frozen(samples: Sequence[Sample], evse: EvseFacts) -> Iterator[_Span]:
    """Yield runs of readings alike in every digit while energy had to be counted, during them or by what came after."""
    energies = [one.energy_wh for one in samples if one.energy_wh is not None]
    step = min((later - earlier for earlier, later in pairwise(energies) if later > earlier), default=_STEP_WH)
    for first, last in _runs(samples, lambda one, other: _digits(one) == _digits(other)):
        lasts, power = samples[last].received - samples[first].received, samples[first].power_w
        if last - first < 3 or lasts < _STILL_S or power is None or samples[first].energy_wh is None:
            continue
        due = abs(power) * lasts / 3600
        jump = 0.0
        if last + 1 < len(samples) and samples[last + 1].energy_wh is not None:
            after = samples[last + 1]
            most = max(abs(power), abs(after.power_w or 0.0)) * (after.received - samples[last].requested) / 3600
            jump = (after.energy_wh or 0.0) - (samples[last].energy_wh or 0.0) - most
        if due > 2 * max(step, 1.0) or jump > 5 * max(step, 1.0):
            text = (
                f"meter {evse.meter} froze: from {clock_text(samples[first].received)} on the same digits for {lasts:.0f} s, "
                "while energy flowed"
            )
            yield _Span(first, last, "frozen", text)


def _badly_supplied(evse: EvseFacts) -> Iterator[_Span]:
    """Yield runs of readings in which a phase lies outside of the sound range, save where the supply is off."""
    if evse.side == "DC":
        return  # it does not see the supply
    samples, nominal = evse.samples, evse.supply.voltage_v
    low, high = (round(part * nominal, 1) for part in _SOUND_SUPPLY)
    seen = [[one for one in sample.voltage_v if one is not None and abs(one) <= _IMPLAUSIBLE_V] for sample in samples]
    bad = [any(not low <= one <= high for one in volts) and max(volts) > _OFF * nominal for volts in seen]
    for first, last in _runs(range(len(samples)), lambda one, other: bad[one] == bad[other]):
        if bad[first]:
            worst = max((one for volts in seen[first : last + 1] for one in volts), key=lambda volt: abs(volt - nominal))
            since = clock_text(samples[first].received)
            text = f"supply: {worst:.1f} V at meter {evse.meter} from {since} on; {low:g} to {high:g} V is sound"
            yield _Span(first, last, SUPPLY, text)


def _digits(sample: Sample) -> tuple[object, ...]:
    return sample.current_a, sample.power_w, sample.energy_wh, sample.voltage_v


def _disagreeing(samples: Sequence[Sample]) -> Iterator[_Span]:
    """Yield runs of readings in which P and the sum of V x I do not agree: a wire or a sign is wrong."""
    wrong = [_disagrees(one) for one in samples]
    for first, last in _runs(range(len(samples)), lambda one, other: wrong[one] == wrong[other]):
        if wrong[first] and last > first + 1 and samples[last].received - samples[first].received >= _LASTS_S:
            one = samples[last]
            what = "power counts backwards" if (one.power_w or 0) < 0 else "P and V x I do not agree"
            text = f"{what} from {clock_text(samples[first].received)} on ({one.power_w:.0f} W for {_apparent(one):.0f} VA)"
            yield _Span(first, last, "wiring", text)


def _disagrees(sample: Sample) -> bool:
    apparent = _apparent(sample)
    if sample.power_w is None or apparent < _APPARENT_W:
        return False
    return abs(sample.power_w - apparent) > _DISAGREE * apparent


def _apparent(sample: Sample) -> float:
    return sum((volts or 0.0) * amps for volts, amps in zip(sample.voltage_v, sample.current_a, strict=False))


def _runs(items: Sequence[T], alike: Callable[[T, T], bool]) -> Iterator[tuple[int, int]]:
    """Yield first and last index of each run of neighbours that are alike."""
    first = 0
    for index in range(1, len(items) + 1):
        if index == len(items) or not alike(items[index - 1], items[index]):
            yield first, index - 1
            first = index
