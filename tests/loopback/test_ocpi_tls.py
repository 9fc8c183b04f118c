"""Mock peers and check against a CSO that speaks HTTPS, with an authority of the lab's own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.rig.cpo import Cpo, open_cpo
from bench.settings.ocpi import OcpiSettings
from tests.ocpi_rig import ScriptedStations, rig_settings
from tests.support import MemoryJournal
from tests.support_ports import free_port

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "scsp": ("bench.peers.scsp", "--cso"), "msp": ("bench.peers.msp", "--cso"), "check": ("bench", "ocpi", "check"),
}  # fmt: skip


@asynccontextmanager
async def _cpo(folder: Path) -> AsyncIterator[Cpo]:
    """Serve the CPO over TLS; `ca.pem` vouches for it, `other.pem` does not."""
    authority, port = trustme.CA(), free_port()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    ocpi = OcpiSettings(port=port, certificate=folder / "chain.pem", private_key=folder / "key.pem")
    settings = rig_settings().model_copy(update={"ocpi": ocpi})
    opened = open_cpo(
        settings, LoopClock(wall_now()), MemoryJournal(), SeededIds(1, "cpo"), ScriptedStations(), AddressBook(),
        base_url=f"https://127.0.0.1:{port}",
    )  # fmt: skip
    async with opened as cpo:
        yield cpo


async def _start(name: str, cpo: Cpo, ca_file: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *COMMANDS[name], cpo.versions_url, "--listen", f"127.0.0.1:{free_port()}",
        "--ca-file", str(ca_file), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ca_file.parent,
        env={**os.environ, "BENCH_OCPI_TOKEN": cpo.token_a, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


async def test_a_peer_trusts_the_authority_that_it_is_given(tmp_path: Path) -> None:
    """`--ca-file`: it registers, and leaves at Ctrl-C without a finding."""
    async with _cpo(tmp_path) as cpo:
        process = await _start("scsp", cpo, tmp_path / "ca.pem")
        assert process.stdout is not None
        while b"registered with" not in (line := await asyncio.wait_for(process.stdout.readline(), 25)):
            assert line, "it ended"
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 25)
    assert process.returncode == 0, out


async def test_a_check_trusts_the_authority_that_it_is_given(tmp_path: Path) -> None:
    """The same word as with the peers."""
    async with _cpo(tmp_path) as cpo:
        process = await _start("check", cpo, tmp_path / "ca.pem", "--only", "register", "--out", str(tmp_path / "run"))
        out, _ = await asyncio.wait_for(process.communicate(), 25)
    assert process.returncode == 0, out


@pytest.mark.parametrize("name", ["msp", "check"])
async def test_another_authority_is_an_error_that_names_host_reason_and_option(name: str, tmp_path: Path) -> None:
    """Exit code 4, as for any CSO that cannot be reached; the token is not told."""
    async with _cpo(tmp_path) as cpo:
        process = await _start(name, cpo, tmp_path / "other.pem")
        out = (await asyncio.wait_for(process.communicate(), 25))[0].decode()
        assert cpo.token_a not in out
    assert process.returncode == 4, out
    assert "the certificate of 127.0.0.1 is not trusted: unable to get local issuer certificate; name its authority by" in out
