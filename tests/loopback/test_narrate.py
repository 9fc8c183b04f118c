"""What `bench serve` tells while it serves, beside the journal that has it all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.journal import open_journal
from bench.cso.ocpi.findings import Findings
from bench.domain.documents import Kind
from bench.rig.narrate import Narrator, beside
from bench.wire.ocpi.transport import VERSIONS, encode_token
from tests.ocpi_rig import OcpiRig, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual


@asynccontextmanager
async def narrated(tmp_path: Path) -> AsyncIterator[tuple[OcpiRig, list[str]]]:
    """Give a rig with nobody registered, and the lines that are told of it."""
    lines: list[str] = []
    clock = LoopClock(EPOCH)
    with open_journal(tmp_path / "journal.jsonl", clock, b"key") as journal:
        async with open_ocpi_rig(journal, clock, register=False) as rig:

            def session_of(station: str, transaction_id: str) -> str:
                record = rig.cpo.platform.sessions.of(station, transaction_id)
                return "" if record is None else record.session_id

            narrator = Narrator(clock, journal, "NL-BEN", session_of, lines.append)
            journal.subscribe(narrator.on_document)
            rig.stations.subscribe(narrator.on_event)
            yield rig, lines


async def test_who_comes_what_runs_and_what_is_ordered_is_told(tmp_path: Path) -> None:
    """A line for each registration, session, order and result, with the clock's time; no token stands in any."""
    async with narrated(tmp_path) as (rig, lines):
        await rig.scsp.register(rig.cpo.versions_url, rig.cpo.token_a)
        session_id, _ = await rig.placed()
        rig.stations.transaction("Ended", wh=2000)
        await rig.scsp.delete(session_id)
        await rig.scsp.unregister()
        tokens = {rig.cpo.token_a, *rig.cpo.platform.registry.spent}
    assert {line[:10] for line in lines} == {"00:00:00Z "}
    assert [line[10:] for line in lines] == [
        f"NL-SCP (SCSP) has registered (OCPI {VERSIONS[0]})",
        f"session {session_id} begins at CS-1 EVSE 1",
        f"NL-SCP: PUT chargingprofiles/{session_id}: ACCEPTED",
        f"NL-SCP: PUT chargingprofiles/{session_id}: result ACCEPTED",
        f"session {session_id} ends at CS-1 EVSE 1",
        f"NL-SCP: DELETE chargingprofiles/{session_id}: REJECTED: the session is COMPLETED",
        f"NL-SCP has unregistered (OCPI {VERSIONS[0]})",
    ]
    assert not any(token in line for token in tokens for line in lines)


async def test_the_same_refusal_and_finding_is_told_once_a_minute(tmp_path: Path) -> None:
    """A stranger who goes on asking, and a peer with a habit, do not drown the rest; a known token in a text is hidden."""
    async with narrated(tmp_path) as (rig, lines):
        headers = {"authorization": encode_token("a-token-of-nobody"), "x-request-id": "1", "x-correlation-id": "1"}
        findings = Findings(rig.journal)
        for _ in range(3):
            await rig.transport.request("GET", rig.cpo.versions_url, headers, b"", 10)
            findings.tell("habit", f"it told {rig.cpo.token_a}\x1b[2J")
            await asyncio.sleep(25)
        findings.tell("habit", "again")
    told = [line[10:] for line in lines]
    assert told[0] == "unregistered: GET /ocpi/versions is refused: HTTP 401, status_code 2000: the token is not known"
    assert told[1].startswith("finding habit: it told ")
    assert told[1].endswith("?[2J")
    assert rig.cpo.token_a not in told[1]
    assert told[2:] == ["finding habit: again"]


async def test_each_reason_of_a_refusal_is_told(tmp_path: Path) -> None:
    """Who mends one field after the other sees each, and the same one once."""
    async with narrated(tmp_path) as (rig, lines):
        for body in (b"{}", b"{}", b'{"token": 1}'):
            headers = {"authorization": encode_token(rig.cpo.token_a), "content-type": "application/json"}
            await rig.transport.request("POST", f"http://cso.bench/ocpi/{VERSIONS[0]}/credentials", headers, body, 10)
    refused = "unregistered: POST credentials is refused: HTTP 200, status_code 2001: token: "
    told = [line[10:].removeprefix(refused) for line in lines if "is refused" in line]
    assert told == ["Field required", "Input should be a valid string"]


@pytest.mark.parametrize("url", ["http://[/ocpi/versions", "http://x", "", "http://x/ocpi/2.3.0/commands/A?response_url="])
@pytest.mark.parametrize("body", ["", "[", "[]", '{"roles": 1, "response_url": []}', '{"roles": [{"role": []}, 1]}'])
async def test_nothing_that_a_peer_sends_stops_the_journal(url: str, body: str, tmp_path: Path) -> None:
    """The journal calls who tells: an exchange of any form passes."""
    async with narrated(tmp_path) as (rig, _):
        for method in ("POST", "GET"):
            request = {"exchange": 9, "from": "x", "to": "NL-BEN", "method": method, "url": url, "headers": {}, "body": body}
            rig.journal.write(Kind.OCPI_REQUEST, request)
            rig.journal.write(Kind.OCPI_RESPONSE, {"exchange": 9, "status": 200, "headers": {}, "body": body})


def test_a_terminal_that_is_held_stops_nothing() -> None:
    """Lines wait in another thread; what is too much is left out."""
    held, printed = Event(), list[str]()

    def announce(line: str) -> None:
        held.wait(10)
        printed.append(line)

    with beside(announce) as tell:
        for number in range(5000):
            tell(str(number))
        held.set()
    assert printed[:2] == ["0", "1"]
    assert 1000 <= len(printed) <= 1001
