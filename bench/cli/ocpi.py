"""`bench ocpi check`: the mock peers as a test of somebody's CSO."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.rig.ocpi_check import Checked

OWN_TOKEN_VARIABLE: Final = "BENCH_OCPI_OWN_TOKEN"
_EPILOG: Final = (
    "exit codes: 0 every case PASS, 1 a FAIL, 2 bad usage, 3 nothing failed and something was not shown, 4 the CSO cannot be "
    "reached, 5 stopped"
)


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    ocpi = commands.add_parser("ocpi", help="OCPI: check somebody's CSO")
    deeper = ocpi.add_subparsers(title="commands", metavar="COMMAND", required=True)
    text = "test a CSO's charging profiles case by case, as an SCSP or an EMSP"
    command = deeper.add_parser("check", help=text, epilog=_EPILOG)
    command.add_argument("url", metavar="VERSIONS_URL", help="versions URL of the CSO")
    command.add_argument("--token", metavar="TOKEN_A", help="its registration token; better in the variable BENCH_OCPI_TOKEN")
    command.add_argument(
        "--version", choices=("2.2.1", "2.3.0", "both"), default="", help="of OCPI; default: the newest that both speak"
    )
    command.add_argument("--role", choices=("SCSP", "EMSP"), default="SCSP", help="what we are (default: %(default)s)")
    command.add_argument("--party", metavar="CC-PID", help="our country code and party id, such as NL-SCP")
    command.add_argument(
        "--registered", metavar="CC-PID",
        help="no handshake: this party of the CSO knows us by the token given and sends us the one in the variable "
        f"{OWN_TOKEN_VARIABLE}, as both sides have agreed by hand",
    )
    command.add_argument("--listen", default="127.0.0.1:9012", metavar="HOST:PORT", help="where we serve (default: %(default)s)")
    command.add_argument("--public-url", metavar="URL", help="what the CSO is told instead of http://HOST:PORT")
    command.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file with the authorities of the CSO's certificate")
    command.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST",
        help="may be sent a token too, beside the host of VERSIONS_URL; may be given again",
    )  # fmt: skip
    command.add_argument(
        "--session-within", type=float, default=0, metavar="S",
        help="how long to wait for an ACTIVE session, plug in meanwhile (default: one that runs already; 60 with --start)",
    )
    command.add_argument(
        "--evse", default="", metavar="UID", help="steer only a session at this EVSE (default: the first ACTIVE)"
    )
    command.add_argument(
        "--start", nargs=3, metavar=("TOKEN_UID", "LOCATION", "EVSE"),
        help="with --role EMSP: tell a token and start a session with it, such as --start 04A1B2C3 LOC-1 CS-1-1; '' as EVSE: any",
    )  # fmt: skip
    command.add_argument(
        "--push-within", type=float, default=0, metavar="S",
        help="near the end, wait so long for a push after you have changed what limits the station by hand",
    )
    command.add_argument("--only", action="append", default=[], metavar="NAME", help="run only this case; may be given again")
    command.add_argument("--keep", action="store_true", help="stay registered at the end")
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: runs/TIME-ocpi-check)")
    command.add_argument("--json", action="store_true", help="print result.json instead of the table")
    command.set_defaults(func=check)


def check(arguments: argparse.Namespace) -> int:
    """Check, print what was found, return the exit code."""
    from bench.peers.check.course import Start, Wishes
    from bench.peers.options import allowed_hosts, listen_address, named_party, registration_token, told_url
    from bench.rig.files import run_folder
    from bench.rig.ocpi_check import CheckOrder, check_cso

    token = registration_token(arguments.token)
    if arguments.start and arguments.role != "EMSP":
        raise UsageError("--start needs --role EMSP: a session is started by the owner of a token")
    for name in ("session_within", "push_within"):
        if not 0 <= (seconds := getattr(arguments, name)) < 1e6:
            raise UsageError(f"--{name.replace('_', '-')} {seconds:g}: must be a number of seconds, at least 0")
    host, port = listen_address(arguments.listen)
    party = named_party(arguments.party) if arguments.party else None
    start = Start(*arguments.start) if arguments.start else None
    by_hand = None
    if arguments.registered:
        by_hand = named_party(arguments.registered, "--registered"), os.environ.get(OWN_TOKEN_VARIABLE, "")
        if not by_hand[1]:
            raise UsageError(f"--registered needs the token that the CSO sends to us: set {OWN_TOKEN_VARIABLE}")
    wishes = Wishes(
        token, arguments.session_within, arguments.evse, start, tuple(arguments.only), arguments.keep, by_hand,
        arguments.push_within,
    )  # fmt: skip
    base_url = told_url(arguments.public_url, host, port)
    order = CheckOrder(
        arguments.url, wishes, arguments.version, arguments.role, host, port, base_url, party, arguments.ca_file,
        allowed_hosts(arguments.allow_host),
    )  # fmt: skip
    checked = check_cso(order, arguments.out or run_folder("ocpi-check"), _tell_aside if arguments.json else _tell)
    if arguments.json:
        print(json.dumps(checked.as_json(), indent=2, ensure_ascii=False))
    else:
        _print_end(checked)
    return checked.exit_code


def _print_end(checked: Checked) -> None:
    from bench.report.conformance import counted

    for one in checked.results:
        for text in one.said[1:] if one.verdict == "FAIL" else ():
            print(f"  {one.version} {one.name}: {text}")
    print(f"{checked.verdict}: {counted(checked.results)}" + (f"; {checked.reason}" if checked.reason else ""))
    print(f"report:  {checked.folder / 'report.html'}", flush=True)


def _tell(line: str) -> None:
    print(line, flush=True)


def _tell_aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
