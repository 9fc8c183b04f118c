"""`bench composite`: the oracle as a tool."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bench.domain.composite import CompositeCase, CompositePeriod

WIDTH: Final = 50
"""Characters of the longest bar."""


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("composite", help="compute the composite schedule that follows from installed profiles")
    command.add_argument("case", help="JSON file with now, duration_s, rate_unit, evse, n_evses, profiles; - for standard input")
    command.add_argument("--decimals", type=_count, metavar="N", help="round limits down to so many decimals (default: exact)")
    command.add_argument(
        "--explain", action="store_true", help="say for each period which profile leads and why (on standard error)"
    )
    command.add_argument("--plot", action="store_true", help="draw the schedule (on standard error)")
    command.set_defaults(func=composite)


def composite(arguments: argparse.Namespace) -> int:
    """Print the composite schedule as JSON; 2 for a case that cannot be read."""
    from bench.domain.composite import expected_composite
    from bench.settings.case import CaseError, check_case, read_case
    from bench.settings.composite_case import CompositeSettings

    try:
        case = check_case(CompositeSettings, read_case(arguments.case, finite=False)).case()
    except CaseError as error:
        print(json.dumps(error.as_json(), ensure_ascii=False), file=sys.stderr)
        return 2
    periods = expected_composite(case)
    shown = _merged([_shown(one, arguments.decimals) for one in periods])
    print("[\n" + ",\n".join(f"  {json.dumps(one)}" for one in shown) + "\n]")
    sys.stdout.flush()
    if arguments.explain:
        _explain(case, periods)
    if arguments.plot:
        _plot(case, shown)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 9")
    return int(text)


def _shown(period: CompositePeriod, decimals: int | None) -> dict[str, Any]:
    start = int(period.start_s) if period.start_s == int(period.start_s) else round(period.start_s, 6)
    entry: dict[str, Any] = {"start_s": start, "limit": _rounded(period.limit, decimals)}
    if period.number_phases is not None:
        entry["number_phases"] = period.number_phases
    return entry


def _rounded(limit: float | None, decimals: int | None) -> float | int | None:
    """Return a limit without the noise of float arithmetic, then rounded down where that is asked for."""
    from decimal import ROUND_FLOOR, Decimal

    if limit is None:
        return None
    exact = Decimal(f"{limit:.12g}") if abs(limit) < 1e12 else Decimal(limit)
    if decimals is None:
        return int(exact) if exact == exact.to_integral_value() else limit
    value = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_FLOOR)
    return int(value) if value == value.to_integral_value() else float(value)


def _merged(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the periods without those that rounding has made equal to the one before."""
    kept: list[dict[str, Any]] = []
    for entry in entries:
        if not kept or {**entry, "start_s": 0} != {**kept[-1], "start_s": 0}:
            kept.append(entry)
    return kept


def _explain(case: CompositeCase, periods: Sequence[CompositePeriod]) -> None:
    from bench.domain.composite_words import explain
    from bench.domain.quantities import clock_text

    for period in periods:
        limit = "no limit" if period.limit is None else f"{period.limit:.6g} {case.unit}"
        print(f"from {period.start_s:g} s ({clock_text(case.window.start + period.start_s)}): {limit}", file=sys.stderr)
        for line in explain(case, period):
            print(f"  {line}", file=sys.stderr)


def _plot(case: CompositeCase, shown: Sequence[dict[str, Any]]) -> None:
    """Draw one bar a period; a period without limit is open to the right."""
    highest = max((one["limit"] for one in shown if one["limit"] is not None), default=0) or 1
    for one in shown:
        limit = one["limit"]
        bar = "░" * WIDTH + ">" if limit is None else "█" * round(limit / highest * WIDTH)
        text = "-" if limit is None else f"{limit:.6g}"
        phases = f"{one['number_phases']}~" if "number_phases" in one else "  "
        print(f"{one['start_s']:>10} s {text:>10} {case.unit} {phases} {bar}", file=sys.stderr)
