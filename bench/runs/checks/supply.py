"""Was the supply fit to judge by: its voltage as the reference meters saw it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bench.domain.evidence import EvseFacts
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict
from bench.runs.checks.case import Case

CHECK: Final = "supply"
BAND: Final = 0.1
"""EN 50160 4.2.2.2, IEC 60038: nominal voltage +-10 %, 207 to 253 V at 230 V; what falls below by a reading is a dip (5.2)."""
_IMPLAUSIBLE: Final = 2.0
"""Times nominal voltage: no supply does that, so the reading is none and says nothing of the supply."""
_TITLE: Final = "The supply stayed within its nominal voltage +-10 %"


@dataclass(slots=True)
class _Outside:
    """Readings in a row of one meter outside the band, all on the same side."""

    meter: str
    low: bool
    start: float
    end: float
    extreme_v: float
    refs: list[int]

    @property
    def text(self) -> str:
        what = "dipped to" if self.low else "rose to"
        span = f"from {clock_text(self.start)} to {clock_text(self.end)}"
        return f"the supply {what} {self.extreme_v:.1f} V at meter {self.meter} {span}, so nothing is shown of that time"


def judge_supply(case: Case) -> CheckResult:
    """Judge the supply by each reading of voltage, phase to neutral, of the EVSE under test and of those summed with it.

    Outside the band is INCONCLUSIVE, blamed on the bench, which gives the supply: a station may then do what it otherwise
    must not. No reading of voltage is INCONCLUSIVE; on DC, where a meter need not see the supply, NOT_APPLICABLE.
    """
    whole = "station_power" in case.scenario["checks"]
    seen = [one for one in case.scene.evses if one.meter and (whole or one.evse_id == case.evse.evse_id)]
    metered = {one.meter: one for one in seen if one.current_type == "AC"}
    if not metered:
        return CheckResult(CHECK, _TITLE, Verdict.NOT_APPLICABLE, (f"no meter sees the AC supply of {case.evse.name}",))
    blind = next((one for one in metered.values() if not any(True for _ in _readings(one))), None)
    outside = [span for one in metered.values() for span in _outside(one)]
    if outside:
        refs = tuple(dict.fromkeys(ref for span in outside for ref in (span.refs[0], span.refs[-1])))
        return CheckResult(
            CHECK, _TITLE, Verdict.INCONCLUSIVE, tuple(span.text for span in outside), (Layer.BENCH,), FaultClass.METERING,
            refs=refs, measurements=_extremes(metered.values()),
        )  # fmt: skip
    if blind is not None:
        return CheckResult(CHECK, _TITLE, Verdict.INCONCLUSIVE, (f"meter {blind.meter} gave no voltage",), (Layer.METER,))
    found = _extremes(metered.values())
    text = f"{found[0].value:.1f} to {found[1].value:.1f} V"
    return CheckResult(CHECK, _TITLE, Verdict.PASS, (text,), measurements=found)


def _readings(evse: EvseFacts) -> Iterator[tuple[float, int, list[float]]]:
    """Yield time, document and plausible voltages of each reading that has one."""
    most = _IMPLAUSIBLE * evse.supply.voltage_v
    for sample in evse.samples:
        volts = [one for one in sample.voltage_v if one is not None and 0 <= one <= most]
        if volts:
            yield sample.received, sample.seq, volts


def _outside(evse: EvseFacts) -> Iterator[_Outside]:
    nominal = evse.supply.voltage_v
    low_v, high_v = nominal * (1 - BAND), nominal * (1 + BAND)
    span: _Outside | None = None
    for at, seq, volts in _readings(evse):
        low = min(volts) < low_v - 1e-6
        if not low and max(volts) <= high_v + 1e-6:
            if span is not None:
                yield span
            span = None
            continue
        extreme = min(volts) if low else max(volts)
        if span is not None and span.low == low:
            span.end, span.extreme_v = at, min(span.extreme_v, extreme) if low else max(span.extreme_v, extreme)
            span.refs.append(seq)
            continue
        if span is not None:
            yield span
        span = _Outside(evse.meter, low, at, at, extreme, [seq])
    if span is not None:
        yield span


def _extremes(metered: Iterable[EvseFacts]) -> tuple[Measurement, Measurement]:
    volts = [one for evse in metered for _, _, seen in _readings(evse) for one in seen]
    return (
        Measurement("lowest_voltage", round(min(volts), 1), "V", "of the supply, phase to neutral"),
        Measurement("highest_voltage", round(max(volts), 1), "V", "of the supply, phase to neutral"),
    )
