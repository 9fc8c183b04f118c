"""`python -m bench.peers.scsp` and `python -m bench.peers.msp`: the mock peers as processes, against anybody's CSO."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SystemIds
from bench.adapters.ocpi_client import AddressBook
from bench.adapters.stops import SIGNALS
from bench.errors import BenchError, UsageError
from bench.peers.follower import Follower
from bench.peers.misbehave import NAMES, misbehaviour
from bench.peers.msp import MockMsp
from bench.peers.options import (
    TOKEN_VARIABLE,
    allowed_hosts,
    http_url,
    levels,
    listen_address,
    named_party,
    not_negative,
    positive,
    registration_token,
    token_uids,
    told_url,
)
from bench.peers.peer import Peer, open_peer
from bench.peers.schedule import FORMS, Need, Schedule, schedule
from bench.peers.scsp import MockScsp
from bench.wire.ocpi.transport import VERSIONS
from bench.wire.ocpi.types import utc_text
from bench.wire.ocpi.url import hide_secrets

_EPILOG: Final = "exit codes: 0 ended without a finding, 1 with findings, 2 bad usage, 4 the CSO refused or could not be reached"
P = TypeVar("P", bound=Peer)


def scsp_main(arguments: Sequence[str] | None = None) -> int:
    """Run a mock SCSP until Ctrl-C; return the exit code."""
    return _main(scsp_parser().parse_args(arguments), MockScsp, _nothing_more)


def msp_main(arguments: Sequence[str] | None = None) -> int:
    """Run a mock MSP until Ctrl-C; return the exit code."""
    parser = msp_parser()
    options = parser.parse_args(arguments)
    if options.start and not all(options.start[:2]):
        parser.error("argument --start: TOKEN_UID and LOCATION must not be empty")
    return _main(options, MockMsp, _act_as_msp)


def scsp_parser() -> argparse.ArgumentParser:
    """Return the grammar of `python -m bench.peers.scsp`."""
    return _parser("python -m bench.peers.scsp", "A mock SCSP: registers with a CSO and sends charging profiles.", MockScsp, 9002)


def msp_parser() -> argparse.ArgumentParser:
    """Return the grammar of `python -m bench.peers.msp`."""
    text = "A mock MSP: registers with a CSO, owns tokens, commands, receives CDRs."
    parser = _parser("python -m bench.peers.msp", text, MockMsp, 9003)
    parser.add_argument("--rfid", type=token_uids, default=[], metavar="UID[,UID]", help="tokens that it owns and pushes")
    parser.add_argument(
        "--start", nargs=3, metavar=("TOKEN_UID", "LOCATION", "EVSE"),
        help="tell a token and start a session with it, such as --start 04A1B2C3 LOC-1 CS-1-1; '' as EVSE: any",
    )  # fmt: skip
    parser.add_argument(
        "--stop-after", type=not_negative, default=0, metavar="S", help="send STOP_SESSION so long after its begin"
    )
    parser.add_argument("--preferences", choices=("CHEAP", "FAST", "GREEN", "REGULAR"), help="set them for each session")
    parser.add_argument("--behind", action="store_true", help="let an SCSP register behind it (SCSP, MSP, CSO)")
    return parser


def _parser(prog: str, description: str, kind: type[Peer], port: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=description, epilog=_EPILOG)
    parser.add_argument("--cso", required=True, metavar="URL", help="versions URL of the CSO")
    parser.add_argument("--token", metavar="TOKEN_A", help=f"its registration token; better in the variable {TOKEN_VARIABLE}")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file with the authorities of the CSO's certificate")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST",
        help="may be sent a token too, beside the host of --cso; may be given again",
    )  # fmt: skip
    parser.add_argument("--version", default=VERSIONS[0], choices=VERSIONS, help="of OCPI (default: %(default)s)")
    where = f"127.0.0.1:{port}"
    parser.add_argument("--listen", default=where, metavar="HOST:PORT", help="where it serves (default: %(default)s)")
    parser.add_argument("--public-url", metavar="URL", help="what the CSO is told instead of http://HOST:PORT")
    parser.add_argument("--party", metavar="CC-PID", help=f"its country code and party id (default: {kind.PARTY})")
    parser.add_argument("--schedule", metavar="KIND:VALUE", help=f"a profile for each new session: {FORMS}")
    text = "what a plan by prices has to reach (default: %(default)s)"
    parser.add_argument("--energy-kwh", type=positive, default=10, metavar="KWH", help=text)
    parser.add_argument(
        "--hours", type=positive, default=12, metavar="H",
        help="in how many hours (default: 12); only whole price intervals within them count, the running one does not",
    )  # fmt: skip
    parser.add_argument("--levels", type=levels, default=(11_000.0,), metavar="W[,W]", help="with which limits (default: 11000)")
    parser.add_argument(
        "--replace-every", type=not_negative, default=0, metavar="S", help="plan and send again so often, also after a refusal"
    )
    parser.add_argument(
        "--withdraw-after", type=not_negative, default=0, metavar="S", help="take the profile back so long afterwards"
    )
    parser.add_argument("--no-pull", action="store_true", help="do not fetch and check all lists once it is registered")
    parser.add_argument("--misbehave", default="", metavar="NAME[,NAME]", help=f"bad habits: {', '.join(NAMES)}")
    parser.add_argument("--slow-s", type=positive, default=10, metavar="S", help="how slow the habit 'slow' is (default: 10)")
    return parser


def _main(options: argparse.Namespace, kind: type[P], act: Callable[[P, argparse.Namespace, LoopClock], Awaitable[None]]) -> int:
    try:
        return asyncio.run(_run(options, kind, act))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"error: {hide_secrets(str(error))}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 130


async def _run(
    options: argparse.Namespace, kind: type[P], act: Callable[[P, argparse.Namespace, LoopClock], Awaitable[None]]
) -> int:
    """Register, act until a signal comes, unregister."""
    token, versions_url = registration_token(options.token), http_url(options.cso, "--cso")
    (host, port), plan = listen_address(options.listen), _schedule(options)
    base_url, allow_hosts = told_url(options.public_url, host, port), allowed_hosts(options.allow_host)
    party = named_party(options.party) if options.party else None
    habits = misbehaviour([one for one in options.misbehave.split(",") if one], options.slow_s)
    clock, over, refused = LoopClock(wall_now()), asyncio.Event(), False
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    opened = open_peer(
        kind, clock, SystemIds(), AddressBook(), host=host, port=port, base_url=base_url, party=party, version=options.version,
        habits=habits, logical=False, ca_file=options.ca_file, allow_hosts=allow_hosts,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(opened)
        peer.on_note = lambda text: _tell(f"{utc_text(clock.now().replace(microsecond=0))} {hide_secrets(text)}", over)
        peer.on_note(f"{peer.ROLE} {peer.party} serves {peer.versions_url}")
        if not await _unless(over, peer.register(versions_url, token)) and not peer.registered:
            return 0
        if plan is not None:
            times = {"replace_every_s": options.replace_every, "withdraw_after_s": options.withdraw_after}
            stack.push_async_callback(Follower(peer, plan, clock, **times).aclose)
        work = asyncio.create_task(_begin(peer, options, clock, act))
        await over.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        try:
            if peer.registered:
                await peer.unregister()
        except BenchError as error:
            print(f"error: {hide_secrets(str(error))}", file=sys.stderr)
            refused = True
    count = len(peer.findings)
    _tell(f"{count} finding{'' if count == 1 else 's'}", over)
    return 1 if count else 4 if refused else 0


def _tell(line: str, over: asyncio.Event) -> None:
    """Print a line; where nobody reads them any more, print no other one and end."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = None  # which print() takes for nowhere
        over.set()


async def _unless(over: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do something unless the signal comes first; say whether it was done."""
    doing, ending = asyncio.create_task(work), asyncio.create_task(over.wait())
    try:
        await asyncio.wait([doing, ending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False


async def _begin(
    peer: P, options: argparse.Namespace, clock: LoopClock, act: Callable[[P, argparse.Namespace, LoopClock], Awaitable[None]]
) -> None:
    try:
        if not options.no_pull:
            await peer.catch_up()
        await act(peer, options, clock)
    except BenchError as error:
        peer.on_note(f"stopped acting: {error}")


async def _nothing_more(peer: MockScsp, options: argparse.Namespace, clock: LoopClock) -> None:
    """An SCSP only follows its sessions."""


async def _act_as_msp(peer: MockMsp, options: argparse.Namespace, clock: LoopClock) -> None:
    if options.behind:
        token = peer.proxy.open_door()
        peer.on_note(f"an SCSP may register at {peer.proxy.versions_url} with the token {token}")
    started = options.start[:1] if options.start else []
    for uid in dict.fromkeys((*options.rfid, *started)):
        peer.add_token(uid)
        if ("tokens", "RECEIVER") in peer.cso().endpoints:
            answer = await peer.push_token(uid)
            peer.on_note(f"PUT token {uid}: {answer.words}")
    if options.start:
        uid, location, evse = options.start
        await peer.start_session(uid, location, **({"evse_uid": evse} if evse else {}))
    begun: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            fresh = await _fresh(peer, begun)
            begun.update(fresh)
            for session_id in fresh:
                group.create_task(_with_session(peer, session_id, options, clock))


async def _fresh(peer: MockMsp, begun: set[str]) -> list[str]:
    """Wait for sessions that have become ACTIVE."""

    def active() -> list[str]:
        return [one for one, session in peer.sessions.items() if session.get("status") == "ACTIVE" and one not in begun]

    await peer.wait_until(lambda: bool(active()), 1e9)
    return active()


async def _with_session(peer: MockMsp, session_id: str, options: argparse.Namespace, clock: LoopClock) -> None:
    try:
        if options.preferences:
            await peer.set_preferences(session_id, {"profile_type": options.preferences})
        if options.stop_after:
            await clock.sleep(options.stop_after)
            await peer.stop_session(session_id)
    except BenchError as error:
        peer.on_note(f"session {session_id}: {error}")


def _schedule(options: argparse.Namespace) -> Schedule | None:
    if not options.schedule:
        return None
    return schedule(options.schedule, Need(options.energy_kwh * 1000, options.hours, options.levels))
