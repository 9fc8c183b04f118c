"""`bench limit`, `limits`, `invite` and `forget`: what an operator does beside the OCPI parties of a running `bench serve`."""

from __future__ import annotations

import argparse
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.cli.serve import asked
from bench.errors import UsageError

ROLES: Final = ("BEMS", "DSO", "OPERATOR")
_RUN: Final = "folder of the run (default: the server started last here)"


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    text = "limit an EVSE of the running bench for a BEMS, a DSO or an operator, beside what OCPI parties set"
    command = commands.add_parser("limit", help=text, epilog="exit codes: 0 ACCEPTED, 1 REJECTED or UNKNOWN, 2 bad usage")
    command._negative_number_matcher = re.compile(r"-\d")  # -5A is a limit, if a wrong one, and no option
    command.add_argument("station", help="id of the station")
    command.add_argument("evse", type=int, help="number of the EVSE")
    command.add_argument(
        "limit", help="10A (per phase), 6900W (total), a JSON file with an OCPI ChargingProfile, or 'release'"
    )
    who = "BEMS, DSO or OPERATOR; each has one limit at an EVSE"
    command.add_argument("--by", required=True, choices=ROLES, metavar="WHO", help=who)
    command.add_argument("--for", dest="seconds", type=int, metavar="S", help="for so long (default: until it is released)")
    command.add_argument("--emergency", action="store_true", help="of a BEMS: counts whoever owns the session")
    command.add_argument("--run", type=Path, metavar="DIR", help=_RUN)
    command.set_defaults(func=limit)
    command = commands.add_parser("limits", help="show who limits which EVSE of the running bench, and whose limits count")
    command.add_argument("--run", type=Path, metavar="DIR", help=_RUN)
    command.add_argument("--json", action="store_true", help="print them for machines")
    command.set_defaults(func=limits)
    command = commands.add_parser("invite", help="print another registration token (TOKEN_A) of the running bench")
    command.add_argument("--run", type=Path, metavar="DIR", help=_RUN)
    command.set_defaults(func=invite)
    text = "forget the registration of an OCPI peer that cannot unregister, with all its parties: its limits are withdrawn"
    command = commands.add_parser("forget", help=text)
    command.add_argument("party", metavar="CC-PID", help="country code and party id, such as NL-SCP")
    command.add_argument("--run", type=Path, metavar="DIR", help=_RUN)
    command.set_defaults(func=forget)


def limit(arguments: argparse.Namespace) -> int:
    """Set or release a limit and print the outcome."""
    profile = None if arguments.limit == "release" else _profile(arguments.limit, arguments.seconds)
    request = {"command": "limit", "station": arguments.station, "evse": arguments.evse, "by": arguments.by,
               "profile": profile, "emergency": arguments.emergency}  # fmt: skip
    try:
        outcome = asked(arguments.run, request)["result"]
    except UsageError as error:
        if str(error).startswith("the profile: "):  # of a file, for ours are sound
            raise UsageError(f"{arguments.limit}: {error}") from None
        raise
    print(f"{outcome['word']}: {outcome['reason']}" if outcome["reason"] else outcome["word"])
    return 0 if outcome["word"] == "ACCEPTED" else 1


def _profile(text: str, seconds: int | None) -> dict[str, Any]:
    """Return a file's profile, or a flat one that began a while ago: by a clock that is behind, too, it counts from now on."""
    from bench.adapters.clock import wall_now
    from bench.wire.ocpi.limits import CLOCK_S

    if seconds is not None and seconds < 1:
        raise UsageError(f"--for {seconds}: must be at least 1 s")
    flat = re.fullmatch(r"(-?\d+(?:\.\d+)?)([AW])", text)
    if flat is None:
        profile = _read(Path(text))
        return profile if seconds is None else profile | {"duration": seconds}
    if float(flat[1]) < 0:
        raise UsageError(f"{text}: must not be negative; 0{flat[2]} pauses")
    start = (wall_now() - timedelta(seconds=CLOCK_S)).strftime("%Y-%m-%dT%H:%M:%SZ")
    periods = [{"start_period": 0, "limit": float(flat[1])}]
    profile = {"start_date_time": start, "charging_rate_unit": flat[2], "charging_profile_period": periods}
    return profile if seconds is None else profile | {"duration": seconds + int(CLOCK_S)}


def _read(path: Path) -> dict[str, Any]:
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; a limit is such as 10A or 6900W, a JSON file, or 'release'") from None
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(profile, dict):
        raise UsageError(f"{path}: a ChargingProfile is a JSON object")
    return profile


def limits(arguments: argparse.Namespace) -> int:
    """Show each session and limited EVSE with its writers."""
    rows = asked(arguments.run, {"command": "limits"})["result"]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("no session runs, and nothing is limited")
    else:
        print("\n".join(line for row in rows for line in _lines(row)))
    return 0


def _lines(row: dict[str, Any]) -> list[str]:
    what = f"session {row['session']}" if row["session"] else "no session"
    lines = [f"{row['station']} EVSE {row['evse']}: {what}, policy {row['policy']}"]
    for one in row["writers"]:
        named = one["writer"] if one["writer"] == one["role"] else f"{one['writer']} ({one['role']})"
        urgent = ", emergency" if one["emergency"] else ""
        lines.append(f"  {one['state']:<10} {named:<16} {_words(one['profile'], one['state'])}{urgent}")
    return lines if row["writers"] else [*lines, "  nobody limits it"]


def _words(profile: dict[str, Any], state: str) -> str:
    unit, periods, lasts = profile["charging_rate_unit"], profile["charging_profile_period"], profile.get("duration")
    told = [f"{one['limit']:g} {unit}" + (f" from {one['start_period']} s" if one["start_period"] else "") for one in periods]
    words, start = ", ".join(told), profile.get("start_date_time")
    if start is None:
        return f"{words} since the session's begin" + ("" if lasts is None else f", for {lasts} s")
    end = "" if lasts is None else f"{datetime.fromisoformat(start) + timedelta(seconds=lasts):%Y-%m-%dT%H:%M:%SZ}"
    return f"{words} {'from' if state == 'not yet' else 'since'} {start}{end and f' until {end}'}"


def invite(arguments: argparse.Namespace) -> int:
    """Print the token alone, so that a shell can take it."""
    print(asked(arguments.run, {"command": "invite"})["result"])
    return 0


def forget(arguments: argparse.Namespace) -> int:
    """Forget a registration as if the peer had unregistered, and print which parties it had."""
    print(f"forgotten: {', '.join(asked(arguments.run, {'command': 'forget', 'party': arguments.party})['result'])}")
    return 0
