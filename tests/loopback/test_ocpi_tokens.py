"""Tokens of eMSPs at the CPO: how they are told, and who may charge by them (mod_tokens)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.cso.ocpi import grants
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, rig_settings

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
PATH = f"/tokens/NL/EVL/{UID}"


@pytest.fixture(params=VERSIONS)
async def emsp(request: pytest.FixtureRequest) -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO."""
    async with open_ocpi_rig(version=request.param) as rig, open_emsp(rig, request.param) as opened:
        yield opened


def _allowed(given: dict[str, Any], allowed: str = "ALLOWED", **fields: Any) -> dict[str, Any]:
    return {"allowed": allowed, "token": given, **fields}


def _settings(**ocpi: Any) -> RigSettings:
    return RigSettings.model_validate(rig_settings().model_dump(by_alias=True) | {"ocpi": ocpi})


async def test_a_token_is_given_back_as_it_was_put(emsp: Emsp) -> None:
    """PUT and GET, Receiver Interface: created, then replaced; unknown fields and enum values survive."""
    given = token(whitelist="SOMETIMES", energy_contract={"supplier_name": "wind"}, colour="blue")
    assert [await emsp.tell(given), await emsp.tell(given)] == [201, 200]
    status, answer = await emsp.ask("GET", PATH)
    assert (status, answer["data"]) == (200, given)


async def test_uids_are_found_whatever_their_case(emsp: Emsp) -> None:
    """types, CiString: Token.uid is a CiString, which keeps its case."""
    await emsp.tell(token())
    assert (await emsp.ask("GET", PATH.lower()))[1]["data"]["uid"] == UID


async def test_uid_and_type_together_name_a_token(emsp: Emsp) -> None:
    """The type of the URL is RFID where it is omitted (GET, request parameters)."""
    await emsp.tell(token(type="APP_USER"))
    assert (await emsp.ask("GET", PATH))[0] == 404
    assert (await emsp.ask("GET", f"{PATH}?type=APP_USER"))[1]["data"]["type"] == "APP_USER"
    assert (await emsp.ask("PUT", PATH, token(type="APP_USER")))[1]["status_code"] == 2001


async def test_a_patch_changes_what_it_names(emsp: Emsp) -> None:
    """PATCH: the rest stays; null takes an optional field away."""
    await emsp.tell(token(group_id="family", visual_number="1"))
    changes = {"valid": False, "group_id": None, "last_updated": "2026-01-16T00:00:00Z"}
    status, answer = await emsp.ask("PATCH", PATH, changes)
    assert (status, answer["status_code"]) == (200, 1000)
    due = token(visual_number="1", valid=False, last_updated="2026-01-16T00:00:00Z")
    assert (await emsp.ask("GET", PATH))[1]["data"] == due


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"valid": False}, (200, 2001)),
        ({"valid": None, "last_updated": "2026-01-16T00:00:00Z"}, (200, 2001)),
        ({"uid": "another", "last_updated": "2026-01-16T00:00:00Z"}, (200, 2001)),
    ],
    ids=["no last_updated", "a required field taken away", "another uid"],
)
async def test_a_wrong_patch_changes_nothing(emsp: Emsp, changes: dict[str, Any], due: tuple[int, int]) -> None:
    """PATCH SHALL contain last_updated, and what it makes must be a Token of that URL."""
    await emsp.tell(token())
    status, answer = await emsp.ask("PATCH", PATH, changes)
    assert (status, answer["status_code"]) == due
    assert (await emsp.ask("GET", PATH))[1]["data"] == token()


async def test_an_unknown_token_is_not_found(emsp: Emsp) -> None:
    """GET and PATCH: 404, with OCPI's code of an unknown token."""
    for method, body in (("GET", None), ("PATCH", {"last_updated": "2026-01-16T00:00:00Z"})):
        status, answer = await emsp.ask(method, PATH, body)
        assert (status, answer["status_code"]) == (404, 2004)


async def test_nobody_tells_the_tokens_of_others(emsp: Emsp) -> None:
    """Client Owned Object Push, Errors: a party that is not the caller's is not found; URL and object must agree."""
    foreign = token(country_code="BE")
    assert (await emsp.ask("PUT", f"/tokens/BE/EVL/{UID}", foreign))[0] == 404
    assert (await emsp.ask("PUT", PATH, foreign))[1]["status_code"] == 2001


async def test_a_token_stays_out_of_the_journal(emsp: Emsp) -> None:
    """No URL shows who charges, and after the first PUT no text does; fields named uid are never written to a file."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token())
    await emsp.rig.stations.present(UID)
    urls = [one["url"] for one in emsp.rig.journal.of("ocpi.request") if "/tokens/" in one["url"]]  # type: ignore[attr-defined]
    assert [url.count("(hidden)") for url in urls] == [1, 1]
    assert UID not in str(emsp.rig.journal.documents[-4:])  # type: ignore[attr-defined]


async def test_a_token_that_is_called_like_a_word_takes_no_evidence_away(emsp: Emsp) -> None:
    """A uid is any text of 36 characters: only under its own key it is hidden then."""
    for word in ("ACCEPTED", "status_code"):
        assert (await emsp.ask("PUT", PATH.replace(UID, word), token(uid=word)))[0] == 201
    rows = emsp.rig.journal.of("ocpi.response")  # type: ignore[attr-defined]
    assert "status_code" in rows[-1]["body"]
    emsp.rig.journal.write("finding", {"text": "ACCEPTED"})
    assert emsp.rig.journal.of("finding")[-1]["text"] == "ACCEPTED"  # type: ignore[attr-defined]


async def test_everyone_else_charges_as_ever(emsp: Emsp) -> None:
    """By default an eMSP is asked of its own tokens alone, and a bench charges whoever asks."""
    await emsp.tell(token())
    assert await emsp.rig.stations.present("somebody") == {"status": "Accepted"}
    assert emsp.asked == []


@pytest.mark.parametrize("whitelist", ["NEVER", "ALLOWED_OFFLINE", "SOMETIMES"])
async def test_the_emsp_is_asked_in_real_time(emsp: Emsp, whitelist: str) -> None:
    """WhitelistType: NEVER and ALLOWED_OFFLINE go to the eMSP, and so does what is not known."""
    await emsp.tell(token(whitelist=whitelist))
    emsp.authorization = _allowed(token(), "BLOCKED")
    assert await emsp.rig.stations.present(UID) == {"status": "Blocked"}
    assert emsp.asked == [
        (f"/tokens/{UID}/authorize?type=RFID", {"location_id": "test", "evse_uids": ["CS-1-1"]})
    ]  # fmt: skip


@pytest.mark.parametrize("whitelist", ["ALWAYS", "ALLOWED"])
async def test_a_whitelisted_token_charges_without_a_question(emsp: Emsp, whitelist: str) -> None:
    """WhitelistType: ALWAYS must not be asked for, ALLOWED need not."""
    await emsp.tell(token(whitelist=whitelist))
    assert await emsp.rig.stations.present(UID) == {"status": "Accepted"}
    assert emsp.asked == []


async def test_an_invalid_token_is_asked_for_where_that_is_allowed(emsp: Emsp) -> None:
    """WhitelistType: the state of the Token might have changed; ALWAYS leaves nothing but the whitelist."""
    await emsp.tell(token(whitelist="ALLOWED", valid=False))
    emsp.authorization = _allowed(token(whitelist="ALLOWED"))
    assert await emsp.rig.stations.present(UID) == {"status": "Accepted"}
    await emsp.tell(token("another", whitelist="ALWAYS", valid=False))
    assert await emsp.rig.stations.present("another") == {"status": "Invalid"}
    assert len(emsp.asked) == 1


@pytest.mark.parametrize(
    ("allowed", "due"),
    [
        ("ALLOWED", "Accepted"), ("BLOCKED", "Blocked"), ("EXPIRED", "Expired"), ("NO_CREDIT", "NoCredit"),
        ("NOT_ALLOWED", "NotAtThisLocation"), ("PERHAPS", "Invalid"),
    ],
)  # fmt: skip
async def test_the_emsps_word_becomes_ocpps(emsp: Emsp, allowed: str, due: str) -> None:
    """AllowedType; what is not known does not charge."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token(), allowed)
    assert (await emsp.rig.stations.present(UID))["status"] == due


async def test_more_of_the_answer_reaches_the_station(emsp: Emsp) -> None:
    """AuthorizationInfo: the text for the driver and the group of the token."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token(group_id="family"), info={"language": "en", "text": "Hello"})
    assert await emsp.rig.stations.present(UID) == {
        "status": "Accepted",
        "groupIdToken": {"idToken": "family", "type": "Central"},
        "personalMessage": {"format": "UTF8", "language": "en", "content": "Hello"},
    }


async def test_a_token_that_is_allowed_elsewhere_does_not_charge_here(emsp: Emsp) -> None:
    """AuthorizationInfo.location: only the EVSEs that the driver may use."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token(), location={"location_id": "test", "evse_uids": ["CS-9-1"]})
    assert await emsp.rig.stations.present(UID) == {"status": "NotAtThisLocation"}


@pytest.mark.parametrize(("whitelist", "due"), [("NEVER", "Invalid"), ("ALLOWED_OFFLINE", "Accepted")])
@pytest.mark.parametrize("answer", [500, "nonsense", "silence"], ids=str)
async def test_the_whitelist_decides_where_the_emsp_does_not(emsp: Emsp, whitelist: str, due: str, answer: Any) -> None:
    """WhitelistType ALLOWED_OFFLINE: without a response the Token shall be allowed; NEVER: it is not."""
    await emsp.tell(token(whitelist=whitelist))
    emsp.authorization = asyncio.get_running_loop().create_future() if answer == "silence" else answer
    assert await emsp.rig.stations.present(UID) == {"status": due}
    assert len(emsp.rig.found("authorization_without_answer") + emsp.rig.found("authorization_unreadable")) == 1


@pytest.mark.parametrize("answer", [404, {"status_code": 2004}], ids=["404", "2004"])
async def test_a_token_that_the_emsp_does_not_know_is_unknown(emsp: Emsp, answer: Any) -> None:
    """Real-time authorization: HTTP 404 or status 2004, whatever the whitelist had said."""
    await emsp.tell(token(whitelist="ALLOWED_OFFLINE"))
    emsp.authorization = answer
    assert (await emsp.rig.stations.present(UID))["status"] == "Unknown"


@pytest.mark.parametrize("other", [token("another"), token(party_id="ABC")], ids=["uid", "owner"])
async def test_an_answer_for_another_token_counts_for_nothing(emsp: Emsp, other: dict[str, Any]) -> None:
    """AuthorizationInfo.token is the one that was asked for."""
    await emsp.tell(token())
    emsp.authorization = _allowed(other)
    assert (await emsp.rig.stations.present(UID))["status"] == "Invalid"
    assert len(emsp.rig.found("authorization_of_another")) == 1


async def test_the_session_names_the_token_and_how_it_was_authorized(emsp: Emsp) -> None:
    """mod_sessions, Session object: Session.cdr_token, auth_method AUTH_REQUEST and the eMSP's authorization_reference."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token(), authorization_reference="ref-1")
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    session = await emsp.session()
    names = ("country_code", "party_id", "uid", "type", "contract_id")
    assert session["cdr_token"] == {name: token()[name] for name in names}
    assert (session["auth_method"], session["authorization_reference"]) == ("AUTH_REQUEST", "ref-1")
    assert emsp.rig.scsp.findings == []


async def test_the_emsp_of_the_token_steers_the_session(emsp: Emsp) -> None:
    """mod_charging_profiles, ChargingProfileResponseType: the owner of a Token sees its sessions and may set their profiles;
    the owner of another sees nothing."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    emsp.rig.stations.transaction("Started", id_token=UID)
    emsp.rig.stations.transaction("Started", "tx-2", id_token="somebody")
    session = await emsp.session()
    assert session["auth_method"] == "WHITELIST"
    url = f"/chargingprofiles/{session['id']}?response_url=http://emsp.bench/callbacks/1"
    assert (await emsp.ask("DELETE", url))[1]["data"]["result"] == "ACCEPTED"
    other = next(one for one in emsp.rig.scsp.sessions if one != session["id"])
    assert (await emsp.ask("DELETE", url.replace(session["id"], other)))[1]["data"]["result"] == "REJECTED"


async def test_a_refused_token_has_no_session(emsp: Emsp) -> None:
    """mod_sessions, Session object: PENDING, and told to nobody, until somebody charges whose token is accepted."""
    emsp.rig.stations.transaction("Started", id_token=UID, id_status="Blocked")
    await asyncio.sleep(1)
    assert (emsp.sessions, emsp.rig.scsp.sessions) == ({}, {})
    emsp.rig.stations.transaction("Updated", id_token="somebody", id_status="Accepted")
    assert (await emsp.rig.scsp.wait_session(lambda one: True, 10))["cdr_token"]["uid"] == "somebody"


async def test_a_token_is_asked_for_once_in_one_use(emsp: Emsp) -> None:
    """The TransactionEvent after an Authorize is the same use; the next day is another."""
    await emsp.tell(token())
    emsp.authorization = _allowed(token())
    for seconds, due in ((0, 1), (30, 1), (86_400, 2)):
        await asyncio.sleep(seconds)
        await emsp.rig.stations.present(UID)
        assert len(emsp.asked) == due


async def test_what_is_remembered_of_tokens_is_bounded(emsp: Emsp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number may be presented: the oldest use is forgotten, which one finding says, and asked for anew; no session is."""
    monkeypatch.setattr(grants, "MOST_GRANTS", 2)
    for uid in ("A", "B", "C", "D"):
        await emsp.tell(token(uid))
        emsp.authorization = _allowed(token(uid), authorization_reference=f"ref-{uid}")
        await emsp.rig.stations.present(uid)
        if uid == "A":
            emsp.rig.stations.transaction("Started", id_token=uid)
    emsp.authorization = _allowed(token("A"))
    await emsp.rig.stations.present("A")
    assert len(emsp.asked) == 5
    emsp.rig.stations.transaction("Updated", id_token="A")
    assert (await emsp.session())["authorization_reference"] == "ref-A"
    assert len(emsp.rig.found("grants_forgotten")) == 1


async def test_tokens_of_a_party_that_left_do_not_count(emsp: Emsp) -> None:
    """credentials, DELETE: with the registration ends what it told."""
    await emsp.tell(token())
    emsp.rig.cpo.platform.registry.remove(emsp.platform)
    assert await emsp.rig.stations.present(UID) == {"status": "Accepted"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_by_setting_only_tokens_of_emsps_charge(version: str) -> None:
    """`authorize = "tokens"`: what was not told is asked for, and refused where no eMSP knows it."""
    async with open_ocpi_rig(settings=_settings(authorize="tokens")) as rig:
        assert await rig.stations.present("somebody") == {"status": "Unknown"}
        async with open_emsp(rig, version) as emsp:
            emsp.authorization = 404
            assert await rig.stations.present("somebody") == {"status": "Unknown"}
            emsp.authorization = _allowed(token("somebody"))
            assert await rig.stations.present("somebody") == {"status": "Accepted"}
            assert len(emsp.asked) == 2


@pytest.mark.parametrize(("version", "kind"), [("2.3.0", "EMAID"), ("2.2.1", "OTHER")])
async def test_the_provider_of_an_emaid_is_asked(version: str, kind: str) -> None:
    """TokenType EMAID (2.3.0): the contract's own id says whom to ask; 2.2.1 has no word for it."""
    async with open_ocpi_rig() as rig, open_emsp(rig, version) as emsp:
        emsp.authorization = _allowed(token("NLEVLC123456", type="EMAID"))
        assert await rig.stations.present("NLEVLC123456", "eMAID") == {"status": "Accepted"}
        assert await rig.stations.present("DEABCC123456", "eMAID") == {"status": "Accepted"}
        assert [path for path, _ in emsp.asked] == [f"/tokens/NLEVLC123456/authorize?type={kind}"]
