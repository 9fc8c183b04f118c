"""The OCPI platform of `bench serve`: what it prints is where it can be reached."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.json_store import JsonStore
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.rig.cpo import open_cpo
from bench.rig.ocpi import open_served_ocpi
from bench.rig.serve import ServeOrder
from bench.settings.ocpi import OcpiSettings
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import ScriptedStations, rig_settings
from tests.stations import attached, new_csms
from tests.support import EPOCH, FakeClock, MemoryJournal
from tests.support_lint import schedule, tx


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(("host", "begins"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("::", "http://")])
async def test_the_printed_address_answers(tmp_path: Path, host: str, begins: str) -> None:
    """IPv4, IPv6, and all interfaces, where the IPv4 address is told."""
    if ":" in host and not _has_ipv6():
        pytest.skip("this computer has no IPv6")
    rig = rig_settings().model_copy(update={"ocpi": OcpiSettings(host=host)})
    stations: Any = ScriptedStations()
    order = ServeOrder(rig, tmp_path / "rig.toml", tmp_path, open_served_ocpi)
    async with open_served_ocpi(order, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations) as served:
        url, token_a = (line.split()[-1] for line in served.lines)
        assert url.startswith(begins)
        async with open_transport(AddressBook()) as transport:
            status, _, body = await transport.request("GET", url, {"authorization": encode_token(token_a)}, b"", 10)
    assert (status, url.removesuffix("versions").encode() in body) == (200, True)


async def test_a_token_of_the_rig_file_is_not_printed(tmp_path: Path) -> None:
    """Who wrote it knows it; one that the bench has made is printed, or nobody could register."""
    rig = rig_settings().model_copy(update={"ocpi": OcpiSettings.model_validate({"token_a": "token-of-the-rig-file"})})
    stations: Any = ScriptedStations()
    order = ServeOrder(rig, tmp_path / "rig.toml", tmp_path, open_served_ocpi)
    async with open_served_ocpi(order, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations) as served:
        assert served.lines[1] == "OCPI registration token (TOKEN_A): as the rig file has it"


async def test_a_spent_token_of_the_rig_file_is_said_to_be_spent(tmp_path: Path) -> None:
    """After a restart another one is printed: who goes on with the first would be refused and not know why."""
    nothing: dict[str, Any] = {name: [] for name in ("platforms", "invitations", "sessions", "promises")}
    JsonStore(tmp_path / "ocpi.json").save({**nothing, "spent": ["token-of-the-rig-file"]})
    ocpi = {"token_a": "token-of-the-rig-file", "store": tmp_path / "ocpi.json"}
    rig = rig_settings().model_copy(update={"ocpi": OcpiSettings.model_validate(ocpi)})
    stations: Any = ScriptedStations()
    order = ServeOrder(rig, tmp_path / "rig.toml", tmp_path, open_served_ocpi)
    async with open_served_ocpi(order, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations) as served:
        assert "as the rig file has it" not in served.lines[1]
        assert served.lines[2].startswith("note: token_a of the rig file is spent")


async def test_a_public_url_without_a_port_is_no_address_of_the_bench_alone(tmp_path: Path) -> None:
    """Behind a proxy: peers are told it, and what the bench itself sends to that host goes there."""
    rig = rig_settings().model_copy(update={"ocpi": OcpiSettings(public_url="https://lab.example")})
    stations: Any = ScriptedStations()
    order, addresses = ServeOrder(rig, tmp_path / "rig.toml", tmp_path, open_served_ocpi), AddressBook()
    async with open_served_ocpi(order, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations) as served:
        assert served.lines[0] == "OCPI versions: https://lab.example/ocpi/versions"
    opened = open_cpo(
        rig, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations, addresses, base_url="https://lab.example"
    )
    async with opened:
        assert addresses.resolve(httpx.URL("https://lab.example/peer")) == httpx.URL("https://lab.example/peer")


async def test_a_restart_accuses_no_station(tmp_path: Path) -> None:
    """A transaction that the store has is known to the CSMS before its station is back: a profile for it breaks no rule, and the
    station's next word of it is no word of a transaction without a start."""
    ocpi = OcpiSettings(store=tmp_path / "ocpi.json")
    rig = rig_settings().model_copy(update={"ocpi": ocpi})
    order, journal = ServeOrder(rig, tmp_path / "rig.toml", tmp_path, open_served_ocpi), MemoryJournal()
    event = {"timestamp": "2026-01-15T00:00:00Z", "triggerReason": "Authorized", "transactionInfo": {"transactionId": "tx-1"}}
    event |= {"evse": {"id": 1}, "idToken": {"idToken": "TOKEN-1", "type": "ISO14443"}}
    for life, phase in enumerate(("Started", "Updated")):
        csms = new_csms(FakeClock(), journal, rig)
        async with open_served_ocpi(order, LoopClock(EPOCH), journal, SeededIds(life, "cpo"), csms):
            if phase == "Updated":
                request = {"evseId": 1, "chargingProfile": tx(schedule({"startPeriod": 0, "limit": 16}))}
                assert csms.profile_findings("CS-1", "SetChargingProfile", request, "report") == []
            async with attached(csms) as link:
                await link.ask("TransactionEvent", event | {"eventType": phase, "seqNo": life})
    assert [one["code"] for one in journal.of("finding") if one["source"] == "station"] == []
