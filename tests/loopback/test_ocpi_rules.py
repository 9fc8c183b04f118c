"""Rules of OCPI that no other test names: what a peer sees of versions, headers, lists and objects, in both versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.adapters.http_server import open_http_server
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token, routing
from tests.ocpi_emsp import CPO, Emsp, open_emsp, token
from tests.ocpi_recorder import open_recorder
from tests.ocpi_rig import PROFILE, STATION, OcpiRig, open_ocpi_rig, with_location
from tests.support import MemoryJournal

pytestmark = pytest.mark.virtual

EMAID = "NLEVLC123456"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Return each version of OCPI."""
    found: str = request.param
    return found


@pytest.fixture
async def emsp(version: str) -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO."""
    async with open_ocpi_rig(version=version) as rig, open_emsp(rig, version) as opened:
        yield opened


def _requests(rig: OcpiRig, part: str) -> list[dict[str, Any]]:
    """Return the requests in the journal whose URL has this part."""
    assert isinstance(rig.journal, MemoryJournal)
    return [one for one in rig.journal.of("ocpi.request") if part in one["url"]]


@asynccontextmanager
async def _peer(rig: OcpiRig, *versions: str) -> AsyncIterator[dict[str, Any]]:
    """Serve versions and details of an SCSP with these versions; yield its credentials."""

    async def answer(request: Request) -> Response:
        path = request.url.path.strip("/")
        rows = [{"version": one, "url": f"http://odd.bench/{one}"} for one in versions]
        modules = (("sessions", "RECEIVER"), ("chargingprofiles", "SENDER"))
        ends = [{"identifier": name, "role": role, "url": f"http://odd.bench/{path}/{name}"} for name, role in modules]
        data = rows if path == "versions" else {"version": path, "endpoints": ends}
        return JSONResponse({"data": data, "status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"})

    async with open_http_server(Starlette(routes=[Route("/{path:path}", answer)])) as server:
        with rig.addresses.entry("http://odd.bench", server):
            yield rig.scsp.own_credentials() | {"url": "http://odd.bench/versions"}


async def _credentials(rig: OcpiRig, method: str, version: str, own: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": encode_token(own), "x-request-id": "r", "x-correlation-id": "c"}
    url = f"http://cso.bench/ocpi/{version}/credentials"
    _, _, text = await rig.transport.request(method, url, headers, json.dumps(body).encode(), 10)
    envelope: dict[str, Any] = json.loads(text)
    return envelope


async def test_a_peer_of_both_versions_is_served_in_the_one_that_it_chose(version: str) -> None:
    """credentials, POST and PUT: whose endpoint is called decides; a PUT at the other version's endpoint changes over to it."""
    async with open_ocpi_rig(version=version, register=False) as rig, _peer(rig, *VERSIONS) as body:
        own = (await _credentials(rig, "POST", version, rig.cpo.token_a, body))["data"]["token"]
        (platform,) = rig.cpo.platform.registry.platforms
        assert (platform.version, platform.endpoints["sessions", "RECEIVER"]) == (version, f"http://odd.bench/{version}/sessions")
        (other,) = set(VERSIONS) - {version}
        assert (await _credentials(rig, "PUT", other, own, body))["status_code"] == 1000
        assert (platform.version, platform.endpoints["sessions", "RECEIVER"]) == (other, f"http://odd.bench/{other}/sessions")


async def test_a_peer_of_2_2_1_alone_registers_there() -> None:
    """Status codes, 3002: at the endpoint of 2.3.0 it has no common version; TOKEN_A stays good for that of 2.2.1."""
    async with open_ocpi_rig(register=False) as rig, _peer(rig, "2.1.1", "2.2.1") as body:
        assert (await _credentials(rig, "POST", "2.3.0", rig.cpo.token_a, body))["status_code"] == 3002
        assert rig.cpo.platform.registry.platforms == []
        assert (await _credentials(rig, "POST", "2.2.1", rig.cpo.token_a, body))["status_code"] == 1000


async def test_a_failed_renewal_leaves_the_registration_as_it_was(version: str) -> None:
    """credentials, PUT: where the peer's versions cannot be fetched (3001), the old tokens go on."""
    async with open_ocpi_rig(version=version) as rig:
        own = rig.cpo.platform.registry.platforms[0].token_in
        body = rig.scsp.own_credentials() | {"url": "http://nowhere.bench/versions"}
        assert (await _credentials(rig, "PUT", version, own, body))["status_code"] == 3001
        assert (await rig.placed())[1] == "ACCEPTED"


async def test_a_hub_of_2_3_0_names_itself_beside_its_roles() -> None:
    """credentials, hub_party_id: no role of its own; parties behind it are, and pushes come with From headers of the hub."""
    async with open_ocpi_rig() as rig, _peer(rig, "2.3.0") as body:
        names = {"business_details": {"name": "one"}, "country_code": "NL"}
        body |= {"hub_party_id": "NLHUB", "roles": [{**names, "role": "EMSP", "party_id": "EVL"}]}
        token_a = rig.cpo.platform.registry.invite()
        own = (await _credentials(rig, "POST", "2.3.0", token_a, body))["data"]["token"]
        headers = {"authorization": encode_token(own), **routing(PartyId("NL", "HUB"), CPO)}
        url = "http://cso.bench/ocpi/2.3.0/tokens/NL/EVL/0123-CARD"
        status, given, _ = await rig.transport.request("PUT", url, headers, json.dumps(token()).encode(), 10)
        assert (status, given["ocpi-to-party-id"], given["ocpi-from-party-id"]) == (201, "HUB", "BEN")


async def test_a_hub_of_2_2_1_registers_and_brings_its_clients() -> None:
    """credentials and Role HUB, 2.2.1: the handshake with that one role, then hubclientinfo, then pushes by way of the hub."""
    async with open_ocpi_rig(version="2.2.1") as rig, _peer(rig, "2.2.1") as body:
        body |= {"roles": [{"business_details": {"name": "hub"}, "country_code": "NL", "role": "HUB", "party_id": "HUB"}]}
        token_a = rig.cpo.platform.registry.invite()
        own = (await _credentials(rig, "POST", "2.2.1", token_a, body))["data"]["token"]
        headers = {"authorization": encode_token(own), "x-request-id": "r", "x-correlation-id": "c"}
        info = {"party_id": "BEN", "country_code": "NL", "role": "EMSP", "status": "CONNECTED"}
        content = json.dumps(info | {"last_updated": "2026-01-15T00:00:00Z"}).encode()
        url = "http://cso.bench/ocpi/2.2.1/hubclientinfo/NL/BEN"
        status, given, _ = await rig.transport.request("PUT", url, headers, content, 10)
        assert (status, [name for name in given if name.startswith("ocpi-")]) == (201, [])
        rig.stations.transaction("Started", wh=0)
        await asyncio.sleep(1)
        (told,) = _requests(rig, "http://odd.bench/2.2.1/sessions/")
        assert told["headers"]["ocpi-to-party-id"] == "BEN"
        assert (await _credentials(rig, "PUT", "2.2.1", own, body))["status_code"] == 1000
        assert [str(one.id) for one in rig.cpo.platform.registry.platforms[1].parties] == ["NL-HUB", "NL-BEN"]


async def test_each_request_has_ids_of_its_own(version: str) -> None:
    """Transport, Unique message IDs: also the POST of a result, which belongs to no request of the sender's any more."""
    async with open_ocpi_rig(version=version) as rig:
        await rig.placed()
        for name in ("x-request-id", "x-correlation-id"):
            told = [one["headers"][name] for one in _requests(rig, "http://")]
            assert len(told) == len(set(told)) > 5


async def test_routing_headers_are_for_functional_modules_alone(version: str) -> None:
    """Transport, message routing: none on versions and credentials, From and To on all that follows."""
    async with open_ocpi_rig(version=version) as rig:
        await rig.placed()
        told = _requests(rig, "http://scsp.bench/")
        modules = "/sessions/", "/chargingprofiles/", "/callbacks/"
        functional = [one for one in told if any(name in one["url"] for name in modules)]
        others = [one for one in told if one not in functional]
        assert (len(functional), len(others)) == (3, 2)
        for one in told:
            named = [one["headers"].get(f"ocpi-{way}-party-id") for way in ("from", "to")]
            assert named == (["BEN", "SCP"] if one in functional else [None, None])


async def test_open_routing_is_served(emsp: Emsp) -> None:
    """Transport, Open Routing Request: without To headers a hub decides; who is asked answers as itself."""
    url = f"http://cso.bench/ocpi/{emsp.version}/tariffs"
    headers = {"authorization": encode_token(emsp.platform.token_in), **routing(emsp.party, None)}
    _, given, text = await emsp.rig.transport.request("GET", url, headers, b"", 10)
    assert json.loads(text)["status_code"] == 1000
    assert (given["ocpi-from-party-id"], given["ocpi-to-party-id"]) == ("BEN", "EVL")


async def test_codes_of_parties_are_read_in_any_case(emsp: Emsp) -> None:
    """Types, CiString: in headers and in URLs."""
    url = f"http://cso.bench/ocpi/{emsp.version}/tokens/nl/evl/0123-card"
    headers = {"authorization": encode_token(emsp.platform.token_in), **routing(PartyId("nl", "evl"), PartyId("nl", "ben"))}
    await emsp.tell(token())
    status, _, text = await emsp.rig.transport.request("GET", url, headers, b"", 10)
    assert (status, json.loads(text)["data"]["uid"]) == (200, "0123-CARD")


async def test_a_put_takes_away_what_it_leaves_out(emsp: Emsp) -> None:
    """Transport, PUT: the object as a whole; an optional field that is absent is gone."""
    await emsp.tell(token(group_id="G1", language="nl"))
    await emsp.tell(token(language="nl"))
    assert (await emsp.ask("GET", "/tokens/NL/EVL/0123-CARD"))[1]["data"] == token(language="nl")


async def test_equal_times_keep_their_order_over_pages(version: str) -> None:
    """Transport, Pagination: seven tariffs of one moment, two on a page: each comes once, and the pages end."""
    tariffs = [
        {"id": f"T-{number}", "elements": [{"price_components": [{"type": "FLAT", "price": number}]}]} for number in range(7)
    ]
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}]}
    settings = RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": {"tariff": tariffs}})
    async with open_ocpi_rig(version=version, settings=settings) as rig:
        listed = await rig.scsp.pull("tariffs", limit="2", date_from="2026-01-15T00:00:00Z")
        assert [one["id"] for one in listed] == [f"T-{number}" for number in range(7)]
        assert rig.scsp.findings == []


async def test_a_location_is_as_new_as_its_newest_evse(version: str) -> None:
    """mod_locations, last_updated: of the Location too when one of its EVSEs changes, so that a list by date has it."""
    async with open_ocpi_rig(version=version) as rig:
        await asyncio.sleep(60)
        rig.stations.tell("connected")
        rig.stations.tell("status", evse=1, connector=1, status="Available")
        (location,) = await rig.scsp.pull("locations", date_from="2026-01-15T00:01:00Z")
        assert (location["last_updated"], location["evses"][0]["last_updated"]) == ("2026-01-15T00:01:00Z",) * 2


async def test_an_evse_is_never_removed_by_a_request(version: str) -> None:
    """mod_locations: an EVSE that is gone has a status; nothing is ever deleted, whatever the station does."""
    async with open_ocpi_rig(version=version) as rig, open_recorder(rig.cpo.platform.registry, rig.addresses, version) as emsp:
        for status in ("Available", "Unavailable", "Faulted"):
            rig.stations.tell("connected")
            rig.stations.tell("status", evse=1, connector=1, status=status)
            rig.stations.tell("disconnected")
        await asyncio.sleep(1)
        assert {method for method, _, _ in emsp.of("locations")} == {"PATCH"}
        assert len(await rig.scsp.pull("locations")) == 1


@pytest.mark.parametrize(
    ("capabilities", "result"), [(["CHARGING_PROFILE_CAPABLE"], "ACCEPTED"), (["RFID_READER"], "NOT_SUPPORTED")]
)
async def test_only_an_evse_that_is_said_to_be_capable_takes_profiles(capabilities: list[str], result: str, version: str) -> None:
    """mod_locations, Capability; mod_charging_profiles, NOT_SUPPORTED: what the list says is what is done."""
    async with open_ocpi_rig(version=version, settings=with_location(capabilities=capabilities)) as rig:
        (location,) = await rig.scsp.pull("locations")
        assert location["evses"][0]["capabilities"] == capabilities
        order = await rig.scsp.send_plan(await rig.session(), PROFILE)
        assert order.answer["result"] == result


@pytest.mark.parametrize(
    ("capability", "name", "fields"),
    [
        ("REMOTE_START_STOP_CAPABLE", "START_SESSION", {"token": token(), "location_id": "test", "evse_uid": "CS-1-1"}),
        ("REMOTE_START_STOP_CAPABLE", "STOP_SESSION", {"session_id": "S-1"}),
        ("UNLOCK_CAPABLE", "UNLOCK_CONNECTOR", {"location_id": "test", "evse_uid": "CS-1-1", "connector_id": "1"}),
        ("RESERVABLE", "RESERVE_NOW", {
            "token": token(), "expiry_date": "2026-02-01T00:00:00Z", "reservation_id": "R", "location_id": "test",
        }),
        ("RESERVABLE", "CANCEL_RESERVATION", {"reservation_id": "R"}),
    ],
)  # fmt: skip
async def test_a_command_is_served_where_it_is_listed(capability: str, name: str, fields: dict[str, Any], version: str) -> None:
    """mod_locations, Capability; mod_commands, NOT_SUPPORTED: what the list says is what is done."""
    for listed in ([capability], ["RFID_READER"]):
        settings = with_location(capabilities=listed)
        async with open_ocpi_rig(version=version, settings=settings) as rig, open_emsp(rig, version) as emsp:
            actions = ("RequestStartTransaction", "ReserveNow", "UnlockConnector")
            rig.stations.answers |= {one: {"status": "Rejected"} for one in actions}
            answer = await emsp.command(name, **fields)
            assert (answer["data"]["result"] == "NOT_SUPPORTED") == (listed == ["RFID_READER"])


@pytest.mark.parametrize(
    ("standard", "in_2_2_1"), [("MCS", "IEC_62196_T2_COMBO"), ("SAE_J3400", "TESLA_S"), ("CHADEMO", "CHADEMO")]
)
async def test_a_plug_has_a_name_of_the_version(standard: str, in_2_2_1: str, version: str) -> None:
    """mod_locations, ConnectorType: a closed list in 2.2.1, where the nearest one stands; also in CDRs (connector_standard)."""
    settings = with_location(standard=standard)
    async with (
        open_ocpi_rig(version=version, settings=settings) as rig,
        open_recorder(rig.cpo.platform.registry, rig.addresses, version) as emsp,
    ):
        rig.stations.transaction("Ended", wh=0)
        await asyncio.sleep(1)
        (location,) = await rig.scsp.pull("locations")
        ((_, _, cdr),) = emsp.of("cdrs")
        told = location["evses"][0]["connectors"][0]["standard"], cdr["cdr_location"]["connector_standard"]
        assert told == ((in_2_2_1 if version == "2.2.1" else standard),) * 2
        assert rig.scsp.findings == []


@pytest.mark.parametrize("module", ["sessions", "cdrs", "tariffs", "locations"])
async def test_a_list_speaks_the_version_of_its_url(module: str, version: str) -> None:
    """Version information: an endpoint is one of its version, whoever asks; the registered one rules what is pushed."""
    tariff: dict[str, Any] = {"id": "DAY", "elements": [{"price_components": [{"type": "ENERGY", "price": 1, "vat": 20}]}]}
    tariff |= {"max_price": {"before_taxes": 50}}
    ocpi = {"tariff": [tariff], "location": {"help_phone": "112"}}
    settings = RigSettings.model_validate({**with_location().model_dump(by_alias=True), "ocpi": ocpi})
    async with (
        open_ocpi_rig(settings=settings) as rig,
        open_recorder(rig.cpo.platform.registry, rig.addresses, version) as emsp,
    ):
        rig.stations.transaction("Ended", wh=0)
        await asyncio.sleep(1)
        pushed = {"sessions": emsp.of("sessions"), "cdrs": emsp.of("cdrs")}.get(module)
        assert pushed is None or ("excl_vat" in str(pushed)) == (version == "2.2.1")
        for asked in VERSIONS:
            url = f"http://cso.bench/ocpi/{asked}/{module}?date_from=2026-01-01T00:00:00Z"
            headers = {"authorization": encode_token(emsp.platform.token_in)}
            _, _, text = await rig.transport.request("GET", url, headers, b"", 10)
            (found,) = json.loads(text)["data"]
            newer = "help_phone" in found if module == "locations" else "before_taxes" in str(found)
            assert newer == (asked == "2.3.0")


async def test_an_emaid_is_told_in_the_words_of_the_version(version: str) -> None:
    """mod_tokens, TokenType: EMAID is new in 2.3.0; a peer of 2.2.1 has OTHER for it, in sessions and in CDRs."""
    async with (
        open_ocpi_rig() as rig, open_emsp(rig, "2.3.0") as emsp,
        open_recorder(rig.cpo.platform.registry, rig.addresses, version, role="SCSP", party="OLD") as scsp,
    ):  # fmt: skip
        await emsp.tell(token(EMAID, type="EMAID", whitelist="ALWAYS"))
        await rig.stations.present(EMAID, "eMAID")
        rig.stations.transaction("Started", id_token=EMAID)
        await asyncio.sleep(60)
        rig.stations.transaction("Ended", id_token=EMAID, wh=10)
        await asyncio.sleep(1)
        told = [body["cdr_token"]["type"] for _, _, body in (*scsp.of("sessions"), *scsp.of("cdrs")) if "cdr_token" in body]
    assert told == ["EMAID" if version == "2.3.0" else "OTHER"] * 2


async def test_nothing_comes_after_completed(emsp: Emsp) -> None:
    """mod_sessions, SessionStatus: COMPLETED is final; what a station tells of the transaction afterwards changes nothing."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present("0123-CARD")
    emsp.rig.stations.transaction("Started", id_token="0123-CARD", wh=0)
    await asyncio.sleep(60)
    emsp.rig.stations.transaction("Ended", id_token="0123-CARD", wh=100)
    ended = await emsp.session()
    emsp.rig.stations.transaction("Updated", id_token="0123-CARD", wh=900)
    emsp.rig.stations.transaction("Ended", id_token="0123-CARD", wh=900)
    assert (ended["status"], await emsp.session()) == ("COMPLETED", ended)


async def test_a_platform_of_an_unknown_role_is_registered_and_told_nothing(version: str) -> None:
    """Types, enums: a value that is not known refuses nobody; no session is any business of such a party."""
    async with open_ocpi_rig(version=version) as rig, _peer(rig, version) as body:
        body["roles"][0] |= {"role": "WIZARD", "party_id": "WIZ"}
        token_a = rig.cpo.platform.registry.invite()
        assert (await _credentials(rig, "POST", version, token_a, body))["status_code"] == 1000
        await rig.session()
        await asyncio.sleep(1)
        assert _requests(rig, f"http://odd.bench/{version}/sessions") == []


@pytest.mark.parametrize(("hosts", "code"), [((), 2001), (("Results.bench",), 1000)], ids=["own", "allowed"])
async def test_results_of_commands_go_where_those_of_profiles_go(hosts: tuple[str, ...], code: int, version: str) -> None:
    """mod_commands: the CPO's token for the peer is sent to its own hosts and to those of the rig file, and nowhere else."""
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}]}
    ocpi = {"allow_hosts": hosts}
    settings = RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": ocpi})
    async with open_ocpi_rig(version=version, settings=settings) as rig, open_emsp(rig, version) as emsp:
        answer = await emsp.command("STOP_SESSION", session_id="S-1", response_url="http://results.bench/1")
        assert answer["status_code"] == code
