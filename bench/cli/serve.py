"""`bench serve`, `stations` and `send`: the bench as a server for real stations."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.cli.run import STATION_CLOCK
from bench.errors import EvidenceError, RigError, UsageError

if TYPE_CHECKING:
    from bench.settings.rig import RigSettings

_SERVES: Final = (
    "Run CSMS, OCPI platform and journal until Ctrl-C, without judging. It prints the URLs for stations and peers, then "
    "registrations, sessions, orders by OCPI with their results, refusals and findings."
)
_OCPI: Final = (
    "OCPI (role CPO, 2.2.1 and 2.3.0): the table [ocpi] of the rig file says port, party, policy, TLS and store; without it a "
    "free port on this computer is taken. A peer registers with the versions URL and TOKEN_A that are printed; 'bench invite' "
    "gives one for another peer, 'bench forget' ends the registration of one that was killed, 'bench limit' limits an EVSE for a "
    "BEMS, a DSO or an operator, 'bench limits' shows who limits."
)


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    command = commands.add_parser(
        "serve", help="run CSMS, OCPI and journal until Ctrl-C, without judging", epilog=_OCPI, description=_SERVES
    )
    command.add_argument("--rig", required=True, help="name of a rig in config/rigs, or a file")
    command.add_argument("--listen", metavar="ADDR[:PORT]", help="instead of the rig file's csms.host and csms.port")
    command.add_argument("--station-clock", metavar="TIME", help=STATION_CLOCK)
    command.add_argument("--out", type=Path, help="folder of the run (default: runs/TIME-serve)")
    command.add_argument("--quiet", action="store_true", help="print nothing after the start; the journal has it all")
    command.set_defaults(func=serve)
    command = commands.add_parser("stations", help="list everyone who knocked at the running bench, also the refused")
    command.add_argument("--run", type=Path, metavar="DIR", help="folder of the run (default: the server started last here)")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=stations)
    command = commands.add_parser("send", help="send one OCPP call through the running bench and print the answer")
    command.add_argument("station", help="id of the station")
    command.add_argument("action", help="OCPP 2.0.1 action, such as GetVariables")
    command.add_argument("file", help="JSON file with the payload; - for standard input")
    command.add_argument("--run", type=Path, metavar="DIR", help="folder of the run (default: the server started last here)")
    command.add_argument("--force", action="store_true", help="send it even if it breaks the schema")
    command.set_defaults(func=send)


def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from bench.rig.files import find_rig, run_folder
    from bench.rig.lease import leased
    from bench.rig.ocpi import open_served_ocpi
    from bench.rig.serve import ServeOrder
    from bench.rig.serve import serve as serve_rig
    from bench.settings.moments import parse_moment

    rig_path, rig = find_rig(arguments.rig)
    if arguments.listen:
        rig = listening(rig, arguments.listen)
    station_clock = parse_moment(arguments.station_clock, "--station-clock")
    with leased(rig, "bench serve"):
        out = arguments.out or run_folder("serve")
        serve_rig(ServeOrder(rig, rig_path, out, open_served_ocpi, station_clock, arguments.quiet), announce)
    return 0


def announce(line: str) -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


def listening(rig: RigSettings, listen: str) -> RigSettings:
    """Return the rig with another address, `ADDR`, `ADDR:PORT` or `[ADDR6]:PORT`. Raises UsageError."""
    host, port = listen, rig.csms.port
    if listen.startswith("[") and "]" in listen:
        host, _, rest = listen[1:].partition("]")
        digits = rest.removeprefix(":")
    elif listen.count(":") == 1:
        host, digits = listen.split(":")
    else:
        digits = ""
    if digits:
        if not digits.isdecimal() or int(digits) > 65535:
            raise UsageError(f"--listen {listen}: {digits!r} is not a port")
        port = int(digits)
    if not host:
        raise UsageError(f"--listen {listen}: the address is missing; 0.0.0.0 means every interface")
    return rig.model_copy(update={"csms": rig.csms.model_copy(update={"host": host, "port": port})})


def stations(arguments: argparse.Namespace) -> int:
    """List who knocked: accepted and refused, with reason and remedy."""
    listed = asked(arguments.run, {"command": "stations"})["result"]
    if arguments.json:
        print(json.dumps(listed, indent=2))
    elif not listed:
        print("nobody has knocked yet")
    else:
        print("\n".join(line for one in listed for line in _described(one)))
    return 0


def _described(one: dict[str, Any]) -> list[str]:
    state = "online" if one["online"] else "offline" if one["accepted"] else "refused"
    times = f"{one['count']} times, last {one['last']}" if one["count"] > 1 else one["last"]
    lines = [f"{state:<8} {one['station'] or '(no id)':<24} from {one['peer']}, {times}"]
    if one["boot"]:
        made = one["boot"]["chargingStation"]
        lines.append(f"         {made['vendorName']} {made['model']} {made.get('firmwareVersion', '')}".rstrip())
    if one["reason"]:
        lines += [f"         reason: {one['reason']}", f"         remedy: {one['remedy']}"]
    return lines


def send(arguments: argparse.Namespace) -> int:
    """Send one call; 0 with the answer, 1 for a CALLERROR, a time-out or a station that is not there."""
    try:
        text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text()
        payload = json.loads(text)
    except OSError as error:
        raise UsageError(f"{arguments.file}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{arguments.file}: not valid JSON: {error}") from None
    if not isinstance(payload, dict):
        raise UsageError(f"{arguments.file}: the payload of a call is a JSON object")
    request = {"command": "send", "station": arguments.station, "action": arguments.action, "payload": payload,
               "force": arguments.force}  # fmt: skip
    answer = asked(arguments.run, request)
    if "error" in answer:
        print(f"bench: {answer['text']}", file=sys.stderr)
        return 1
    for warning in answer["warnings"]:
        print(f"bench: warning: {warning}", file=sys.stderr)
    print(json.dumps(answer["result"], indent=2))
    return 0


def asked(folder: Path | None, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of the running bench. Raises UsageError where none runs, and where it says that we asked wrongly;
    RigError and EvidenceError where it cannot do that."""
    from bench.rig.pointer import ask_server

    answer = ask_server(folder, request)
    for family in (UsageError, RigError, EvidenceError):
        if answer.get("error") == family.__name__:
            raise family(answer["text"])
    return answer
