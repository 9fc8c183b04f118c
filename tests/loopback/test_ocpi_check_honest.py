"""`bench ocpi check` says INCONCLUSIVE, and no more, where a CSO gave no answer; what it says is wrong it can show."""

from __future__ import annotations

import pytest

from bench.domain.verdicts import Verdict
from bench.wire.ocpi.transport import VERSIONS
from tests.loopback.test_ocpi_check_bugs import check, failures
from tests.support import MemoryJournal

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize(
    ("mute", "cases"),
    [
        ("GET 2.3.0", {"versions"}),
        ("POST credentials", {"register"}),
        ("GET credentials", set()),
        ("PUT credentials", {"renew"}),
        ("DELETE credentials", {"unregister"}),
        ("GET chargingprofiles", {"active-first", "active", "response-url", "unknown-session", "invalid-object"}),
        ("PUT chargingprofiles", {"set", "replace", "unknown-session", "body-not-json", "invalid-object", "periods-start"}),
        ("DELETE chargingprofiles", {"clear", "clear-twice", "unknown-session"}),
        ("GET tariffs", {"paging"}),
        ("to strangers", {"wrong-token", "unregister"}),
    ],
)
async def test_no_response_is_never_a_fail(mute: str, cases: set[str]) -> None:
    """A time-out says nothing about the rule: the cases are INCONCLUSIVE, with the reason."""
    found, _ = await check(VERSIONS[0], f"mute {mute}")
    assert failures(found) == set(), {name: one.said for name, one in found.items() if one.verdict is Verdict.FAIL}
    assert {found[name].verdict for name in cases} <= {Verdict.INCONCLUSIVE}
    for name in cases - {"clear-twice", "replace"}:
        assert "no response" in found[name].said[0]


async def test_a_registration_without_a_response_is_told_whatever_was_asked_for() -> None:
    """--only: the case that is asked for is not shown, and `register` says why."""
    found, _ = await check(VERSIONS[0], "mute POST credentials", only=("set",))
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(("register", "set"), Verdict.INCONCLUSIVE)


async def test_a_renewal_without_a_response_leaves_nobody_sure_of_the_tokens() -> None:
    """The CSO may have taken it: what it says to the former token from then on is no fault, and shows nothing."""
    found, _ = await check(VERSIONS[0], "mute PUT credentials")
    assert found["set"].said == ("PUT credentials had no response: nobody knows which tokens hold",)
    assert found["sent-token"].verdict is Verdict.INCONCLUSIVE
    assert found["envelope"].verdict is Verdict.PASS


async def test_nobody_is_late_before_the_time_that_he_promised() -> None:
    """300 s promised, 190 s taken."""
    found, _ = await check(VERSIONS[0], "promises_long", "takes_long", only=("active-first", "result-in-time"))
    assert {one.verdict for one in found.values()} == {Verdict.PASS}


async def test_who_is_not_waited_for_has_not_failed() -> None:
    """300 s promised: after 195 s the check goes on, and says so."""
    found, _ = await check(VERSIONS[0], "promises_long", "nothing", only=("set",))
    assert found["set"].verdict is Verdict.INCONCLUSIVE
    assert "300 s" in found["set"].said[0]


async def test_an_id_in_another_case_is_told_and_breaks_no_rule() -> None:
    """types, CiString: S-ABCdef and s-abcdef are one id, and no clause says which is to be written."""
    found, _ = await check(VERSIONS[0], "lower_ids")
    assert failures(found) == set()
    assert (found["id-kept"].verdict, bool(found["id-kept"].refs)) == (Verdict.INCONCLUSIVE, True)
    assert "s-abcdef" in found["id-kept"].said[0]


async def test_without_a_promise_nobody_is_late() -> None:
    """The missing timeout is told by the case of the answers."""
    found, _ = await check(VERSIONS[0], "no_timeout", "late", only=("result-in-time", "answer"))
    assert failures(found) == {"answer"}
    assert found["result-in-time"].verdict is Verdict.INCONCLUSIVE


async def test_an_unknown_session_is_tried_with_each_method() -> None:
    """GET and DELETE are orders too."""
    found, _ = await check(VERSIONS[0], "unknown_is_put", only=("unknown-session",))
    assert [text.partition(" ")[0] for text in found["unknown-session"].said] == ["GET", "DELETE"]
    assert found["unknown-session"].verdict is Verdict.FAIL


async def test_a_404_for_an_unknown_session_is_open() -> None:
    """status codes: a GET of what does not exist SHOULD be HTTP 404; UNKNOWN_SESSION is right as well."""
    found, _ = await check(VERSIONS[0], "unknown_is_404", only=("unknown-session",))
    assert found["unknown-session"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("bug", "name"),
    [("no_request_id", "request-headers"), ("sends_newline", "sent-token"), ("text_kwh", "objects")],
)
async def test_a_fail_of_what_the_cso_sends_is_linked_to_its_request(bug: str, name: str) -> None:
    """Its document is among those of the case."""
    journal = MemoryJournal()
    found, _ = await check(VERSIONS[0], bug, journal=journal)
    assert found[name].verdict is Verdict.FAIL
    shown = [journal.documents[number] for number in found[name].refs]
    assert [one for one in shown if one.kind == "ocpi.request" and one.data["to"] == "SCSP"]


async def test_an_object_of_a_list_is_linked_to_the_request_of_the_list() -> None:
    """It was asked for, not told."""
    journal = MemoryJournal()
    found, _ = await check(VERSIONS[0], "text_price", journal=journal)
    first = journal.documents[found["objects"].refs[0]]
    assert (found["objects"].verdict, first.data["method"], first.data["from"]) == (Verdict.FAIL, "GET", "SCSP")
