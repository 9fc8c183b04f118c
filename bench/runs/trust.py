"""Readings that cannot be trusted are taken out before any check judges by them: they become gaps with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.domain.evidence import Doubt, EvseFacts, RunFacts, Sample
from bench.domain.quantities import clock_text
from bench.domain.series import Floats, Series
from bench.runs.drift import drifts

Mask: TypeAlias = NDArray[np.bool_]
_IMPLAUSIBLE_A: Final = 200.0
"""No EVSE carries more per phase; more than five times the EVSE's own limit is implausible as well."""
_IMPLAUSIBLE_V: Final = 500.0
SUPPLY: Final = "supply"
"""Code of a doubt for which the meter is not to blame: the voltage that it saw."""
_SOUND_SUPPLY: Final = (0.9, 1.1)
"""Of the nominal voltage: 207 to 253 V (EN 50160)."""
_OFF: Final = 0.1
"""Below this part of the nominal voltage on all phases the supply is off, and nothing can be drawn."""
_STEP_WH: Final = 100.0
"""The coarsest step that an energy register is believed to have where the readings show none."""
_LASTS_S: Final = 5.0
"""How long P and V x I have to disagree before the wiring is doubted: on a ramp they may."""
_STILL_S: Final = 10.0
_FLOWS_A: Final = 1.0
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
    samples = evse.samples
    single = _implausible(evse) | _wild_energy(samples.energy_wh)
    spans = [*_frozen(evse), *_disagreeing(samples), *_badly_supplied(evse)]
    out = single.copy()
    for span in spans:
        out[span.first : span.last + 1] = True
    for one in drifts(evse, ~out):
        spans.append(_Span(one.first, one.last, "drift", one.text))
        out[one.first : one.last + 1] = True
    if not out.any():
        return
    evse.discarded = samples.seq[single].tolist()
    evse.doubts = [
        Doubt(samples[span.first].requested, samples[span.last].received, span.code, span.text,
              (samples[span.first].seq, samples[span.last].seq))
        for span in spans
    ]  # fmt: skip
    evse.samples = samples.taken(~out)
    if evse.doubts:
        evse.gap_reason = evse.doubts[0].text


def _implausible(evse: EvseFacts) -> Mask:
    """Return which readings cannot be: what a meter's registers hold while it boots, or a frame that slipped through."""
    most, samples = max(_IMPLAUSIBLE_A, 5 * evse.max_current_a), evse.samples
    if not evse.evse_id:
        most *= 4  # a supply carries several EVSEs
    volts = _IMPLAUSIBLE_V * (3 if evse.side == "DC" else 1)
    found: Mask = np.abs(samples.power_w) > 3 * most * volts
    for columns, highest in ((samples.current_a, most), (samples.voltage_v, volts)):
        for phase in columns:
            found |= np.abs(phase) > highest
    return found


def _wild_energy(energy: Floats) -> Mask:
    """Return the readings whose energy lies off the way from the one before to the one after: a sentinel, not a counter."""
    found = np.zeros(len(energy), np.bool_)
    before, here, after = energy[:-2], energy[1:-1], energy[2:]
    found[1:-1] = (before <= after) & ((here < before - 1) | (here > after + 1))
    return found


def _frozen(evse: EvseFacts) -> Iterator[_Span]:
    """Yield runs of readings alike in every digit while energy had to be counted, during them or by what came after."""
    samples = evse.samples
    gains = np.diff(samples.energy_wh[~np.isnan(samples.energy_wh)])
    step = float(np.min(gains, where=gains > 0, initial=np.inf)) if (gains > 0).any() else _STEP_WH
    for first, last in _runs(_like_the_one_before(samples)):
        if last - first < 3:
            continue
        begin, end = samples[first], samples[last]
        lasts, power = end.received - begin.received, begin.power_w
        if lasts < _STILL_S or power is None:
            continue
        if begin.energy_wh is None:
            if (fell := _offer_fell(evse, begin, end)) is not None:
                since = clock_text(begin.received)
                still = f"meter {evse.meter} stayed on the same digits from {since} on, though the offer fell to {fell:.1f} A"
                text = f"{still}, and it counts no energy that could tell whether it froze"
                yield _Span(first, last, "frozen", text)
            continue
        due = abs(power) * lasts / 3600
        jump = 0.0
        after = samples[last + 1] if last + 1 < len(samples) else None
        if after is not None and after.energy_wh is not None:
            most = max(abs(power), abs(after.power_w or 0.0)) * (after.received - end.requested) / 3600
            jump = after.energy_wh - (end.energy_wh or 0.0) - most
        if due > 2 * max(step, 1.0) or jump > 5 * max(step, 1.0):
            text = (
                f"meter {evse.meter} froze: from {clock_text(begin.received)} on the same digits for {lasts:.0f} s, "
                "while energy flowed"
            )
            yield _Span(first, last, "frozen", text)


def _offer_fell(evse: EvseFacts, begin: Sample, end: Sample) -> float | None:
    """Return to how many A the offer fell below what the meter showed while it stood still; None where it did not."""
    shown = max(begin.current_a)
    looks = [one for one in evse.pilot if begin.requested <= one.at <= end.received - _STILL_S and one.state is not None]
    offers = [one.offered_a for one in looks]
    return next((one for one in offers if shown > _FLOWS_A and one < shown - _FLOWS_A), None)


def _like_the_one_before(samples: Series) -> Mask:
    """Return, for each reading but the first, whether it has the digits of the one before."""
    alike = np.ones(max(0, len(samples) - 1), np.bool_)
    for column in (*samples.current_a, samples.power_w, samples.energy_wh, *samples.voltage_v):
        alike &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
    return alike


def _badly_supplied(evse: EvseFacts) -> Iterator[_Span]:
    """Yield runs of readings in which a phase lies outside of the sound range, save where the supply is off."""
    samples, nominal = evse.samples, evse.supply.voltage_v
    if evse.side == "DC" or not len(samples.voltage_v):
        return  # it does not see the supply
    low, high = (round(part * nominal, 1) for part in _SOUND_SUPPLY)
    volts = np.where(np.abs(samples.voltage_v) <= _IMPLAUSIBLE_V, samples.voltage_v, np.nan)
    outside = ((volts < low) | (volts > high)).any(axis=0)
    bad = outside & (np.nan_to_num(volts, nan=0.0).max(axis=0) > _OFF * nominal)
    if not bad.any():
        return
    for first, last in _runs(bad[1:] == bad[:-1]):
        if bad[first]:
            there = volts[:, first : last + 1]
            there = there[~np.isnan(there)]
            worst = float(there[np.abs(there - nominal).argmax()])
            since = clock_text(samples[first].received)
            text = f"supply: {worst:.1f} V at meter {evse.meter} from {since} on; {low:g} to {high:g} V is sound"
            yield _Span(first, last, SUPPLY, text)


def _disagreeing(samples: Series) -> Iterator[_Span]:
    """Yield runs of readings in which P and the sum of V x I do not agree: a wire or a sign is wrong."""
    apparent = np.zeros(len(samples))
    for volts, amps in zip(samples.voltage_v, samples.current_a, strict=False):
        apparent += np.nan_to_num(volts, nan=0.0) * amps
    wrong = (apparent >= _APPARENT_W) & (np.abs(samples.power_w - apparent) > _DISAGREE * apparent)
    if not wrong.any():
        return
    for first, last in _runs(wrong[1:] == wrong[:-1]):
        if wrong[first] and last > first + 1 and samples[last].received - samples[first].received >= _LASTS_S:
            one = samples[last]
            what = "power counts backwards" if (one.power_w or 0) < 0 else "P and V x I do not agree"
            text = f"{what} from {clock_text(samples[first].received)} on ({one.power_w:.0f} W for {apparent[last]:.0f} VA)"
            yield _Span(first, last, "wiring", text)


def _runs(alike: Mask) -> Iterator[tuple[int, int]]:
    """Yield first and last index of each run of readings that are alike; `alike` says it of each and the one before it."""
    ends = [*np.flatnonzero(~alike).tolist(), len(alike)]
    first = 0
    for last in ends:
        yield first, last
        first = last + 1
