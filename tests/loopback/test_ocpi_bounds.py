"""How often, how much, over which connections and to whom: the bounds of the OCPI platform, as the rig file sets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from pydantic import ValidationError

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.errors import PeerError, UsageError
from bench.peers.scsp import open_scsp
from bench.rig.ocpi import open_served_ocpi
from bench.rig.serve import ServeOrder
from bench.settings.ocpi import OcpiSettings
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token
from tests.ocpi_rig import PROFILE, OcpiRig, ScriptedStations, open_ocpi_rig, rig_settings
from tests.support import EPOCH, MemoryJournal

virtual = pytest.mark.virtual


def _settings(**ocpi: Any) -> RigSettings:
    return rig_settings().model_copy(update={"ocpi": OcpiSettings.model_validate(ocpi)})


async def _ask(rig: OcpiRig, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Send a request with the SCSP's token."""
    (platform,) = rig.cpo.platform.registry.platforms
    headers = {"authorization": encode_token(platform.token_in), "content-type": "application/json"}
    content = b"" if body is None else orjson.dumps(body)
    url = f"http://cso.bench/ocpi/{platform.version}/{path}"
    status, _, text = await rig.transport.request(method, url, headers, content, 10)
    return status, orjson.loads(text)


@virtual
@pytest.mark.parametrize("version", VERSIONS)
async def test_one_request_too_many_is_refused_with_http_200_until_a_minute_has_passed(version: str) -> None:
    """OCPI has no HTTP 429: 2000 in the envelope, TOO_OFTEN where the module has that word."""
    async with open_ocpi_rig(settings=_settings(requests_per_minute=3), version=version) as rig:
        answers = [(await _ask(rig, ""))[1]["status_code"] for _ in range(4)]
        assert answers == [1000, 1000, 1000, 2000]
        status, envelope = await _ask(rig, "chargingprofiles/S-1?response_url=http://scsp.bench/x", "DELETE")
        assert (status, envelope["status_code"], envelope["data"]) == (200, 1000, {"result": "TOO_OFTEN", "timeout": 0})
        await asyncio.sleep(21)
        assert [(await _ask(rig, ""))[1]["status_code"] for _ in range(2)] == [1000, 2000]


@virtual
@pytest.mark.parametrize(("known", "kept"), [(True, "x" * 50_000), (False, "(50000 bytes)")])
async def test_a_strangers_body_does_not_fill_the_disk(known: bool, kept: str) -> None:
    """Anybody can send any number of them: of a long one the journal keeps the length, and a platform's as it is."""
    async with open_ocpi_rig() as rig:
        (platform,) = rig.cpo.platform.registry.platforms
        headers = {"authorization": encode_token(platform.token_in if known else "some-strangers-token")}
        url = f"http://cso.bench/ocpi/{platform.version}/tariffs"
        await rig.transport.request("PUT", url, headers, b"x" * 50_000, 10)
        assert isinstance(rig.journal, MemoryJournal)
        body = next(one["body"] for one in reversed(rig.journal.of("ocpi.request")) if one["method"] == "PUT")
        assert body == kept


@virtual
async def test_the_intervals_of_the_rig_file_answer_too_often() -> None:
    """mod_charging_profiles, ChargingProfileResponseType: `put_interval_s` and `get_interval_s`, each for itself and per
    session."""
    async with open_ocpi_rig(settings=_settings(put_interval_s=10, get_interval_s=60)) as rig:
        session_id = await rig.session()
        puts = [(await rig.scsp.send_plan(session_id, PROFILE)).answer["result"] for _ in range(2)]
        gets = [(await rig.scsp.get_active(session_id, 60)).answer["result"] for _ in range(2)]
        assert (puts, gets) == (["ACCEPTED", "TOO_OFTEN"], ["ACCEPTED", "TOO_OFTEN"])


@virtual
async def test_one_partys_haste_is_not_anothers() -> None:
    """mod_charging_profiles, ChargingProfileResponseType: TOO_OFTEN counts per session and party."""
    async with open_ocpi_rig(settings=_settings(put_interval_s=10), policy="minimum") as rig:
        other, host = PartyId("NL", "TWO"), "http://two.bench"
        async with open_scsp(LoopClock(EPOCH), SeededIds(2, "two"), rig.addresses, base_url=host, party=other) as two:
            await two.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
            session_id = await rig.session()
            puts = [(await one.send_plan(session_id, PROFILE)).answer["result"] for one in (rig.scsp, two, rig.scsp, two)]
        assert puts == ["ACCEPTED", "ACCEPTED", "TOO_OFTEN", "TOO_OFTEN"]


@virtual
async def test_the_longest_body_is_a_setting() -> None:
    """More is refused unread, with HTTP 413: what was not parsed may have an HTTP error."""
    async with open_ocpi_rig(settings=_settings(max_body_bytes=1024)) as rig:
        assert (await _ask(rig, "chargingprofiles/S-1", "PUT", {"long": "x" * 1100}))[0] == 413


@virtual
@pytest.mark.parametrize(("hosts", "code"), [((), 2001), (("Results.bench",), 1000)], ids=["own", "allowed"])
async def test_results_go_to_the_platforms_own_hosts_and_to_those_that_are_allowed(hosts: tuple[str, ...], code: int) -> None:
    """A response_url elsewhere would carry the platform's token to a stranger: 2001."""
    async with open_ocpi_rig(settings=_settings(allow_hosts=hosts)) as rig:
        path = f"chargingprofiles/{await rig.session()}"
        body = {"charging_profile": PROFILE, "response_url": "http://results.bench/1"}
        assert (await _ask(rig, path, "PUT", body))[1]["status_code"] == code
        await asyncio.sleep(60)


@virtual
@pytest.mark.parametrize(("hosts", "code"), [((), 2001), (("Results.bench",), 1000)], ids=["own", "allowed"])
async def test_results_of_commands_go_where_those_of_profiles_go(hosts: tuple[str, ...], code: int) -> None:
    """`allow_hosts` holds for each response_url."""
    async with open_ocpi_rig(settings=_settings(allow_hosts=hosts)) as rig:
        body = {"session_id": await rig.session(), "response_url": "http://results.bench/1"}
        assert (await _ask(rig, "commands/STOP_SESSION", "POST", body))[1]["status_code"] == code


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority for this module."""
    return trustme.CA()


def _files(authority: trustme.CA, folder: Path) -> dict[str, str]:
    """Write certificate, key and authority into a folder; return the settings that name them."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return {"certificate": "chain.pem", "private_key": "key.pem", "ca_file": "ca.pem"}


@asynccontextmanager
async def _served(tmp_path: Path, stations: Any = None, **ocpi: Any) -> AsyncIterator[tuple[str, str]]:
    """Serve as `bench serve` does; return the URL of the versions and TOKEN_A."""
    stations = stations or ScriptedStations()
    order = ServeOrder(_settings(**ocpi), tmp_path / "rig.toml", tmp_path, open_served_ocpi)
    async with open_served_ocpi(order, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations) as served:
        versions, token = served.lines
        yield versions.split()[-1], token.split()[-1]


async def test_with_a_certificate_the_platform_speaks_https(authority: trustme.CA, tmp_path: Path) -> None:
    """To who trusts its authority; the URL that is told says https, and so do those behind it."""
    async with _served(tmp_path, **_files(authority, tmp_path)) as (url, token):
        assert url.startswith("https://127.0.0.1:")
        headers = {"authorization": encode_token(token)}
        async with open_transport(AddressBook(), tmp_path / "ca.pem") as transport:
            status, _, body = await transport.request("GET", url, headers, b"", 10)
        assert (status, orjson.loads(body)["data"][0]["url"]) == (200, url.replace("versions", VERSIONS[0]))
        async with open_transport(AddressBook()) as transport:
            with pytest.raises(PeerError, match=r"the certificate of 127\.0\.0\.1 is not trusted: .*--ca-file"):
                await transport.request("GET", url, headers, b"", 10)


async def test_https_where_there_is_none_is_told(tmp_path: Path) -> None:
    """In words, for TLS's own are for those who know it."""
    async with _served(tmp_path) as (url, _), open_transport(AddressBook()) as transport:
        with pytest.raises(PeerError, match=r"TLS failed: wrong version number; is it https\?"):
            await transport.request("GET", url.replace("http", "https", 1), {}, b"", 10)


async def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    """Before anything is served, and by its place beside the rig file."""
    for name in ("chain.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(UsageError, match=r"chain\.pem.*no certificate that can be used"):
        async with _served(tmp_path, certificate="chain.pem", private_key="key.pem"):
            pass
    with pytest.raises(UsageError, match=r"ca\.pem: no certificates of authorities"):
        async with _served(tmp_path, ca_file="ca.pem"):
            pass


async def test_the_store_lies_beside_the_rig_file(tmp_path: Path) -> None:
    """And the public URL is what peers are told, whatever the address."""
    stations, settings = ScriptedStations(), {"store": "ocpi.json", "public_url": "https://cso.lab.example:9001"}
    async with _served(tmp_path, stations, **settings) as (url, _):
        assert url == "https://cso.lab.example:9001/ocpi/versions"
        stations.transaction("Started")
        assert (tmp_path / "ocpi.json").is_file()


@pytest.mark.parametrize(("host", "right"), [("Results.bench", True), ("10.0.0.1", True), ("fe80::1", True), ("peer:81", False)])
def test_an_allowed_host_has_no_port(host: str, right: bool) -> None:
    """Or it would be allowed in vain."""
    with nullcontext() if right else pytest.raises(ValidationError):
        OcpiSettings(allow_hosts=(host,))


def test_certificate_and_key_go_together() -> None:
    """One without the other is a mistake of the rig file."""
    with pytest.raises(ValidationError, match="certificate and private_key go together"):
        OcpiSettings.model_validate({"certificate": "chain.pem"})
