"""The console command `bench`: parses, calls, shows; decides nothing. Everything heavy is imported by the commands themselves."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from bench import __version__
from bench.adapters.stops import give_back, handlers, ignore_stops
from bench.cli import commission, composite, doctor, faults, limits, lint, meter, ocpi, restore, run, serve, suites, tools
from bench.errors import BenchError, StoppedError, UsageError

EXIT_CODES = """\
exit codes of 'run': 0 PASS or CONDITIONAL_PASS (1 with --strict), 1 FAIL or CONDITIONAL_FAIL, 3 INCONCLUSIVE or nothing
judged, 4 ERROR, 5 ABORTED, 2 bad usage. The same of 'ocpi check', 4 where the CSO cannot be reached. Of the tools: 0 fine, 1 a
finding, 2 bad input.
"""


class _WrongArgumentsError(Exception):
    """The command line does not fit the grammar; the usage has been printed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the usage, and leave the rest to who answers for the output."""
        self.print_usage(sys.stderr)
        raise _WrongArgumentsError(f"{self.prog}: error: {message}")


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top: argparse.ArgumentParser = _Parser(
        prog="bench",
        description="Hardware-in-the-loop test bench for EV charging stations: OCPP 2.0.1, OCPI, and an independent meter.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bench {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run.add_parsers(commands)
    commission.add_parsers(commands)
    tools.add_parsers(commands)
    composite.add_parsers(commands)
    lint.add_parsers(commands)
    serve.add_parsers(commands)
    limits.add_parsers(commands)
    restore.add_parsers(commands)
    doctor.add_parsers(commands)
    meter.add_parsers(commands)
    ocpi.add_parsers(commands)
    faults.add_parsers(commands)
    suites.add_parsers(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. As a program of its own (no arguments), nothing changes that code any more."""
    before = handlers()
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        return _code(arguments, as_json)
    except KeyboardInterrupt:
        return 130
    finally:
        if arguments is None:
            ignore_stops()
        else:
            give_back(before)


def _code(arguments: Sequence[str] | None, as_json: bool) -> int:
    try:
        parsed = parser().parse_args(arguments)
        code: int = parsed.func(parsed)
    except _WrongArgumentsError as error:
        print(error, file=sys.stderr)
        _print_json(as_json, "UsageError", str(error), 2)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (BenchError, OSError) as error:
        code = 2 if isinstance(error, UsageError) else 5 if isinstance(error, StoppedError) else 4
        print(f"bench: {error}", file=sys.stderr)
        return _print_json(as_json, type(error).__name__, str(error), code)
    except Exception as error:  # a defect of ours must not look like a FAIL, whose code is 1
        traceback.print_exc()
        return _print_json(as_json, type(error).__name__, str(error), 4)
    return code


def _print_json(as_json: bool, kind: str, text: str, code: int) -> int:
    """Print an error for machines too where --json was asked for; return the exit code."""
    if as_json:
        with suppress(BrokenPipeError):
            print(json.dumps({"error": text, "kind": kind, "exit_code": code}, indent=2, ensure_ascii=False), flush=True)
    return code
