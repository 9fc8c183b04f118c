"""`bench lint`: the rules of OCPP 2.0.1 on charging profiles as a tool."""

from __future__ import annotations

import argparse
import json
import sys


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("lint", help="list the rules that a charging profile breaks, and what a station must answer")
    command.add_argument("case", help="JSON file with via, station and request; - for standard input")
    command.add_argument("--strict", action="store_true", help="exit code 1 if a rule is broken")
    command.set_defaults(func=lint)


def lint(arguments: argparse.Namespace) -> int:
    """Print the broken rules; 0, or with --strict 1 where there are any; 2 for a case that cannot be read.

    Oddities that no requirement forbids go to standard error.
    """
    from bench.settings.case import CaseError, check_case, read_case
    from bench.settings.lint_case import LintCase
    from bench.wire.profile_lint import lint_request

    try:
        case = check_case(LintCase, read_case(arguments.case))
    except CaseError as error:
        print(json.dumps(error.as_json(), ensure_ascii=False), file=sys.stderr)
        return 2
    result = lint_request(case.via, case.station.view(), case.request)
    breaks = [{"requirement": one.requirement, "duty": one.duty, "text": one.text} for one in result.breaks]
    print(json.dumps({"breaks": breaks, "station_must": result.station_must}, indent=2, ensure_ascii=False))
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    return 1 if arguments.strict and result.breaks else 0
