"""`bench ocpi check` against a CSO with one bug each: the case that is named for it fails, and no other accuses."""

from __future__ import annotations

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.domain.conformance import CaseResult
from bench.domain.verdicts import Verdict
from bench.peers.check.course import NAMES, Start, Wishes
from bench.peers.scsp import MockScsp
from bench.rig.ocpi_check import CheckOrder, run_check
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_bad_cso import BASE, CSO, TOKEN_A, BadCso, open_bad_cso
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual


async def check(
    version: str, *bugs: str, only: tuple[str, ...] = (), push_within_s: float = 0, lines: list[str] | None = None,
    journal: MemoryJournal | None = None, start: Start | None = None, role: str = "SCSP",
) -> tuple[dict[str, CaseResult], BadCso]:
    """Check a CSO with these bugs; whoever is asked to change a limit does so, unless `nobody` is among them."""
    addresses, results = AddressBook(), list[CaseResult]()
    wishes = Wishes(TOKEN_A, 5, start=start, only=only, push_within_s=push_within_s)
    order = CheckOrder(f"{BASE}/ocpi/versions", wishes, version, role, base_url="http://check.bench")
    async with open_bad_cso(version, addresses, *bugs) as cso:

        def tell(line: str) -> None:
            (lines if lines is not None else []).append(line)
            if line.startswith("now change") and "nobody" not in bugs:
                cso.change()

        ids, written = SeededIds(7, "check"), journal or MemoryJournal()
        await run_check(order, LoopClock(EPOCH), ids, addresses, written, tell, results)
    return {one.name: one for one in results}, cso


def failures(found: dict[str, CaseResult]) -> set[str]:
    """Return the names of the cases that failed."""
    return {name for name, one in found.items() if one.verdict is Verdict.FAIL}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_sound_cso_passes_every_case(version: str) -> None:
    """No case but is PASS, and none is left out."""
    found, cso = await check(version, role="EMSP")
    assert {name: one.said for name, one in found.items() if one.verdict is not Verdict.PASS} == {}
    assert set(found) == set(NAMES)
    assert cso.profile is None


@pytest.mark.parametrize(
    ("bug", "cases"),
    [
        ("nothing", {"active-first", "set", "clear"}),  # says ACCEPTED, and does nothing
        ("no_put", {"set", "replace"}),
        ("http_422", {"invalid-object", "periods-empty", "periods-start", "periods-unsorted"}),
        ("wrapped", {"answer"}),
        ("unknown_is_2000", {"unknown-session"}),
        ("no_timeout", {"answer"}),
        ("late", {"result-in-time"}),
        ("very_late", {"set", "replace", "result-in-time"}),  # so late that nobody waits for it any more
        ("twice", {"result-once"}),
        ("retries", {"response-url-error"}),
        ("blocked", {"response-url-slow", "response-url-silent"}),
        ("cut_query", {"response-url"}),
        ("cut_path", {"response-url"}),
        ("wrong_push", {"push"}),
        ("exact_ids", {"session-id-case"}),
        ("no_request_id", {"request-headers"}),
        ("sends_newline", {"sent-token"}),
        ("newline", {"credentials-token"}),
        ("no_fetch", {"register", "renew"}),
        ("registers_twice", {"register-twice"}),
        ("same_token", {"renew"}),
        ("token_survives", {"unregister"}),
        ("forbidden", {"wrong-token"}),
        ("not_json_is_200", {"body-not-json"}),
        ("no_echo", {"response-headers"}),
        ("not_swapped", {"response-headers"}),
        ("no_timestamp", {"envelope"}),
        ("no_count", {"paging"}),
        ("no_link", {"paging"}),
        ("one_put", {"replace"}),
        ("inverted", {"clear", "clear-twice"}),
        ("ignores", {"active"}),
        ("decimals", {"active", "push"}),
        ("no_profile", {"active-first"}),
    ],
)
async def test_a_bug_is_found_by_its_case(bug: str, cases: set[str]) -> None:
    """The named cases fail, all others are PASS or say what was not shown."""
    found, _ = await check(VERSIONS[0], bug)
    assert failures(found) == cases, {name: one.said for name, one in found.items() if one.verdict is not Verdict.PASS}


async def test_no_response_at_all_convicts_nobody() -> None:
    """The second registration is not answered: not shown, with what went wrong."""
    found, _ = await check(VERSIONS[0], "silent", only=("register-twice",))
    assert found["register-twice"].verdict is Verdict.INCONCLUSIVE
    assert found["register-twice"].said[0].endswith("/credentials: no answer within 30 s")


@pytest.mark.parametrize(
    ("bug", "name"),
    [("nothing", "set"), ("unknown_is_2000", "unknown-session"), ("late", "result-in-time"), ("twice", "result-once"),
     ("no_timeout", "answer"), ("no_timestamp", "envelope"), ("no_echo", "response-headers"), ("wrong_push", "push")],
)  # fmt: skip
async def test_a_fail_names_the_documents_of_its_exchange(bug: str, name: str) -> None:
    """The first is the request that was answered so."""
    journal = MemoryJournal()
    found, _ = await check(VERSIONS[0], bug, journal=journal)
    request = journal.documents[found[name].refs[0]]
    assert (request.kind, found[name].verdict, found["set"].refs != ()) == ("ocpi.request", Verdict.FAIL, True)


@pytest.mark.parametrize("habit", ["credentials_receiver", "no_routing", "holds_connection"])
async def test_a_harmless_habit_is_no_fail(habit: str) -> None:
    """The role of credentials is disregarded (version information, Endpoint); one party on either side needs no routing
    (transport, Message Routing Headers); others have their own connection.
    """
    found, _ = await check(VERSIONS[0], habit)
    assert failures(found) == set(), {name: one.said for name, one in found.items() if one.verdict is Verdict.FAIL}


async def test_routing_headers_are_due_where_the_cso_has_two_parties() -> None:
    """transport, message routing: each thing that is missing is said once, with the places where it was seen."""
    found, _ = await check(VERSIONS[0], "no_routing", "two_parties")
    assert failures(found) == {"response-headers", "request-headers"}
    assert len(found["response-headers"].said) == 4
    assert "more" in found["response-headers"].said[0]


async def test_a_refused_registration_is_told_with_the_reason_of_the_cso() -> None:
    """Its own words, what can be done, and the form of its answers; values that it repeats stay out."""
    found, _ = await check(VERSIONS[0], "wants_website")
    assert "body.roles.0.website: Field required" in found["register"].said[0]
    assert "optional field" in found["register"].said[1]
    assert "a former registration of NL-SCP" in found["register"].said[1]
    assert failures(found) == {"register", "envelope"}
    assert found["set"].said == ("not registered",)


async def test_a_refused_registration_is_told_whatever_case_is_asked_for() -> None:
    """--only: the case that is asked for is not shown, and `register` says why."""
    found, _ = await check(VERSIONS[0], "wants_website", only=("set",))
    assert (list(found), failures(found)) == (["register", "set"], {"register"})


async def test_a_token_that_the_cso_repeats_is_not_told() -> None:
    """A reason may hold the token that was sent."""
    found, _ = await check(VERSIONS[0], "repeats_token")
    assert "(token) is no token that we like" in found["register"].said[0]


async def test_a_cso_without_credentials_is_told_so() -> None:
    """version information: credentials is required of every implementation."""
    found, _ = await check(VERSIONS[0], "no_credentials")
    assert found["versions"].said[0].endswith("no endpoint credentials")


async def test_a_push_after_a_change_by_hand_is_waited_for() -> None:
    """mod_charging_profiles, SENDER PUT: whoever has set a profile is told of changes by others."""
    found, _ = await check(VERSIONS[0], only=("push",), push_within_s=60)
    assert (found["push"].verdict, found["push"].said) == (Verdict.PASS, ("2 pushes, one after a change by hand",))
    found, _ = await check(VERSIONS[0], "nobody", only=("push",), push_within_s=60)
    assert found["push"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("bugs", [(), ("no_credentials",)])
async def test_tokens_that_were_agreed_by_hand_need_no_handshake(bugs: tuple[str, ...]) -> None:
    """All else is checked, also of a CSO without credentials, and what the check did not make it does not end."""
    addresses, results = AddressBook(), list[CaseResult]()
    wishes = Wishes("token-by-hand", by_hand=(CSO, "our-token-by-hand"))
    order = CheckOrder(f"{BASE}/ocpi/versions", wishes, VERSIONS[0], base_url="http://check.bench")
    async with open_bad_cso(VERSIONS[0], addresses, *bugs) as cso:
        cso.agree("token-by-hand", "our-token-by-hand", f"http://check.bench/ocpi/{VERSIONS[0]}", MockScsp.PARTY)
        await run_check(order, LoopClock(EPOCH), SeededIds(7, "check"), addresses, MemoryJournal(), print, results)
        assert cso.tokens == ["token-by-hand"]
    found = {one.name: one for one in results}
    assert failures(found) == ({"versions"} if bugs else set())
    assert {name for name, one in found.items() if one.verdict is Verdict.PASS} >= {"set", "push", "clear", "sent-token"}
    assert found["unregister"].verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(("bug", "said"), [("no_push", "was withdrawn"), ("nothing", "may still hold")])
async def test_the_user_is_told_whether_the_profile_is_gone(bug: str, said: str) -> None:
    """A DELETE without a result has withdrawn nothing that we know of."""
    lines = list[str]()
    await check(VERSIONS[0], bug, only=("set",), lines=lines)
    assert [line for line in lines if line.startswith(f"our profile {said}")]


@pytest.mark.parametrize("bug", ["no_put_works", "rejects_puts"])
async def test_a_profile_that_was_refused_is_not_withdrawn(bug: str) -> None:
    """By the station, or by the CSO at once: no word of a profile that nobody holds."""
    lines = list[str]()
    await check(VERSIONS[0], bug, only=("set", "invalid-object", "periods-empty"), lines=lines)
    assert [line for line in lines if line.startswith("our profile")] == []


async def test_who_refuses_every_profile_has_not_shown_that_bad_ones_are_refused() -> None:
    """A station that rejects whatever comes: nothing about profiles is PASS."""
    found, _ = await check(VERSIONS[0], "no_put_works", "takes_all", only=("set", "periods-empty", "periods-start"))
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(found, Verdict.INCONCLUSIVE)
