"""Whom a mock peer and the check of a CSO send a token to: the host that they were given for it, and those that are allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import open_http_server
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.domain.conformance import CaseResult
from bench.domain.verdicts import Verdict
from bench.errors import PeerError
from bench.peers.check.course import Wishes
from bench.peers.command import scsp_main
from bench.peers.msp import MockMsp, open_msp
from bench.rig.ocpi_check import CheckOrder, run_check
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_peers import BASE, ScriptedCso
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual
ELSEWHERE = "http://elsewhere.bench"
URL = f"{BASE}/ocpi/versions"
AWAY = "elsewhere.bench is not the platform's host, cso.bench; see --allow-host"


@asynccontextmanager
async def _open(version: str = VERSIONS[0], *allowed: str) -> AsyncIterator[tuple[MockMsp, ScriptedCso, AddressBook]]:
    """Open a mock MSP that is not registered, and a CSO that is served at several hosts."""
    addresses = AddressBook()
    async with open_transport(addresses) as transport:
        cso = ScriptedCso(version, transport)
        opened = open_msp(LoopClock(EPOCH), SeededIds(1, "msp"), addresses, version=version, allow_hosts=allowed)
        async with open_http_server(cso.app()) as server, opened as msp:
            with (
                addresses.entry(BASE, server), addresses.entry(ELSEWHERE, server),
                addresses.entry("http://169.254.169.254", server),
            ):  # fmt: skip
                yield msp, cso, addresses


def _hosts(cso: ScriptedCso) -> set[str]:
    return {headers["host"] for _, _, headers, _ in cso.asked}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", ["details", "modules"])
async def test_a_peer_registers_on_the_csos_own_host_alone(version: str, part: str) -> None:
    """credentials, POST: what leads elsewhere is told with its reason, and nobody there hears of the token."""
    async with _open(version) as (msp, cso, _):
        setattr(cso, f"{part}_at", ELSEWHERE)
        what = f"version {version}" if part == "details" else "endpoint credentials"
        with pytest.raises(PeerError, match=f"^{what}: {AWAY}$"):
            await msp.register(URL, "token-a")
        assert _hosts(cso) == {"cso.bench"}


async def test_an_allowed_host_may_serve_a_csos_modules() -> None:
    """In any case."""
    async with _open(VERSIONS[0], "Elsewhere.Bench") as (msp, cso, _):
        cso.modules_at = ELSEWHERE
        await msp.register(URL, "token-a")
        await msp.stop_session("S-1")
        assert _hosts(cso) == {"cso.bench", "elsewhere.bench"}


async def test_an_endpoint_is_looked_at_before_each_request() -> None:
    """Wherever its address came from."""
    async with _open() as (msp, cso, _):
        await msp.register(URL, "token-a")
        msp.cso().endpoints["commands", "RECEIVER"] = f"{ELSEWHERE}/commands"
        with pytest.raises(PeerError, match=f"^POST: {AWAY}$"):
            await msp.stop_session("S-1")
        assert _hosts(cso) == {"cso.bench"}


@pytest.mark.parametrize("allowed", [(), ("169.254.169.254",)])
async def test_a_metadata_service_is_no_cso(allowed: tuple[str, ...]) -> None:
    """Unless it is allowed, whoever named it."""
    async with _open(VERSIONS[0], *allowed) as (msp, cso, _):
        cso.details_at = cso.modules_at = host = "http://169.254.169.254"
        if allowed:
            await msp.register(f"{host}/ocpi/versions", "token-a")
            return
        with pytest.raises(PeerError, match="link-local or a cloud's metadata service; see --allow-host"):
            await msp.register(f"{host}/ocpi/versions", "token-a")
        assert cso.asked == []


@pytest.mark.parametrize("allowed", [(), ("elsewhere.bench",)])
@pytest.mark.parametrize("part", ["details", "modules"])
async def test_a_check_accuses_no_cso_of_other_hosts(part: str, allowed: tuple[str, ...]) -> None:
    """It does not go there, says which option lets it, and has shown nothing; with that option it goes on."""
    async with _open() as (_, cso, addresses):
        setattr(cso, f"{part}_at", ELSEWHERE)
        results = list[CaseResult]()
        order = CheckOrder(URL, Wishes("token-a"), VERSIONS[0], base_url="http://check.bench", allow_hosts=allowed)
        await run_check(order, LoopClock(EPOCH), SeededIds(7, "check"), addresses, MemoryJournal(), lambda line: None, results)
        found = {one.name: one for one in results}
        if allowed:
            assert found["versions"].verdict is Verdict.PASS
            return
        assert found["versions"].verdict is Verdict.INCONCLUSIVE
        assert found["versions"].said[0].endswith(AWAY)
        assert [one.name for one in results if one.verdict is Verdict.FAIL] == []
        assert _hosts(cso) == {"cso.bench"}


@pytest.mark.parametrize("host", ["peer:81", "http://peer", "p\u00e9er", ""])
def test_an_allowed_host_is_a_name_or_an_address(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Or it would be allowed in vain."""
    assert scsp_main(["--cso", URL, "--token", "t", "--allow-host", host]) == 2
    assert f"--allow-host {host}: must be a host's name" in capsys.readouterr().err
