"""The check of a CSO from the addresses to the report: server, transport, journal, cases of each version, files."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from bench import __version__
from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.http_server import open_http_server
from bench.adapters.ids import SystemIds
from bench.adapters.journal import JournalFile, open_journal, write_result
from bench.adapters.journal_reader import read_journal
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.adapters.ocpi_tap import OcpiTap
from bench.adapters.stops import SIGNALS
from bench.domain.conformance import CaseResult, overall
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.errors import PeerError, UsageError
from bench.peers.check.begin import versions as versions_case
from bench.peers.check.course import Course, Wishes
from bench.peers.check.desk import Desk
from bench.peers.check.probe import Probe
from bench.peers.msp import MockMsp
from bench.peers.peer import Peer, rows_of
from bench.peers.routes import peer_app
from bench.peers.scsp import MockScsp
from bench.ports import Clock, IdSource, Journal
from bench.report.conformance import counted, write_check_pages
from bench.rig.files import new_folder
from bench.wire.ocpi.transport import VERSIONS, PartyId
from bench.wire.ocpi.url import hide_secrets, web_host

EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3, Verdict.ERROR: 4, Verdict.ABORTED: 5}
ROLES: Final[dict[str, type[Peer]]] = {"SCSP": MockScsp, "EMSP": MockMsp}


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What is to be checked, and how we are reached."""

    url: str
    """The CSO's versions URL."""
    wishes: Wishes
    version: str = ""
    """One, `both`, or empty: the newest that both sides speak."""
    role: str = "SCSP"
    host: str = "127.0.0.1"
    port: int = 0
    base_url: str = ""
    """What the CSO is told; empty: http://HOST:PORT."""
    party: PartyId | None = None
    ca_file: Path | None = None
    allow_hosts: Sequence[str] = ()
    """May be sent a token too, beside the host of `url`."""


@dataclass(slots=True)
class Checked:
    """What became of it."""

    folder: Path
    results: list[CaseResult] = field(default_factory=list)
    aborted: bool = False
    reason: str = ""
    """Why it ended early."""
    error: bool = False

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of all cases."""
        found = overall(self.results, aborted=self.aborted)
        return Verdict.ERROR if self.error and found is not Verdict.FAIL else found

    @property
    def exit_code(self) -> int:
        """Return the exit code, as `bench run` has it."""
        return EXIT_CODES[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """Return what stands in result.json."""
        state = "error" if self.error else "aborted" if self.aborted else "completed"
        return {
            "verdict": self.verdict, "state": state, "reason": self.reason, "exit_code": self.exit_code,
            "counts": counted(self.results), "cases": [asdict(one) for one in self.results], "folder": str(self.folder),
        }  # fmt: skip


def check_cso(order: CheckOrder, folder: Path, tell: Callable[[str], None]) -> Checked:
    """Check a CSO in real time and write journal, result, JUnit and report. A signal ends it softly.

    Args: tell: called with each line for the operator.
    Raises: UsageError, RigError.
    """
    if web_host(order.url) is None:
        raise UsageError(f"{hide_secrets(order.url)!r} is no http or https address that can be used")
    new_folder(folder)
    return asyncio.run(_check(order, folder, tell))


async def _check(order: CheckOrder, folder: Path, tell: Callable[[str], None]) -> Checked:
    clock, checked, loop = LoopClock(wall_now()), Checked(folder), asyncio.get_running_loop()
    with open_journal(folder / "journal.jsonl", clock, os.urandom(32)) as journal:
        start = {"scenario": {}, "rig": {}, "seed": 0, "bench": __version__, "mode": "real", "judged": False}
        journal.write(Kind.RUN_START, start)
        work = asyncio.create_task(run_check(order, clock, SystemIds(), AddressBook(), journal, tell, checked.results))

        def stop() -> None:
            if not (checked.aborted or work.done()):
                checked.aborted, checked.reason = True, "stopped by the operator"
                tell("stopping: our profile is withdrawn first")
                work.cancel()

        def asked(number: int, frame: FrameType | None) -> None:
            """Stay in place to the end of the command: a second signal must not cost the report."""
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(stop)

        for number in SIGNALS:
            signal.signal(number, asked)
        try:
            await work
        except asyncio.CancelledError:
            checked.aborted, checked.reason = True, checked.reason or "stopped"
        except PeerError as error:
            checked.error, checked.reason = True, hide_secrets(str(error))
        finally:
            _end(checked, journal)
    write_files(order, checked)
    return checked


def _end(checked: Checked, journal: JournalFile) -> None:
    for one in checked.results:
        if one.verdict is Verdict.FAIL:
            said = {"source": "check", "code": one.name, "text": "; ".join(one.said), "refs": list(one.refs)}
            journal.write(Kind.FINDING, said)
    state = checked.as_json()["state"]
    journal.write(Kind.RUN_END, {"state": state, "reason": checked.reason})


def write_files(order: CheckOrder, checked: Checked) -> None:
    """Write result.json, junit.xml and report.html beside the journal."""
    write_result(checked.folder / "result.json", {"cso": hide_secrets(order.url), "role": order.role} | checked.as_json())
    documents = read_journal(checked.folder / "journal.jsonl").documents
    write_check_pages(
        checked.folder, hide_secrets(order.url), checked.verdict, checked.results, documents, reason=checked.reason
    )


async def run_check(
    order: CheckOrder, clock: Clock, ids: IdSource, addresses: AddressBook, journal: Journal, tell: Callable[[str], None],
    results: list[CaseResult],
) -> None:  # fmt: skip
    """Run the cases of each version that is asked for; `results` grows as they end.

    Raises: PeerError where the CSO cannot be reached, RigError where we cannot listen.
    """
    kind, desk = ROLES[order.role], Desk(clock)
    tap = OcpiTap(journal, order.role)
    tap.name_of = lambda token: "CSO"
    tap.learn(order.wishes.token)
    async with AsyncExitStack() as stack:
        documents: dict[str, int] = {}
        transport, others = [
            tap.client(await stack.enter_async_context(open_transport(addresses, order.ca_file, order.allow_hosts)), documents)
            for _ in range(2)
        ]
        server = await stack.enter_async_context(open_http_server(tap.server(desk), order.host, order.port))
        stack.callback(desk.over.set)
        base_url = order.base_url or f"http://{f'[{order.host}]' if ':' in order.host else order.host}:{server.port}"
        if web_host(base_url) is not None and ":" not in base_url.partition("://")[2]:
            stack.enter_context(addresses.entry(base_url, server))
        former: Peer | None = None
        first = Probe(
            desk, kind(clock, ids, transport, allow_hosts=order.allow_hosts), transport, clock, order.url, base_url
        )
        versions = await _versions(order, first, tell, results)
        for version in versions:
            peer = kind(
                clock, ids, transport, base_url=base_url, party=order.party, version=version, name="bench ocpi check",
                allow_hosts=order.allow_hosts,
            )  # fmt: skip
            tap.learn(peer.token_b)
            if former is not None and former.registration is not None:
                peer.registration = former.registration
            stack.push_async_callback(peer.aclose)
            desk.serve(peer, peer_app(peer, peer.extra_routes()))
            probe = Probe(desk, peer, transport, clock, order.url, base_url, tap.learn, others, documents)
            tell(f"OCPI {version}, {order.role} {peer.party} at {peer.versions_url}")
            await Course(probe, order.wishes, tell, results, last=version == versions[-1]).run()
            former = peer


async def _versions(
    order: CheckOrder, probe: Probe, tell: Callable[[str], None], results: list[CaseResult]
) -> Sequence[str]:
    """Return the versions to check, of those that the CSO lists the newest first. Raises PeerError."""
    reply = await probe.send("GET", order.url, token=order.wishes.token, functional=False)
    if not reply.status:
        raise PeerError(f"the CSO cannot be reached: {reply.trouble}")
    offered = [row["version"] for row in rows_of(reply.data, "version", "url")]
    if not offered:
        return [order.version] if order.version in VERSIONS else VERSIONS[:1]  # the first case says what is wrong
    asked = VERSIONS if order.version in ("", "both") else (order.version,)
    common = [one for one in asked if one in offered]
    for missing in [one for one in asked if one not in offered] if order.version or not common else ():
        case = versions_case(order.wishes.token)
        said = (f"the CSO does not speak it; it offers {', '.join(offered)}",)
        tell(f"OCPI {missing}: {said[0]}")
        results.append(CaseResult(case.name, case.title, case.clause, missing, Verdict.NOT_APPLICABLE, said))
    return common if order.version == "both" else common[:1]


