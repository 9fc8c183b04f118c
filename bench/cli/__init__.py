"""The console command `bench`: parses, calls, shows; decides nothing. Everything heavy is imported by the commands themselves."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from bench import __version__
from bench.adapters.stops import give_back, handlers, ignore_stops
from bench.cli import commission, composite, doctor, faults, lint, meter, restore, run, serve, suites, tools
from bench.errors import BenchError, UsageError

EXIT_CODES = """\
exit codes of 'run': 0 PASS or CONDITIONAL_PASS (1 with --strict), 1 FAIL or CONDITIONAL_FAIL, 3 INCONCLUSIVE or nothing
judged, 4 ERROR, 5 ABORTED, 2 bad usage. Of the tools: 0 fine, 1 a finding, 2 bad input.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(
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
    restore.add_parsers(commands)
    doctor.add_parsers(commands)
    meter.add_parsers(commands)
    faults.add_parsers(commands)
    suites.add_parsers(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. As a program of its own (no arguments), nothing changes that code any more."""
    before = handlers()
    try:
        return _code(arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        if arguments is None:
            ignore_stops()
        else:
            give_back(before)


def _code(arguments: Sequence[str] | None) -> int:
    try:
        parsed = parser().parse_args(arguments)
        code: int = parsed.func(parsed)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 4
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 4
    except Exception:  # a defect of ours must not look like a FAIL, whose code is 1
        traceback.print_exc()
        return 4
    return code
