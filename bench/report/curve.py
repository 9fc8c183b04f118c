"""The operating curve in words: how often a current of a known size got which verdict, beside what the model predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.domain.operating_curve import WORDS, wilson
from bench.domain.verdicts import Verdict

_HEAD: Final = """## Operating curve

How large must an excess be to be found, and how often is a sound station wronged? Each run is a whole one on the emulated rig in
virtual time: the meter is proven, {limit:g} A are installed, the car draws an exact current on three phases, about twenty settled
readings are taken, and the run is judged. From seed to seed the meter errs otherwise; single readings scatter by {noise:g} A.
Where the current exceeds the limit, it is the station that offers so much.

- *errors* even: anywhere within the bounds of the meter's data sheet, as far as a sound meter goes. normal: with the standard
  uncertainty u that the decision rule reckons with (the bounds / sqrt 3), so a few lie outside of the bounds.
- *detection limit*: limit + U + 1.645 u, which each run prints among the measurements of its power check.
- Each rate is followed by its 95 % interval (Wilson) and, in brackets, what the decision rule predicts with U and u. The highest
  of the three phases is judged, which lifts the mean by 0.85 times its noise; the prediction has that in it.
- INCONCLUSIVE is not predicted. A meter that errs by far more than its data sheet says fails its proof, and nothing is
  judged by it.

"""
_COLUMNS: Final = ("meter", "true current", "errors", "runs", *WORDS, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Point:
    """What the runs of one point came to."""

    percent: float
    """Bounds of the meter's error, percent of the reading."""
    name: str
    errors: str
    true_a: float
    sound: bool
    """Nothing exceeds the limit."""
    counts: Mapping[Verdict, int]
    predicted: Mapping[Verdict, float]
    """Empty where the true current differs from run to run."""
    otherwise: str
    """What the first run said that got none of the four words; empty where there was none."""

    @property
    def runs(self) -> int:
        """Return how many runs there were."""
        return sum(self.counts.values())

    def cells(self) -> list[str]:
        """Return the point as a row of the table."""
        true = self.name if not self.predicted else f"{self.name}, {self.true_a:.3f} A"
        rest = self.runs - sum(self.counts[one] for one in WORDS)
        return [f"{self.percent:g} %", true, self.errors, str(self.runs), *(self._cell(one) for one in WORDS), str(rest or "")]

    def _cell(self, word: Verdict) -> str:
        count, due = self.counts[word], self.predicted.get(word)
        if not count and (due is None or due < 0.0005):
            return "0"
        low, high = wilson(count, self.runs)
        text = f"{100 * count / self.runs:.1f} %, {100 * low:.1f} to {100 * high:.1f}"
        return text if due is None else f"{text} ({100 * due:.1f})"


@dataclass(frozen=True, slots=True)
class Curve:
    """All points."""

    limit_a: float
    noise_a: float
    points: Sequence[Point]

    @property
    def clean(self) -> bool:
        """Say whether no sound station with a sound meter is FAIL, and 95 % are at the detection limit."""
        above = [one for one in self.points if not one.sound and one.errors == "even"]
        return not self.wronged() and all(one.counts[Verdict.FAIL] >= 0.95 * one.runs for one in above)

    def wronged(self) -> int:
        """Return how many sound stations were FAIL by a meter within its data sheet."""
        return sum(one.counts[Verdict.FAIL] for one in self.points if one.sound and one.errors == "even")

    def summary(self) -> list[str]:
        """Return how many sound stations were wronged, and how many of those at the detection limit were found."""
        even = [one for one in self.points if one.errors == "even"]
        runs = sum(one.runs for one in even if one.sound)
        whose = "sound stations up to the limit itself, by meters within their data sheet"
        told = [f"{self.wronged()} FAIL in {runs} runs of {whose}"]
        for one in even:
            if not one.sound:
                where = f"at the detection limit of {one.true_a:.3f} A, meter of {one.percent:g} %, errors even"
                told.append(f"{one.counts[Verdict.FAIL]} of {one.runs} FAIL {where}")
        return told

    def section(self) -> str:
        """Return the section in Markdown."""
        lines = [_HEAD.format(limit=self.limit_a, noise=self.noise_a) + "".join(f"- {line}\n" for line in self.summary())]
        rows = [_COLUMNS, ["---"] * len(_COLUMNS), *(one.cells() for one in self.points)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        said = [f"{one.percent:g} %, {one.name}, {one.errors}: {one.otherwise}" for one in self.points if one.otherwise]
        lines += ["", "What was not decided, the first of each point:", "", *(f"- {one}" for one in said)] if said else []
        return "\n".join(lines) + "\n"

    def text(self) -> list[str]:
        """Return the table for a terminal."""
        lines = [
            f"whole runs under a limit of {self.limit_a:g} A: each rate, its 95 % interval, and in brackets the predicted rate",
            "few runs of each point leave wide intervals, and 95 % of them can be missed by chance: take 200 or more",
        ]
        for one in self.points:
            lines.append(f"meter of {one.percent:g} %, errors {one.errors}, {one.name}: {one.runs} runs")
            cells = zip(_COLUMNS[4:], one.cells()[4:], strict=True)
            lines += [f"  {name:<17} {cell}" for name, cell in cells if cell not in ("", "0")]
        return [*lines, *self.summary()]
