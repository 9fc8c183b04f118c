"""Reading a journal against bare decoding of its lines, and judging power from columns against merely reading the columns.

    python benchmarks/judge.py [EVSES]

(a) A journal of readings at 1 Hz (two hours of 10 meters) is read with its chain checked; the floor is `orjson.loads` of each
line of the same file, kept in a list. The meter samples are then made columns of each EVSE.
(b) A day at 1 Hz of 100 EVSEs (8.64 million readings, all in memory at once) is judged against 96 periods each; the floor is
the numpy sum of each column that the judgement reads: when each reading was requested and received, and the current of each
phase. Compared with it are finding the highest reading of each span that the same limits bind, and the whole check of power
with its measurements and words. One day obeys the limits, with a look at the pilot after each change; another breaks each
tenth one for a minute.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson

from bench.adapters.journal import encode
from bench.adapters.journal_reader import read_journal
from bench.domain.decision import DecisionRule
from bench.domain.documents import FIRST_HASH, SCHEMA_VERSION, Document, Kind, chain
from bench.domain.evidence import EvseFacts, Limits, PilotSample, RunFacts
from bench.domain.meter import MeterReading
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.power_columns import PowerColumns
from bench.domain.quantities import moment
from bench.domain.series import Series
from bench.domain.timeline import Timeline
from bench.domain.uncertainty import UNKNOWN, Accuracy
from bench.domain.verdicts import RunState, Verdict
from bench.runs.checks.power import PowerRule, judge_power
from bench.runs.measurements import fold_measurements

T0, DAY_S, PERIOD_S = 1_767_225_600.0, 86_400, 900
READ_LIMIT, SERIES_LIMIT, SPANS_LIMIT, JUDGE_LIMIT = 2.0, 4.0, 20.0, 20.0
BREACH_LIMIT = 25.0
"""Of a day with breaches: each period with one is split into excursions and plateaus by itself."""
RULE = PowerRule(DecisionRule.GUARDED, 15.0, "nominal", 1.0, 5.0, None, None)


def cpu_s(call: Callable[[], object]) -> float:
    """Return the CPU time of one call in s."""
    gc.collect()
    begin = time.process_time()
    call()
    return time.process_time() - begin


def write_journal(path: Path, seconds: int, meters: int) -> None:
    """Write a sound chain of readings at 1 Hz, with the registers that they were decoded from."""
    head = FIRST_HASH
    with path.open("wb") as file:
        for seq in range(seconds * meters):
            at = moment(T0 + seq // meters)
            amps = 16 - seq % 7 / 10
            reading = MeterReading(
                at, at, (230.1, 229.8, 230.4), (amps, amps, amps), amps * 690, (amps * 230,) * 3, seq / 3, 50.01,
                {"input:0x0000": "43660000" * 38},
            )  # fmt: skip
            data = reading.as_document(f"m{seq % meters}")
            body = encode({"v": SCHEMA_VERSION, "seq": seq, "t": at, "kind": Kind.METER_SAMPLE, "data": data})
            head = chain(head, body)
            file.write(b'%b,"h":"%b"}\n' % (body[:-1], head))


def decode(path: Path) -> list[object]:
    """Decode each line and keep it; like the reader without looking for cycles, which documents have not."""
    gc.disable()
    try:
        with path.open("rb") as file:
            return [orjson.loads(line) for line in file]
    finally:
        gc.enable()


def limits_of(number: int) -> Limits:
    """Return 96 limits of a quarter of an hour on three phases."""
    steps = [(T0 + index * PERIOD_S, 6.0 + (index * 7 + number) % 26) for index in range(DAY_S // PERIOD_S)]
    return Timeline([(at, ExpectedLimit(amps, "A", amps, 3, 1)) for at, amps in steps], T0 + DAY_S)


def day_of(number: int, limits: Limits, *, obeys: bool) -> EvseFacts:
    """Return a day at 1 Hz: 0.5 A below each limit 3 s after it is due; else 3 A above each tenth one for a minute."""
    dice = np.random.default_rng(number)
    at = T0 + np.arange(DAY_S) + dice.uniform(0, 0.05, DAY_S)
    due = np.clip(np.arange(DAY_S) - 3, 0, None) // PERIOD_S
    amps = np.array([one.limit for one in limits.values if one is not None])[due] - 0.5 + dice.normal(0, 0.02, DAY_S)
    if not obeys:
        amps[(due % 10 == 5) & (np.arange(DAY_S) % PERIOD_S // 60 == 7)] += 3.5
    current = np.stack((amps, amps - 0.01, amps - 0.02))
    energy = np.cumsum(current.sum(axis=0) * 230 / 3600)
    evse = EvseFacts("CS", number, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0.2, 0.001), Accuracy(0.2, 0.1), (0.0, 0.2))
    evse.samples = Series.of_columns(
        at, at + 0.03, current, current.sum(axis=0) * 230, energy, np.arange(DAY_S), np.full((3, DAY_S), 230.0)
    )
    for seq, segment in enumerate(limits.segments()):
        if segment.value is not None:
            evse.pilot.append(PilotSample(segment.start + 3, "C", segment.value.limit, 32.0, DAY_S + seq))
    return evse


def read_columns(evses: list[EvseFacts]) -> float:
    """Return the sum of all that is judged."""
    columns = [(one.samples.requested, one.samples.received, *one.samples.current_a) for one in evses]
    return sum(float(column.sum()) for evse in columns for column in evse)


def afresh(evses: list[EvseFacts]) -> None:
    """Make each series anew of the same arrays: whatever it keeps for later is to be paid for."""
    for one in evses:
        own = one.samples
        one.samples = Series.of_columns(
            own.requested, own.received, own.current_a, own.power_w, own.energy_wh, own.seq, own.voltage_v
        )


def judge(evses: list[EvseFacts], limits: list[Limits]) -> list[Verdict]:
    """Judge the power of each EVSE."""
    facts = RunFacts({}, {}, 1, T0, T0 + DAY_S, RunState.COMPLETED, "", [], [], evses)
    return [judge_power(facts, evse, one, RULE).verdict for evse, one in zip(evses, limits, strict=True)]


def spans_of(evses: list[EvseFacts], limits: list[Limits]) -> float:
    """Return the highest settled reading of all, by the spans of each period."""
    highest = 0.0
    for evse, line in zip(evses, limits, strict=True):
        columns = PowerColumns(evse.samples, line, RULE.settle_s, evse.latency_s, RULE.longest_gap_s)
        for one in line.segments():
            due = one.start + RULE.settle_s + evse.latency_s[1]
            part, _, first = columns.part(one.start, one.end, due)
            found = columns.spans(first, first + len(part), due, "A")
            highest = max(highest, *(span.highest for span in found if span.settled and span.highest is not None))
    return highest


def fold(documents: list[Document], meters: int) -> None:
    """Make the meter samples of a journal columns, one series for each meter."""
    evses = [
        EvseFacts("CS", number, f"m{number}", (1, 2, 3), Supply(), 0.0, UNKNOWN, UNKNOWN, (0.0, 0.2)) for number in range(meters)
    ]
    fold_measurements(documents, RunFacts({}, {}, 1, T0, T0 + DAY_S, RunState.COMPLETED, "", [], [], evses))


def reading(rounds: int = 7) -> tuple[float, float]:
    """Print what reading a journal costs; return the median ratios of the documents and of the columns made of them."""
    floors, takes, whole = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        write_journal(path, 7200, 10)
        for _ in range(rounds):
            floors.append(cpu_s(lambda: decode(path)))
            takes.append(cpu_s(lambda: read_journal(path)))
            whole.append(cpu_s(lambda: fold(read_journal(path).documents, 10)))
        size, count = path.stat().st_size / 1e6, len(read_journal(path).documents)
    ratio, series = (
        statistics.median(one / floor for one, floor in zip(times, floors, strict=True)) for times in (takes, whole)
    )
    print(f"bare decoding   {statistics.median(floors):7.3f} s  {count} documents, {size:.0f} MB")
    print(f"the reader      {statistics.median(takes):7.3f} s  {ratio:.2f}x  (limit: {READ_LIMIT:g}x)")
    print(f"with its series {statistics.median(whole):7.3f} s  {series:.2f}x  (limit: {SERIES_LIMIT:g}x)")
    return ratio, series


def judging(count: int, *, obeys: bool, rounds: int = 5) -> tuple[float, float]:
    """Print what judging the power of so many EVSEs costs; return the median ratios of the spans and of the whole check."""
    limits = [limits_of(number) for number in range(count)]
    evses = [day_of(number, one, obeys=obeys) for number, one in enumerate(limits)]
    floors, finds, takes = [], [], []
    for _ in range(rounds):
        floors.append(cpu_s(lambda: read_columns(evses)))
        afresh(evses)
        finds.append(cpu_s(lambda: spans_of(evses, limits)))
        afresh(evses)
        takes.append(cpu_s(lambda: judge(evses, limits)))
    verdicts = set(judge(evses, limits))
    spans, whole = (
        statistics.median(one / floor for one, floor in zip(times, floors, strict=True)) for times in (finds, takes)
    )
    print(f"numpy sum       {statistics.median(floors):7.3f} s  5 columns of {count} EVSEs x {DAY_S} readings")
    print(f"highest by span {statistics.median(finds):7.3f} s  {spans:.1f}x  (limit: {SPANS_LIMIT:g}x)")
    limit = JUDGE_LIMIT if obeys else BREACH_LIMIT
    print(f"judging power   {statistics.median(takes):7.3f} s  {whole:.1f}x  (limit: {limit:g}x; {', '.join(verdicts)})")
    return spans, whole


def main() -> None:
    """Print the medians and their ratios; exit 1 above a limit."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    documents, series = reading()
    spans, whole = judging(count, obeys=True)
    missed = documents > READ_LIMIT or series > SERIES_LIMIT or spans > SPANS_LIMIT or whole > JUDGE_LIMIT
    print("the same with breaches, whose periods are looked at closer:")
    missed |= judging(max(1, count // 10), obeys=False)[1] > BREACH_LIMIT
    sys.exit(missed)


if __name__ == "__main__":
    main()
