"""The detection matrix: each bug of the catalogue, what is due, what was found, and the false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.domain.verdicts import Verdict
from bench.settings.field_bug import Due, FieldBug

HEAD: Final = """# What the bench finds

Each bug of the catalogue in [`config/faults`](../../config/faults), seeded into the emulated rig and judged from the journal
alone. *Due* was written down before the check that finds it. Written by `bench faults --matrix --write FILE`.

A cell such as 1/1 says in how many of how many runs, one for each seed, something was as is due; one run shows that the bench
can find the bug, not how often it does. *Right verdict*: the word is the one that is due, which for some bugs is PASS or
INCONCLUSIVE, as nothing more can be shown. *Right reason*: the check that is due leads. *Right layer*, *right class*: who is
blamed, and what kind of fault it is called. *s*: seconds of a run in virtual time. A harmless habit must convict nobody; it may
leave a run INCONCLUSIVE.

"""
_COLUMNS: Final = ("bug", "variant", "due", "right verdict", "right reason", "right layer", "right class", "s")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one variant came to over its seeds: so many runs, and in how many each thing was as is due."""

    runs: int
    convicted: int
    reason: int
    layer: int
    fault_class: int
    met: int
    """All of them at once."""
    seconds: float
    """Mean of a run."""
    otherwise: str
    """What the first run said that ended otherwise; empty where none did."""

    @property
    def all_met(self) -> bool:
        """Say whether every run ended as is due; nothing is shown where there was none."""
        return self.met == self.runs > 0


@dataclass(frozen=True, slots=True)
class Detection:
    """The whole matrix."""

    bugs: Sequence[FieldBug]
    found: Mapping[tuple[str, int], Tally]
    """By bug and number of the variant."""
    sound_runs: int
    false_alarms: Sequence[str] = ()
    """What was said of sound rigs and should not have been."""
    undecided: Sequence[str] = field(default=())
    """Sound runs that were not shown to pass."""

    @property
    def clean(self) -> bool:
        """Say whether everything ended as is due."""
        return not self.false_alarms and all(one.all_met for one in self.found.values())

    def summary(self) -> list[str]:
        """Return how many bugs end as is due, and how many alarms are false."""
        kinds = (("bug", "bugs end as is due: verdict, reason, layer and class"), ("benign", "benign controls stay quiet"))
        lines = []
        for kind, text in kinds:
            those = [one for one in self.bugs if one.kind == kind]
            good = [one for one in those if self._met(one)]
            lines += [f"{len(good)} of {len(those)} {text}"] if those else []
        quiet = f"{len(self.false_alarms)} false alarms in {self.sound_runs} runs on sound rigs"
        return [*lines, f"{quiet}, {len(self.undecided)} not decided"]

    def _met(self, bug: FieldBug) -> bool:
        return bool(bug.variant) and all(self.found[bug.id, number].all_met for number, _ in enumerate(bug.variant))

    def page(self) -> str:
        """Return the page in Markdown."""
        lines = [HEAD + "".join(f"- {line}\n" for line in self.summary()), _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
        for bug in self.bugs:
            if bug.cannot_show:
                lines.append(_row([f"{bug.id} {bug.name}", "", f"not shown: {bug.cannot_show}", *[""] * 5]))
            for number, variant in enumerate(bug.variant):
                one = self.found[bug.id, number]
                counts = [f"{count}/{one.runs}" for count in (one.convicted, one.reason, one.layer, one.fault_class)]
                name = bug.id if number else f"{bug.id} {bug.name}"
                lines.append(_row([name, variant.name, due_text(variant.due), *counts, f"{one.seconds:.1f}"]))
        for title, those in (("False alarms", self.false_alarms), ("Not decided", self.undecided)):
            lines += ["", f"## {title}", "", *(f"- {one}" for one in those)] if those else []
        return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def due_text(due: Due) -> str:
    """Return what is due in words: `FAIL station, over limit (power)`."""
    text = " ".join([str(due.verdict), " or ".join(due.blamed)]).strip()
    text += f", {due.fault_class}" if due.fault_class else ""
    text += f" ({due.check})" if due.check else ""
    return f"{text}, finding {', '.join(due.warnings)}" if due.warnings and due.verdict is not Verdict.FAIL else text
