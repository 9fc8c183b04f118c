"""`bench ocpi check` against a CSO with one bug each: the case that is named for it fails, and no other accuses."""

from __future__ import annotations

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.domain.conformance import CaseResult
from bench.domain.verdicts import Verdict
from bench.peers.check.course import NAMES, Wishes
from bench.rig.ocpi_check import CheckOrder, run_check
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_bad_cso import BASE, TOKEN_A, BadCso, open_bad_cso
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual


async def check(version: str, *bugs: str, only: tuple[str, ...] = ()) -> tuple[dict[str, CaseResult], BadCso]:
    """Check a CSO with these bugs."""
    addresses, results = AddressBook(), list[CaseResult]()
    order = CheckOrder(f"{BASE}/ocpi/versions", Wishes(TOKEN_A, 5, only=only), version, base_url="http://check.bench")
    async with open_bad_cso(version, addresses, *bugs) as cso:
        await run_check(order, LoopClock(EPOCH), SeededIds(7, "check"), addresses, MemoryJournal(), print, results)
    return {one.name: one for one in results}, cso


def failures(found: dict[str, CaseResult]) -> set[str]:
    """Return the names of the cases that failed."""
    return {name for name, one in found.items() if one.verdict is Verdict.FAIL}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_sound_cso_passes_every_case(version: str) -> None:
    """No case but is PASS, and none is left out."""
    found, cso = await check(version)
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
        ("twice", {"result-once"}),
        ("retries", {"response-url-error"}),
        ("blocked", {"response-url-slow", "response-url-silent"}),
        ("cut_query", {"response-url"}),
        ("cut_path", {"response-url"}),
        ("wrong_push", {"push"}),
        ("lower_ids", {"id-kept"}),
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
